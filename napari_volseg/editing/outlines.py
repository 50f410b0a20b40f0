"""Outlines on a slice: filling a polygon, and a path that follows edges of the image."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, eq=False)
class EdgePaths:
    """The paths from one point of a slice that keep to the edges of the image.

    Searching them takes as long as the window is large; asking for one afterwards takes less than a millisecond,
    however the mouse moves.

    Parameters
    ----------
    start
        (3,), voxel index (z, y, x) where they begin, fractional, within the slice.
    area
        Window of the slice that was searched.
    axis
        Index axis that counts the slices.
    stride
        Every n-th pixel of the window was searched.

    References
    ----------
    Mortensen and Barrett, Graphical Models and Image Processing 60(5), 1998.
    """

    start: NDArray[np.float64]
    area: Box
    axis: int
    stride: int
    _search: Any

    @classmethod
    def search(
        cls,
        voxels: NDArray[Any],
        geometry: Geometry,
        start: ArrayLike,
        on: OnSlice,
        stop: ArrayLike | None = None,
    ) -> EdgePaths:
        """Search the paths from a point to all others of a slice, or, at once, those near one to ``stop``.

        Parameters
        ----------
        voxels
            (z, y, x).
        start, stop
            Voxel indices (z, y, x), fractional; what lies outside of the slice is moved to its border.
        on
            The slice.
        """
        from skimage.graph import MCP_Geometric

        limits = scope_box(on, geometry.shape)
        begin = _clipped(start, limits)
        area = limits if stop is None else _window(begin, _clipped(stop, limits), limits)
        stride = 1 if stop is None else int(np.ceil(np.sqrt(area.size / _MOST_PIXELS)))
        spacing = tuple(s for axis, s in enumerate(geometry.spacing) if axis != on.axis)
        cost = _cost(voxels[area.slices].take(0, on.axis), spacing)[::stride, ::stride]
        paths = cls(begin, area, on.axis, stride, MCP_Geometric(cost, sampling=tuple(stride * s for s in spacing)))
        ends = None if stop is None else [paths._pixel(stop)]
        paths._search.find_costs([paths._pixel(begin)], ends)
        return paths

    def to(self, stop: ArrayLike) -> NDArray[np.float64]:
        """Return the path to a point, (n, 3), voxel indices (z, y, x) from ``start`` to ``stop``, both included.

        A point outside of the window is moved to its border.
        """
        end, plane = _clipped(stop, self.area), self._plane
        pixels = np.array(self._search.traceback(self._pixel(end)), float)
        path = np.empty((len(pixels), 3))
        path[:, plane] = pixels * self.stride + np.array(self.area.start)[plane]
        path[:, self.axis] = self.area.start[self.axis]
        return np.concatenate([self.start[None], path[1:-1], end[None]])

    @property
    def _plane(self) -> list[int]:
        return [axis for axis in range(3) if axis != self.axis]

    def _pixel(self, place: ArrayLike) -> tuple[int, ...]:
        plane = self._plane
        offset = (_clipped(place, self.area) - self.area.start)[plane]
        last = -(-np.array(self.area.shape)[plane] // self.stride) - 1
        return tuple(int(i) for i in np.minimum(np.round(offset / self.stride), last))


def follow_edge(
    voxels: NDArray[Any],
    geometry: Geometry,
    start: ArrayLike,
    stop: ArrayLike,
    on: OnSlice,
) -> NDArray[np.float64]:
    """Return the path between two points of a slice that keeps to the edges of the image, at once.

    Only a window around the straight line is searched; parameters as in ``EdgePaths.search``.

    Returns
    -------
    numpy.ndarray
        (n, 3), voxel indices (z, y, x) from ``start`` to ``stop``, both included.
    """
    return EdgePaths.search(voxels, geometry, start, on, stop).to(stop)


def _clipped(place: ArrayLike, limits: Box) -> NDArray[np.float64]:
    return np.clip(np.asarray(place, float), limits.start, np.subtract(limits.stop, 1))


def _window(start: NDArray[np.float64], stop: NDArray[np.float64], limits: Box) -> Box:
    """Return what is searched for a path between two points of a slice."""
    around = max(_LEAST_AROUND, _AROUND * float(np.linalg.norm(stop - start)))
    return Box.around(np.stack([start, stop]), (around,) * 3).intersect(limits)


def _cost(plane: NDArray[Any], spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Return what each mm costs: little along sharp edges."""
    edges = edge_strength(plane, spacing)
    sharp = float(np.percentile(edges, _SHARP_PERCENTILE))
    if sharp == 0:
        return np.ones(edges.shape)
    return (1 - np.minimum(edges / sharp, 1)) * (1.0 - _CHEAPEST) + _CHEAPEST
