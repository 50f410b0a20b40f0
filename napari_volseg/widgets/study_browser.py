"""The study browser over the window: patients, studies and series, each with a picture of its middle slice."""

from __future__ import annotations

from pathlib import Path

from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QObject, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QKeyEvent, QPainter, QPixmap
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_volseg.app import COMMANDS, Application
from napari_volseg.app.studies import nearest_to, patients_of
from napari_volseg.app.thumbnails import Thumbnail
from napari_volseg.core import Volume
from napari_volseg.formats import FoundVolume, Scan
from napari_volseg.viewer.picture import picture, picture_size
from napari_volseg.widgets import dialogs
from napari_volseg.widgets.buttons import ActionButton, set_primary
from napari_volseg.widgets.icons import unfading
from napari_volseg.widgets.section import muted_label
from napari_volseg.widgets.theme import apply_theme

SIZE, MARGIN = (940, 640), 30
#: Side of a thumbnail, pixels.
SIDE = 72
COLUMNS = ("Series", "Modality", "Date", "Slices", "Spacing, mm")
FOUND = Qt.ItemDataRole.UserRole
EMPTY = "Choose a folder or a file: what can be opened in it is listed here."
OPEN_TIP = "Make the chosen series the open image [Return, or double-click it]"
OVER_TIP = "Show the chosen series over the open image, where it lies in the patient [Shift-Return]"


