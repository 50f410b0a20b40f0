"""Cutting through the whole volume along the line of sight, with a lasso drawn in the 3D view."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_volseg.core import (
    NEVER,
    Box,
    BoxMask,
    CancelToken,
    Geometry,
    Progress,
    ProgressCallback,
    UsageError,
    no_progress,
)
from napari_volseg.editing.shapes import NOTHING, find_boxes, shape_of, tightened, union_of

Part = Literal["inside", "outside"]

#: Cells along each side of the lasso's rectangle; only points in cells that its line crosses need an exact look.
_CELLS = 256
#: Lines of sight whose directions differ by less, as sines, are parallel: a camera's numbers are no more exact.
_PARALLEL = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class ScreenView:
    """How the patient is seen on a screen.

    Parameters
    ----------
    matrix
        3×4, maps patient (x, y, z, 1), mm, LPS to (u·w, v·w, w), where (u, v) is the point on the screen, in any
        unit, and w is positive in front of the viewer (1 everywhere in a parallel projection).

    Raises
    ------
    UsageError
        For a matrix of another shape or with values that are not finite.
    """

    matrix: NDArray[np.float64]

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, float)
        if matrix.shape != (3, 4) or not np.isfinite(matrix).all():
            raise UsageError(f"a projection needs 3×4 finite numbers, not {matrix.shape}: give a camera's matrix")
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def parallel(cls, origin: ArrayLike, right: ArrayLike, down: ArrayLike, direction: ArrayLike) -> ScreenView:
        """Return a parallel projection.

        Parameters
        ----------
        origin
            Patient (x, y, z) of the point that is seen at (0, 0) on the screen, mm, LPS.
        right, down
            What one unit of the screen to the right (u) and downwards (v) is in the patient, mm.
        direction
            Along which the viewer looks, patient (x, y, z), of any length.

        Raises
        ------
        UsageError
            Where the three directions lie in one plane.
        """
        axes = np.column_stack([np.asarray(a, float) for a in (right, down, direction)])
        if abs(np.linalg.det(axes / np.maximum(np.linalg.norm(axes, axis=0), 1e-300))) < 1e-9:
            raise UsageError("the line of sight lies within the screen: give three independent directions")
        across = np.linalg.inv(axes)[:2]
        matrix = np.zeros((3, 4))
        matrix[:2, :3], matrix[:2, 3], matrix[2, 3] = across, -across @ np.asarray(origin, float), 1
        return cls(matrix)

    @classmethod
    def through(cls, points: ArrayLike, directions: ArrayLike) -> tuple[ScreenView, NDArray[np.float64]]:
        """Return a view in which each of several lines of sight is a point of the screen, and these points.

        Parameters
        ----------
        points, directions
            (n, 3), a patient point (x, y, z), mm, LPS on each line, and where the line leads to, of any length.
            The lines are parallel or meet in one point, that of the viewer.

        Returns
        -------
        view, screen
            The view, and (n, 2), the points (u, v).

        Raises
        ------
        UsageError
            For no lines, or one without direction.
        """
        points, directions = np.atleast_2d(np.asarray(points, float)), np.atleast_2d(np.asarray(directions, float))
        lengths = np.linalg.norm(directions, axis=1, keepdims=True)
        if not points.size or not lengths.all():
            raise UsageError(f"{len(points)} lines of sight, or one without direction, are no view: draw a lasso")
        rays = directions / lengths
        middle = rays.mean(axis=0)
        right, down = _across(middle)
        if np.linalg.norm(np.cross(rays, middle), axis=1).max() < _PARALLEL:
            view = cls.parallel(points.mean(axis=0), right, down, middle)
        else:
            view = cls(_seen_from(_meeting_point(points, rays), right, down, middle / np.linalg.norm(middle)))
        # further along each line, lest a point at the viewer's place has no place on the screen
        return view, view.project(points + rays * np.abs(points).max() * 2)

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return where patient points (..., 3), mm, LPS are seen: (..., 2), (u, v); NaN behind the viewer."""
        seen = np.asarray(points, float) @ self.matrix[:, :3].T + self.matrix[:, 3]
        depth = np.where(seen[..., 2:] > 0, seen[..., 2:], np.nan)
        return np.asarray(seen[..., :2] / depth)


