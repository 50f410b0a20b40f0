"""Measurements drawn over the slices that they lie on, and over the 3D view."""

from __future__ import annotations

from qtpy.QtCore import QPointF
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from napari_volseg.app import Application, Case
from napari_volseg.viewer import Pane, seen_measurements
from napari_volseg.viewer.measures import Seen
from napari_volseg.widgets.glass import GROUND, Glass

COLOR, CHOSEN_COLOR = QColor("#5fd4ff"), QColor("#ffe14d")
#: Width of a line and of the dark one below it, half a mark at its ends, and half a cross, pixels.
WIDTH, GROUND_WIDTH, MARK, CROSS = 1.6, 3.6, 4.0, 4.0
#: The value stands so far from the end that lies furthest to the right, pixels.
TEXT_OFFSET = 8


class MeasureOverlay(Glass):
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
        super().__init__(canvas, "measures")
        self._app, self._pane = app, pane
        self._case: Case | None = None
        view, camera = app.view.events, pane.viewer.scene.camera.events
        wishes = (view.index, view.plane, view.three_d, view.layout, view.large)
        self._signals = (app.measuring.changed, app.preview.changed, *wishes)
        self._signals += (camera.center, camera.zoom, camera.angles)
        for signal in self._signals:
            signal.connect(self.follow)
        app.case_changed.connect(self._follow_case)
        self._follow_case()

    def follow(self) -> None:
        """Draw what is to be seen now; where nothing was measured, the canvas is left alone."""
        measuring = self._app.measuring
        shown = bool(measuring.measurements) or measuring.in_hand is not None
        if shown != self.isVisible():
            self.setVisible(shown)
        if shown:
            self.update()

    def remove(self) -> None:
        """Take the glass off the canvas."""
        for signal in self._signals:
            signal.disconnect(self.follow)
        self._app.case_changed.disconnect(self._follow_case)
        self._let_go()
        super().remove()

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

    def _follow_case(self) -> None:
        self._let_go()
        self._case = self._app.case
        if self._case is not None:
            self._case.session.measurements_changed.connect(self.follow)
        self.follow()

    def _let_go(self) -> None:
        if self._case is not None:
            self._case.session.measurements_changed.disconnect(self.follow)
        self._case = None
