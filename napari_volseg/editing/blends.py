"""What lies between two outlines on parallel slices: signed distances, moved and blended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.editing.fast import signed_distance

Mask = NDArray[np.bool_]
Plane = NDArray[np.floating[Any]]
Window = tuple[slice, slice]

#: Outlines of at least this Dice coefficient are blended in place; at less than the second, they are moved fully.
_STEADY, _MOVING = 0.6, 0.3
#: A move counts fully from this gain of the Dice coefficient on.
_GAIN = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """The way from one outline to another.

    Parameters
    ----------
    window
        Pixels (rows, columns) of the slice that the outlines cover.
    before, after
        Signed distance to each outline, positive inside, mm; of the window with ``pad`` pixels around it.
    shift
        How far the shape moves on the way, pixels (rows, columns).
    """

    window: Window
    before: Plane
    after: Plane
    shift: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        before: Mask,
        after: Mask,
        spacing: tuple[float, ...],
        known: Callable[[Window], tuple[Plane, Plane]] | None = None,
    ) -> Blend:
        """Return the blend of two masks of one slice's shape, at least one of which is not empty.

        A shape whose partner is empty shrinks and is gone half-way. ``known`` gives the signed distances to both
        masks in a window, where the caller has them; it is asked if the shape stays in its place.
        """
        window = window_of(before | after)
        first, second = before[window], after[window]
        shift = _shift(first, second) if first.any() and second.any() else np.zeros(2)
        if known is not None and not shift.any():
            return cls(window, *known(window), shift)
        pad = [(int(np.ceil(abs(d))), int(np.ceil(abs(d)))) for d in shift]
        near, far = (signed_distance(np.pad(mask, pad), spacing) for mask in (first, second))
        if not second.any():
            far = near - 2 * near.max()
        if not first.any():
            near = far - 2 * far.max()
        return cls(window, near, far, shift)

    @property
    def is_still(self) -> bool:
        """Whether the shape stays where it is."""
        return not self.shift.any()

    def at(self, share: float) -> Plane:
        """Return the depth inside the shape at a share of the way, 0 to 1; negative outside, mm, of the window."""
        shape = [w.stop - w.start for w in self.window]
        near = _moved(self.before, share * self.shift, shape)
        return near + np.float32(share) * (_moved(self.after, (share - 1) * self.shift, shape) - near)


def window_of(mask: Mask) -> Window:
    """Return the pixels (rows, columns) that hold a mask, which is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _shift(first: Mask, second: Mask) -> NDArray[np.float64]:
    """Return how far a shape moves: between the centroids, less the more the outlines overlap where they are."""
    shift = _centroid(second) - _centroid(first)
    in_place = _dice(first, second)
    gain = _dice(_rolled(first, np.round(shift).astype(int)), second) - in_place
    weight = np.clip(gain / _GAIN, 0, 1) * np.clip((_STEADY - in_place) / (_STEADY - _MOVING), 0, 1)
    return np.asarray(shift * weight)


def _centroid(mask: Mask) -> NDArray[np.float64]:
    rows, columns = mask.sum(axis=1), mask.sum(axis=0)
    total = rows.sum()
    return np.array([np.arange(rows.size) @ rows / total, np.arange(columns.size) @ columns / total])


def _dice(a: Mask, b: Mask) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def _rolled(mask: Mask, by: NDArray[np.int_]) -> Mask:
    """Return a mask moved by whole pixels; what leaves the array is lost."""
    out = np.zeros_like(mask)
    (a, b), (m, n) = by, mask.shape
    out[max(a, 0) : m + a, max(b, 0) : n + b] = mask[max(-a, 0) : m - a, max(-b, 0) : n - b]
    return out


def _moved(plane: Plane, by: NDArray[np.float64], shape: list[int]) -> Plane:
    """Return the middle of a plane, of ``shape``, after a move by fractions of pixels, interpolated linearly."""
    for axis, n in enumerate(shape):
        lines = plane.swapaxes(0, axis)
        at = (len(lines) - n) // 2 - by[axis]
        first = int(np.floor(at))
        part = np.float32(at - first)
        near = lines[first : first + n]
        if part:
            near = near + part * (lines[first + 1 : first + 1 + n] - near)
        plane = near.swapaxes(0, axis)
    return plane