def _across(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return two directions, (2, 3), that span what is seen along a third."""
    aside = np.eye(3)[np.argmin(np.abs(direction))]
    right = np.cross(direction, aside)
    down = np.cross(direction, right)
    return np.stack([right / np.linalg.norm(right), down / np.linalg.norm(down)])


def _meeting_point(points: NDArray[np.float64], rays: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the point (3,) that is nearest, by least squares, to lines through points along unit vectors (n, 3)."""
    off = np.eye(3) - rays[:, :, None] * rays[:, None, :]
    return np.asarray(np.linalg.lstsq(off.sum(axis=0), np.einsum("nij,nj->i", off, points), rcond=None)[0])


def _seen_from(
    eye: NDArray[np.float64], right: NDArray[np.float64], down: NDArray[np.float64], ahead: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the 3×4 matrix of a perspective view from a point."""
    axes = np.stack([right, down, ahead])
    return np.column_stack([axes, -axes @ eye])


def cut_out(
    labels: NDArray[Any],
    values: int | Iterable[int],
    geometry: Geometry,
    view: ScreenView,
    lasso: ArrayLike,
    part: Part = "inside",
    *,
    box: Box | None = None,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken = NEVER,
) -> BoxMask:
    """Return the voxels of segments that are seen within a lasso, or outside of it, at any depth.

    Erase them, or give them another label value. Only voxels of the segments are projected.

    Parameters
    ----------
    labels
        (z, y, x).
    values
        Label value of the segment, or of several.
    view
        How the patient is seen.
    lasso
        (n, 2), points (u, v) on the screen in order; the last is joined to the first.
    part
        Which side of the lasso is cut out. What lies behind the viewer is on neither.
    box
        A box that is known to hold the segments; None finds it.
    progress, cancel
        Told, and asked, slice by slice.

    Raises
    ------
    UsageError
        For a lasso of fewer than three points.
    CancelledError
        Where stopping was asked for.
    """
    prepared = _Lasso.of(lasso)
    if isinstance(values, int):
        shape = shape_of(labels, values, box)
    else:
        wanted = set(values)
        area = union_of(found for value, found in find_boxes(labels, box).items() if value in wanted)
        shape = BoxMask(area, np.isin(labels[area.slices], list(wanted)))
    return _seen(shape, geometry, view, prepared, part, progress, cancel)


def column_of_sight(
    geometry: Geometry, view: ScreenView, lasso: ArrayLike, box: Box, part: Part = "inside"
) -> BoxMask:
    """Return all voxels of a box that are seen within a lasso, or outside of it; parameters as in ``cut_out``."""
    area = box.clip(geometry.shape)
    return _seen(BoxMask(area, np.ones(area.shape, bool)), geometry, view, _Lasso.of(lasso), part)


def _seen(
    shape: BoxMask,
    geometry: Geometry,
    view: ScreenView,
    lasso: _Lasso,
    part: Part,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken = NEVER,
) -> BoxMask:
    if not shape.mask.size:
        return NOTHING
    hit = np.zeros(shape.mask.shape, bool)
    from_index = ScreenView(view.matrix @ geometry.matrix)
    for z, (plane, out) in enumerate(zip(shape.mask, hit, strict=True), shape.box.start[0]):
        cancel.check()
        progress(Progress(z - shape.box.start[0], len(hit)))
        rows, columns = np.nonzero(plane)
        index = np.column_stack([np.full(rows.size, z), rows + shape.box.start[1], columns + shape.box.start[2]])
        seen = from_index.project(index)
        inside = lasso.holds(seen)
        out[rows, columns] = inside if part == "inside" else ~inside & np.isfinite(seen[:, 0])
    return tightened(shape.box, hit)


@dataclass(frozen=True, slots=True, eq=False)
class _Lasso:
    """A polygon, prepared for many points.

    Parameters
    ----------
    vertices
        (n, 2).
    low, cell
        Corner of its rectangle and size of a cell.
    inside, crossed
        By cell: whether its centre lies inside, and whether the polygon's line may pass through it.
    """

    vertices: NDArray[np.float64]
    low: NDArray[np.float64]
    cell: NDArray[np.float64]
    inside: NDArray[np.bool_]
    crossed: NDArray[np.bool_]

    @classmethod
    def of(cls, lasso: ArrayLike) -> _Lasso:
        from skimage.draw import polygon2mask

        vertices = np.asarray(lasso, float)
        if vertices.ndim != 2 or len(vertices) < 3:
            raise UsageError(f"a lasso of {len(vertices)} points encloses nothing: draw at least three")
        low = vertices.min(axis=0)
        cell = np.maximum(vertices.max(axis=0) - low, 1e-300) / _CELLS
        places = (vertices - low) / cell
        inside = polygon2mask((_CELLS, _CELLS), places - 0.5)
        return cls(vertices, low, cell, inside, _crossed(places))

    def holds(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which points (n, 2) lie inside; never those that are NaN."""
        from skimage.measure import points_in_poly

        places = (points - self.low) / self.cell
        candidates = np.flatnonzero(((places >= 0) & (places <= _CELLS)).all(axis=1))
        cells = tuple(np.minimum(places[candidates].astype(int), _CELLS - 1).T)
        held = np.zeros(len(points), bool)
        held[candidates] = self.inside[cells]
        doubtful = candidates[self.crossed[cells]]
        held[doubtful] = points_in_poly(points[doubtful], self.vertices)
        return held


def _crossed(places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the cells near the line of a closed polygon, (cells, cells), given its vertices in cells."""
    line = np.zeros((_CELLS + 4, _CELLS + 4), bool)
    for a, b in zip(places, np.roll(places, -1, axis=0), strict=True):
        steps = int(np.ceil(2 * np.abs(b - a).max())) + 1
        rows, columns = np.floor(np.linspace(a, b, steps + 1)).astype(int).T + 2
        line[rows, columns] = True
    grown = np.logical_or.reduce([np.roll(line, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    return np.asarray(grown)[2:-2, 2:-2]
