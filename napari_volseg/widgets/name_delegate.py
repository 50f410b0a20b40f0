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
        completer.popup().setMinimumWidth(NARROWEST)
        completer.popup().setTextElideMode(Qt.TextElideMode.ElideRight)
        editor.setCompleter(completer)
        editor.textEdited.connect(lambda text: _offer(completer, offered, text))
        editor.textChanged.connect(lambda text: _leave_code_out(editor, text))
        return editor


def _offer(completer: QCompleter, offered: QStringListModel, text: str) -> None:
    found = search_terms(text) if text.strip() else ()
    offered.setStringList([f"{term.name}{BETWEEN}{term.type.scheme} {term.type.value}" for term in found])
    completer.complete()


def _leave_code_out(editor: QLineEdit, text: str) -> None:
    """Keep the name alone of a row that was chosen, or is walked over with the arrow keys."""
    if BETWEEN in text:
        editor.setText(text.partition(BETWEEN)[0])
