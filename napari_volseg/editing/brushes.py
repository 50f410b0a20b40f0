"""Shapes of brushes, true in patient millimetres on any grid.

A brush is the set of voxels whose centres lie within a radius of a line between two cursor positions. Distance
is measured in the patient: with M the 3×3 part of the affine, the squared length of an index displacement d is
dᵀMᵀMd, so that anisotropic, oblique and sheared grids need no case of their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_volseg.core import Box, BoxMask, Geometry, UsageError

#: Coordinates of the ends of rows of voxels, and between which places of each row something is so.
Rows = list[NDArray[Any]]
Vector = tuple[float, ...]
Interval = tuple[NDArray[Any], NDArray[Any]]

#: A long line is painted in pieces of at most so many radii, each in a box of its own.
_PIECE_IN_RADII = 4.0
#: Distances that differ by less, as a share of the radius, are equal: rounding must not decide on a voxel.
_ROUNDING = 1e-9
#: A row whose distance from a line changes from voxel to voxel by less than this (squared, over the radius) is
#: parallel to it.
_PARALLEL = 1e-18
#: Below so many voxels, and so many more for each row, working out all distances from a line takes less than the ends
#: of rows do; from a point it takes less below another number.
_FEW, _FEW_PER_ROW, _FEW_ABOUT_POINT = 12_000, 20, 45_000
_ZERO = np.zeros((1, 1, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Brush:
    """A ball in the plane or space that n of the index axes span; ``of`` makes one.

    Parameters
    ----------
    shape
        Shape of the labels (z, y, x).
    axis
        Index axis normal to a disc: 0 z, 1 y, 2 x; None for a sphere.
    axes
        The n index axes.
    root
        Rows of upper triangular R (n, n) with RᵀR = MᵀM: Rd has the length of Md, mm, at less arithmetic.
    reach
        How far the ball reaches along (z, y, x), voxels.
    radius_mm
        Radius, mm.
    thin
        Whether there may be no voxel centre in it.
    """

    shape: tuple[int, int, int]
    axis: int | None
    axes: tuple[int, ...]
    root: tuple[Vector, ...]
    reach: tuple[float, ...]
    radius_mm: float
    thin: bool

    @classmethod
    def of(cls, geometry: Geometry, radius_mm: float, axis: int | None = None) -> Brush:
        """Return a sphere, or a disc within the slices that an index axis counts.

        Parameters
        ----------
        geometry
            Grid of the labels.
        radius_mm
            Radius, mm.
        axis
            Index axis that counts the slices: 0 z, 1 y, 2 x; None for a sphere.

        Raises
        ------
        UsageError
            For a radius that is not positive.
        """
        if not (math.isfinite(radius_mm) and radius_mm > 0):
            raise UsageError(f"a brush with a radius of {radius_mm} mm paints nothing: choose a positive radius")
        axes = tuple(a for a in range(3) if a != axis)
        root = np.asarray(np.linalg.qr(geometry.matrix[:3, axes])[1])
        reach = np.zeros(3)
        # The ellipsoid dᵀRᵀRd ≤ r² reaches r·‖row i of R⁻¹‖ along axis i.
        reach[list(axes)] = radius_mm * np.linalg.norm(np.linalg.inv(root), axis=1)
        # No place is farther from the nearest voxel centre than half of all edges of a voxel, end to end.
        thin = radius_mm < np.linalg.norm(root, axis=0).sum() / 2
        rows = tuple(map(tuple, root.tolist()))
        return cls(geometry.shape, axis, axes, rows, tuple(reach.tolist()), radius_mm, bool(thin))

    def path(self, start_index: ArrayLike, stop_index: ArrayLike) -> BoxMask:
        """Return what the brush covers on a straight way between two voxel indices (z, y, x), fractional.

        A disc stays in the slice of the second one. The mask is clipped to the volume; the voxels under the line
        belong to it however thin the brush.
        """
        start, stop = (np.asarray(index, float).tolist() for index in (start_index, stop_index))
        if self.axis is not None:
            start[self.axis] = stop[self.axis] = float(round(stop[self.axis]))
        way = [b - a for a, b in zip(start, stop, strict=True)]
        line = tuple(_dot(row, [way[a] for a in self.axes]) for row in self.root)
        pieces = math.ceil(math.hypot(*line) / (_PIECE_IN_RADII * self.radius_mm))
        box = self._box_about(start, stop)
        out = BoxMask(box, self._piece(box, start, line) if pieces <= 1 else np.zeros(box.shape, bool))
        for i in range(pieces if pieces > 1 else 0):
            near, far = ([at + w * (n / pieces) for at, w in zip(start, way, strict=True)] for n in (i, i + 1))
            part = self._box_about(near, far)
            out.mask[part.relative_to(box).slices] |= self._piece(part, near, tuple(e / pieces for e in line))
        if self.thin:
            _mark_center_line(out, np.array(start), np.array(stop))
        return out

    def _box_about(self, start: Sequence[float], stop: Sequence[float]) -> Box:
        """Return the box of what lies within reach of a line, clipped to the volume."""
        ends = [*zip(start, stop, self.reach, strict=True)]
        low = [math.floor(min(a, b) - r) for a, b, r in ends]
        return Box.of(low, [math.ceil(max(a, b) + r) + 1 for a, b, r in ends]).clip(self.shape)

    def _piece(self, box: Box, start: Sequence[float], line: Vector) -> NDArray[np.bool_]:
        """Return which voxels of a box lie within the radius of a line, given by its start and root · (z, y, x)."""
        if box.size == 0:
            return np.zeros(box.shape, bool)
        grids = [_open_range(box, a) - start[a] for a in self.axes]
        limit = (self.radius_mm * (1 + _ROUNDING)) ** 2
        *others, row = grids
        few = _FEW + _FEW_PER_ROW * box.size // row.size if any(line) else _FEW_ABOUT_POINT
        if box.size < few:
            return _near(_parts(self.root, grids), line, limit)
        # Rd = fixed + x·step, with x along the last axis, of which each row of voxels needs one interval.
        with np.errstate(invalid="ignore"):  # the root of a negative number: no place in that row
            low, high = _interval(_parts(self.root, others), tuple(r[-1] for r in self.root), line, limit)
        any_there, origin = low <= high, row.flat[0]
        first = np.where(any_there, np.clip(np.ceil(low - origin), 0, row.size), 0)
        end = np.where(any_there, np.clip(np.floor(high - origin) + 1, 0, row.size), 0)
        return _filled(first.reshape(-1).astype(np.intp), end.reshape(-1).astype(np.intp), row.size).reshape(
            box.shape
        )


def disc(geometry: Geometry, center_index: ArrayLike, radius_mm: float, axis: int) -> BoxMask:
    """Return a disc within the slice nearest to a voxel index (z, y, x); see ``Brush``."""
    return Brush.of(geometry, radius_mm, axis).path(center_index, center_index)


def sphere(geometry: Geometry, center_index: ArrayLike, radius_mm: float) -> BoxMask:
    """Return a sphere of ``radius_mm`` around a fractional voxel index (z, y, x), clipped to the volume."""
    return Brush.of(geometry, radius_mm).path(center_index, center_index)


def path_discs(
    geometry: Geometry, start_index: ArrayLike, stop_index: ArrayLike, radius_mm: float, axis: int
) -> BoxMask:
    """Return what a disc covers on its way between two indices in the slice of the second one."""
    return Brush.of(geometry, radius_mm, axis).path(start_index, stop_index)


def path_spheres(geometry: Geometry, start_index: ArrayLike, stop_index: ArrayLike, radius_mm: float) -> BoxMask:
    """Return what a sphere covers on its way between two fractional indices (z, y, x)."""
    return Brush.of(geometry, radius_mm).path(start_index, stop_index)


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the product of two short vectors in a fraction of the time that NumPy takes to begin."""
    return sum(x * y for x, y in zip(a, b, strict=True))


