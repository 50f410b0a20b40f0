"""The part of a volume that an engine looks at, coarsened to a size that it can afford."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box
from napari_volseg.interactive.neighbours import FloatArray
from napari_volseg.interactive.seeds import IndexArray, box_indices

Triple = tuple[int, int, int]


def block_mean(array: NDArray[Any], factors: Triple) -> FloatArray:
    """Return means over blocks of ``factors`` voxels (z, y, x); the last block of an axis may be smaller.

    The array may be of any number type; no float copy of it is made unless every factor is 1.
    """
    out = np.asarray(array)
    for axis, factor in enumerate(factors):
        if factor > 1:
            out = _mean_along(np.moveaxis(out, axis, 0), factor)
            out = np.moveaxis(out, 0, axis)
    return np.asarray(out, np.float32)


def _mean_along(array: NDArray[Any], factor: int) -> FloatArray:
    """Return means over blocks of the first axis; adding slices is many times faster than `numpy.add.reduceat`."""
    whole = len(array) // factor * factor
    out = np.empty((-(-len(array) // factor), *array.shape[1:]), np.float32)
    total = out[: whole // factor]
    total[:] = array[0:whole:factor]
    for place in range(1, factor):
        total += array[place:whole:factor]
    total /= factor
    if whole < len(array):
        out[-1] = array[whole:].mean(0, dtype=np.float32)
    return out


def affordable_factors(shape: Triple, spacing: tuple[float, float, float], budget: int) -> Triple:
    """Return block sizes (z, y, x) that bring ``shape`` under ``budget`` voxels and the spacing near isotropy."""
    factors = [1, 1, 1]
    while np.prod([-(-n // f) for n, f in zip(shape, factors, strict=True)]) > budget:
        coarse = [s * f if n > f else np.inf for s, f, n in zip(spacing, factors, shape, strict=True)]
        factors[int(np.argmin(coarse))] += 1
    return factors[0], factors[1], factors[2]


@dataclass(frozen=True, eq=False)
class WorkingGrid:
    """Blocks of voxels over a box of the volume.

    Parameters
    ----------
    box
        The part of the volume, voxels (z, y, x).
    factors
        Voxels in a block (z, y, x).
    voxel_spacing
        Spacing (z, y, x) of the volume, mm.
    """

    box: Box
    factors: Triple
    voxel_spacing: tuple[float, float, float] = field(default=(1.0, 1.0, 1.0))

    @classmethod
    def over(cls, box: Box, spacing: tuple[float, float, float], budget: int) -> WorkingGrid:
        """Return a grid over ``box`` with at most ``budget`` blocks."""
        return cls(box, affordable_factors(box.shape, spacing, budget), spacing)

    @cached_property
    def shape(self) -> Triple:
        """Number of blocks (z, y, x)."""
        z, y, x = (-(-n // f) for n, f in zip(self.box.shape, self.factors, strict=True))
        return z, y, x

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between the centres of neighbouring blocks (z, y, x), mm."""
        z, y, x = (s * f for s, f in zip(self.voxel_spacing, self.factors, strict=True))
        return z, y, x

    @cached_property
    def is_native(self) -> bool:
        """Whether a block is one voxel."""
        return self.factors == (1, 1, 1)

    def coarsen(self, array: NDArray[Any]) -> FloatArray:
        """Return block means of a volume-sized array (z, y, x)."""
        return block_mean(array[self.box.slices], self.factors)

    def blocks_of(self, voxels: IndexArray) -> IndexArray:
        """Return the distinct blocks (n, 3) that hold those volume voxels (n, 3) which lie in the box."""
        return np.unique(box_indices(voxels, self.box) // np.asarray(self.factors), axis=0)

    def expand(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a mask of blocks as a mask of the box's voxels."""
        for axis, factor in enumerate(self.factors):
            if factor > 1:
                mask = np.repeat(mask, factor, axis=axis)
        z, y, x = self.box.shape
        return mask[:z, :y, :x]
