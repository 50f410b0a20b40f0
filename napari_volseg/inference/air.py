"""Which windows lie wholly outside of the body, for runs that may leave them out.

Leaving them out is not exact: a network may find something in air, and what it says of a window's edge depends on
the rest of the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, CancelToken, RefusedError, Reorientation, Volume
from napari_volseg.inference.sliding import WindowGrid
from napari_volseg.inference.tissue_grid import WorkingGrid
from napari_volseg.inference.tissue_masks import body_mask
from napari_volseg.spatial import (
    apply_reorientation,
    display_reorientation,
    invert_reorientation,
    reorient_geometry,
)


def windows_in_air(
    volume: Volume,
    to_model: Reorientation,
    transpose: Sequence[int],
    box: Box,
    grid: WindowGrid,
    cancel: CancelToken,
) -> NDArray[np.bool_]:
    """Return which windows, by their number along (z, y, x), hold nothing of the body.

    Parameters
    ----------
    volume
        A CT of orthogonal axes.
    to_model, transpose, box
        Lead to the part of the image that the network sees.
    grid
        The windows.
    cancel
        Looked at between slabs.

    Raises
    ------
    RefusedError
        Where the volume is no CT in HU, of which air is told by its value.
    """
    if volume.modality != "CT" or volume.unit != "HU":
        raise RefusedError(
            f"air is told by HU, and {volume.name} is {volume.modality} in {volume.unit or 'arbitrary units'}: "
            "leave out skip_air",
            "image.skip_air",
        )
    body = _body(volume, to_model, cancel).transpose(transpose)
    whole = apply_reorientation(volume.voxels, to_model).transpose(transpose).shape
    spans = [_blocks(grid, axis, box, whole[axis], body.shape[axis]) for axis in range(3)]
    air = np.zeros([len(starts) for starts in grid.starts], bool)
    for place in product(*map(range, air.shape)):
        air[place] = not body[tuple(spans[axis][number] for axis, number in enumerate(place))].any()
    return air


def _body(volume: Volume, to_model: Reorientation, cancel: CancelToken) -> NDArray[np.bool_]:
    """Return the body in blocks, its axes those of the model's orientation."""
    to_display = display_reorientation(volume.geometry)
    spacing = reorient_geometry(volume.geometry, to_display).spacing
    mask = body_mask(WorkingGrid.of(apply_reorientation(volume.voxels, to_display), spacing, cancel))
    return apply_reorientation(apply_reorientation(mask, invert_reorientation(to_display)), to_model)


def _blocks(grid: WindowGrid, axis: int, box: Box, size: int, blocks: int) -> list[slice]:
    """Return the blocks that each window touches along an axis, and one more on both sides.

    Blocks at one edge are cut, and at which one depends on the orientation: that shifts them by less than one.
    """
    before, patch = grid.padding[axis][0], grid.patch[axis]
    step = (box.stop[axis] - box.start[axis]) / grid.shape[axis]
    ends = [(start - before, start - before + patch) for start in grid.starts[axis]]
    low = [floor((box.start[axis] + begin * step) * blocks / size) - 1 for begin, _ in ends]
    high = [ceil((box.start[axis] + end * step) * blocks / size) + 1 for _, end in ends]
    return [slice(max(0, a), max(0, b)) for a, b in zip(low, high, strict=True)]
