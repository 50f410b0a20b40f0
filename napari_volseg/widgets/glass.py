"""A pane of glass over a canvas, on which Qt draws."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QWidget


class Glass(QWidget):
    """Covers a canvas, follows its size, and leaves it the mouse.

    Parameters
    ----------
    canvas
        The widget that draws the image.
    name
        What it is called.
    """

    def __init__(self, canvas: QWidget, name: str) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.setObjectName(name)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setGeometry(canvas.rect())
        self.hide()
        canvas.installEventFilter(self)

    def remove(self) -> None:
        """Take the glass off the canvas."""
        self._canvas.removeEventFilter(self)
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the canvas when it is resized."""
        if event.type() == QEvent.Type.Resize:
            self.setGeometry(self._canvas.rect())
        return False
