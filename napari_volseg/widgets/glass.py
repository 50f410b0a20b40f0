"""A pane of glass over a canvas, on which Qt draws."""

from __future__ import annotations

from collections.abc import Callable

from psygnal import SignalInstance
from qtpy.QtCore import QEvent, QObject, QRectF, Qt
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import QWidget

from napari_volseg.app import Application, Case
from napari_volseg.viewer import Pane

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


class CaseGlass(Glass):
    """A glass on which something of the open case is drawn, over its slices and in 3D.

    Parameters
    ----------
    app
        Whose case is shown.
    pane
        Where.
    canvas
        The widget that draws the image.
    name
        What it is called.
    """

    def __init__(self, app: Application, pane: Pane, canvas: QWidget, name: str) -> None:
        super().__init__(canvas, name)
        self._app, self._pane = app, pane
        self._links: list[tuple[SignalInstance, Callable[[], None]]] = []
        view, camera = app.view.events, pane.viewer.scene.camera.events
        wishes = (view.index, view.plane, view.three_d, view.layout, view.large)
        self._signals = [app.preview.changed, *wishes, camera.center, camera.zoom, camera.angles, *self.own_signals()]
        for signal in self._signals:
            signal.connect(self.follow)
        app.case_changed.connect(self._follow_case)
        self._follow_case()

    def own_signals(self) -> list[SignalInstance]:
        """Return what else it follows."""
        return []

    def signals_of(self, case: Case) -> list[tuple[SignalInstance, Callable[[], None]]]:
        """Return what it follows of a case, and what is done then."""
        raise NotImplementedError

    def has_something(self) -> bool:
        """Whether anything is to be drawn at all; else the canvas is left alone."""
        raise NotImplementedError

    def follow(self) -> None:
        """Draw what is to be seen now."""
        shown = self.has_something()
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

    def _follow_case(self) -> None:
        self._let_go()
        if self._app.case is not None:
            self._links = self.signals_of(self._app.case)
        for signal, slot in self._links:
            signal.connect(slot)
        for slot in dict.fromkeys([self.follow, *(slot for _, slot in self._links)]):
            slot()

    def _let_go(self) -> None:
        for signal, slot in self._links:
            signal.disconnect(slot)
        self._links = []
