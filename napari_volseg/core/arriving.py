"""A volume while its voxels are still being read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core.volume import Volume


@dataclass(frozen=True, slots=True, eq=False)
class Arriving:
    """What is known of a 3D volume that another thread is filling, and how much of it is there.

    Parameters
    ----------
    volume
        As its headers and first slices describe it. Its voxels share the memory that is being filled; slices that
        have not arrived hold the lowest value of the first one that did.
    axis
        Axis of the volume (0 z, 1 y, 2 x) along which slices arrive.
    arrived
        (n,) whether each slice along that axis is there; it changes while the volume is read.
    """

    volume: Volume
    axis: int
    arrived: NDArray[np.bool_]

    @property
    def middle(self) -> tuple[int, int, int]:
        """Voxel index (z, y, x) of the middle, where a view begins."""
        z, y, x = (n // 2 for n in self.volume.geometry.shape)
        return z, y, x

    @property
    def best(self) -> tuple[int, int, int]:
        """Voxel index (z, y, x) to show now: the middle, or what lies nearest to it on a slice that is there."""
        index = list(self.middle)
        there = np.flatnonzero(self.arrived)
        if there.size:
            index[self.axis] = int(there[np.abs(there - index[self.axis]).argmin()])
        z, y, x = index
        return z, y, x

    def is_filled_for(self, voxels: NDArray[np.generic]) -> bool:
        """Whether these are the voxels that are being filled, in the same memory and order."""
        ours, theirs = self.volume.voxels, voxels
        return (ours.__array_interface__["data"][0], ours.shape, ours.strides, ours.dtype) == (
            theirs.__array_interface__["data"][0],
            theirs.shape,
            theirs.strides,
            theirs.dtype,
        )


PreviewCallback = Callable[[Arriving], None]
