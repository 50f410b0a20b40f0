"""Smoothing: of one segment by its median or a Gaussian, and of all segments together.

All functions take labels (z, y, x) and, as ``box`` or ``boxes``, boxes that are known to hold the segments, where the
caller keeps them. At the border of the volume the outermost voxels count as if they went on, so that a segment that
is cut off by the field of view does not become round there.

Sizes in mm are measured along the axes of the grid. ``cancel`` is looked at between slices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import NEVER, Box, BoxMask, CancelToken, Geometry
from napari_volseg.editing.morphology import refuse_distance, shape_box
from napari_volseg.editing.shapes import NOTHING, Relabelled, kept_boxes, tightened, union_of

#: A Gaussian is cut off at so many standard deviations.
_TRUNCATE = 3.0
#: Slices that are filtered before it is asked whether to go on.
_AT_ONCE = 16


def smooth_median(
    labels: NDArray[Any],
    value: int,
    geometry: Geometry,
    kernel_mm: float,
    *,
    box: Box | None = None,
    cancel: CancelToken = NEVER,
) -> BoxMask:
    """Return the voxels around which a segment has the majority.

    Parameters
    ----------
    kernel_mm
        Edge of the cuboid that is looked at, mm. It measures an odd number of voxels along each axis, the nearest.

    Raises
    ------
    UsageError
        For a kernel that is not a positive number.
    """
    refuse_distance(kernel_mm, "a kernel")
    half = tuple(int(np.round((kernel_mm / spacing - 1) / 2)) for spacing in geometry.spacing)
    half = tuple(max(0, n) for n in half)
    area = shape_box(labels, value, box, half)
    if area is None:
        return NOTHING
    share = (labels[area.slices] == value).astype(np.float32)
    for axis, n in enumerate(half):
        _filter(share, axis, partial(ndimage.uniform_filter1d, size=2 * n + 1, axis=axis, mode="nearest"), cancel)
    return tightened(area, share > 0.5)


def smooth_gaussian(
    labels: NDArray[Any],
    value: int,
    geometry: Geometry,
    sigma_mm: float,
    *,
    box: Box | None = None,
    cancel: CancelToken = NEVER,
) -> BoxMask:
    """Return the voxels where a segment, blurred by a Gaussian of standard deviation ``sigma_mm``, is at least half.

    Raises
    ------
    UsageError
        For a standard deviation that is not a positive number.
    """
    refuse_distance(sigma_mm, "a Gaussian")
    area = shape_box(labels, value, box, _gaussian_reach(geometry, sigma_mm))
    if area is None:
        return NOTHING
    return tightened(area, _blurred(labels, value, area, geometry, sigma_mm, cancel) >= 0.5)


def smooth_jointly(
    labels: NDArray[Any],
    geometry: Geometry,
    sigma_mm: float,
    *,
    boxes: Mapping[int, Box] | None = None,
    cancel: CancelToken = NEVER,
) -> Relabelled:
    """Return labels smoothed together: each voxel goes to the segment or background that is strongest after a blur.

    Neighbours neither overlap nor part: where no background lies within reach, none appears.

    Parameters
    ----------
    sigma_mm
        Standard deviation of the Gaussian, mm.
    boxes
        Boxes that are known to hold the segments, by label value; None finds them.

    Raises
    ------
    UsageError
        For a standard deviation that is not a positive number.
    """
    refuse_distance(sigma_mm, "a Gaussian")
    pad = _gaussian_reach(geometry, sigma_mm)
    areas = {v: b.pad(pad).clip(labels.shape) for v, b in kept_boxes(labels, None, boxes).items()}
    whole = union_of(areas.values())
    total, best = np.zeros(whole.shape, np.float32), np.zeros(whole.shape, np.float32)
    winner = np.zeros(whole.shape, labels.dtype)
    for value, area in areas.items():
        here = area.relative_to(whole).slices
        blurred = _blurred(labels, value, area, geometry, sigma_mm, cancel)
        cancel.check()
        total[here] += blurred
        stronger = blurred > best[here]
        best[here][stronger] = blurred[stronger]
        winner[here][stronger] = value
    cancel.check()
    winner[1 - total > best] = 0
    return Relabelled(whole, winner)


def _gaussian_reach(geometry: Geometry, sigma_mm: float) -> tuple[int, ...]:
    return tuple(int(_TRUNCATE * sigma_mm / spacing + 0.5) for spacing in geometry.spacing)


def _blurred(
    labels: NDArray[Any], value: int, area: Box, geometry: Geometry, sigma_mm: float, cancel: CancelToken
) -> NDArray[np.float32]:
    """Return a segment in a box, blurred. The box reaches so far that what lies beyond it has no weight."""
    share = (labels[area.slices] == value).astype(np.float32)
    for axis, spacing in enumerate(geometry.spacing):
        blur = partial(
            ndimage.gaussian_filter1d, sigma=sigma_mm / spacing, axis=axis, mode="nearest", truncate=_TRUNCATE
        )
        _filter(share, axis, blur, cancel)
    return share


def _filter(
    array: NDArray[np.float32],
    axis: int,
    along: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    cancel: CancelToken,
) -> None:
    """Filter an array (z, y, x) along an axis, in place, a few slices of another axis at a time."""
    slices = np.moveaxis(array, 1 if axis == 0 else 0, 0)
    for k in range(0, len(slices), _AT_ONCE):
        cancel.check()
        part = np.moveaxis(slices[k : k + _AT_ONCE], 0, 1 if axis == 0 else 0)
        part[...] = along(part)
