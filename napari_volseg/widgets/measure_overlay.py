"""Measurements drawn over the slices that they lie on, and over the 3D view."""

from __future__ import annotations

from collections.abc import Callable

from psygnal import SignalInstance
from qtpy.QtCore import QPointF
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from napari_volseg.app import Application, Case
from napari_volseg.viewer import Pane, seen_measurements
from napari_volseg.viewer.measures import Seen
from napari_volseg.widgets.glass import GROUND, CaseGlass

COLOR, CHOSEN_COLOR = QColor("#5fd4ff"), QColor("#ffe14d")
#: Width of a line and of the dark one below it, half a mark at its ends, and half a cross, pixels.
WIDTH, GROUND_WIDTH, MARK, CROSS = 1.6, 3.6, 4.0, 4.0
#: The value stands so far from the end that lies furthest to the right, pixels.
TEXT_OFFSET = 8


class MeasureOverlay(CaseGlass):
    """The glass on which measurements are drawn.

    Parameters
    ----------
    app
        Whose measurements are shown.
    pane
        Where they are shown.
    canvas
        The widget that draws the image.
    """

    def __init__(self, app: Application, pane: Pane, canvas: QWidget) -> None:
        super().__init__(app, pane, canvas, "measures")

    def own_signals(self) -> list[SignalInstance]:
        """Follow the one in hand."""
        return [self._app.measuring.changed]

    def signals_of(self, case: Case) -> list[tuple[SignalInstance, Callable[[], None]]]:
        """Follow those of the case."""
        return [(case.session.measurements_changed, self.follow)]

    def has_something(self) -> bool:
        """Whether anything was measured."""
        return bool(self._app.measuring.measurements) or self._app.measuring.in_hand is not None

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw lines, marks and values."""
        size = self.width(), self.height()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for seen in seen_measurements(self._app, self._pane.viewer, self._pane.name, size):
            self._draw(painter, seen)
        painter.end()

    def _draw(self, painter: QPainter, seen: Seen) -> None:
        color = CHOSEN_COLOR if seen.chosen else COLOR
        for pen in (QPen(GROUND, GROUND_WIDTH), QPen(color, WIDTH)):
            painter.setPen(pen)
            for line in seen.lines:
                start, end = (QPointF(x, y) for x, y in line)
                painter.drawLine(start, end)
                for point in (start, end):
                    painter.drawLine(point - QPointF(MARK, 0), point + QPointF(MARK, 0))
                    painter.drawLine(point - QPointF(0, MARK), point + QPointF(0, MARK))
            for x, y in seen.crossings:
                painter.drawEllipse(QPointF(x, y), CROSS, CROSS)
        if seen.text and seen.lines:
            x, y = max((tuple(end) for line in seen.lines for end in line), key=lambda end: end[0])
            self.write(painter, seen.text, color, x + TEXT_OFFSET, y)
