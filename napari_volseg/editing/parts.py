"""Which parts of a shape on one slice go on as which parts on another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.editing.fast import plane_components

Mask = NDArray[np.bool_]
Numbers = NDArray[np.intp]
Pair = tuple[Mask, Mask]


def matching_parts(before: Mask, after: Mask, spacing: tuple[float, ...]) -> Iterator[Pair]:
    """Yield parts of two slices (rows, columns) that belong together, each as a mask of either slice.

    Parts that overlap belong together, with all that overlap them in turn. Of the rest, the nearest pairs do; what is
    left over on one slice comes with an empty mask of the other: it ends there. Where one part becomes several, each
    of these comes once more, with the piece of the one that is nearest to it.

    Parameters
    ----------
    spacing
        Distance of neighbouring pixels along rows and columns, mm.
    """
    (first, m), (second, n) = plane_components(before), plane_components(after)
    if m == n == 1:
        yield before, after
        return
    links = _overlaps(first, second)
    links = np.concatenate([links, _nearest(first, second, links, spacing)])
    for ours, theirs in _groups(links, m, n):
        a, b = np.isin(first, ours), np.isin(second, theirs)
        yield a, b
        if ours.size == 1 < theirs.size:
            yield from zip(*_pieces(a, second, theirs, spacing), strict=True)
        if theirs.size == 1 < ours.size:
            yield from zip(*reversed(_pieces(b, first, ours, spacing)), strict=True)


def _overlaps(first: NDArray[Any], second: NDArray[Any]) -> Numbers:
    """Return the pairs of part numbers that share a pixel, (k, 2)."""
    both = (first != 0) & (second != 0)
    width = int(second.max()) + 1
    pairs = first[both].astype(np.intp) * width + second[both]
    return np.stack(np.divmod(np.flatnonzero(np.bincount(pairs)), width), 1)


def _nearest(first: NDArray[Any], second: NDArray[Any], links: Numbers, spacing: tuple[float, ...]) -> Numbers:
    """Return the pairs of parts that overlap nothing, nearest centroids first, each part at most once, (k, 2)."""
    lonely = [np.setdiff1d(np.arange(1, int(p.max()) + 1), links[:, i]) for i, p in enumerate((first, second))]
    if not lonely[0].size or not lonely[1].size:
        return np.empty((0, 2), np.intp)
    ours, theirs = _centroids(first, lonely[0], spacing), _centroids(second, lonely[1], spacing)
    distances = np.linalg.norm(ours[:, None] - theirs, axis=-1)
    pairs = []
    for _ in range(min(distances.shape)):
        i, j = divmod(int(np.argmin(distances)), distances.shape[1])
        pairs.append((lonely[0][i], lonely[1][j]))
        distances[i, :] = distances[:, j] = np.inf
    return np.array(pairs, np.intp)


def _centroids(parts: NDArray[Any], numbers: Numbers, spacing: tuple[float, ...]) -> NDArray[np.float64]:
    return np.array(ndimage.center_of_mass(parts != 0, parts, numbers)) * spacing


def _groups(links: Numbers, m: int, n: int) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield the numbers of the parts of either slice that are linked, directly or through others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = (links[:, 0] - 1, links[:, 1] - 1 + m)
    count, group = connected_components(coo_array((np.ones(len(links)), ends), shape=(m + n, m + n)), directed=False)
    for k in range(count):
        yield np.flatnonzero(group[:m] == k) + 1, np.flatnonzero(group[m:] == k) + 1


def _pieces(
    mask: Mask, parts: NDArray[Any], numbers: Numbers, spacing: tuple[float, ...]
) -> tuple[list[Mask], list[Mask]]:
    """Return the pieces of a mask that are nearest to each of some parts, and these parts."""
    elsewhere = ~np.isin(parts, numbers)
    nearest = ndimage.distance_transform_edt(elsewhere, spacing, return_distances=False, return_indices=True)
    owner = parts[tuple(nearest)]
    return [mask & (owner == number) for number in numbers], [parts == number for number in numbers]
