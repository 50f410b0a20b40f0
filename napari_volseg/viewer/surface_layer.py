"""The surfaces of the segments as one layer of napari, and a second one where some can be seen through.

One for all, because each layer of napari's takes a fifth of a second to make; coloured and lit beforehand, because
napari would work out the light on the thread that draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Surface
from numpy.typing import NDArray

from napari_volseg.app.surface_maker import Scene
from napari_volseg.core import Geometry
from napari_volseg.viewer.layers import keep_untouched, placement

NAMES = {False: "Surfaces in 3D", True: "Glass in 3D"}
BLENDING = {False: "opaque", True: "translucent"}
#: What can be seen through is ordered anew when the view has turned by so much, as its cosine.
TURNED = float(np.cos(np.radians(12)))

#: A triangle that covers nothing: vertices, faces and values, and colours. It is drawn until there is something to
#: see, so that the graphics are ready for it.
NOTHING = np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.int32), np.ones(3, np.float32)
NO_COLORS = np.zeros((3, 4), np.float32)


class SurfaceLayer:
    """The layer.

    Of glass, faces are drawn from the front to the back, so that the foremost is seen over what is opaque and hides
    those behind it; all sheets of several organs over each other would be a fog.

    Parameters
    ----------
    geometry
        Grid of the volume.
    glass
        Whether it shows what can be seen through, or what is opaque.
    """

    def __init__(self, geometry: Geometry, *, glass: bool) -> None:
        self._glass = glass
        self.layer = Surface(
            NOTHING,
            name=NAMES[glass],
            shading="none",
            vertex_colors=NO_COLORS,
            blending=BLENDING[glass],
            visible=False,
            **placement(geometry.spacing),
        )
        keep_untouched(self.layer)
        self._scene: Scene | None = None
        self._towards = np.zeros(3)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see."""
        return self._scene is None or not len(self._scene.part(glass=self._glass).faces)

    def show(self, scene: Scene | None, towards: Sequence[float]) -> None:
        """Show other surfaces than before, or from elsewhere; ``towards`` is where one looks, napari's (z, y, x)."""
        if scene is None or (scene is self._scene and not self._has_turned(towards)):
            return
        was_empty = self.is_empty
        self._scene, self._towards = scene, np.array(towards, float)
        if was_empty and self.is_empty:
            return
        layer, seen, part = self.layer, self.layer.visible, scene.part(glass=self._glass)
        layer.visible = False  # else napari draws vertices of now in colours of before
        if self.is_empty:
            layer.data, layer.vertex_colors = NOTHING, NO_COLORS
        else:
            faces = self._from_the_front(part) if self._glass else part.faces
            layer.data = part.vertices, faces, _ones(len(part.vertices))
            layer.vertex_colors = part.colors
        layer.visible = seen

    def _has_turned(self, towards: Sequence[float]) -> bool:
        return self._glass and float(np.dot(self._towards, towards)) < TURNED

    def _from_the_front(self, part: Scene) -> NDArray[np.int32]:
        deep = part.vertices @ (self._towards * self.layer.scale).astype(np.float32)
        return part.faces[np.argsort(deep[part.faces[:, 0]])]


def _ones(count: int) -> NDArray[Any]:
    return np.ones(count, np.float32)
