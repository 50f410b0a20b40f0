"""The segments of the case: which is active, what each is called, what is shown and protected."""

from __future__ import annotations

from qtpy.QtCore import QModelIndex, QSize, Qt, QTimer
from qtpy.QtGui import QColor, QMouseEvent
from qtpy.QtWidgets import QAbstractItemView, QApplication, QHeaderView, QLabel, QSizePolicy, QSlider, QTableView

from napari_volseg.app import Application
from napari_volseg.widgets import dialogs
from napari_volseg.widgets.buttons import ActionButton, CommandButton
from napari_volseg.widgets.name_delegate import NameDelegate
from napari_volseg.widgets.section import Section, joined
from napari_volseg.widgets.segment_model import Column, SegmentTableModel

#: Rows that are shown without scrolling: at least and at most.
ROWS_SHOWN = (3, 8)
#: Volumes are counted when the labels have been quiet for so long, milliseconds.
QUIET_MS = 400
#: Columns in which a click turns something over.
SWITCH_COLUMNS = (Column.STATUS, Column.VISIBLE, Column.LOCKED)


class SegmentsSection(Section):
    """A table of segments; the selected row is the segment that tools act on."""

    title = "Segments"
    name = "segments"

    def build(self) -> None:
        """Make table and buttons."""
        self.model = SegmentTableModel(self.app, self)
        self.table = _make_table(self.model)
        self.names = NameDelegate(self.table)
        self.table.setItemDelegateForColumn(Column.NAME, self.names)
        self.table.clicked.connect(self._toggle)
        self.table.doubleClicked.connect(self._choose_color)
        self.table.selectionModel().currentRowChanged.connect(self._activate)
        self.rows.addWidget(self.table)
        self.add = ActionButton("Add", "Add an empty segment", self._add, "segments.add")
        self.remove = ActionButton("Remove", "Remove the active segment", self._remove, "segments.remove")
        self.open = ActionButton("Open labels…", "Go on with labels from a file", self._open_labels, "segments.open")
        self.add_row(self.add, self.remove, self.open)
        self.go_to = CommandButton(self.app, "segment.go-to", "Go to")
        self.solo = CommandButton(self.app, "segment.solo", "Solo", _is_alone)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setObjectName("segment-opacity")
        self.opacity.setRange(5, 100)
        self.opacity.setPageStep(10)
        # a slider of fixed height would take the row's buttons down to their least, which cuts their texts
        self.opacity.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.opacity.setToolTip("How strongly the active segment is drawn, on slices and in 3D")
        self.opacity.valueChanged.connect(self._set_opacity)
        self.opacity.sliderReleased.connect(self._set_opacity)
        drawn = joined(QLabel("Opacity"), self.opacity)
        row = self.add_row(self.go_to, self.solo, drawn, stretch=False)
        row.setStretchFactor(drawn, 1)
        self._quiet = QTimer(self)
        self._quiet.setSingleShot(True)
        self._quiet.setInterval(QUIET_MS)
        self._quiet.timeout.connect(self._count)

    def refresh(self) -> None:
        """Show the segments and select the active one."""
        case = self.app.case
        self.model.refresh()
        self._fit_table()
        reason = None if case else "open an image first"
        self.add.explain("Add an empty segment", reason)
        self.open.explain("Go on with labels from a file (NIfTI or DICOM-SEG)", reason)
        self.remove.explain("Remove the active segment", None if case and case.active else "there is no segment")
        count = len(case.table) if case else 0
        self.set_detail(str(count) if count else "")
        for button in (self.go_to, self.solo):
            button.refresh()
        active = case.table[case.active] if case and case.active else None
        self.opacity.setEnabled(active is not None)
        if not self.opacity.isSliderDown():
            self.opacity.setValue(round(100 * active.opacity) if active else 100)
        figures = self.app.figures
        if case and figures and any(figures.of(value) is None for value in case.table.values):
            self.follow_voxels()
        row = self.model.row_of(case.active) if case else None
        if row is not None and row != self.table.currentIndex().row():
            self.table.setCurrentIndex(self.model.index(row, Column.NAME))

    def follow_voxels(self) -> None:
        """Count the volumes once the labels have come to rest."""
        if self.app.figures is not None:
            self.app.figures.changed.connect(self.model.refresh_figures, unique=True)
            self._quiet.start()

    def set_icon_color(self, color: QColor) -> None:
        """Draw the table's icons in a colour of the theme."""
        self.model.set_icon_color(color)

    def _fit_table(self) -> None:
        least, most = ROWS_SHOWN
        rows = min(most, max(least, self.model.rowCount()))
        row_height = self.table.verticalHeader().defaultSectionSize()
        self.table.setFixedHeight(rows * row_height + self.table.horizontalHeader().sizeHint().height() + 4)

    def _count(self) -> None:
        if self.app.painter is not None and self.app.painter.painting:
            self._quiet.start()
        elif self.app.figures is not None:
            self.app.figures.count()

    def _toggle(self, index: QModelIndex) -> None:
        case, alone = self.app.case, QApplication.keyboardModifiers() & Qt.KeyboardModifier.AltModifier
        if index.column() == Column.VISIBLE and alone and case is not None:
            self.app.attempt(case.show_alone, self.model.value(index.row()))
        else:
            self.model.toggle(index)

    def _set_opacity(self) -> None:
        """Take the opacity over once the slider is let go, as one step."""
        case, opacity = self.app.case, self.opacity.value() / 100
        if case is None or not case.active or self.opacity.isSliderDown():
            return
        if round(100 * case.table[case.active].opacity) != self.opacity.value():
            self.app.attempt(lambda: case.edit_segment(case.active, opacity=opacity))

    def _activate(self, current: QModelIndex, _previous: QModelIndex) -> None:
        case = self.app.case
        if case is not None and current.isValid():
            self.app.attempt(lambda: setattr(case, "active", self.model.value(current.row())))

    def _choose_color(self, index: QModelIndex) -> None:
        case = self.app.case
        if case is None or index.column() != Column.COLOR:
            return
        color = dialogs.ask_color(self, self.model.color(index.row()))
        if color is not None:
            self.app.attempt(lambda: case.edit_segment(self.model.value(index.row()), color=color))

    def _add(self) -> None:
        self.app.attempt(lambda: self.app.need_case().add_segment())

    def _remove(self) -> None:
        case = self.app.need_case()
        self.app.attempt(case.remove_segment, case.active)

    def _open_labels(self) -> None:
        if file := dialogs.ask_file(self, "Open labels", name_filter=dialogs.LABEL_FILTER):
            self.app.attempt(self.app.open_labels, file)


