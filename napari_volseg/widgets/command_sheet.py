"""A sheet over the window: what keys and mouse do now, and every command by typing a few letters of it."""

from __future__ import annotations

from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QFrame,
    QHeaderView,
    QLabel,
    QLineEdit,
    QShortcut,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_volseg.app import Application, run_command
from napari_volseg.app.key_sheet import Row, found_rows, mode_rows
from napari_volseg.widgets.theme import apply_theme

SIZE, MARGIN = (560, 600), 40
PLACEHOLDER = "Type to find any command; Enter runs it"
COMMAND = Qt.ItemDataRole.UserRole
WALKING = (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)


class CommandSheet(QFrame):
    """The sheet.

    Parameters
    ----------
    app
        Whose commands it shows and runs; ``view.sheet_shown`` opens and closes it.
    viewer
        Whose theme it follows.
    window
        Over which it lies.
    """

    def __init__(self, app: Application, viewer: ViewerModel, window: QWidget) -> None:
        super().__init__(window)
        self._app, self._viewer = app, viewer
        self._before: QWidget | None = None
        self.setObjectName("command-sheet")
        self.title = QLabel()
        self.search = QLineEdit()
        self.search.setObjectName("command-search")
        self.search.setPlaceholderText(PLACEHOLDER)
        self.search.textChanged.connect(self.refresh)
        self.search.installEventFilter(self)
        self.list = QTreeWidget()
        self.list.setObjectName("command-list")
        self.list.setColumnCount(2)
        self.list.setHeaderHidden(True)
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.list.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.list.header().setStretchLastSection(False)
        self.list.itemClicked.connect(self._run_item)
        rows = QVBoxLayout(self)
        for widget in (self.title, self.search, self.list):
            rows.addWidget(widget)
        self._key = QShortcut(QKeySequence("?"), window)
        self._key.activated.connect(lambda: run_command(app, "help.keys"))
        app.view.events.sheet_shown.connect(self._follow)
        window.installEventFilter(self)
        self.hide()

    def refresh(self) -> None:
        """Show what fits the words that were typed, or what can be done now where there are none."""
        words = self.search.text()
        rows = found_rows(self._app, words) if words.strip() else mode_rows(self._app)
        self.title.setText("Commands" if words.strip() else "What mouse and keys do now")
        self.list.clear()
        self.list.addTopLevelItems([_item(row) for row in rows])
        first = next((i for i, row in enumerate(rows) if row.command and row.reason is None), None)
        if words.strip() and first is not None:
            self.list.setCurrentItem(self.list.topLevelItem(first))

    def remove(self) -> None:
        """Take the sheet off the window."""
        self._app.view.events.sheet_shown.disconnect(self._follow)
        self._key.deleteLater()
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the window; in the line, walk the list and run what is chosen; go away with the focus."""
        if watched is self.search and event.type() == QEvent.Type.KeyPress:
            return self._take_key(event)
        if watched is self.search and event.type() == QEvent.Type.FocusOut and self.isVisible():
            self._app.view.sheet_shown = False
        elif watched is self.parent() and event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def _take_key(self, event: QKeyEvent) -> bool:
        key = event.key()
        if key == Qt.Key.Key_Escape:
            self._app.view.sheet_shown = False
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if self.list.currentItem() is not None:
                self._run_item(self.list.currentItem())
        elif key in WALKING:
            self.list.event(event)
        else:
            return False
        return True

    def _run_item(self, item: QTreeWidgetItem) -> None:
        command = item.data(0, COMMAND)
        if command:
            self._app.view.sheet_shown = False
            run_command(self._app, command)

    def _follow(self, shown: bool) -> None:
        if not shown:
            self._give_back()
            self.hide()
            return
        self._before = QApplication.focusWidget()
        apply_theme(self, self._viewer)
        self.search.clear()
        self.refresh()
        self._place()
        self.show()
        self.raise_()
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _give_back(self) -> None:
        """Let whoever had the keys have them again; Qt would give them to the next box for a number."""
        before, self._before = self._before, None
        if not self.search.hasFocus():
            return  # somebody else has them already
        self.search.clearFocus()
        if before is not None and before.isVisible():
            before.setFocus(Qt.FocusReason.OtherFocusReason)

    def _place(self) -> None:
        room = self.parentWidget().rect()
        width, height = (min(a, b - 2 * MARGIN) for a, b in zip(SIZE, (room.width(), room.height()), strict=True))
        self.setGeometry((room.width() - width) // 2, max(MARGIN, (room.height() - height) // 3), width, height)


def _item(row: Row) -> QTreeWidgetItem:
    item = QTreeWidgetItem([row.text, row.keys])
    item.setData(0, COMMAND, row.command if row.reason is None else "")
    item.setTextAlignment(1, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter))
    item.setDisabled(row.reason is not None)
    item.setToolTip(0, f"{row.text}\nNot now: {row.reason}" if row.reason else row.text)
    return item
