"""The surfaces of the segments as one layer of napari.

One, because each layer of napari's takes a fifth of a second to make; coloured and lit beforehand, because napari
would work out the light on the thread that draws.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Surface
from numpy.typing import NDArray

from napari_volseg.app.surface_maker import Scene
from napari_volseg.core import Geometry
from napari_volseg.viewer.layers import keep_untouched, placement

SURFACES_3D = "Surfaces in 3D"


class SurfaceLayer:
    """The layer.

    Parameters
    ----------
    geometry
        Grid of the volume.
    """

    def __init__(self, geometry: Geometry) -> None:
        nothing = np.zeros((3, 3), np.float32)
        self.layer = Surface(
            (nothing, np.array([[0, 1, 2]], np.int32), _ones(3)),
            name=SURFACES_3D,
            shading="none",
            vertex_colors=np.zeros((3, 4), np.float32),
            blending="opaque",
            visible=False,
            **placement(geometry.spacing),
        )
        keep_untouched(self.layer)
        self._scene: Scene | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see."""
        return self._scene is None or not len(self._scene.faces)

    def show(self, scene: Scene | None) -> None:
        """Show other surfaces than before."""
        if scene is None or scene is self._scene:
            return
        self._scene = scene
        if self.is_empty:
            self.layer.visible = False
            return
        layer, seen = self.layer, self.layer.visible
        layer.visible = False  # else napari draws vertices of now in colours of before
        layer.data = scene.vertices, scene.faces, _ones(len(scene.vertices))
        layer.vertex_colors = scene.colors
        layer.blending = "translucent" if len(scene.colors) and scene.colors[-1, 3] < 1 else "opaque"
        layer.visible = seen


def _ones(count: int) -> NDArray[Any]:
    return np.ones(count, np.float32)
