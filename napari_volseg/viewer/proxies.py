"""Small stand-ins for the 3D view, which software renderers could not draw at full size.

Voxels are picked at a regular step, so that a changed box is brought up to date by copying its own share.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils import Colormap
from numpy.typing import NDArray

from napari_volseg.app.renderings import Rendering
from napari_volseg.app.tool_drafts import Draft
from napari_volseg.core import Box, Segmentation, SegmentTable, Volume, Window
from napari_volseg.spatial import steps_within
from napari_volseg.viewer.drafts import LOST, bright, free_values
from napari_volseg.viewer.layers import Rgba, keep_untouched, placement, segment_colormap

NO_VOXELS = Box((0, 0, 0), (0, 0, 0))

VOLUME_3D = "Volume in 3D"
SEGMENTS_3D = "Segments in 3D"

#: Stands for the segments that a draft would make, and their colour until they are made.
NEW = -1
NEW_COLOR: Rgba = (0.95, 0.95, 0.95, 1.0)

#: The grey value of surfaces, and how dense a cloud is at most.
EDGE, CLOUD = 127.5, 0.05

#: How fast depth darkens the projection: little in CT, where bone is to shine through, more where skin is brightest.
CT_ATTENUATION, ATTENUATION = 0.02, 0.2


def picked(array: NDArray[Any], steps: tuple[int, int, int]) -> NDArray[Any]:
    """Return every ``steps``-th voxel (z, y, x) as an array of its own."""
    return array[:: steps[0], :: steps[1], :: steps[2]].copy()


def windowed(voxels: NDArray[Any], window: Window) -> NDArray[np.uint8]:
    """Return voxels as grey levels 0 to 255 of a window."""
    low, high = window.limits
    scaled = (voxels.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return np.clip(np.nan_to_num(scaled), 0, 255).astype(np.uint8)


class VolumeProxy:
    """The image of the 3D view.

    Parameters
    ----------
    volume
        What it stands for, 3D.
    window
        Through which slices are shown.
    rendering
        How it is drawn.
    """

    def __init__(self, volume: Volume, window: Window, rendering: Rendering) -> None:
        steps = steps_within(volume.geometry.shape)
        self._voxels = picked(volume.voxels, steps)
        self._window = rendering.window_for(window)
        self._grey = windowed(self._voxels, self._window)
        self.layer = Image(
            self._grey,
            name=VOLUME_3D,
            contrast_limits=(0, 255),
            attenuation=CT_ATTENUATION if volume.modality == "CT" else ATTENUATION,
            iso_threshold=EDGE,
            visible=False,
            **_drawn(rendering),
            **placement(volume.geometry.spacing, steps),
        )
        self._rendering = rendering

    def show(self, window: Window, rendering: Rendering) -> None:
        """Show the volume where slices are seen through a window, drawn in a way."""
        if rendering != self._rendering:
            self._rendering = rendering
            for name, value in _drawn(rendering).items():
                setattr(self.layer, name, value)
        if rendering.window_for(window) != self._window:
            self._window = rendering.window_for(window)
            self._grey[...] = windowed(self._voxels, self._window)
            self.layer.refresh(thumbnail=False, extent=False)


def _drawn(rendering: Rendering) -> dict[str, Any]:
    """Return napari's words for a way to draw an image."""
    match rendering.kind:
        case "projection":
            return {"rendering": "attenuated_mip", "blending": "translucent_no_depth", "colormap": "gray"}
        case "surface":
            return {"rendering": "iso", "blending": "translucent", "colormap": _plain(rendering)}
        case "cloud":
            return {"rendering": "translucent", "blending": "translucent_no_depth", "colormap": _cloud(rendering)}


def _plain(rendering: Rendering) -> Colormap:
    """Return the colours of a surface, from where no light falls to where it falls straight."""
    color = (*(rendering.color or (1.0, 1.0, 1.0)), 1.0)
    return Colormap([(0.0, 0.0, 0.0, 1.0), color], name=rendering.title)