def _parts(root: tuple[Vector, ...], grids: Rows) -> Rows:
    """Return the coordinates Rd, mm, of displacements along the first axes; R is triangular, so few are added."""
    return [_combined(grids, row) for row in root]


def _near(parts: Rows, line: Vector, limit: float) -> NDArray[np.bool_]:
    """Return which points lie within the root of ``limit`` of a line from the origin; quickest where they are few.

    With u how far a point p lies along the line l, as a share of its length, and c that share held between 0 and 1,
    the squared distance is (p - cl)² = p² + c(c - 2u)l².
    """
    distance2 = _squared(parts)
    if any(line):
        length2 = _dot(line, line)
        along = _combined(parts, [e / length2 for e in line])
        nearest = np.minimum(along, 1)
        np.maximum(nearest, 0, out=nearest)
        along *= -2
        along += nearest
        along *= nearest
        along *= length2
        distance2 = distance2 + along
    return np.asarray(distance2 <= limit)


def _combined(grids: Rows, factors: Sequence[float]) -> NDArray[Any]:
    """Return the sum of the first grids, each times its factor."""
    products = [g * f for g, f in zip(grids, factors, strict=False) if f]
    return reduce(np.add, products) if products else _ZERO


def _squared(parts: Rows) -> NDArray[Any]:
    """Return the squared length of coordinates; NumPy is not asked to add anything to 0, as ``sum`` would."""
    return reduce(np.add, [p * p for p in parts])


