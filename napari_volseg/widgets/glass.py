"""A pane of glass over a canvas, on which Qt draws."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QRectF, Qt
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import QWidget

#: Below lines and words, so that they are seen on bone and on air.
GROUND = QColor(0, 0, 0, 170)


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

    def write(self, painter: QPainter, text: str, color: QColor, x: float, y: float) -> None:
        """Write a word to the right of a place and level with it, pixels, but within the canvas."""
        metrics = painter.fontMetrics()
        width, height = metrics.horizontalAdvance(text) + 8, metrics.height() + 2
        left = min(max(x, 2), self.width() - width - 2)
        top = min(max(y - height / 2, 2), self.height() - height - 2)
        place = QRectF(left, top, width, height)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(GROUND)
        painter.drawRoundedRect(place, 3, 3)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(color)
        painter.drawText(place, Qt.AlignmentFlag.AlignCenter, text)
