"""The history of the open case: every step, who made it and when; a click or Return goes there."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QObject, QSize, Qt
from qtpy.QtGui import QColor, QFont, QIcon
from qtpy.QtWidgets import QApplication, QListView

from napari_volseg.app import COMMANDS, HistoryRow, HistoryRows, go_to_step
from napari_volseg.editing import History
from napari_volseg.widgets.buttons import CommandButton
from napari_volseg.widgets.icons import icon
from napari_volseg.widgets.section import Section

#: Rows that are shown without scrolling.
ROWS_SHOWN = 8


class HistoryModel(QAbstractListModel):
    """Rows are the positions of a history, oldest first."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._history = History()
        self._rows = HistoryRows(self._history)
        self._icons: dict[str, QIcon] = {}
        self.set_icon_color(QColor("white"))

    def show_history(self, history: History) -> bool:
        """Show a history; return whether it is another one."""
        if history is self._history:
            return False
        before, self._history = self._history, history
        if before.steps is history.steps:  # undone or redone: the rows only look different
            self._rows = HistoryRows(history)
            self.dataChanged.emit(self.index(0), self.index(len(self._rows) - 1))
            return True
        self.beginResetModel()
        self._rows = HistoryRows(history)
        self.endResetModel()
        return True

    def set_icon_color(self, color: QColor) -> None:
        """Draw the icons in a colour of the theme."""
        self._icons = {name: icon(name, color) for name in ("hand", "tool", "model")}

    def row(self, index: QModelIndex) -> HistoryRow:
        """Return what a row shows."""
        return self._rows[index.row()]

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of rows."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return text, icon, tooltip, colour and weight of a row."""
        row = self.row(index)
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return row.name
            case Qt.ItemDataRole.DecorationRole:
                return self._icons[row.author.kind] if row.author else None
            case Qt.ItemDataRole.ToolTipRole:
                return _tooltip(row)
            case Qt.ItemDataRole.ForegroundRole:
                return _faded() if row.state == "undone" else None
            case Qt.ItemDataRole.FontRole:
                font = QFont(QApplication.font())
                font.setBold(row.state == "current")
                return font
        return None


class HistorySection(Section):
    """A list of steps; the present one is bold, those that were undone are greyed."""

    title = "History"
    name = "history"

    def build(self) -> None:
        """Make list and buttons."""
        command = COMMANDS["view.history"]
        self.header.setObjectName(command.id)
        self.header.setToolTip(command.tooltip)
        self.header.toggled.connect(self._wish)
        self._marked: int | None = None
        self.model = HistoryModel(self)
        self.list = _make_list(self.model)
        self.list.clicked.connect(self._go)
        self.list.activated.connect(self._go)
        self.rows.addWidget(self.list)
        self._buttons = [CommandButton(self.app, name) for name in ("edit.undo", "edit.redo", "history.who")]
        for button in self._buttons:
            button.setObjectName(f"history.{button.objectName()}")
        self.add_row(*self._buttons)

    def refresh(self) -> None:
        """Show the steps of the open case, the present one in sight."""
        case = self.app.case
        self.setVisible(case is not None)
        self.expanded = self.app.view.history_shown
        for button in self._buttons:
            button.refresh()
        if case is None:
            return
        history = case.session.history
        self.set_detail(f"{history.position} of {len(history.steps)}" if history.steps else "")
        if self.model.show_history(history):
            self._select(history.position)
        marked, self._marked = self._marked, self.app.view.marked_step
        if self._marked is not None and self._marked != marked and self._marked < self.model.rowCount():
            self._select(self._marked)

    def set_icon_color(self, color: QColor) -> None:
        """Draw the icons in a colour of the theme."""
        self.model.set_icon_color(color)

    def _select(self, position: int) -> None:
        index = self.model.index(position)
        self.list.setCurrentIndex(index)
        self.list.scrollTo(index)

    def _wish(self, expanded: bool) -> None:
        self.app.view.history_shown = expanded

    def _go(self, index: QModelIndex) -> None:
        self.app.attempt(go_to_step, self.app, self.model.row(index).position)


def _make_list(model: HistoryModel) -> QListView:
    view = QListView()
    view.setObjectName("history")
    view.setModel(model)
    view.setUniformItemSizes(True)
    view.setIconSize(QSize(14, 14))
    view.setFixedHeight(ROWS_SHOWN * (view.fontMetrics().height() + 8))
    return view


def _tooltip(row: HistoryRow) -> str:
    here = row.state == "current"
    effect = "This is how the labels are now" if here else "Click: make the labels what they were here"
    return "\n".join(part for part in (row.name, row.details, effect) if part)


def _faded() -> QColor:
    """Return the grey of what was undone, legible on dark and light grounds."""
    return QColor(128, 128, 128)