class StudyBrowser(QFrame):
    """A tree of series, and what can be done with the chosen one.

    Parameters
    ----------
    app
        Whose last scan it shows; ``view.studies_shown`` opens and closes it.
    viewer
        Whose theme it follows.
    window
        Over which it lies.
    """

    def __init__(self, app: Application, viewer: ViewerModel, window: QWidget) -> None:
        super().__init__(window)
        self._app, self._viewer = app, viewer
        self._scan: Scan | None = None
        self._items: dict[FoundVolume, QTreeWidgetItem] = {}
        self.setObjectName("study-browser")
        self.title = QLabel("Study browser")
        self.title.setObjectName("studies-title")
        self.tree = self._make_tree()
        self.told = muted_label()
        self.open = ActionButton("Open", OPEN_TIP, self._open, "studies.open")
        self.over = ActionButton("Show over open image", OVER_TIP, self._show_over, "studies.over")
        folder = ActionButton("Folder…", "List what lies in a folder", self._list_folder, "studies.folder")
        file = ActionButton("File…", "List what a file holds", self._list_file, "studies.file")
        close = ActionButton("Close", "Close the study browser [Escape]", self._close, "studies.close")
        head, foot = QHBoxLayout(), QHBoxLayout()
        head.addWidget(self.title, 1)
        for button in (folder, file):
            head.addWidget(button)
        foot.addWidget(self.told, 1)
        for button in (close, self.over, self.open):
            foot.addWidget(button)
        rows = QVBoxLayout(self)
        rows.addLayout(head)
        rows.addWidget(self.tree, 1)
        rows.addLayout(foot)
        self._signals = (app.scan_changed, app.case_changed, app.fusion.changed, app.jobs.changed)
        for signal in self._signals:
            signal.connect(self.refresh)
        app.view.events.studies_shown.connect(self._follow)
        app.thumbnails.arrived.connect(self._show_thumbnail)
        window.installEventFilter(self)
        self.hide()

    def refresh(self) -> None:
        """Show what was found and what can be done with the chosen series."""
        if not self.isVisible():
            return
        if self._app.scan_result is not self._scan:
            self._fill()
        self._mark()
        self._follow_choice()

    def remove(self) -> None:
        """Take the browser off the window."""
        for signal in self._signals:
            signal.disconnect(self.refresh)
        self._app.view.events.studies_shown.disconnect(self._follow)
        self._app.thumbnails.arrived.disconnect(self._show_thumbnail)
        self.parent().removeEventFilter(self)
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the size of the window; take the keys of the tree."""
        if watched is self.tree and event.type() == QEvent.Type.KeyPress:
            return self._take_key(event)
        if watched is self.parent() and event.type() == QEvent.Type.Resize:
            self._place()
        return False

    @property
    def chosen(self) -> FoundVolume | None:
        """The chosen series, None where a study or nothing is chosen."""
        item = self.tree.currentItem()
        return item.data(0, FOUND) if item is not None else None

    def choose(self, found: FoundVolume) -> None:
        """Choose a series."""
        self.tree.setCurrentItem(self._items[found])

    # -- what is shown ------------------------------------------------------------------------------------------

    def _make_tree(self) -> QTreeWidget:
        tree = QTreeWidget()
        tree.setObjectName("studies")
        tree.setColumnCount(len(COLUMNS))
        tree.setHeaderLabels(COLUMNS)
        tree.setIconSize(QSize(SIDE, SIDE))
        tree.setIndentation(14)
        tree.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        tree.header().setStretchLastSection(False)
        tree.currentItemChanged.connect(self._follow_choice)
        tree.itemDoubleClicked.connect(self._open)
        tree.installEventFilter(self)
        return tree

    def _fill(self) -> None:
        self._scan = self._app.scan_result
        self.tree.clear()
        self._items = {}
        for patient in patients_of(self._scan):
            top = self._heading(self.tree.invisibleRootItem(), patient.title)
            for study in patient.studies:
                below = self._heading(top, study.title)
                for found in study.series:
                    self._items[found] = self._row(below, found)
        self.tree.expandAll()
        self._choose_first()
        self._app.thumbnails.want(self._items)

    def _heading(self, parent: QTreeWidgetItem, title: str) -> QTreeWidgetItem:
        item = QTreeWidgetItem(parent, [title])
        item.setFirstColumnSpanned(True)
        item.setToolTip(0, title)
        return item

    def _row(self, parent: QTreeWidgetItem, found: FoundVolume) -> QTreeWidgetItem:
        step = "unknown" if found.uncalibrated else " × ".join(f"{s:.3g}" for s in found.spacing)
        modality = found.modality if found.modality != "OT" else found.format
        item = QTreeWidgetItem(parent, ["", modality, found.date or "–", str(found.slices), step])
        item.setData(0, FOUND, found)
        item.setIcon(0, unfading(_framed(self._app.thumbnails.get(found))))
        item.setToolTip(0, f"{_name(found)}\n{found.archive or found.paths[0]}")
        item.setTextAlignment(3, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
        return item

    def _mark(self) -> None:
        """Tell which series is open and which lies over it."""
        case, fused = self._app.case, self._app.fusion.image
        for found, item in self._items.items():
            open_now = case is not None and _is_of(case.volume, found)
            over_now = fused is not None and _is_of(fused.volume, found)
            state = "open" if open_now else "shown over it" if over_now else ""
            item.setText(0, "\n".join(filter(None, (_name(found), state))))
            font = item.font(0)
            font.setBold(bool(state))
            item.setFont(0, font)

    def _choose_first(self) -> None:
        """Choose the series that is likeliest wanted next."""
        case = self._app.case
        opened = next((f for f in self._items if case is not None and _is_of(case.volume, f)), None)
        nearest = nearest_to(opened, self._items)
        if nearest is not None:
            self.choose(nearest)

    def _follow_choice(self) -> None:
        case, found = self._app.case, self.chosen
        busy = "an image is being opened" if any(j.lane == "files" for j in self._app.jobs.shown) else None
        unchosen = None if found is not None else "choose a series"
        is_open = found is not None and case is not None and _is_of(case.volume, found)
        self.open.explain(OPEN_TIP, unchosen or busy or ("it is open already" if is_open else None))
        lacks = COMMANDS["fusion.add"].why_not(self._app)
        self.over.explain(OVER_TIP, unchosen or lacks or busy or ("it is the open image itself" if is_open else None))
        set_primary(self.open, case is None)
        set_primary(self.over, case is not None)
        refused = len(self._scan.refused) if self._scan is not None else 0
        left_out = f"{refused} {'file was' if refused == 1 else 'files were'} refused: the list under Data says why."
        self.told.setText(EMPTY if not self._items else left_out if refused else "")

    def _show_thumbnail(self, found: FoundVolume) -> None:
        if found in self._items:
            self._items[found].setIcon(0, unfading(_framed(self._app.thumbnails.get(found))))

    # -- what is done -------------------------------------------------------------------------------------------

    def _follow(self, shown: bool) -> None:
        if not shown:
            self._app.thumbnails.stop()
            self.hide()
            return
        apply_theme(self, self._viewer)
        self._place()
        self.show()
        self.raise_()
        self._fill()  # anew, for thumbnails that were given up are read now
        self.refresh()
        self.tree.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _place(self) -> None:
        room = self.parentWidget().rect()
        width, height = (min(a, b - 2 * MARGIN) for a, b in zip(SIZE, (room.width(), room.height()), strict=True))
        self.setGeometry((room.width() - width) // 2, max(MARGIN, (room.height() - height) // 3), width, height)

    def _take_key(self, event: QKeyEvent) -> bool:
        if event.key() == Qt.Key.Key_Escape:
            self._close()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            over = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            (self.over if over else self.open).click()
        else:
            return False
        return True

    def _open(self) -> None:
        found = self.chosen
        if found is not None and self.open.isEnabled():
            self._close()
            self._app.attempt(self._app.open_found, found)

    def _show_over(self) -> None:
        found = self.chosen
        if found is not None:
            self._close()
            self._app.attempt(self._app.fusion.open_found, found)

    def _list_folder(self) -> None:
        self._list(dialogs.ask_folder(self, "List a folder with images", self._app.last_folder))

    def _list_file(self) -> None:
        self._list(dialogs.ask_file(self, "List what a file holds", self._app.last_folder))

    def _list(self, path: Path | None) -> None:
        if path is not None:
            self._app.attempt(self._app.list_path, path)

    def _close(self) -> None:
        self._app.view.studies_shown = False


def _name(found: FoundVolume) -> str:
    return found.description or "Without description"


def _is_of(volume: Volume, found: FoundVolume) -> bool:
    return volume.origin_provenance.paths == found.paths


def _framed(seen: Thumbnail | None) -> QPixmap:
    """Return a thumbnail in its true proportions within a black square."""
    square = QPixmap(SIDE, SIDE)
    square.fill(QColor("black"))
    if seen is None:
        return square
    grey = picture(seen.volume, seen.plane, 0, seen.window)
    rows, columns = grey.shape
    image = QImage(grey.data, columns, rows, columns, QImage.Format.Format_Grayscale8)
    height, width = picture_size(seen.volume, seen.plane)
    scale = SIDE / max(height, width)
    frame = QRectF(0, 0, width * scale, height * scale)
    frame.moveCenter(QRectF(square.rect()).center())
    painter = QPainter(square)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawImage(frame, image)
    painter.end()
    return square
