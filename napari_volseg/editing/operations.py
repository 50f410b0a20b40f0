"""Pure operations: labels in, a patch to apply out."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from napari_volseg.core import Box, BoxMask, UsageError
from napari_volseg.editing.fast import components


def fill_region(labels: NDArray[Any], seed_index: tuple[int, int, int], axis: int | None) -> BoxMask:
    """Return the region of equal label that holds a voxel and is connected through faces.

    Parameters
    ----------
    labels
        Label array (z, y, x).
    seed_index
        Voxel (z, y, x) of the region.
    axis
        Index axis that counts the slices: only the seed's slice is looked at; None for the region in 3D.

    Raises
    ------
    UsageError
        Where the seed lies outside the array.
    """
    if not all(0 <= i < n for i, n in zip(seed_index, labels.shape, strict=True)):
        raise UsageError(f"voxel {seed_index} lies outside labels of shape {labels.shape}: click on the image")
    searched = _slab(labels.shape, seed_index, axis)
    view = labels[searched.slices]
    seed = tuple(i - s for i, s in zip(seed_index, searched.start, strict=True))
    equal = BoxMask.of(view == view[seed])
    seed = tuple(i - s for i, s in zip(seed, equal.box.start, strict=True))
    found, _ = components(equal.mask)
    region = BoxMask.of(found == found[seed])
    return BoxMask(region.box.shift(equal.box.start).shift(searched.start), region.mask)


def _slab(shape: tuple[int, ...], seed_index: tuple[int, int, int], axis: int | None) -> Box:
    start, stop = [0, 0, 0], list(shape)
    if axis is not None:
        start[axis], stop[axis] = seed_index[axis], seed_index[axis] + 1
    return Box.of(start, stop)
