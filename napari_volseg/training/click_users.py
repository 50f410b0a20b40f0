"""Simulated users: beside the one who clicks at the deepest error a sloppy one, and those who begin with more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra
from skimage.morphology import skeletonize

from napari_volseg.core import Box, BoxPrompt, Geometry, PointPrompt, Prompt, ScribblePrompt
from napari_volseg.interactive import next_click
from napari_volseg.interactive.simulate import largest_component

BoolArray = NDArray[np.bool_]
#: From prediction, reference, their grid and a source of chance to the next prompt, or None where nothing is wrong.
User = Callable[[BoolArray, BoolArray, Geometry, np.random.Generator], Prompt | None]

#: A sloppy user clicks anywhere deeper than this share of the deepest point, and misses by so many voxels an axis.
_SLOPPY_DEPTH = 0.5
_SLOPPY_MISS = 2
#: A box is drawn up to so many pixels too wide on each side of an image of so many pixels.
_BOX_MISS = 5
_BOX_IMAGE = 256


def sloppy_click(
    prediction: BoolArray, reference: BoolArray, geometry: Geometry, random: np.random.Generator
) -> PointPrompt | None:
    """Return a click somewhere in the largest error, up to two voxels off, or None where nothing is wrong.

    The target is drawn among the voxels of the largest component deeper than half of its greatest depth. The sign is
    that of the reference where the click lands.
    """
    error = prediction ^ reference
    extent = Box.of_mask(error)
    if extent is None:
        return None
    depth = depth_in(largest_component(error[extent.slices]), geometry)
    candidates = np.argwhere(depth > _SLOPPY_DEPTH * depth.max()) + np.asarray(extent.start)
    target = candidates[random.integers(len(candidates))]
    landed = target + random.integers(-_SLOPPY_MISS, _SLOPPY_MISS + 1, size=3)
    landed = np.clip(landed, 0, np.asarray(geometry.shape) - 1)
    return PointPrompt(_patient(geometry, landed), bool(reference[tuple(landed)]))


def depth_in(mask: BoolArray, geometry: Geometry) -> NDArray[np.float64]:
    """Return the distance (z, y, x), mm, of each voxel of a mask from outside; beyond the array is outside."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=geometry.spacing)
    return np.asarray(depth[1:-1, 1:-1, 1:-1])


def first_scribble(reference: BoolArray, geometry: Geometry) -> ScribblePrompt:
    """Return a stroke along the longest way through the middle of a structure, on the slice where it is largest.

    The stroke covers one voxel across. ``reference`` (z, y, x) is not empty.
    """
    axis, k = largest_slice(reference, geometry)
    flat = np.take(reference, k, axis)
    labels, _ = ndimage.label(flat, np.ones((3, 3), bool))
    part = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    pixels = np.argwhere(skeletonize(part))
    way = _longest_way(pixels)
    points = tuple(_patient(geometry, np.insert(pixel, axis, k)) for pixel in way)
    return ScribblePrompt(points, 0.5 * min(geometry.spacing), True)


def first_box(reference: BoolArray, geometry: Geometry, random: np.random.Generator) -> BoxPrompt:
    """Return a box, drawn a little too wide, around a structure on the slice where it is largest."""
    axis, k = largest_slice(reference, geometry)
    flat = np.argwhere(np.take(reference, k, axis))
    size = np.delete(np.asarray(geometry.shape), axis)
    low, high = (
        side + sign * np.round(random.uniform(0, _BOX_MISS, 2) * size / _BOX_IMAGE)
        for side, sign in ((flat.min(0), -1), (flat.max(0), 1))
    )
    low, high = np.maximum(low, 0), np.minimum(high, size - 1)
    corners = [low, (low[0], high[1]), high, (high[0], low[1])]
    first, second, third, fourth = (_patient(geometry, np.insert(np.asarray(c), axis, k)) for c in corners)
    return BoxPrompt((first, second, third, fourth))


def largest_slice(mask: BoolArray, geometry: Geometry) -> tuple[int, int]:
    """Return axis and index of the slice on which a mask (z, y, x) has most voxels; across the widest spacing."""
    axis = int(np.argmax(np.round(geometry.spacing, 3)))
    areas = mask.sum(tuple(a for a in range(3) if a != axis))
    return axis, int(np.argmax(areas))


def beginning_with(kind: str, then: User = next_click) -> User:
    """Return a user who begins with a ``"click"``, a ``"box"`` or a ``"scribble"`` and goes on as ``then``."""

    def user(
        prediction: BoolArray, reference: BoolArray, geometry: Geometry, random: np.random.Generator
    ) -> Prompt | None:
        if kind == "click" or prediction.any() or not reference.any():
            return then(prediction, reference, geometry, random)
        return first_box(reference, geometry, random) if kind == "box" else first_scribble(reference, geometry)

    return user


def _longest_way(pixels: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return those of ``pixels`` (n, 2), neighbours in turn, on the longest of the shortest ways among them."""
    steps = np.abs(pixels[:, None] - pixels[None]).max(-1)
    near = np.argwhere(steps == 1)
    lengths = np.linalg.norm(pixels[near[:, 0]] - pixels[near[:, 1]], axis=1)
    graph = coo_matrix((lengths, near.T), shape=(len(pixels), len(pixels))).tocsr()
    ends = [_farthest(graph, 0)]
    ends.append(_farthest(graph, ends[0]))
    _, before = dijkstra(graph, indices=ends[0], return_predecessors=True)
    way = [ends[1]]
    while way[-1] != ends[0]:
        way.append(int(before[way[-1]]))
    return pixels[way]


def _farthest(graph: coo_matrix, start: int) -> int:
    distance = dijkstra(graph, indices=start)
    return int(np.argmax(np.where(np.isfinite(distance), distance, -1)))


def _patient(geometry: Geometry, index: NDArray[np.generic]) -> tuple[float, float, float]:
    x, y, z = geometry.to_patient(np.asarray(index, float))
    return float(x), float(y), float(z)
