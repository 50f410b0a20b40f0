"""A button that was pressed stays under the mouse, whatever its press lets grow or vanish above it in a panel."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QPoint
from qtpy.QtWidgets import QAbstractButton, QScrollArea


class SteadyButtons(QObject):
    """Scrolls an area so that the button which was pressed last keeps its place while the mouse is on it.

    Parameters
    ----------
    area
        What scrolls, with all its buttons; its widget keeps this alive.
    """

    def __init__(self, area: QScrollArea) -> None:
        super().__init__(area.widget())
        self._area, self._column = area, area.widget()
        self._pressed: QAbstractButton | None = None
        self._height = 0
        self._keeping = False
        for button in self._column.findChildren(QAbstractButton):
            button.installEventFilter(self)
        self._column.installEventFilter(self)
        area.verticalScrollBar().valueChanged.connect(self._follow_scrolling)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Note a press and the end of it, and follow the height of what is scrolled; take nothing away."""
        kind = event.type()
        if watched is self._column:  # events come until the end, when the area itself may be gone
            if kind == QEvent.Type.Resize:
                self._keep()
        elif kind == QEvent.Type.MouseButtonPress:
            self._pressed = watched
            self._height = self._place()
        elif kind in (QEvent.Type.Leave, QEvent.Type.DeferredDelete):
            self._pressed = None
        return False

    def _follow_scrolling(self) -> None:
        """Let go of the button where somebody else scrolls."""
        if not self._keeping:
            self._pressed = None

    def _place(self) -> int:
        """Return how far the pressed button lies below the upper edge of the area, pixels."""
        assert self._pressed is not None
        return int(self._pressed.mapTo(self._area.viewport(), QPoint(0, 0)).y())

    def _keep(self) -> None:
        if self._pressed is not None and self._pressed.isVisible():
            bar, self._keeping = self._area.verticalScrollBar(), True
            bar.setValue(bar.value() + self._place() - self._height)
            self._keeping = False
