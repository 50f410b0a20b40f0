"""Cameras: an image fitted into its canvas, or zoom and middle as they are wished for all planes together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from numpy.typing import NDArray

from napari_volseg.app import Application

#: Zoom and middle (vertical, horizontal) of a 2D camera.
Place = tuple[float, tuple[float, float]]

#: The canvas tells where its camera is with such an error, relative and in pixels.
RELATIVE_ERROR, PIXEL_ERROR = 1e-5, 1e-2


class Fit:
    """The camera of one canvas.

    In 2D it shows what ``zoom`` and ``center`` of the view's wishes ask for, and writes them where somebody moves it:
    other canvases follow. What is not wished is fitted into the canvas, whose size changes with the window, the
    layout, and a little when napari shows or hides its sliders. In 3D it is its own.

    Parameters
    ----------
    app
        Whose wishes are followed.
    viewer
        Whose camera is moved.
    """

    def __init__(self, app: Application, viewer: ViewerModel) -> None:
        self._app, self._viewer, self._camera = app, viewer, viewer.scene.camera
        self._layers: Sequence[Layer] = ()
        self._fitted: Place = self._here
        self._placed: Place = self._here
        self._angles = tuple(self._camera.angles)
        self._busy = False
        viewer.canvas.events.size.connect(self._again)
        self._camera.events.zoom.connect(self._follow_camera)
        self._camera.events.center.connect(self._follow_camera)

    def close(self) -> None:
        """Leave the camera where it is."""
        self._viewer.canvas.events.size.disconnect(self._again)
        self._camera.events.zoom.disconnect(self._follow_camera)
        self._camera.events.center.disconnect(self._follow_camera)

    def show(self, *layers: Layer) -> None:
        """Fit layers into the canvas, unless one of them was taken out of the viewer, and follow the wishes."""
        if not layers or any(layer not in self._viewer.layers for layer in layers):
            return
        with self.still():
            self._viewer.fit_to_view(layers=layers)
        self._layers, self._angles = layers, tuple(self._camera.angles)
        self._fitted = self._placed = self._here
        self.follow()

    def forget(self) -> None:
        """Leave the camera to itself until something is shown again."""
        self._layers = ()

    def follow(self) -> None:
        """Show what is wished."""
        if self._flat and self._layers and self._app.shown_volume is not None:
            zoom, middle = self._app.view.zoom or self._fitted[0], self._wished_middle()
            with self.still():
                self._camera.zoom = zoom
                self._camera.center = (self._camera.center[0], *middle)
            self._placed = self._here

    @contextmanager
    def still(self) -> Iterator[None]:
        """Take no move of the camera for somebody's wish."""
        before, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = before

    @property
    def _flat(self) -> bool:
        return self._viewer.dims.ndisplay == 2

    @property
    def _here(self) -> Place:
        row, column = self._camera.center[-2:]
        return float(self._camera.zoom), (float(row), float(column))

    def _again(self) -> None:
        if self._flat or (self._same(self._here, self._placed) and tuple(self._camera.angles) == self._angles):
            self.show(*self._layers)

    def _follow_camera(self) -> None:
        """Wish for all planes what somebody did to this one."""
        here, placed, view = self._here, self._placed, self._app.view
        if self._busy or not self._flat or not self._layers or self._same(here, placed):
            return
        self._placed = here
        if not np.isclose(here[0], placed[0], rtol=RELATIVE_ERROR):
            view.zoom = here[0]
        if not self._same((placed[0], here[1]), placed):
            self._wish_middle(here[1])

    @staticmethod
    def _same(one: Place, other: Place) -> bool:
        moved = np.abs(np.subtract(one[1], other[1])) * other[0]
        return bool(np.isclose(one[0], other[0], rtol=RELATIVE_ERROR) and (moved < PIXEL_ERROR).all())

    def _wished_middle(self) -> tuple[float, float]:
        volume, center = self._app.shown_volume, self._app.view.center
        if center is None or volume is None:
            return self._fitted[1]
        place = volume.geometry.to_index(center) * volume.geometry.spacing
        row, column = self._viewer.dims.displayed
        return float(place[row]), float(place[column])

    def _wish_middle(self, middle: tuple[float, float]) -> None:
        volume = self._app.shown_volume
        if volume is not None:
            geometry, index = volume.geometry, self._middle_index()
            for axis, position in zip(self._viewer.dims.displayed, middle, strict=True):
                index[axis] = position / geometry.spacing[axis]
            x, y, z = (float(c) for c in geometry.to_patient(index))
            self._app.view.center = (x, y, z)

    def _middle_index(self) -> NDArray[np.float64]:
        """Return what the planes have in their middle, voxel index (z, y, x)."""
        volume, center = self._app.shown_volume, self._app.view.center
        assert volume is not None
        if center is not None:
            return np.array(volume.geometry.to_index(center), float)
        return (np.array(volume.geometry.shape) - 1) / 2
