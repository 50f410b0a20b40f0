"""Naming a segment: what is typed is completed to standard names, each with its code."""

from __future__ import annotations

from qtpy.QtCore import QModelIndex, QStringListModel, Qt
from qtpy.QtWidgets import QCompleter, QLineEdit, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from napari_volseg.app.terms import search_terms

#: Stands between a name and its code in the list.
BETWEEN = "   ·   "
ROWS_SHOWN, NARROWEST = 10, 340


class NameDelegate(QStyledItemDelegate):
    """Edits names with a list of standard ones below, found by any of their words or by TotalSegmentator's label."""

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: QModelIndex) -> QWidget:
        """Return a line that offers what fits its text."""
        editor = QLineEdit(parent)
        offered = QStringListModel(editor)
        completer = QCompleter(offered, editor)
        completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        completer.setMaxVisibleItems(ROWS_SHOWN)
        popup = completer.popup()
        popup.setMinimumWidth(NARROWEST)
        popup.setTextElideMode(Qt.TextElideMode.ElideRight)
        popup.setStyleSheet(_style_around(parent))  # a window of its own inherits none
        editor.setCompleter(completer)
        editor.textEdited.connect(lambda text: _offer(completer, offered, text))
        editor.textChanged.connect(lambda text: _leave_code_out(editor, text))
        completer.activated.connect(lambda text: self._choose(editor, text))
        return editor

    def _choose(self, editor: QLineEdit, text: str) -> None:
        """Take over a row that was chosen."""
        editor.setText(text.partition(BETWEEN)[0])
        self.commitData.emit(editor)
        self.closeEditor.emit(editor)


def _style_around(widget: QWidget) -> str:
    """Return the style of what a widget lies in, the nearest last."""
    styles = []
    around: QWidget | None = widget
    while around is not None:
        styles.append(around.styleSheet())
        around = around.parentWidget()
    return "\n".join(reversed(styles))


def _offer(completer: QCompleter, offered: QStringListModel, text: str) -> None:
    found = search_terms(text) if text.strip() else ()
    offered.setStringList([f"{term.name}{BETWEEN}{term.type.scheme} {term.type.value}" for term in found])
    if found:
        completer.complete()
    else:
        completer.popup().hide()


def _leave_code_out(editor: QLineEdit, text: str) -> None:
    """Keep the name alone of a row that is walked over with the arrow keys."""
    if BETWEEN in text:
        editor.setText(text.partition(BETWEEN)[0])
