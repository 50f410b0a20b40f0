"""Presses in quick succession: each of them counts unless a double click means something of its own."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget


class PressFilter(QObject):
    """Makes the second press of what Qt takes for a double click a press like any other.

    Qt tells of a double click in the place of the second press, and a stroke or click made fast would be lost.

    Parameters
    ----------
    canvas
        Where tools work.
    presses_count
        Whether every press counts for itself; a double click stays what it is otherwise.
    """

    def __init__(self, canvas: QWidget, presses_count: Callable[[], bool]) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._presses_count = presses_count
        canvas.installEventFilter(self)

    def remove(self) -> None:
        """Leave the canvas to itself."""
        self._canvas.removeEventFilter(self)
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Hand a double click to the canvas as a press."""
        if event.type() != QEvent.Type.MouseButtonDblClick or not self._presses_count():
            return False
        self._canvas.mousePressEvent(event)
        return True
