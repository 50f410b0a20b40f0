"""The wheel over the panel scrolls the panel: it never turns the value of the box or slider it happens to pass."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QSlider, QWidget


class WheelGuard(QObject):
    """Keeps the wheel from boxes and sliders, and hands it to the area in which they lie.

    Parameters
    ----------
    column
        Whose boxes and sliders are guarded; it keeps the guard alive.
    """

    def __init__(self, column: QWidget) -> None:
        super().__init__(column)
        for kind in (QAbstractSpinBox, QComboBox, QSlider):
            for widget in column.findChildren(kind):
                widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # the default takes the focus by wheel, too
                widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Pass by the widget; an event that is ignored goes on to its parent."""
        if event.type() != QEvent.Type.Wheel:
            return False
        event.ignore()
        return True
