"""Item model of the segments of the open case."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt
from qtpy.QtGui import QColor, QIcon

from napari_volseg.app import Application
from napari_volseg.app.commands import STATUSES
from napari_volseg.app.figures import Figures
from napari_volseg.core import Segment, Status
from napari_volseg.widgets.icons import icon, swatch


class Column(IntEnum):
    """What each column shows."""

    COLOR = 0
    NAME = 1
    VOLUME = 2
    MEAN = 3
    STATUS = 4
    VISIBLE = 5
    LOCKED = 6


HEADERS = {Column.NAME: "Segment", Column.VOLUME: "mL", Column.MEAN: "Mean"}
TIPS = {
    Column.COLOR: "Double-click: choose a colour",
    Column.NAME: "Double-click: rename; standard names are offered while you type",
    Column.VOLUME: "Volume in millilitres",
    Column.MEAN: "Mean ± standard deviation of the image",
    Column.STATUS: "Not started, in progress, done or flagged: click for the next",
    Column.VISIBLE: "Show or hide; with Alt, show it alone",
    Column.LOCKED: "Lock: no tool or model may change this segment",
}
#: Columns that a click turns over, and the field of the segment that they show.
SWITCHES = {Column.VISIBLE: "visible", Column.LOCKED: "locked"}


class SegmentTableModel(QAbstractTableModel):
    """Rows are segments in the order of their table; edits go through the application.

    Parameters
    ----------
    app
        Whose open case is shown.
    """

    def __init__(self, app: Application, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._app = app
        self._segments: tuple[Segment, ...] = ()
        self._icons: dict[str, QIcon] = {}
        self._swatches: dict[tuple[int, int, int], QIcon] = {}
        self.set_icon_color(QColor("white"))

    def set_icon_color(self, color: QColor) -> None:
        """Draw the icons in a colour of the theme."""
        names = ("eye", "eye-off", "lock", "unlock", *(_status_icon(status) for status in STATUSES))
        self._icons = {name: icon(name, color) for name in names}
        self._touch_all_but_names()

    def refresh(self) -> None:
        """Take over the segments of the open case."""
        case = self._app.case
        segments = case.table.segments if case else ()
        same_rows = [s.value for s in segments] == [s.value for s in self._segments]
        if not same_rows:
            self.beginResetModel()
        before, self._segments = self._segments, segments
        if not same_rows:
            self.endResetModel()
            return
        for row, (old, new) in enumerate(zip(before, segments, strict=True)):
            if old.name != new.name:  # the others may be in the middle of being typed
                self._touch(Column.NAME, Column.NAME, row, row)
            if old != new:
                self._touch_all_but_names(row, row)

    def refresh_figures(self) -> None:
        """Show volumes and mean values that have been counted anew."""
        self._touch(Column.VOLUME, Column.MEAN)

    def value(self, row: int) -> int:
        """Return the label value of a row."""
        return self._segments[row].value

    def row_of(self, value: int) -> int | None:
        """Return the row of a label value, None where it has none."""
        return next((row for row, s in enumerate(self._segments) if s.value == value), None)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of segments."""
        return 0 if parent is not None and parent.isValid() else len(self._segments)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(Column)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the words above a column."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            unit = self._app.case.volume.unit if self._app.case is not None else ""
            return unit if section == Column.MEAN and unit else HEADERS.get(Column(section), "")
        return TIPS[Column(section)] if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return text, icon, tooltip and alignment of a cell."""
        segment, column = self._segments[index.row()], Column(index.column())
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return self._text(segment, column)
        if role == Qt.ItemDataRole.DecorationRole:
            return self._icon(segment, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(segment, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and column in (Column.VOLUME, Column.MEAN):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Rename a segment."""
        name = str(value).strip()
        case, segment = self._app.case, self._segments[index.row()]
        if case is None or not name or name == segment.name:
            return False
        self._app.attempt(lambda: case.name_segment(segment.value, name))
        return True

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Return that names can be edited."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() == Column.NAME else flags

    def toggle(self, index: QModelIndex) -> None:
        """Turn over what a cell of visibility or lock shows; go on to the next status."""
        field, case = SWITCHES.get(Column(index.column())), self._app.case
        if case is None:
            return
        segment = self._segments[index.row()]
        if index.column() == Column.STATUS:
            following = STATUSES[(STATUSES.index(segment.status) + 1) % len(STATUSES)]
            self._app.attempt(lambda: case.edit_segment(segment.value, status=following))
        if field is None:
            return
        self._app.attempt(lambda: case.edit_segment(segment.value, **{field: not getattr(segment, field)}))

    def color(self, row: int) -> tuple[int, int, int]:
        """Return the colour of a row."""
        return self._segments[row].color

    def _text(self, segment: Segment, column: Column) -> str | None:
        if column is Column.NAME:
            return segment.name
        if column not in (Column.VOLUME, Column.MEAN) or self._app.figures is None:
            return None
        known = self._app.figures.of(segment.value)
        if column is Column.MEAN:
            return "…" if known is None else format_mean(known)
        if self._app.case is not None and not self._app.case.volume.is_calibrated:
            return "–"
        return "…" if known is None or known.millilitres is None else format_volume(known.millilitres)

    def _tip(self, segment: Segment, column: Column) -> str:
        """Return what a cell tells, and what can be done there."""
        lines = [f"{segment.name} (label {segment.value})", f"{segment.type.meaning}, {segment.type.scheme}"]
        lines[1] += f" {segment.type.value} · {segment.status}"
        return "\n".join([*lines, TIPS[column]])

    def _icon(self, segment: Segment, column: Column) -> QIcon | None:
        match column:
            case Column.COLOR:
                if segment.color not in self._swatches:
                    self._swatches[segment.color] = swatch(segment.color)
                return self._swatches[segment.color]
            case Column.VISIBLE:
                return self._icons["eye" if segment.visible else "eye-off"]
            case Column.LOCKED:
                return self._icons["lock" if segment.locked else "unlock"]
            case Column.STATUS:
                return self._icons[_status_icon(segment.status)]
            case Column.NAME | Column.VOLUME | Column.MEAN:
                return None

    def _touch_all_but_names(self, top: int = 0, bottom: int = -1) -> None:
        """Announce all that may look different in some rows, but leave a name alone that is just being typed."""
        self._touch(Column.COLOR, Column.COLOR, top, bottom)
        self._touch(Column.VOLUME, Column.LOCKED, top, bottom)

    def _touch(self, first: Column, last: Column, top: int = 0, bottom: int = -1) -> None:
        """Announce cells of the rows from top to bottom, which is the last one where it is -1."""
        if self._segments:
            self.dataChanged.emit(self.index(top, first), self.index(bottom % len(self._segments), last))


def _status_icon(status: Status) -> str:
    return f"status-{status.replace(' ', '-')}"


def format_mean(known: Figures) -> str:
    """Return mean and standard deviation with the digits that matter."""
    if known.mean is None or known.sd is None:
        return "–"
    digits = 0 if abs(known.mean) >= 10 or known.sd >= 10 else 2
    mean = f"{known.mean:.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return f"{mean} ± {known.sd:.{digits}f}"


def format_volume(millilitres: float) -> str:
    """Return a volume with the digits that matter."""
    digits = 0 if millilitres >= 100 else 1 if millilitres >= 1 else 2
    return f"{millilitres:.{digits}f}"
