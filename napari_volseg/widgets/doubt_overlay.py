"""Where a tool was unsure of a segment, drawn over the slices."""

from __future__ import annotations

from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from napari_volseg.app import Application, Case
from napari_volseg.app.doubts import Doubt, doubts_of
from napari_volseg.viewer import Pane
from napari_volseg.viewer.sketches import Pixels, seen_doubts
from napari_volseg.widgets.glass import GROUND, Glass

COLOR = QColor("#ff9f1c")
#: Width of a line and of the dark one below it, and what its word keeps from it, pixels.
WIDTH, GROUND_WIDTH, GAP = 1.8, 3.8, 4
WORD = "unsure"


class DoubtOverlay(Glass):
    """The glass on which unsure slices are marked.

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
        super().__init__(canvas, "doubts")
        self._app, self._pane = app, pane
        self._case: Case | None = None
        self.doubts: tuple[Doubt, ...] = ()
        view, camera = app.view.events, pane.viewer.scene.camera.events
        wishes = (view.index, view.plane, view.three_d, view.layout, view.large, camera.center, camera.zoom)
        self._signals = (app.preview.changed, *wishes)
        for signal in self._signals:
            signal.connect(self.follow)
        app.case_changed.connect(self._follow_case)
        self._follow_case()

    def follow(self) -> None:
        """Draw what is to be seen now; where nothing is unsure, the canvas is left alone."""
        if bool(self.doubts) != self.isVisible():
            self.setVisible(bool(self.doubts))
        if self.doubts:
            self.update()

    def remove(self) -> None:
        """Take the glass off the canvas."""
        for signal in self._signals:
            signal.disconnect(self.follow)
        self._app.case_changed.disconnect(self._follow_case)
        self._let_go()
        super().remove()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw a dashed frame or line with its word for each slice."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        size = self.width(), self.height()
        for corners in seen_doubts(self._app, self.doubts, self._pane.viewer, self._pane.name, size):
            self._draw(painter, corners)
        painter.end()

    def _draw(self, painter: QPainter, corners: Pixels) -> None:
        frame = QPolygonF([QPointF(x, y) for x, y in corners])
        painter.setPen(QPen(GROUND, GROUND_WIDTH))
        painter.drawPolygon(frame)
        painter.setPen(QPen(COLOR, WIDTH, Qt.PenStyle.DashLine))
        painter.drawPolygon(frame)
        place = frame.boundingRect()
        self.write(painter, WORD, COLOR, place.right() + GAP, place.top())

    def _follow_case(self) -> None:
        self._let_go()
        self._case = self._app.case
        if self._case is not None:
            self._case.session.history_changed.connect(self._look_anew)
            self._case.session.table_changed.connect(self._look_anew)
        self._look_anew()

    def _look_anew(self) -> None:
        self.doubts = doubts_of(self._case)
        self.follow()

    def _let_go(self) -> None:
        if self._case is not None:
            self._case.session.history_changed.disconnect(self._look_anew)
            self._case.session.table_changed.disconnect(self._look_anew)
        self._case = None
