"""What boxes, sliders and lists of the panel leave alone: the wheel scrolls the panel, and keys run commands.

Qt's own would turn the value that the wheel happens to pass, and search a list or rename a row for the letters
typed over it, though the user means the tool of that key.
"""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QListView, QSlider, QTableView, QWidget

ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
#: Where Enter ends what is typed or chosen, and nothing else.
ENTERED = (QAbstractSpinBox, QComboBox)


class InputGuard(QObject):
    """Hands the wheel and the keys of commands on to what lies around boxes, sliders and lists.

    Parameters
    ----------
    column
        Whose boxes, sliders and lists are guarded; it keeps the guard alive.
    """

    def __init__(self, column: QWidget) -> None:
        super().__init__(column)
        for kind in (QAbstractSpinBox, QComboBox, QSlider):
            for widget in column.findChildren(kind):
                widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # the default takes the focus by wheel, too
                widget.installEventFilter(self)
        for kind in (QTableView, QListView):
            for widget in column.findChildren(kind):
                widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Pass by the widget; an event that is ignored goes on to its parent."""
        if event.type() == QEvent.Type.KeyPress and event.key() in ENTER and isinstance(watched, ENTERED):
            watched.event(event)
            event.accept()  # they would let it go on to the view, where it closes an outline or accepts clicks
            return True
        if event.type() == QEvent.Type.Wheel:
            passes = not isinstance(watched, QTableView | QListView)
        elif event.type() == QEvent.Type.KeyPress:
            passes = _means_a_command(watched, event.text())
        else:
            return False
        if passes:
            event.ignore()
        return passes


def _means_a_command(watched: QObject, text: str) -> bool:
    """Whether a key is for the program: numbers are typed into a box, letters nowhere; Return and Space stay."""
    if isinstance(watched, QAbstractSpinBox):
        return text.isalpha() or text in ("[", "]")
    return bool(text.strip())
