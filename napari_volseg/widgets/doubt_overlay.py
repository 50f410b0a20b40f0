"""Where a tool was unsure of a segment, drawn over the slices."""

from __future__ import annotations

from collections.abc import Callable

from psygnal import SignalInstance
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from napari_volseg.app import Application, Case
from napari_volseg.app.doubts import Doubt, doubts_of
from napari_volseg.viewer import Pane
from napari_volseg.viewer.sketches import Pixels, seen_doubts
from napari_volseg.widgets.glass import GROUND, CaseGlass

COLOR = QColor("#ff9f1c")
#: Width of a line and of the dark one below it, and what its word keeps from it, pixels.
WIDTH, GROUND_WIDTH, GAP = 1.8, 3.8, 4
WORD = "unsure"


class DoubtOverlay(CaseGlass):
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
        self.doubts: tuple[Doubt, ...] = ()
        super().__init__(app, pane, canvas, "doubts")

    def signals_of(self, case: Case) -> list[tuple[SignalInstance, Callable[[], None]]]:
        """Follow steps of the history and segments that come and go."""
        return [(case.session.history_changed, self._look_anew), (case.session.table_changed, self._look_anew)]

    def has_something(self) -> bool:
        """Whether anything is unsure."""
        return self._app.case is not None and bool(self.doubts)

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

    def _look_anew(self) -> None:
        self.doubts = doubts_of(self._app.case)
        self.follow()
