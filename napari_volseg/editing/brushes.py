"""Shapes of brushes, true in patient millimetres on any grid.

A brush is the set of voxels whose centres lie within a radius of a line between two cursor positions. Distance
is measured in the patient: with M the 3×3 part of the affine, the squared length of an index displacement d is
dᵀMᵀMd, so that anisotropic, oblique and sheared grids need no case of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_volseg.core import Box, BoxMask, Geometry, UsageError

#: A long line is painted in pieces of at most so many radii, each in a box of its own.
_PIECE_IN_RADII = 4.0
#: Distances that differ by less, as a share of the radius, are equal: rounding must not decide on a voxel.
_ROUNDING = 1e-9


def disc(geometry: Geometry, center_index: ArrayLike, radius_mm: float, axis: int) -> BoxMask:
    """Return a disc within one slice.

    Parameters
    ----------
    geometry
        Grid of the labels.
    center_index
        Voxel index (z, y, x), fractional; the slice is the nearest one.
    radius_mm
        Radius in the slice's plane, mm.
    axis
        Index axis that counts the slices: 0 z, 1 y, 2 x.

    Returns
    -------
    BoxMask
        Clipped to the volume; the voxel under the centre belongs to it however small the radius.
    """
    return path_discs(geometry, center_index, center_index, radius_mm, axis)


def sphere(geometry: Geometry, center_index: ArrayLike, radius_mm: float) -> BoxMask:
    """Return a sphere of ``radius_mm`` around a fractional voxel index (z, y, x), clipped to the volume."""
    return path_spheres(geometry, center_index, center_index, radius_mm)


def path_discs(
    geometry: Geometry, start_index: ArrayLike, stop_index: ArrayLike, radius_mm: float, axis: int
) -> BoxMask:
    """Return what a disc covers on its way between two indices in the slice of the second one."""
    start, stop = np.array(start_index, float), np.array(stop_index, float)
    start[axis] = stop[axis] = np.round(stop[axis])
    return _capsule(geometry, start, stop, _Ball.of(geometry, radius_mm, [a for a in range(3) if a != axis]))


def path_spheres(geometry: Geometry, start_index: ArrayLike, stop_index: ArrayLike, radius_mm: float) -> BoxMask:
    """Return what a sphere covers on its way between two fractional indices (z, y, x)."""
    start, stop = np.array(start_index, float), np.array(stop_index, float)
    return _capsule(geometry, start, stop, _Ball.of(geometry, radius_mm, [0, 1, 2]))


@dataclass(frozen=True, slots=True, eq=False)
class _Ball:
    """A ball in the plane or space that n of the index axes span.

    Parameters
    ----------
    axes
        The n index axes.
    root
        (n, n), upper triangular R with RᵀR = MᵀM: Rd has the length of Md, mm, at less arithmetic.
    reach
        How far the ball reaches along (z, y, x), voxels.
    radius_mm
        Radius, mm.
    """

    axes: list[int]
    root: NDArray[np.float64]
    reach: tuple[float, ...]
    radius_mm: float

    @classmethod
    def of(cls, geometry: Geometry, radius_mm: float, axes: list[int]) -> _Ball:
        if not (np.isfinite(radius_mm) and radius_mm > 0):
            raise UsageError(f"a brush with a radius of {radius_mm} mm paints nothing: choose a positive radius")
        root = np.asarray(np.linalg.qr(geometry.matrix[:3, axes])[1])
        reach = np.zeros(3)
        # The ellipsoid dᵀRᵀRd ≤ r² reaches r·‖row i of R⁻¹‖ along axis i.
        reach[axes] = radius_mm * np.linalg.norm(np.linalg.inv(root), axis=1)
        return cls(axes, root, tuple(reach.tolist()), radius_mm)


def _capsule(geometry: Geometry, start: NDArray[Any], stop: NDArray[Any], ball: _Ball) -> BoxMask:
    """Return the voxels that a ball covers on a straight way between two indices."""
    box = Box.around(np.stack([start, stop]), ball.reach).clip(geometry.shape)
    out = BoxMask(box, np.zeros(box.shape, bool))
    length = float(np.linalg.norm(ball.root @ (stop - start)[ball.axes]))
    pieces = max(1, int(np.ceil(length / (_PIECE_IN_RADII * ball.radius_mm))))
    for near, far in pairwise(np.linspace(start, stop, pieces + 1)):
        _mark_piece(out, near, far, ball)
    _mark_center_line(out, start, stop)
    return out


def _mark_piece(out: BoxMask, start: NDArray[Any], stop: NDArray[Any], ball: _Ball) -> None:
    box = Box.around(np.stack([start, stop]), ball.reach).intersect(out.box)
    if box.size == 0:
        return
    grids = [_open_range(box, axis) - start[axis] for axis in ball.axes]
    parts = [reduce(add, [r * g for r, g in zip(row, grids, strict=True) if r]) for row in ball.root]
    line = ball.root @ (stop - start)[ball.axes]
    length2 = float(line @ line)
    if length2 > 0:
        along = np.clip(reduce(add, [p * c for p, c in zip(parts, line, strict=True)]) / length2, 0, 1)
        parts = [p - along * c for p, c in zip(parts, line, strict=True)]
    limit = (ball.radius_mm * (1 + _ROUNDING)) ** 2
    out.mask[box.relative_to(out.box).slices] |= reduce(add, [p * p for p in parts]) <= limit


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
