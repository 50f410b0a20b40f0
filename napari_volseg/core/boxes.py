"""Axis-aligned boxes of voxels: the unit in which everything reports what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
        spans = []
        for axis in range(3):
            others = tuple(a for a in range(3) if a != axis)
            hits = np.flatnonzero(mask.any(axis=others))
            if hits.size == 0:
                return None
            spans.append((int(hits[0]), int(hits[-1]) + 1))
        return cls.of([s[0] for s in spans], [s[1] for s in spans])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Extent in voxels (z, y, x), never negative."""
        sizes = [max(0, b - a) for a, b in zip(self.start, self.stop, strict=True)]
        return sizes[0], sizes[1], sizes[2]

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index expression for an array in (z, y, x)."""
        parts = [slice(a, max(a, b)) for a, b in zip(self.start, self.stop, strict=True)]
        return parts[0], parts[1], parts[2]

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    def clip(self, shape: Sequence[int]) -> Box:
        """Return the part that lies within an array of ``shape`` (z, y, x)."""
        return Box.of(
            np.clip(self.start, 0, shape).tolist(),
            np.clip(self.stop, 0, shape).tolist(),
        )

    def pad(self, margin: Sequence[int] | int) -> Box:
        """Return the box grown by ``margin`` voxels (z, y, x) on both sides."""
        by = np.broadcast_to(margin, 3)
        return Box.of((np.asarray(self.start) - by).tolist(), (np.asarray(self.stop) + by).tolist())

    def union(self, other: Box) -> Box:
        """Return the smallest box that holds both."""
        return Box.of(np.minimum(self.start, other.start).tolist(), np.maximum(self.stop, other.stop).tolist())

    def intersect(self, other: Box) -> Box:
        """Return the common part; its size is 0 where they do not meet."""
        return Box.of(np.maximum(self.start, other.start).tolist(), np.minimum(self.stop, other.stop).tolist())

    def relative_to(self, other: Box) -> Box:
        """Return this box with indices counted from the start of ``other``."""
        return Box.of(np.subtract(self.start, other.start).tolist(), np.subtract(self.stop, other.start).tolist())

    def shift(self, by: Sequence[int]) -> Box:
        """Return this box moved by a number of voxels (z, y, x); undoes ``relative_to`` when given its start."""
        return Box.of(np.add(self.start, by).tolist(), np.add(self.stop, by).tolist())


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
        """Return the mask as seen in another box: a boolean array of that box's shape."""
        out = np.zeros(box.shape, bool)
        common = self.box.intersect(box)
        if common.size:
            out[common.relative_to(box).slices] = self.mask[common.relative_to(self.box).slices]
        return out
