"""What is drawn over a view among others: where the other planes cut it, a scale in mm, and which one is in hand."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QLineF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from napari_volseg.app import Application
from napari_volseg.app.layouts import views_shown
from napari_volseg.app.wishes import ViewName
from napari_volseg.viewer import Pane, crosshair
from napari_volseg.widgets.glass import Glass

#: Colour of each view and of the lines at which it cuts others, told apart by the colour-blind, too.
VIEW_COLORS: dict[ViewName, QColor] = {
    "axial": QColor("#ff6e5e"),
    "coronal": QColor("#35d0ba"),
    "sagittal": QColor("#f5c542"),
    "3d": QColor("#9db2ff"),
    "second": QColor("#e58cd8"),
}
LINE_OPACITY = 0.75
#: Half of what the lines leave free where they meet, pixels.
GAP = 9
#: A scale is about so long, pixels, and lies so far from the edges.
SCALE_LENGTH, SCALE_MARGIN = 110, 12
SCALE_COLOR = QColor(235, 238, 242)
GROUND = QColor(0, 0, 0, 150)


def scale_length(zoom: float, longest: float = SCALE_LENGTH) -> float:
    """Return a round length, mm, of 1, 2 or 5 and a power of ten, that is seen at most ``longest`` pixels long.

    Parameters
    ----------
    zoom
        Pixels a mm.
    longest
        Pixels.
    """
    most = longest / zoom
    power = 10.0 ** np.floor(np.log10(most))
    return float(power * max(step for step in (1, 2, 5) if step * power <= most * (1 + 1e-9)))


class ViewGlass(Glass):
    """The glass with crosshair, scale and frame.

    Parameters
    ----------
    app
        Whose case is shown.
    pane
        Where.
    canvas
        The widget that draws the image.
    """

    def __init__(self, app: Application, pane: Pane, canvas: QWidget) -> None:
        super().__init__(canvas, "view-glass")
        self._app, self._pane = app, pane
        self._drawn: object = None
        view, camera = app.view.events, pane.viewer.scene.camera.events
        wishes = (view.index, view.plane, view.three_d, view.layout, view.large, view.crosshair)
        self._signals = (app.case_changed, app.preview.changed, *wishes, camera.center, camera.zoom)
        for signal in self._signals:
            signal.connect(self.follow)
        self.follow()

    def follow(self) -> None:
        """Draw what is to be seen now, where it is something else than before."""
        shown = self._app.case is not None and self._app.preview.arriving is None
        if shown != self.isVisible():
            self.setVisible(shown)
        now = (self._lines(), self._framed, self._pane.name, self._zoom)
        if shown and now != self._drawn:
            self._drawn = now
            self.update()

    def remove(self) -> None:
        """Take the glass off the canvas."""
        for signal in self._signals:
            signal.disconnect(self.follow)
        super().remove()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw crosshair, scale and frame."""
        painter = QPainter(self)
        lines = self._lines()
        if lines is not None:
            self._draw_crosshair(painter, *lines)
        if self._zoom:
            self._draw_scale(painter, self._zoom)
        if self._framed:
            painter.setPen(QPen(VIEW_COLORS[self._pane.name], 2))
            painter.drawRect(QRectF(self.rect()).adjusted(1, 1, -1, -1))
        painter.end()

    @property
    def _several(self) -> bool:
        return len(views_shown(self._app.view)) > 1

    @property
    def _framed(self) -> bool:
        """Whether it is the one in hand among several."""
        return self._several and self._pane.in_hand

    @property
    def _zoom(self) -> float:
        """Pixels a mm; 0 where there is no scale."""
        volume = self._app.shown_volume
        scaled = volume is not None and volume.is_calibrated and not self._pane.three_d
        return float(self._pane.viewer.scene.camera.zoom) if scaled else 0.0

    def _lines(self) -> tuple[tuple[ViewName, float], tuple[ViewName, float]] | None:
        if not self._several:
            return None
        return crosshair(self._app, self._pane.viewer, self._pane.name, (self.width(), self.height()))

    def _draw_crosshair(
        self, painter: QPainter, level: tuple[ViewName, float], upright: tuple[ViewName, float]
    ) -> None:
        (across, y), (along, x) = level, upright
        y, x = round(y) + 0.5, round(x) + 0.5
        painter.setOpacity(LINE_OPACITY)
        painter.setPen(QPen(VIEW_COLORS[across], 1))
        painter.drawLines([QLineF(0, y, x - GAP, y), QLineF(x + GAP, y, self.width(), y)])
        painter.setPen(QPen(VIEW_COLORS[along], 1))
        painter.drawLines([QLineF(x, 0, x, y - GAP), QLineF(x, y + GAP, x, self.height())])
        painter.setOpacity(1.0)

    def _draw_scale(self, painter: QPainter, zoom: float) -> None:
        length = scale_length(zoom)
        left, bottom = SCALE_MARGIN, self.height() - SCALE_MARGIN
        right, text = left + length * zoom, f"{length:g} mm"
        for pen in (QPen(GROUND, 4), QPen(SCALE_COLOR, 1.5)):
            painter.setPen(pen)
            painter.drawLine(QLineF(left, bottom, right, bottom))
            painter.drawLines([QLineF(at, bottom - 4, at, bottom) for at in (left, right)])
        place = QRectF(left, bottom - 6 - painter.fontMetrics().height(), 200, painter.fontMetrics().height())
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom
        painter.setPen(GROUND)
        painter.drawText(place.translated(1, 1), flags, text)
        painter.setPen(SCALE_COLOR)
        painter.drawText(place, flags, text)
