"""The outline in hand, drawn over the canvas: a thin line in the colour of the segment."""

from __future__ import annotations

from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from napari_volseg.app import Application
from napari_volseg.viewer import Pane, canvas_lines
from napari_volseg.widgets.glass import Glass

#: Widths of the line and of the dark one below it, which keeps it visible on bone, pixels.
WIDTH, GROUND_WIDTH = 1.6, 3.4
GROUND = QColor(0, 0, 0, 150)
#: Radius of a vertex, pixels.
DOT = 3.0
#: Where no segment has been made yet.
NO_SEGMENT = (255, 255, 255)


class SketchOverlay(Glass):
    """The glass on which the outline in hand is drawn.

    Parameters
    ----------
    app
        Whose sketch is shown.
    pane
        Where its slice is shown.
    canvas
        The widget that draws the image.
    """

    def __init__(self, app: Application, pane: Pane, canvas: QWidget) -> None:
        super().__init__(canvas, "sketch")
        self._app, self._pane = app, pane
        camera = pane.viewer.scene.camera.events
        self._signals = (
            app.drawing.changed,
            app.view.events.index,
            app.view.events.plane,
            app.view.events.three_d,
            camera.center,
            camera.zoom,
            camera.angles,
        )
        for signal in self._signals:
            signal.connect(self.follow)

    def follow(self) -> None:
        """Draw what is in hand now; where nothing is, the canvas is left alone."""
        shown = self._app.drawing.sketch is not None
        if shown != self.isVisible():
            self.setVisible(shown)
        if shown:
            self.update()

    def remove(self) -> None:
        """Take the glass off the canvas."""
        for signal in self._signals:
            signal.disconnect(self.follow)
        super().remove()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the lines of the sketch and its vertices."""
        sketch = self._app.drawing.sketch
        if sketch is None:
            return
        size = self.width(), self.height()
        lines, vertices = canvas_lines(self._app, self._pane.viewer, sketch, size, self._pane.name)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shapes = [QPolygonF([QPointF(x, y) for x, y in line]) for line in lines]
        for pen in self._pens(sketch.takes_away):
            painter.setPen(pen)
            for shape in shapes:
                painter.drawPolygon(shape) if sketch.closed else painter.drawPolyline(shape)
        painter.setBrush(self._color)
        for x, y in vertices:
            painter.drawEllipse(QPointF(x, y), DOT, DOT)
        painter.end()

    @property
    def _color(self) -> QColor:
        case = self._app.case
        segment = case.table[case.active] if case is not None and case.active else None
        return QColor(*(segment.color if segment is not None else NO_SEGMENT))

    def _pens(self, takes_away: bool) -> tuple[QPen, QPen]:
        """Return what is drawn first and above it; dashed where the voxels are taken away."""
        ground, line = QPen(GROUND, GROUND_WIDTH), QPen(self._color, WIDTH)
        if takes_away:
            line.setStyle(Qt.PenStyle.DashLine)
        return ground, line
