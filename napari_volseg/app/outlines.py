"""Outlines as they are drawn, and what closing one asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_volseg.app.case import Case
from napari_volseg.app.using import Setting, Use, target
from napari_volseg.app.wishes import Tool, ToolWishes
from napari_volseg.core import (
    BoxMask,
    BoxPrompt,
    CancelToken,
    Geometry,
    LassoPrompt,
    Point,
    ProgressCallback,
    UsageError,
)
from napari_volseg.editing import OnSlice, ScreenView, cut_out, fill_outline

TITLES: dict[Tool, str] = {"polygon": "Polygon", "lasso": "Lasso", "livewire": "Livewire", "scissors": "Scissors"}


@dataclass(slots=True, eq=False)
class Outline:
    """An outline that grows with every press or move.

    Parameters
    ----------
    tool
        What draws it.
    on
        The slice it lies on.
    takes_away
        Whether what it encloses is to be taken from the segment.
    """

    tool: Tool
    on: OnSlice
    takes_away: bool = False
    _pieces: list[NDArray[np.float64]] = field(default_factory=list)
    _vertices: int = 0

    @property
    def points(self) -> NDArray[np.float64]:
        """The line so far, (n, 3), patient (x, y, z), mm, LPS."""
        return np.concatenate([np.empty((0, 3)), *self._pieces])

    @property
    def vertices(self) -> NDArray[np.float64]:
        """Where the pieces of the line end, (n, 3), patient mm."""
        return np.array([piece[-1] for piece in self._pieces[: self._vertices]]).reshape(-1, 3)

    def add(self, piece: NDArray[np.float64], *, vertex: bool = True) -> None:
        """Append points (n, 3), patient mm, the last of which is a vertex unless they close the outline."""
        if len(piece):
            self._pieces.append(piece)
            self._vertices += vertex

    def drop(self) -> None:
        """Take the last piece back."""
        if self._pieces:
            self._pieces.pop()
            self._vertices -= 1


@dataclass(frozen=True, slots=True)
class Ray:
    """A line of sight through the 3D view.

    Parameters
    ----------
    point
        Patient (x, y, z), mm, LPS, of a point on it.
    direction
        Where it leads to, patient (x, y, z), of any length.
    screen
        Where it is seen on the canvas, pixels (x, y).
    """

    point: tuple[float, float, float]
    direction: tuple[float, float, float]
    screen: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """Lines to be drawn over a slice.

    Parameters
    ----------
    on
        The slice; None where the lines are drawn on the canvas of the 3D view.
    lines
        (n, 3) each, patient (x, y, z), mm, LPS; on the canvas (n, 2), pixels (x, y).
    closed
        Whether the last point of each is joined to the first.
    vertices
        (n, 3), points that were set and can be taken back.
    takes_away
        Whether what they enclose is to be taken from the segment.
    """

    on: OnSlice | None
    lines: tuple[NDArray[np.float64], ...]
    closed: bool = False
    vertices: NDArray[np.float64] | None = None
    takes_away: bool = False


def rectangle(geometry: Geometry, outline: Outline) -> NDArray[np.float64]:
    """Return the corners (4, 3), patient mm, of the box between an outline's first and last point, in turn."""
    ends = geometry.to_index(outline.points)[[0, -1]]
    rows, columns = (axis for axis in range(3) if axis != outline.on.axis)
    corners = ends[[0, 0, 1, 1]]
    corners[:, columns] = ends[[0, 1, 1, 0], columns]
    corners[:, rows] = ends[[0, 0, 1, 1], rows]
    return geometry.to_patient(corners)


def box_prompt(geometry: Geometry, outline: Outline) -> BoxPrompt:
    """Return the box that was drawn, of whole voxels within the image.

    Raises
    ------
    UsageError
        Where it is fewer than two voxels high or wide.
    """
    index = np.round(geometry.to_index(rectangle(geometry, outline)))
    index = np.clip(index, 0, np.array(geometry.shape) - 1)
    if (np.ptp(index, axis=0) > 0).sum() < 2:
        raise UsageError("a click draws no box: press at one corner and release at the opposite one")
    first, second, third, fourth = (_point(corner) for corner in geometry.to_patient(index))
    return BoxPrompt((first, second, third, fourth))


def lasso_prompt(geometry: Geometry, outline: Outline) -> LassoPrompt:
    """Return the line that was drawn as a prompt.

    Raises
    ------
    UsageError
        Where it is fewer than two voxels high or wide.
    """
    if (np.ptp(np.round(geometry.to_index(outline.points)), axis=0) > 0).sum() < 2:
        raise UsageError("the line goes around nothing: draw it around the structure, or around what does not belong")
    return LassoPrompt(tuple(_point(point) for point in outline.points), not outline.takes_away)


def _point(position: NDArray[np.float64]) -> Point:
    x, y, z = (float(c) for c in position)
    return x, y, z


def outline_use(case: Case, wishes: ToolWishes, outline: Outline) -> Use:
    """Return what a closed polygon, lasso or livewire asks for."""
    geometry, scope, points = case.volume.geometry, case.scope(wishes, outline.on), outline.points

    def work(progress: ProgressCallback, cancel: CancelToken) -> BoxMask:
        return fill_outline(geometry, points, outline.on, scope)

    parameters: dict[str, Setting] = {"reach": wishes.hand_reach, "axis": outline.on.axis, "index": outline.on.index}
    if wishes.hand_reach == "slab":
        parameters["slab_mm"] = wishes.hand_slab_mm
    return Use(
        f"{TITLES[outline.tool]}, taken away" if outline.takes_away else TITLES[outline.tool],
        work,
        outline.takes_away,
        under=case.label_at(geometry.to_index(points[0])),
        parameters=parameters,
    )


def scissors_use(case: Case, wishes: ToolWishes, drawn: Outline | Sequence[Ray]) -> Use:
    """Return what scissors ask for, along the lines of sight that were drawn or through all slices.

    Raises
    ------
    UsageError
        Where the active segment is locked, or there is none.
    """
    points, directions = _lines_of_sight(case, drawn)
    part, value = wishes.cut_part, 0 if wishes.cut_all else target(case, takes_away=True)

    def work(progress: ProgressCallback, cancel: CancelToken) -> BoxMask:
        view, lasso = ScreenView.through(points, directions)
        values = [value] if value else [s.value for s in case.table if s.visible and not s.locked]
        return cut_out(
            case.segmentation.labels,
            values,
            case.volume.geometry,
            view,
            lasso,
            part,
            progress=progress,
            cancel=cancel,
        )

    parameters: dict[str, Setting] = {"part": part, "of": "all" if wishes.cut_all else "active"}
    return Use(TITLES["scissors"], work, takes_away=True, from_all=wishes.cut_all, parameters=parameters)


def _lines_of_sight(case: Case, drawn: Outline | Sequence[Ray]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points, (n, 3), patient mm, and directions; of an outline on a slice, those across the slices."""
    if isinstance(drawn, Outline):
        points = drawn.points
        return points, np.broadcast_to(case.volume.geometry.direction[:, drawn.on.axis], points.shape)
    return np.array([s.point for s in drawn]), np.array([s.direction for s in drawn])