def _interval(fixed: Rows, step: Vector, line: Vector, limit: float) -> Interval:
    """Return between which x ``fixed + x·step`` lies within the root of ``limit`` of a line from the origin.

    The set is convex, so that the intervals in both end balls and in the cylinder between them join to one. NaN
    where there is none.
    """
    low, high = _roots(fixed, step, limit)
    if not any(line):
        return low, high
    length2 = _dot(line, line)
    slope = _dot(step, line) / length2
    past = [part - e for part, e in zip(fixed, line, strict=True)]
    along = _combined(fixed, [e / length2 for e in line])
    aside = [p - along * e for p, e in zip(fixed, line, strict=True)]
    across = tuple(s - slope * e for s, e in zip(step, line, strict=True))
    between = _slab(_roots(aside, across, limit), along, slope)
    for first, last in (_roots(past, step, limit), between):
        low, high = np.fmin(low, first), np.fmax(high, last)
    return low, high


def _roots(fixed: Rows, step: Vector, limit: float) -> Interval:
    """Return between which x the squared length of ``fixed + x·step`` is at most ``limit``, NaN where it never is."""
    a = _dot(step, step)
    rest = limit - _squared(fixed)
    if a <= _PARALLEL * limit:
        half = np.where(rest >= 0, np.inf, np.nan)
        return -half, half
    middle = _combined(fixed, [-s / a for s in step])
    half = np.sqrt(rest / a + middle * middle)
    return middle - half, middle + half


def _slab(interval: Interval, along: NDArray[Any], slope: float) -> Interval:
    """Return the part of intervals in which ``along + x·slope`` lies between 0 and 1, NaN for none."""
    low, high = interval
    if slope == 0:
        inside = (along >= 0) & (along <= 1)
    else:
        one, other = (0 if slope > 0 else 1), (1 if slope > 0 else 0)
        low, high = np.maximum(low, (one - along) / slope), np.minimum(high, (other - along) / slope)
        inside = low <= high
    return np.where(inside, low, np.nan), np.where(inside, high, np.nan)


def _filled(first: NDArray[np.intp], end: NDArray[np.intp], length: int) -> NDArray[np.bool_]:
    """Return rows of a length, one behind the other, each true from ``first`` to before ``end``.

    To repeat the runs takes half the time of comparing each place with both.
    """
    runs = np.zeros(2 * first.size + 1, np.intp)
    runs[:-1:2] = first
    runs[1::2] = end - first
    runs[2::2] += length - end
    return (np.arange(runs.size) % 2 == 1).repeat(runs)


def _open_range(box: Box, axis: int) -> NDArray[Any]:
    """Return the indices of a box along an axis, shaped to broadcast over the box."""
    shape = [1, 1, 1]
    shape[axis] = -1
    return np.arange(box.start[axis], box.stop[axis], dtype=float).reshape(shape)


def _mark_center_line(out: BoxMask, start: NDArray[Any], stop: NDArray[Any]) -> None:
    """Mark the voxels on the line itself, so that a brush thinner than a voxel leaves no gaps."""
    steps = int(np.ceil(2 * np.abs(stop - start).max()))
    line = np.round(np.linspace(start, stop, steps + 1)).astype(int)
    inside = np.all((line >= out.box.start) & (line < out.box.stop), axis=1)
    out.mask[tuple((line[inside] - out.box.start).T)] = True
