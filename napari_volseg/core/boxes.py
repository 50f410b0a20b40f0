"""Axis-aligned boxes of voxels: the unit in which everything reports what changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import add, sub

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open box of voxel indices.

    Parameters
    ----------
    start, stop
        First index and one past the last, in (z, y, x).
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Box:
        """Return the box that covers an array of ``shape`` (z, y, x)."""
        return cls((0, 0, 0), (int(shape[0]), int(shape[1]), int(shape[2])))

    @classmethod
    def around(cls, points: NDArray[np.float64], margin: Sequence[float]) -> Box:
        """Return the smallest box that holds index points (n, 3) and ``margin`` voxels (z, y, x) around them."""
        points = np.atleast_2d(points)
        low = np.floor(points.min(0) - np.asarray(margin)).astype(int)
        high = np.ceil(points.max(0) + np.asarray(margin)).astype(int) + 1
        return cls.of(low, high)

    @classmethod
    def of(cls, start: Sequence[int], stop: Sequence[int]) -> Box:
        """Return a box from any integer sequences in (z, y, x)."""
        return cls(
            (int(start[0]), int(start[1]), int(start[2])),
            (int(stop[0]), int(stop[1]), int(stop[2])),
        )

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_]) -> Box | None:
        """Return the tight box of a boolean array (z, y, x), or None where it is empty."""
        # Along the first axis NumPy reduces whole planes at once; what is left is small.
        plane = np.logical_or.reduce(mask, axis=0)
        rows = np.logical_or.reduce(plane, axis=1).nonzero()[0]
        if rows.size == 0:
            return None
        columns = np.logical_or.reduce(plane, axis=0).nonzero()[0]
        first, last = 0, len(mask)
        while first < last - 1 and not mask[first].any():
            first += 1
        while last > first + 1 and not mask[last - 1].any():
            last -= 1
        return cls.of((first, rows[0], columns[0]), (last, rows[-1] + 1, columns[-1] + 1))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Extent in voxels (z, y, x), never negative."""
        (a, b, c), (d, e, f) = self.start, self.stop
        return max(0, d - a), max(0, e - b), max(0, f - c)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index expression for an array in (z, y, x)."""
        (a, b, c), (d, e, f) = self.start, self.stop
        return slice(a, max(a, d)), slice(b, max(b, e)), slice(c, max(c, f))

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    def clip(self, shape: Sequence[int]) -> Box:
        """Return the part that lies within an array of ``shape`` (z, y, x)."""
        (a, b, c), (d, e, f), (k, m, n) = self.start, self.stop, shape
        if min(a, b, c) >= 0 and d <= k and e <= m and f <= n:
            return self
        return Box.of(
            [min(max(at, 0), n) for at, n in zip(self.start, shape, strict=True)],
            [min(max(at, 0), n) for at, n in zip(self.stop, shape, strict=True)],
        )

    def pad(self, margin: Sequence[int] | int) -> Box:
        """Return the box grown by ``margin`` voxels (z, y, x) on both sides."""
        by = np.broadcast_to(margin, 3)
        return Box.of((np.asarray(self.start) - by).tolist(), (np.asarray(self.stop) + by).tolist())

    def union(self, other: Box) -> Box:
        """Return the smallest box that holds both."""
        return Box.of([*map(min, self.start, other.start)], [*map(max, self.stop, other.stop)])

    def intersect(self, other: Box) -> Box:
        """Return the common part; its size is 0 where they do not meet."""
        return Box.of([*map(max, self.start, other.start)], [*map(min, self.stop, other.stop)])

    def relative_to(self, other: Box) -> Box:
        """Return this box with indices counted from the start of ``other``."""
        return Box.of([*map(sub, self.start, other.start)], [*map(sub, self.stop, other.start)])

    def shift(self, by: Sequence[int]) -> Box:
        """Return this box moved by a number of voxels (z, y, x); undoes ``relative_to`` when given its start."""
        return Box.of([*map(add, self.start, by)], [*map(add, self.stop, by)])


@dataclass(frozen=True, slots=True, eq=False)
class BoxMask:
    """A mask that is false outside a box.

    Parameters
    ----------
    box
        Where the mask lies in the volume, voxels (z, y, x).
    mask
        Boolean array of the box's shape.
    """

    box: Box
    mask: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.mask.shape != self.box.shape:
            raise ValueError(f"mask of shape {self.mask.shape} does not fill a box of shape {self.box.shape}")

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> BoxMask:
        """Return the mask cut to the tight box of its true voxels (an empty box at 0 where there are none)."""
        box = Box.of_mask(mask) or Box((0, 0, 0), (0, 0, 0))
        return cls(box, np.ascontiguousarray(mask[box.slices]))

    def expand(self, shape: Sequence[int]) -> NDArray[np.bool_]:
        """Return the mask as a full boolean array of ``shape`` (z, y, x)."""
        full = np.zeros(tuple(shape), bool)
        full[self.box.slices] = self.mask
        return full

    def within(self, box: Box) -> NDArray[np.bool_]:
        """Return the mask as seen in another box, of that box's shape; not to be written to."""
        if box == self.box:
            return self.mask
        out = np.zeros(box.shape, bool)
        common = self.box.intersect(box)
        if common.size:
            out[common.relative_to(box).slices] = self.mask[common.relative_to(self.box).slices]
        return out
