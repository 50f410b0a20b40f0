"""What lies over the canvas of one view, and how it takes mouse and drops."""

from __future__ import annotations

from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_volseg.app import Application
from napari_volseg.viewer import Pane
from napari_volseg.widgets.curtain import Curtain
from napari_volseg.widgets.doubt_overlay import DoubtOverlay
from napari_volseg.widgets.drops import DropFilter
from napari_volseg.widgets.measure_overlay import MeasureOverlay
from napari_volseg.widgets.overlay import LettersOverlay
from napari_volseg.widgets.presses import PressFilter
from napari_volseg.widgets.sketch_overlay import SketchOverlay
from napari_volseg.widgets.view_glass import ViewGlass
from napari_volseg.widgets.view_title import ViewTitle


class _Waker(QObject):
    """Has a canvas drawn whenever it is shown.

    What is asked of it while it is hidden is never drawn: vispy holds that a frame is on its way and asks for no
    other, and Qt 5 shows the frame before, be it of another patient.
    """

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        canvas.installEventFilter(self)

    def remove(self) -> None:
        """Let the canvas sleep."""
        self._canvas.removeEventFilter(self)
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the canvas when it is shown."""
        if event.type() == QEvent.Type.Show:
            self._canvas.update()
        return False


class Furniture:
    """Letters, title, crosshair, sketch and curtain of a view.

    Parameters
    ----------
    app
        Whose case is shown.
    pane
        Where.
    qt_viewer
        The widget that draws the pane.
    """

    def __init__(self, app: Application, pane: Pane, qt_viewer: QtViewer) -> None:
        canvas: QWidget = qt_viewer.canvas.native
        self._waker = _Waker(canvas)
        self.glass = ViewGlass(app, pane, canvas)
        self.letters = LettersOverlay(app, pane, canvas)
        self.title = ViewTitle(app, pane, canvas)
        self.curtain = Curtain(app, pane, canvas)
        self.doubts = DoubtOverlay(app, pane, canvas)
        self.measures = MeasureOverlay(app, pane, canvas)
        self.sketch = SketchOverlay(app, pane, canvas)
        self._drops = DropFilter(app, qt_viewer)
        self._presses = PressFilter(canvas, lambda: not pane.mouse.double_click_means_more)

    def refresh(self) -> None:
        """Show what belongs to the view that is shown now."""
        for part in (self.letters, self.title):
            part.refresh()
        self.glass.follow()
        self.doubts.follow()
        self.measures.follow()

    def remove(self) -> None:
        """Clear the canvas."""
        for part in (
            self._waker,
            self.glass,
            self.letters,
            self.title,
            self.curtain,
            self.doubts,
            self.measures,
            self.sketch,
            self._drops,
            self._presses,
        ):
            part.remove()
