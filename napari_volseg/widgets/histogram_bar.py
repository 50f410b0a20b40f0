"""The values of the image as a histogram, in which the window is drawn by its handles."""

from __future__ import annotations

from typing import Literal

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_volseg.app import Application
from napari_volseg.core import Window
from napari_volseg.measure import Histogram

HEIGHT = 54
#: Pixels within which a handle is grabbed, and half its width.
GRIP, HANDLE = 7, 4
#: Share of the whole range by which an arrow key moves the window, and below which its width does not go.
STEP, LEAST = 0.01, 0.002
TIP = "Values of the image: drag an end of the window, or the window as a whole; arrow keys do the same"

Held = Literal["low", "high", "both"]


class HistogramBar(QWidget):
    """The histogram of the open image and its window.

    Parameters
    ----------
    app
        Whose window is shown and set.
    """

    def __init__(self, app: Application) -> None:
        super().__init__()
        self._app = app
        self._held: Held | None = None
        self._grabbed_at = 0.0
        self._bars, self._accent = QColor("#8a9099"), QColor("#5273e0")
        self.setObjectName("histogram")
        self.setAccessibleName("Histogram with the window")
        self.setToolTip(TIP)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_colors(self, bars: QColor, accent: QColor) -> None:
        """Draw the values in one colour and the window in another."""
        self._bars, self._accent = bars, accent
        self.update()

    def sizeHint(self) -> QSize:
        """Return a height at which peaks can be told apart."""
        return QSize(200, HEIGHT)

    @property
    def histogram(self) -> Histogram | None:
        """What is drawn; None without a case."""
        return self._app.case.histogram if self._app.case is not None else None

    def to_x(self, value: float) -> float:
        """Return where a value is drawn, pixels; values beyond are drawn at the ends."""
        histogram = self.histogram
        assert histogram is not None
        share = (value - histogram.low) / (histogram.high - histogram.low)
        return HANDLE + min(1.0, max(0.0, share)) * (self.width() - 2 * HANDLE)

    def to_value(self, x: float) -> float:
        """Return the value that is drawn at a place."""
        histogram = self.histogram
        assert histogram is not None
        share = min(1.0, max(0.0, (x - HANDLE) / max(1, self.width() - 2 * HANDLE)))
        return histogram.low + share * (histogram.high - histogram.low)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the nearest handle, or what lies between them."""
        if self.histogram is not None and event.button() == Qt.MouseButton.LeftButton:
            self._held = self._held_at(_x(event))
            self._grabbed_at = self.to_value(_x(event))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move what is held; else show what would be."""
        if self.histogram is None:
            return
        if self._held is None:
            between = self._held_at(_x(event)) == "both"
            self.setCursor(Qt.CursorShape.OpenHandCursor if between else Qt.CursorShape.SizeHorCursor)
            return
        value = self.to_value(_x(event))
        low, high = self._app.view.window.limits
        match self._held:
            case "low":
                self._set(min(value, high - self._least), high)
            case "high":
                self._set(low, max(value, low + self._least))
            case "both":
                moved, self._grabbed_at = value - self._grabbed_at, value
                self._set(low + moved, high + moved)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        self._held = None

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move the window by arrows to left and right; make it narrower or wider by those down and up."""
        histogram = self.histogram
        step = STEP * (histogram.high - histogram.low) if histogram is not None else 0.0
        moves = {
            Qt.Key.Key_Left: (-step, -step),
            Qt.Key.Key_Right: (step, step),
            Qt.Key.Key_Down: (step, -step),
            Qt.Key.Key_Up: (-step, step),
        }
        if histogram is None or event.key() not in moves:
            super().keyPressEvent(event)
            return
        low, high = (end + move for end, move in zip(self._app.view.window.limits, moves[event.key()], strict=True))
        if high - low >= self._least:
            self._set(low, high)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw values, window and handles."""
        histogram = self.histogram
        if histogram is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        low, high = (self.to_x(end) for end in self._app.view.window.limits)
        self._draw_window(painter, low, high)
        self._draw_bars(painter, histogram)
        for x in (low, high):
            self._draw_handle(painter, x)
        if self.hasFocus():
            painter.setPen(QPen(self._accent, 1, Qt.PenStyle.DotLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))
        painter.end()

    @property
    def _least(self) -> float:
        histogram = self.histogram
        return LEAST * (histogram.high - histogram.low) if histogram is not None else 0.0

    def _held_at(self, x: float) -> Held:
        low, high = (self.to_x(end) for end in self._app.view.window.limits)
        if min(abs(x - low), abs(x - high)) > GRIP and low < x < high:
            return "both"
        return "low" if abs(x - low) < abs(x - high) or (low == high and x < low) else "high"

    def _set(self, low: float, high: float) -> None:
        self._app.view.window = Window.between(low, high)
        self.update()

    def _draw_window(self, painter: QPainter, low: float, high: float) -> None:
        ground = QColor(self._accent)
        ground.setAlpha(70)
        painter.fillRect(QRectF(low, 0, max(1.0, high - low), self.height()), ground)

    def _draw_bars(self, painter: QPainter, histogram: Histogram) -> None:
        base, heights = self.height() - 1.0, histogram.heights
        across = (self.width() - 2 * HANDLE) / len(heights)
        points = [QPointF(HANDLE, base)]
        points += [QPointF(HANDLE + (i + 0.5) * across, base - h * (base - 4)) for i, h in enumerate(heights)]
        points.append(QPointF(self.width() - HANDLE, base))
        filled = QColor(self._bars)
        filled.setAlpha(150)
        painter.setBrush(filled)
        painter.setPen(QPen(self._bars, 1))
        painter.drawPolygon(QPolygonF(points))

    def _draw_handle(self, painter: QPainter, x: float) -> None:
        painter.setPen(QPen(self._accent, 2))
        painter.drawLine(QPointF(x, 0), QPointF(x, self.height()))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._accent)
        painter.drawRoundedRect(QRectF(x - HANDLE, self.height() / 2 - 9, 2 * HANDLE, 18), 3, 3)


def _x(event: QMouseEvent) -> float:
    return float(event.pos().x())
