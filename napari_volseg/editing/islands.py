"""Islands and holes: the connected parts of a segment and of what it encloses.

All functions take labels (z, y, x) and, as ``box``, a box that is known to hold the segment, where the caller keeps
one. They look at no voxel outside of it. ``cancel`` is looked at between their steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import NEVER, Box, BoxMask, CancelToken, Geometry, UsageError
from napari_volseg.editing.fast import Connectivity, components, plane_components
from napari_volseg.editing.scopes import refuse_axis
from napari_volseg.editing.shapes import Relabelled, shape_of, tightened


def keep_largest(
    labels: NDArray[Any],
    value: int,
    *,
    connectivity: Connectivity = 6,
    box: Box | None = None,
    cancel: CancelToken = NEVER,
) -> BoxMask:
    """Return a segment's largest island; of islands of one size, the one with the first voxel in (z, y, x) order."""
    shape = shape_of(labels, value, box)
    cancel.check()
    found, count = components(shape.mask, connectivity)
    cancel.check()
    if count < 2:
        return shape
    return tightened(shape.box, found == _by_size(found, count)[0])


def keep_island(
    labels: NDArray[Any],
    value: int,
    voxel: tuple[int, int, int],
    *,
    connectivity: Connectivity = 6,
    box: Box | None = None,
) -> BoxMask:
    """Return the island of a segment that holds a voxel (z, y, x).

    Raises
    ------
    UsageError
        Where the voxel does not belong to the segment.
    """
    shape = shape_of(labels, value, box)
    inside = tuple(i - s for i, s in zip(voxel, shape.box.start, strict=True))
    if not all(0 <= i < n for i, n in zip(inside, shape.mask.shape, strict=True)) or not shape.mask[inside]:
        raise UsageError(f"voxel {voxel} does not belong to label {value}: click on one of its islands")
    found, _ = components(shape.mask, connectivity)
    return tightened(shape.box, found == found[inside])


def remove_small(
    labels: NDArray[Any],
    value: int,
    geometry: Geometry,
    min_mm3: float,
    *,
    connectivity: Connectivity = 6,
    box: Box | None = None,
    cancel: CancelToken = NEVER,
) -> BoxMask:
    """Return a segment without its islands of less than ``min_mm3`` (1 mL is 1000 mm³).

    Raises
    ------
    UsageError
        For a volume that is not a positive number.
    """
    if not (np.isfinite(min_mm3) and min_mm3 > 0):
        raise UsageError(f"no island is smaller than {min_mm3} mm³: choose a positive volume")
    shape = shape_of(labels, value, box)
    cancel.check()
    found, count = components(shape.mask, connectivity)
    cancel.check()
    # Rounding of the voxel volume must not remove an island of exactly the size asked for.
    kept = np.bincount(found.ravel(), minlength=count + 1) * geometry.voxel_volume >= min_mm3 * (1 - 1e-9)
    kept[0] = False
    return tightened(shape.box, kept[found])


def split_islands(
    labels: NDArray[Any],
    value: int,
    new_values: tuple[int, ...],
    *,
    connectivity: Connectivity = 6,
    box: Box | None = None,
    cancel: CancelToken = NEVER,
) -> Relabelled:
    """Return labels in which the islands of a segment are segments of their own.

    Parameters
    ----------
    new_values
        Label values of the second largest island, the third and so on. The largest keeps ``value``, and so do those
        that are left when the values run out.
    """
    shape = shape_of(labels, value, box)
    cancel.check()
    found, count = components(shape.mask, connectivity)
    cancel.check()
    new = labels[shape.box.slices].copy()
    names = np.full(count + 1, value, labels.dtype)
    order = _by_size(found, count)[1 : len(new_values) + 1]
    names[order] = new_values[: len(order)]
    new[shape.mask] = names[found[shape.mask]]
    return Relabelled(shape.box, new)


def count_islands(labels: NDArray[Any], value: int, *, connectivity: Connectivity = 6, box: Box | None = None) -> int:
    """Return of how many islands a segment consists."""
    return components(shape_of(labels, value, box).mask, connectivity)[1]


def fill_holes(
    labels: NDArray[Any],
    value: int,
    *,
    axis: int | None = None,
    box: Box | None = None,
    cancel: CancelToken = NEVER,
) -> BoxMask:
    """Return a segment with what it encloses, other segments included.

    Parameters
    ----------
    axis
        Index axis that counts the slices: each slice is filled for itself; None fills cavities that are closed in 3D.
        Voxels that share no face do not connect a hole with the outside.

    Raises
    ------
    UsageError
        For an axis that is none of 0, 1 and 2.
    """
    shape = shape_of(labels, value, box)
    cancel.check()
    if axis is None:
        return BoxMask(shape.box, filled(shape.mask))
    refuse_axis(axis)
    new = shape.mask.copy()
    for plane in np.moveaxis(new, axis, 0):
        cancel.check()
        plane[...] = filled_plane(plane)
    return BoxMask(shape.box, new)


def filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask (z, y, x) with its cavities."""
    if not mask.size:
        return mask
    outside, _ = components(~np.pad(mask, 1))
    return np.asarray(outside != outside[0, 0, 0])[1:-1, 1:-1, 1:-1]


def filled_plane(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask of one slice (rows, columns) with its holes."""
    if not mask.any():
        return mask
    outside, _ = plane_components(~np.pad(mask, 1))
    return np.asarray(outside != outside[0, 0])[1:-1, 1:-1]


def _by_size(found: NDArray[Any], count: int) -> NDArray[np.intp]:
    """Return the numbers of components, largest first and then by their first voxel in (z, y, x) order."""
    flat = np.flatnonzero(found)
    numbers = found.ravel()[flat]
    sizes = np.bincount(numbers, minlength=count + 1)
    first = np.zeros(count + 1, np.intp)
    first[numbers[::-1]] = flat[::-1]  # of several values for one index, the last stays: the first voxel
    return np.lexsort((first[1:], -sizes[1:])) + 1
