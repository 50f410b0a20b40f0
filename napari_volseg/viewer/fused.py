"""The layers of a second image: sampled on the reference grid where it is looked at, seen through where it is low."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from napari.utils.colormaps import Colormap, ensure_colormap
from numpy.typing import NDArray

from napari_volseg.app.fusion import ColourName, Fused, FusionWishes
from napari_volseg.viewer.computed import ComputedVoxels
from napari_volseg.viewer.layers import placement
from napari_volseg.viewer.proxies import windowed

SECOND = "Second image"
SECOND_3D = "Second image in 3D"

#: Red, green and blue from the lowest to the highest value; the others are napari's of the same name.
POINTS = MappingProxyType(
    {
        "hot": ((0.0, 0.0, 0.0), (0.75, 0.0, 0.0), (1.0, 0.55, 0.0), (1.0, 1.0, 0.25), (1.0, 1.0, 1.0)),
        "cyan": ((0.0, 0.0, 0.0), (0.0, 0.45, 0.5), (0.0, 0.9, 1.0), (0.8, 1.0, 1.0)),
        "grey": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    }
)
LEVELS = 256
#: Share of the window over which colours come in from transparent; grey is solid sooner, for anatomy over anatomy.
FADE, FADE_OF_GREY = 0.25, 0.08


@cache
def colours(name: ColourName) -> Colormap:
    """Return a colour map that is transparent at its lowest value, which everything below the window has."""
    level = np.linspace(0, 1, LEVELS)
    if name in POINTS:
        points = np.array(POINTS[name])
        at = np.linspace(0, 1, len(points))
        rgb = np.stack([np.interp(level, at, channel) for channel in points.T], 1)
    else:
        rgb = np.asarray(ensure_colormap(name).map(level))[:, :3]
    alpha = np.clip(level / (FADE_OF_GREY if name == "grey" else FADE), 0, 1)
    return Colormap(np.column_stack([rgb, alpha]), name=f"over-{name}")


def colour_bar(name: ColourName, width: int, height: int) -> NDArray[np.uint8]:
    """Return a picture (height, width, 3) of a colour map, from low on the left to high on the right."""
    row = colours(name).map(np.linspace(0, 1, width))[:, :3]
    return np.ascontiguousarray(np.broadcast_to(np.round(row * 255).astype(np.uint8), (height, width, 3)))


class FusedVoxels(ComputedVoxels):
    """An array (z, y, x) of a second image on the reference grid, of which only what is looked at is computed.

    Parameters
    ----------
    fused
        The image.
    """

    def __init__(self, fused: Fused) -> None:
        super().__init__(fused.reference.shape, np.float32)
        self._fused = fused

    def part(self, places: list[NDArray[np.intp]]) -> NDArray[Any]:
        """Return the values at the given indices along each axis."""
        return self._fused.part(places)


class FusedLayers:
    """The layer of a second image in 2D, and its stand-in in 3D once that is looked at.

    Parameters
    ----------
    fused
        The image.
    wishes
        How it is shown.
    """

    def __init__(self, fused: Fused, wishes: FusionWishes) -> None:
        self.fused, self.wished = fused, wishes.visible
        self.deep: Image | None = None
        self._grey: NDArray[np.uint8] | None = None
        self._wishes, self._window = wishes, wishes.window
        self.layer = Image(
            FusedVoxels(fused),
            name=SECOND,
            rgb=False,
            multiscale=False,
            contrast_limits=wishes.window.limits,
            colormap=colours(wishes.colours),
            opacity=wishes.opacity,
            blending="translucent_no_depth",
            interpolation2d="linear",
            visible=False,
            **placement(fused.reference.spacing),
        )
        self.dress(wishes)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those that were made."""
        return (self.layer,) if self.deep is None else (self.layer, self.deep)

    def make_deep(self) -> Image:
        """Return the stand-in of the 3D view, made when it is first needed."""
        if self.deep is None:
            wishes, fused = self._wishes, self.fused
            self._grey = windowed(fused.small, wishes.window)
            self.deep = Image(
                self._grey,
                name=SECOND_3D,
                colormap=colours(wishes.colours),
                contrast_limits=(0, 255),
                opacity=wishes.opacity,
                rendering="mip",
                blending="translucent_no_depth",
                visible=False,
                **placement(fused.reference.spacing, fused.steps),
            )
        return self.deep

    def dress(self, wishes: FusionWishes, *, alone: bool = False) -> None:
        """Take over opacity, colours, window and whether it is shown; where it is seen alone it covers all."""
        self.wished = wishes.visible
        low, high = wishes.window.limits
        least, most = self.fused.values
        self.layer.contrast_limits_range = (min(low, least), max(high, most))
        self.layer.contrast_limits = (low, high)
        for layer in self.layers:
            layer.opacity = 1.0 if alone else wishes.opacity
            if layer.colormap is not colours(wishes.colours):
                layer.colormap = colours(wishes.colours)
        if self.deep is not None and self._grey is not None and wishes.window != self._window:
            self._grey[...] = windowed(self.fused.small, wishes.window)
            self.deep.refresh(thumbnail=False, extent=False)
        self._window = wishes.window
