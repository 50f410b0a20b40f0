"""Fitting an image into the canvas, for as long as nobody zooms or pans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer


class Fit:
    """Where the camera was put so that layers fill the canvas; it follows the canvas until somebody moves it.

    A canvas changes its size when a window does, and a little when napari shows or hides its sliders.

    Parameters
    ----------
    viewer
        Whose camera is moved.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layers: Sequence[Layer] = ()
        self._place: tuple[Any, ...] = ()
        viewer.canvas.events.size.connect(self._again)

    def close(self) -> None:
        """Leave the camera where it is."""
        self._viewer.canvas.events.size.disconnect(self._again)

    def show(self, *layers: Layer) -> None:
        """Fit layers into the canvas, unless one of them was taken out of the viewer."""
        if layers and all(layer in self._viewer.layers for layer in layers):
            self._viewer.fit_to_view(layers=layers)
            self._layers, self._place = layers, self._camera()

    def _again(self) -> None:
        if self._camera() == self._place:
            self.show(*self._layers)

    def _camera(self) -> tuple[Any, ...]:
        camera = self._viewer.scene.camera
        return self._viewer.dims.ndisplay, camera.zoom, tuple(camera.center), tuple(camera.angles)
