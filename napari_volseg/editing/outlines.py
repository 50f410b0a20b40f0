"""Outlines on a slice: filling a polygon, and a path that follows edges of the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_volseg.core import Box, BoxMask, Geometry, UsageError
from napari_volseg.editing.growing import edge_strength
from napari_volseg.editing.scopes import OnSlice, Scope, repeated, scope_box
from napari_volseg.editing.shapes import NOTHING, tightened

#: A path is searched around the straight line: so far, as a share of its length, but at least so many pixels.
_AROUND, _LEAST_AROUND = 0.3, 12
#: Pixels that can be searched between two movements of the mouse; of larger windows only every n-th is.
_MOST_PIXELS = 30_000
#: What a step of 1 mm along the sharpest edge costs, as a share of one where nothing is to be seen.
_CHEAPEST = 0.03
#: Edges sharper than this percentile are all alike, so that a metal clip does not outshine the organ.
_SHARP_PERCENTILE = 98


def fill_outline(geometry: Geometry, vertices: ArrayLike, on: OnSlice, through: Scope | None = None) -> BoxMask:
    """Return the voxels whose centres lie within a polygon or on its border, on its slice or through several.

    Parameters
    ----------
    geometry
        Grid of the labels.
    vertices
        (n, 3), patient (x, y, z), mm, LPS, in order; the last is joined to the first. They are seen along the index
        axis that counts the slices.
    on
        The slice that the polygon lies on.
    through
        The slices that are filled, each with the same voxels; None fills that of the polygon.

    Raises
    ------
    UsageError
        For fewer than three vertices, or slices outside the volume.
    """
    from skimage.draw import polygon

    points = np.asarray(vertices, float)
    if points.ndim != 2 or len(points) < 3:
        raise UsageError(f"an outline of {len(points)} points encloses nothing: draw at least three")
    limits, depth = scope_box(on, geometry.shape), scope_box(through or on, geometry.shape)
    index = geometry.to_index(points)
    index[:, on.axis] = on.index
    area = Box.around(index, (0, 0, 0)).intersect(limits)
    if not area.size:
        return NOTHING
    plane = [axis for axis in range(3) if axis != on.axis]
    rows, columns = (index[:, axis] - area.start[axis] for axis in plane)
    mask = np.zeros([area.shape[axis] for axis in plane], bool)
    mask[polygon(rows, columns, mask.shape)] = True
    flat = tightened(area, np.expand_dims(mask, on.axis))
    return repeated(flat, on.axis, depth) if flat.mask.size else NOTHING


def follow_edge(
    voxels: NDArray[Any],
    geometry: Geometry,
    start: ArrayLike,
    stop: ArrayLike,
    on: OnSlice,
) -> NDArray[np.float64]:
    """Return the path between two points of a slice that keeps to the edges of the image.

    Only a window around the straight line is searched, so that the answer comes while the mouse moves, and so that no
    stronger edge farther away, such as the skin, draws the path to it.

    Parameters
    ----------
    voxels
        (z, y, x).
    start, stop
        Voxel indices (z, y, x), fractional; what lies outside of the slice is moved to its border.
    on
        The slice.

    Returns
    -------
    numpy.ndarray
        (n, 3), voxel indices (z, y, x) from ``start`` to ``stop``, both included.

    References
    ----------
    Mortensen and Barrett, Graphical Models and Image Processing 60(5), 1998.
    """
    from skimage.graph import MCP_Geometric

    limits = scope_box(on, geometry.shape)
    ends = np.clip([start, stop], limits.start, np.subtract(limits.stop, 1))
    plane = [axis for axis in range(3) if axis != on.axis]
    around = max(_LEAST_AROUND, _AROUND * float(np.linalg.norm(ends[1] - ends[0])))
    area = Box.around(ends, (around,) * 3).intersect(limits)
    stride = int(np.ceil(np.sqrt(area.size / _MOST_PIXELS)))
    spacing = tuple(geometry.spacing[axis] for axis in plane)
    cost = _cost(voxels[area.slices].take(0, on.axis), spacing)[::stride, ::stride]
    near, far = (_pixel(end[plane] - np.array(area.start)[plane], stride, cost.shape) for end in ends)
    search = MCP_Geometric(cost, sampling=tuple(stride * s for s in spacing))
    search.find_costs([near], [far])
    path = np.empty((len(pixels := search.traceback(far)), 3))
    path[:, plane] = np.array(pixels) * stride + np.array(area.start)[plane]
    path[:, on.axis] = on.index
    return np.concatenate([ends[:1], path[1:-1], ends[1:]])


def _cost(plane: NDArray[Any], spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Return what each mm costs: little along sharp edges."""
    edges = edge_strength(plane, spacing)
    sharp = float(np.percentile(edges, _SHARP_PERCENTILE))
    if sharp == 0:
        return np.ones(edges.shape)
    return (1 - np.minimum(edges / sharp, 1)) * (1.0 - _CHEAPEST) + _CHEAPEST


def _pixel(place: NDArray[np.float64], stride: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    nearest = np.clip(np.round(place / stride), 0, np.subtract(shape, 1))
    return tuple(int(i) for i in nearest)
