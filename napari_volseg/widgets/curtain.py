"""The image that is being read, painted over the canvas until napari draws it."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from qtpy.QtWidgets import QWidget

from napari_volseg.app import Application
from napari_volseg.core import Arriving
from napari_volseg.viewer import LAYOUTS, Pane
from napari_volseg.viewer.picture import picture, picture_size

#: Share of the canvas that the image takes, as where napari fits one.
FILLED = 0.95
#: Angle of one click of the wheel, eighths of a degree.
WHEEL_CLICK = 120
CAPTION_COLOR = QColor("#d0d4d8")
CAPTION_MARGIN = 34


class Curtain(QWidget):
    """A slice of what has arrived of an image, over the case that is open and untouched beneath.

    napari takes half a second to make a layer and its shaders, and the layers of the open case stay where they are
    until the new image is whole: this is painted at once, and goes as soon as napari has drawn what it stands for.

    Parameters
    ----------
    app
        Whose ``preview`` is shown.
    pane
        Through which napari draws.
    canvas
        The widget that is covered.
    """

    def __init__(self, app: Application, pane: Pane, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.setObjectName("curtain")
        self._app, self._pane, self._canvas = app, pane, canvas
        self._arriving: Arriving | None = None
        self._index: int | None = None
        self._plane = pane.plane
        self.hide()
        canvas.installEventFilter(self)
        # ahead of napari's layer, which takes a while to make
        app.preview.changed.connect(self._follow, priority=1)
        for signal in (app.view.events.window, app.view.events.plane):
            signal.connect(self._redraw)
        if hasattr(canvas, "frameSwapped"):
            canvas.frameSwapped.connect(self._give_way)

    @property
    def index(self) -> int:
        """Number of the slice along the plane's normal: the nearest one to the middle, or where the wheel has led."""
        assert self._arriving is not None
        axis = LAYOUTS[self._pane.plane].normal
        return self._arriving.best[axis] if self._index is None else self._index

    def remove(self) -> None:
        """Take the curtain off the canvas."""
        self._canvas.removeEventFilter(self)
        self._app.preview.changed.disconnect(self._follow)
        for signal in (self._app.view.events.window, self._app.view.events.plane):
            signal.disconnect(self._redraw)
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the canvas when it is resized."""
        if event.type() == QEvent.Type.Resize:
            self.setGeometry(self._canvas.rect())
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the slice, fitted into the canvas, and how much of the image is there."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.black)
        if self._arriving is None:
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(self._frame(), self._image())
        painter.setPen(CAPTION_COLOR)
        share = self._arriving.arrived.mean()
        place = self.rect().adjusted(0, 0, 0, -CAPTION_MARGIN)
        below = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignBottom
        painter.drawText(place, below, f"Opening {self._arriving.volume.name} … {share:.0%}")

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Go through the slices; those that are not there yet are plain."""
        if self._arriving is not None:
            layout = LAYOUTS[self._pane.plane]
            steps = round(-event.angleDelta().y() / WHEEL_CLICK) * layout.wheel_down
            last = self._arriving.volume.geometry.shape[layout.normal] - 1
            self._index = min(max(self.index + steps, 0), last)
            self.update()
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Keep the mouse from what lies beneath."""
        event.accept()

    def _follow(self) -> None:
        """Cover the canvas with an image that appears, paint more of it, or go where its reading failed."""
        arriving = self._app.preview.arriving
        appears = arriving is not None and self._arriving is not arriving
        self._arriving = arriving
        if arriving is None:
            self.hide()
        elif appears:
            self._index = None
            self._cover()
        else:
            self.update()

    def _cover(self) -> None:
        self.setGeometry(self._canvas.rect())
        self.lower()
        self.show()
        self.repaint()

    def _redraw(self) -> None:
        self._index = self._index if self._plane == self._pane.plane else None
        self._plane = self._pane.plane
        self.update()

    def _give_way(self) -> None:
        """Go once the canvas shows the image itself, be it still arriving."""
        shown, waiting = self._pane.image, self._arriving
        if waiting is not None and shown is not None and waiting.is_filled_for(shown.data):
            self.hide()
        if self._app.preview.arriving is None:
            self._arriving = None
            self.hide()

    def _frame(self) -> QRectF:
        """Return where the slice is painted: in its true proportions, in the middle."""
        assert self._arriving is not None
        height, width = picture_size(self._arriving.volume, self._pane.plane)
        scale = FILLED * min(self.height() / height, self.width() / width)
        frame = QRectF(0, 0, width * scale, height * scale)
        frame.moveCenter(QRectF(self.rect()).center())
        return frame

    def _image(self) -> QImage:
        assert self._arriving is not None
        grey = picture(self._arriving.volume, self._pane.plane, self.index, self._app.view.window)
        rows, columns = grey.shape
        return QImage(grey.data, columns, rows, columns, QImage.Format.Format_Grayscale8).copy()