def _cloud(rendering: Rendering) -> Colormap:
    color = rendering.color or (1.0, 1.0, 1.0)
    return Colormap([(*color, opacity) for opacity in (0.0, CLOUD, 0.0)], name=rendering.title)


class SegmentsProxy:
    """The segments of the 3D view.

    Parameters
    ----------
    segmentation
        What it stands for.
    """

    def __init__(self, segmentation: Segmentation) -> None:
        self._labels = segmentation.labels
        self._steps = steps_within(segmentation.geometry.shape)
        self._small = picked(self._labels, self._steps)
        self._table = segmentation.table
        self._draft: Draft | None = None
        self._codes = self._free_codes()
        self._dressed = True
        self.layer = Labels(
            self._small,
            name=SEGMENTS_3D,
            colormap=segment_colormap(segmentation.table, self._draft_colors()),
            rendering="iso_categorical",
            iso_gradient_mode="smooth",
            opacity=1.0,
            visible=False,
            **placement(segmentation.geometry.spacing, self._steps),
        )
        keep_untouched(self.layer)

    def update(self, box: Box) -> None:
        """Take over a box (z, y, x) of the segmentation that was changed."""
        self._copy(box)
        self._draw_draft()
        self.layer.refresh(thumbnail=False, extent=False)

    def show_table(self, table: SegmentTable) -> None:
        """Take over names, colours and visibility; they are drawn once `dress` is called."""
        self._table = table
        self._codes = self._free_codes()
        self._dressed = False

    def dress(self) -> None:
        """Draw the colours of now, which takes napari a moment: call it where the segments are to be seen."""
        if not self._dressed:
            self._dressed = True
            self.layer.colormap = segment_colormap(self._table, self._draft_colors())

    def show_draft(self, draft: Draft | None) -> None:
        """Draw what a tool would change, or no more."""
        before, self._draft = self._draft, draft
        if before is None and draft is None:
            return
        self.update(before.new.box if before is not None and before.new is not None else NO_VOXELS)

    def _copy(self, box: Box) -> None:
        shares, sources = self._shares(box)
        self._small[shares] = self._labels[sources]

    def _shares(self, box: Box) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Return where a box lies here, and the voxels of the segmentation that are picked there."""
        shares = [slice(-(-a // s), -(-b // s)) for a, b, s in zip(box.start, box.stop, self._steps, strict=True)]
        sources = [slice(t.start * s, t.stop * s, s) for t, s in zip(shares, self._steps, strict=True)]
        return tuple(shares), tuple(sources)

    def _free_codes(self) -> dict[int, int]:
        """Return a free label value for each that a voxel could get in a draft, 0 included; of new segments, ``NEW``.

        They are in the colours from the start, for napari takes a quarter of a second for others.
        """
        drawn = (NEW, 0, *self._table.values)
        return dict(zip(drawn, free_values(self._table.values, len(drawn), self._small.dtype), strict=True))

    def _draft_colors(self) -> dict[int, Rgba]:
        colors = {NEW: NEW_COLOR, 0: LOST, **{s.value: bright(s.color) for s in self._table}}
        return {code: colors[value] for value, code in self._codes.items()}

    def _draw_draft(self) -> None:
        if self._draft is None or self._draft.new is None:
            return
        box, new = self._draft.new
        shares, sources = self._shares(box)
        picks = [slice(s.start - a, None, s.step) for s, a in zip(sources, box.start, strict=True)]
        wanted = new[tuple(picks)]
        coded = np.full(max(*self._table.values, *self._draft.table.values, 0) + 1, self._codes[NEW])
        known = [value for value in self._codes if value != NEW]
        coded[known] = [self._codes[value] for value in known]
        changed = wanted != self._labels[sources]
        self._small[shares][changed] = coded[wanted[changed]]
