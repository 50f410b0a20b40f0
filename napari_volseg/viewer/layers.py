"""The napari layers that show a case; none of them holds a copy of the case's voxels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import pint
from napari.layers import Image, Labels, Layer, Points
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import DTypeLike

from napari_volseg.core import Box, Segmentation, SegmentTable, Volume, Window

SEGMENTS = "Segments"
PROMPTS = "Prompts"

#: Red, green, blue and opacity, 0 to 1.
Rgba = tuple[float, float, float, float]

#: Value, colour and opacity of each segment; 0 where it is hidden.
SeenColors = tuple[tuple[int, tuple[int, int, int], float], ...]

TRANSPARENT: Rgba = (0.0, 0.0, 0.0, 0.0)
NO_OTHERS: Mapping[int, Rgba] = MappingProxyType({})

#: Spacings are shown as multiples of this, mm: their multiples then have no rounding error, from which napari would
#: count one slice too few.
SPACING_STEP = 2.0**-20


def placement(spacing: Iterable[float], steps: Iterable[int] = (1, 1, 1)) -> dict[str, Any]:
    """Return where a layer lies that holds every ``steps``-th voxel of a grid of ``spacing`` (z, y, x), mm.

    All layers share the centre of the first voxel.
    """
    scale = [max(1, round(s / SPACING_STEP)) * SPACING_STEP * step for s, step in zip(spacing, steps, strict=True)]
    return {
        "scale": tuple(scale),
        "translate": (0.0, 0.0, 0.0),
        "units": ("mm", "mm", "mm"),
        "axis_labels": ("z", "y", "x"),
    }


def image_layer(volume: Volume, window: Window, values: tuple[float, float]) -> Image:
    """Return a layer that shows a 3D volume, whose lowest and highest value are given, through a window."""
    layer = Image(
        volume.voxels,
        name=volume.name,
        colormap="gray",
        contrast_limits=window.limits,
        interpolation2d="linear",
        **placement(volume.geometry.spacing),
    )
    show_window(layer, window, values)
    return layer


def show_window(layer: Image, window: Window, values: tuple[float, float] | None = None) -> None:
    """Show an image layer through a window, widening the range of its sliders where needed.

    Where the lowest and highest value of the image are given, the sliders begin and end there.
    """
    low, high = window.limits
    least, most = values or layer.contrast_limits_range
    wanted = (min(low, least), max(high, most))
    if wanted != tuple(layer.contrast_limits_range):
        layer.contrast_limits_range = wanted
    layer.contrast_limits = (low, high)


def labels_layer(segmentation: Segmentation) -> Labels:
    """Return a layer that shows a segmentation's own memory and can't write to it."""
    view = segmentation.labels.view()
    view.setflags(write=False)
    layer = Labels(
        view,
        name=SEGMENTS,
        colormap=segment_colormap(segmentation.table),
        **placement(segmentation.geometry.spacing),
    )
    keep_untouched(layer)
    return layer


def draw_box(layer: Labels, box: Box, normal: int, index: int) -> None:
    """Draw the part of the shown slice again that lies in a box of voxels which were written.

    Labels of 8 and 16 bits go to the screen as they are, and what napari shows of them is a view of their memory: it
    is up to date already, and only the part of the texture has to follow. Contours need what is around the box.

    Parameters
    ----------
    layer
        Shown in 2D.
    box
        What was written (z, y, x); it meets the slice.
    normal
        Axis that counts the slices; the other two are shown in their order, as in every plane of ours.
    index
        The slice.
    """
    if layer.data.dtype.itemsize > 2 or layer.contour:
        layer.refresh(thumbnail=False, highlight=False, extent=False)
    elif layer.visible:
        place: list[slice | int] = [*box.slices]
        place[normal] = index
        offset = [start for axis, start in enumerate(box.start) if axis != normal]
        layer.events.labels_update(data=layer.data[tuple(place)], offset=offset)


def segment_colormap(table: SegmentTable, others: Mapping[int, Rgba] = NO_OTHERS) -> DirectLabelColormap:
    """Return the colours of visible segments and of other label values; everything else is transparent.

    Layers share one for the same colours: napari works out the colours of all 65,536 labels of each map, which takes
    it a twentieth of a second.
    """
    return _colormap(colors_of(table), tuple(others.items()))


@lru_cache(maxsize=8)
def _colormap(seen: SeenColors, others: tuple[tuple[int, Rgba], ...]) -> DirectLabelColormap:
    colors: dict[int | None, Rgba] = {None: TRANSPARENT, 0: TRANSPARENT, **dict(others)}
    for value, (red, green, blue), opacity in seen:
        colors[value] = (red / 255, green / 255, blue / 255, opacity)
    return DirectLabelColormap(color_dict=colors)


@cache
def build_units() -> None:
    """Have napari's table of units built, which two threads must not do at once: a layer needs it."""
    pint.get_application_registry().parse_units("pixel")


@cache
def compile_colours(dtype: DTypeLike = np.uint16) -> None:
    """Have napari compile its mapping of colours for labels of a type, for which their first layer would wait."""
    segment_colormap(SegmentTable()).map(np.zeros(1, dtype))


def colors_of(table: SegmentTable) -> SeenColors:
    """Return what of a table can be seen; equal tuples need no new colours."""
    return tuple((s.value, s.color, s.opacity * s.visible) for s in table)


def prompts_layer(spacing: Sequence[float]) -> Points:
    """Return an empty layer for markers of prompts."""
    layer = Points(np.empty((0, 3)), ndim=3, name=PROMPTS, border_width=0.12, **placement(spacing))
    keep_untouched(layer)
    return layer


def keep_untouched(layer: Layer) -> None:
    """Keep napari's own tools off a layer: it stays in the mode that only moves the view."""

    def leave_tool() -> None:
        if layer.mode != "pan_zoom":
            layer.mode = "pan_zoom"

    layer.editable = False
    layer.events.mode.connect(leave_tool)
