"""Outlines of masks on a slice and back: polygons between voxel centres, from which the mask returns exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours, points_in_poly

Polygon = NDArray[np.float64]


def outlines_of(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Return the outlines of a mask (rows, columns), each (n, 2) fractional row and column, not closed by repetition.

    They run halfway between the centres of pixels within and without; pixels that touch at corners are apart. A hole
    is joined to the outline around it by a channel without width (keyhole), as PS3.3 C.8.8.6.3 describes it.
    """
    padded = np.pad(mask, 1).astype(np.uint8)
    rings = [_without_needless(ring[:-1] - 1) for ring in find_contours(padded, 0.5, fully_connected="low")]
    areas = [_signed_area(ring) for ring in rings]
    if not rings:
        return []
    outward = np.sign(areas[int(np.argmax(np.abs(areas)))])  # nothing is larger than an outermost outline
    outer = [ring for ring, area in zip(rings, areas, strict=True) if np.sign(area) == outward]
    holes = [ring for ring, area in zip(rings, areas, strict=True) if np.sign(area) != outward]
    around = [_around(hole, outer) for hole in holes]
    joined = []
    for number, ring in enumerate(outer):
        for hole, own in zip(holes, around, strict=True):
            ring = _with_hole(ring, hole) if own == number else ring
        joined.append(ring)
    return joined


def mask_within(polygons: Sequence[Polygon], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose centres lie within an odd number of polygons, given as of ``outlines_of``."""
    crossings = np.zeros((shape[0], shape[1] + 1), np.int32)
    for polygon in polygons:
        rows, columns = _crossings(polygon, shape[0])
        np.add.at(crossings, (rows, np.clip(np.ceil(columns), 0, shape[1]).astype(int)), 1)
    return np.asarray(np.cumsum(crossings, 1)[:, :-1] % 2 == 1)


def _crossings(polygon: Polygon, height: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the rows through whose centres the edges of a polygon go, and in which column each does."""
    start, end = polygon, np.roll(polygon, -1, axis=0)
    low, high = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
    # an edge counts from its lower end on and without its upper one, so that a vertex on a row counts once
    first, stop = np.maximum(np.ceil(low), 0).astype(int), np.minimum(np.ceil(high), height).astype(int)
    counts = np.maximum(stop - first, 0)
    edge = np.repeat(np.arange(len(polygon)), counts)
    rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    # from the lower end, so that the two ways along a channel cross a row in exactly the same place
    below = np.where((start[:, 0] <= end[:, 0])[:, None], start, end)
    above = np.where((start[:, 0] <= end[:, 0])[:, None], end, start)
    share = (rows - below[edge, 0]) / (above[edge, 0] - below[edge, 0])
    return rows, below[edge, 1] + share * (above[edge, 1] - below[edge, 1])


def _signed_area(ring: Polygon) -> float:
    following = np.roll(ring, -1, axis=0)
    return float((ring[:, 0] * following[:, 1] - ring[:, 1] * following[:, 0]).sum() / 2)


def _around(hole: Polygon, outer: Sequence[Polygon]) -> int:
    """Return which of the outlines lies closest around a hole."""
    holding = [n for n, ring in enumerate(outer) if points_in_poly(hole[:1], ring)[0]]
    return min(holding, key=lambda n: abs(_signed_area(outer[n])))


def _with_hole(ring: Polygon, hole: Polygon) -> Polygon:
    """Return an outline that goes to the nearest vertex of a hole, around it, and back."""
    distances = ((ring[:, None] - hole[None]) ** 2).sum(-1)
    at, near = np.unravel_index(int(distances.argmin()), distances.shape)
    around = np.roll(hole, -int(near), axis=0)
    return np.concatenate([ring[: at + 1], around, around[:1], ring[at:]])


def _without_needless(ring: Polygon) -> Polygon:
    """Leave out vertices on the straight line between their neighbours."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