class SegmentTable(QTableView):
    """The rows; what a switch turns over in another row leaves the segment active that tools act on."""

    def __init__(self) -> None:
        super().__init__()
        self._pressed: tuple[int, int] | None = None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Press a switch, or choose a row."""
        self._pressed = self._switch_at(event)
        if self._pressed is None:
            super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Turn over what was pressed."""
        pressed, self._pressed = self._pressed, None
        if pressed is None:
            super().mouseReleaseEvent(event)
        elif self._switch_at(event) == pressed:
            self.clicked.emit(self.model().index(*pressed))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Take the second press on a switch for a press like any other."""
        if self._switch_at(event) is None:
            super().mouseDoubleClickEvent(event)
        else:
            self.mousePressEvent(event)

    def _switch_at(self, event: QMouseEvent) -> tuple[int, int] | None:
        index = self.indexAt(event.pos())
        is_switch = event.button() == Qt.MouseButton.LeftButton and index.column() in SWITCH_COLUMNS
        return (index.row(), index.column()) if is_switch else None


def _make_table(model: SegmentTableModel) -> QTableView:
    table = SegmentTable()
    table.setObjectName("segments")
    table.setModel(model)
    table.setIconSize(QSize(14, 14))
    table.setShowGrid(False)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + 8)
    header = table.horizontalHeader()
    header.setHighlightSections(False)
    header.setMinimumSectionSize(20)
    header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    header.setSectionResizeMode(Column.NAME, QHeaderView.ResizeMode.Stretch)
    figures = table.fontMetrics()
    table.setColumnWidth(Column.VOLUME, figures.horizontalAdvance("12345") + 10)
    table.setColumnWidth(Column.MEAN, figures.horizontalAdvance("−123 ± 123") + 10)
    for column in (Column.COLOR, Column.STATUS, Column.VISIBLE, Column.LOCKED):
        table.setColumnWidth(column, 23)
    return table


def _is_alone(app: Application) -> bool:
    case = app.case
    return case is not None and len(case.table) > 1 and [s.value for s in case.table if s.visible] == [case.active]
