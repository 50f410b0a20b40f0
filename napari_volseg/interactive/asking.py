"""Boxes on slices as questions to a network that sees one slice at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from napari_volseg.core import Box, BoxMask, BoxPrompt, Geometry
from napari_volseg.interactive.neighbours import BoolArray

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """A box and the slices that it answers for.

    Parameters
    ----------
    axis
        Index axis (0, 1, 2) that counts its slices.
    box
        One slice thick, in (slice, row, column): the volume's axes with ``axis`` moved to the front.
    reach
        Slices that may be filled.
    """

    axis: int
    box: Box
    reach: range


def asked_by(boxes: Sequence[BoxPrompt], geometry: Geometry) -> list[Asked]:
    """Return what boxes ask for, in the order in which they were given.

    A box takes the place of earlier ones that it overlaps on its slice. Of boxes on several slices of a plane that
    overlap each other, seen along its normal, each answers for the slices that are nearest to it.
    """
    placed: list[tuple[int, Box]] = []
    for axis, box in (_placed(prompt, geometry) for prompt in boxes):
        placed = [(a, other) for a, other in placed if a != axis or not box.intersect(other).size]
        placed.append((axis, box))
    return [_asked(axis, box, [other for a, other in placed if a == axis], geometry) for axis, box in placed]


def in_front(values: tuple[T, T, T], axis: int) -> tuple[T, T, T]:
    """Return what is told along (z, y, x) as (slice, row, column) of slices counted by ``axis``."""
    first, second = (a for a in range(3) if a != axis)
    return values[axis], values[first], values[second]


def as_volume(masks: dict[int, BoolArray], axis: int) -> BoxMask:
    """Return masks (rows, columns) of consecutive slices along ``axis`` as one of the volume, voxels (z, y, x)."""
    first = min(masks)
    tight = BoxMask.of(np.stack([masks[index] for index in sorted(masks)]))
    box = tight.box.shift((first, 0, 0))
    start, stop = (np.insert(corner[1:], axis, corner[0]) for corner in (box.start, box.stop))
    return BoxMask(Box.of(start.tolist(), stop.tolist()), np.moveaxis(tight.mask, 0, axis))


def joined(one: BoxMask, other: BoxMask) -> BoxMask:
    """Return what is in either of two masks."""
    if not one.box.size or not other.box.size:
        return one if one.box.size else other
    box = one.box.union(other.box)
    return BoxMask(box, one.within(box) | other.within(box))


def _placed(prompt: BoxPrompt, geometry: Geometry) -> tuple[int, Box]:
    """Return the axis that counts a box's slices, and the box (slice, row, column) within the volume."""
    corners = np.round(geometry.to_index(np.asarray(prompt.corners))).astype(int)
    low, high = corners.min(0), corners.max(0)
    axis = int(np.argmin(high - low))
    box = Box.of(in_front(tuple(low), axis), in_front(tuple(high + 1), axis))
    return axis, box.clip(in_front(geometry.shape, axis))


def _asked(axis: int, box: Box, others: Sequence[Box], geometry: Geometry) -> Asked:
    here = box.start[0]
    along = [other.start[0] for other in others if other.shift((here - other.start[0], 0, 0)).intersect(box).size]
    below = max((key for key in along if key < here), default=None)
    above = min((key for key in along if key > here), default=None)
    first = 0 if below is None else (below + here) // 2 + 1
    stop = geometry.shape[axis] if above is None else (here + above) // 2 + 1
    return Asked(axis, box, range(first, stop))
