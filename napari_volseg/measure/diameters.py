"""Diameters of a mask: the two of RECIST on its slices, and the longest one in space.

On slices, points lie where the border of the mask crosses lines of voxels, halfway between a voxel inside and one
outside, so that a row of n voxels is n spacings long.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import cdist

from napari_volseg.core import NEVER, BoxMask, CancelToken, Diameters, Distance, Geometry, Point
from napari_volseg.spatial import surface_of

Points = NDArray[np.float64]

#: So many points are compared with all others at once.
BLOCK = 512


def slice_diameters(
    mask: BoxMask, geometry: Geometry, axis: int = 0, *, cancel: CancelToken = NEVER
) -> Diameters | None:
    """Return the longest diameter of a mask on any slice, and the longest one at right angles to it on that slice.

    Both are chords of the convex hull: they may leave a mask with dents or of several parts. Source: Eisenhauer et
    al., Eur J Cancer 45, 2009 (RECIST 1.1), which asks for the longest diameter in the plane of acquisition.

    Parameters
    ----------
    mask
        Voxels of one segment, on the grid of ``geometry``.
    geometry
        Where they lie; oblique and sheared grids are measured in patient mm.
    axis
        Index axis that counts the slices: 0 z, 1 y, 2 x.
    cancel
        Looked at between slices.

    Returns
    -------
    Diameters or None
        None where the mask is empty.
    """
    best, longest = None, 0.0
    for number in range(mask.box.shape[axis]):
        cancel.check()
        flat = np.take(mask.mask, [number], axis)
        points = _border(flat, axis) + mask.box.start
        if not len(points):
            continue
        points[:, axis] = mask.box.start[axis] + number
        corners = _hull(geometry.to_patient(points))
        length = float(cdist(corners, corners).max())
        if length > longest:
            best, longest = corners, length
    return None if best is None else _two(best)


def longest_diameter(mask: BoxMask, geometry: Geometry) -> Distance | None:
    """Return the longest distance between two points of a mask's surface, in space; None where it is empty.

    It is right to about a voxel, as of all steps of the voxels the farthest count.
    """
    if not mask.box.size:
        return None
    corners = _hull(geometry.to_patient(surface_of(mask, geometry, rounds=0).vertices))
    first, last = _farthest(corners)
    return Distance((_point(corners[first]), _point(corners[last])))


def _border(mask: NDArray[np.bool_], flat: int) -> Points:
    """Return where the first and the last voxel of each line of a flat mask end, (n, 3), index (z, y, x)."""
    found = []
    for axis in (a for a in range(3) if a != flat):
        some = np.argwhere(mask.any(axis))
        first = np.argmax(mask, axis)[tuple(some.T)]
        last = mask.shape[axis] - 1 - np.argmax(np.flip(mask, axis), axis)[tuple(some.T)]
        found += [np.insert(some.astype(float), axis, ends, axis=1) for ends in (first - 0.5, last + 0.5)]
    return np.concatenate(found)


def _hull(points: Points) -> Points:
    """Return the corners of the convex hull of points (n, 3), in their plane or in space."""
    middle = points.mean(0)
    _, sizes, axes = np.linalg.svd(points - middle, full_matrices=False)
    there = sizes > 1e-6 * max(sizes[0], 1e-12)
    flat = (points - middle) @ axes[there].T
    if flat.shape[1] < 2:
        return points[[int(np.argmin(flat[:, 0])), int(np.argmax(flat[:, 0]))]]
    try:
        return np.asarray(points[ConvexHull(flat).vertices])
    except QhullError:  # too thin for it, and so few that all can be compared
        return np.unique(points, axis=0)


def _farthest(points: Points) -> tuple[int, int]:
    """Return which two of some points (n, 3) are farthest from each other; there may be thousands."""
    best, pair = -1.0, (0, 0)
    for start in range(0, len(points), BLOCK):
        distances = cdist(points[start : start + BLOCK], points)
        first, last = np.unravel_index(int(np.argmax(distances)), distances.shape)
        if distances[first, last] > best:
            best, pair = float(distances[first, last]), (start + int(first), int(last))
    return pair


def _two(corners: Points) -> Diameters:
    """Return the long diameter of a flat convex outline (n, 3), and the longest chord at right angles to it."""
    first, last = _farthest(corners)
    start, end = corners[first], corners[last]
    along = (end - start) / np.linalg.norm(end - start)
    aside = corners - start - np.outer((corners - start) @ along, along)
    widest = aside[int(np.argmax(np.linalg.norm(aside, axis=1)))]
    across = widest / max(float(np.linalg.norm(widest)), 1e-12)
    far, side = (corners - start) @ along, (corners - start) @ across
    upper, lower = _chain(far, side), _chain(far, -side)
    places = np.unique(far)
    above, below = np.interp(places, *upper), -np.interp(places, *lower)
    here = int(np.argmax(above - below))
    foot = start + places[here] * along
    return Diameters(
        (_point(start), _point(end), _point(foot + below[here] * across), _point(foot + above[here] * across))
    )


def _chain(far: NDArray[np.float64], side: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the corners on the upper side of a convex outline, ordered along its long diameter."""
    order = np.lexsort((side, far))
    kept: list[int] = []
    for corner in order:
        while len(kept) > 1 and not _turns_right(far, side, kept[-2], kept[-1], int(corner)):
            kept.pop()
        kept.append(int(corner))
    return far[kept], side[kept]


def _turns_right(far: NDArray[np.float64], side: NDArray[np.float64], a: int, b: int, c: int) -> bool:
    turn = (far[b] - far[a]) * (side[c] - side[a]) - (side[b] - side[a]) * (far[c] - far[a])
    return bool(turn < 0)


def _point(position: Points) -> Point:
    x, y, z = (float(c) for c in position)
    return x, y, z
