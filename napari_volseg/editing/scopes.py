"""How far an operation reaches: one slice, a slab of slices, or the whole volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from napari_volseg.core import Box, BoxMask, Geometry, UsageError

#: Slices whose distance differs by less, as a share of it, are equally far.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class OnSlice:
    """One slice.

    Parameters
    ----------
    axis
        Index axis that counts the slices: 0 z, 1 y, 2 x.
    index
        Which slice along it.
    """

    axis: int
    index: int


@dataclass(frozen=True, slots=True)
class Slab:
    """Neighbouring slices.

    Parameters
    ----------
    axis
        Index axis that counts the slices: 0 z, 1 y, 2 x.
    start, stop
        First slice and one past the last.
    """

    axis: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class InVolume:
    """All slices."""


Scope = OnSlice | Slab | InVolume


def scope_box(scope: Scope, shape: Sequence[int]) -> Box:
    """Return the box of a scope in an array of ``shape`` (z, y, x).

    Raises
    ------
    UsageError
        Where the axis is none of 0, 1 and 2, or none of the slices lies in the array.
    """
    match scope:
        case OnSlice(axis=axis, index=index):
            return _slices(shape, axis, index, index + 1)
        case Slab(axis=axis, start=start, stop=stop):
            return _slices(shape, axis, start, stop)
        case InVolume():
            return Box.whole(shape)
        case _:
            assert_never(scope)


def slab_about(geometry: Geometry, plane: OnSlice, half_mm: float) -> Slab:
    """Return the slices that lie within ``half_mm`` of one of them, on both sides; it belongs to them itself.

    Distances are those at a right angle to the slices, on sheared grids too.

    Raises
    ------
    UsageError
        For a distance that is not a finite number of at least 0, or an axis that is none of 0, 1 and 2.
    """
    refuse_axis(plane.axis)
    if not (np.isfinite(half_mm) and half_mm >= 0):
        raise UsageError(f"a slab can't reach {half_mm} mm to each side: choose a finite distance of at least 0 mm")
    per_mm = float(np.linalg.norm(geometry.inverse[plane.axis, :3]))
    reach = int(half_mm * per_mm * (1 + _ROUNDING))
    return Slab(plane.axis, max(0, plane.index - reach), min(geometry.shape[plane.axis], plane.index + reach + 1))


def repeated(flat: BoxMask, axis: int, depth: Box) -> BoxMask:
    """Return the mask of one slice on every slice that a box spans along an axis; it shares its memory."""
    start, stop = list(flat.box.start), list(flat.box.stop)
    start[axis], stop[axis] = depth.start[axis], depth.stop[axis]
    box = Box.of(start, stop)
    return BoxMask(box, np.broadcast_to(flat.mask, box.shape))


def refuse_axis(axis: int) -> None:
    """Refuse what is no index axis."""
    if axis not in (0, 1, 2):
        raise UsageError(f"axis {axis} does not count slices: use 0 for z, 1 for y or 2 for x")


def _slices(shape: Sequence[int], axis: int, start: int, stop: int) -> Box:
    refuse_axis(axis)
    low, high = [0, 0, 0], list(shape)
    low[axis], high[axis] = max(start, 0), min(stop, shape[axis])
    if low[axis] >= high[axis]:
        raise UsageError(
            f"slices {start} to {stop - 1} along axis {axis} lie outside a volume that has {shape[axis]}: "
            "choose slices of the volume"
        )
    return Box.of(low, high)
