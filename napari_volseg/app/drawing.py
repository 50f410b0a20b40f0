"""The outline in hand: what is drawn in the view and not yet part of a segment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_volseg.app.case import Case
from napari_volseg.app.clicked import CLICKED_TOOLS, Line, Voxel, click_use, level_outline
from napari_volseg.app.jobs import Job
from napari_volseg.app.latest import Latest
from napari_volseg.app.outlines import Outline, Ray, outline_use, scissors_use
from napari_volseg.app.using import use_tool
from napari_volseg.core import Geometry
from napari_volseg.editing import OnSlice, follow_edge

if TYPE_CHECKING:
    from napari_volseg.app.application import Application

DrawnTool = Literal["polygon", "livewire", "lasso", "scissors"]
DRAWN_TOOLS: tuple[DrawnTool, ...] = get_args(DrawnTool)
#: Tools that set one vertex with every press, until they are closed.
VERTEX_TOOLS = ("polygon", "livewire")


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


class Drawing:
    """What the tools do that are drawn or clicked in the view.

    Positions are voxel indices (z, y, x), fractional, on a slice normal to ``axis``; what is drawn is kept in patient
    mm. An outline stays on the slice on which it was begun.

    Parameters
    ----------
    app
        Whose open case is worked on.

    Attributes
    ----------
    changed
        Emitted when the sketch changed.
    begun
        Emitted when an outline was begun, closed or abandoned.
    """

    changed = Signal()
    begun = Signal()

    def __init__(self, app: Application) -> None:
        self._app = app
        self._hover = Latest(app.jobs.inbox)
        self._wire_search = Latest(app.jobs.inbox)
        self._outline: Outline | None = None
        self._rays: list[Ray] = []
        self._cursor: NDArray[np.float64] | None = None
        self._wire: NDArray[np.float64] | None = None
        self._level: Sketch | None = None
        self._voxel: Voxel | None = None
        app.tools.events.tool.connect(self.abandon)
        app.tools.events.level_side.connect(self.leave)
        app.case_changed.connect(self.abandon)

    @property
    def outline(self) -> Outline | None:
        """The outline that was begun and not closed."""
        return self._outline

    @property
    def sketch(self) -> Sketch | None:
        """What is to be seen of the outline in hand, or of what a click would take; None where nothing is."""
        if self._rays:
            return Sketch(None, (np.array([ray.screen for ray in self._rays]),), closed=True)
        if self._outline is None:
            return self._level
        outline = self._outline
        line = np.concatenate([outline.points, self._to_cursor()])
        freehand = outline.tool not in VERTEX_TOOLS
        vertices = None if freehand else outline.vertices
        return Sketch(outline.on, (line,), freehand, vertices, outline.takes_away)

    # -- outlines on a slice --------------------------------------------------------------------------------------

    def press(self, index: ArrayLike, axis: int, takes_away: bool = False) -> None:
        """Begin an outline with the tool in hand, or set the next vertex."""
        place = np.asarray(index, float)
        on = OnSlice(axis, round(float(place[axis])))
        if self._outline is None:
            self._begin(on, takes_away)
        assert self._outline is not None
        if on != self._outline.on:
            self._app.notice(
                "the outline lies on another slice: go back to it, close it [Enter] or abandon it [Escape]", "warning"
            )
            return
        self._outline.add(self._wire_to(place) if self._wired else self._on_slice(place)[None])
        self._forget_wire()
        self.changed.emit()

    def move(self, index: ArrayLike) -> None:
        """Go on with a line that is drawn free hand."""
        if self._outline is not None:
            self._outline.add(self._on_slice(np.asarray(index, float))[None])
            self.changed.emit()

    def back(self) -> None:
        """Take the last vertex back, and with the first the outline."""
        if self._outline is None:
            return
        self._outline.drop()
        if not len(self._outline.points):
            self.abandon()
            return
        self._forget_wire()
        self.changed.emit()

    def close(self) -> Job | None:
        """Close the outline and give what it encloses to the active segment, or take it away.

        Raises
        ------
        UsageError
            Where the outline has fewer than three points.
        """
        outline, case = self._outline, self._app.case
        if outline is None or case is None:
            return None
        if self._wired:
            outline.add(self._wire_to(self._index(outline.points[:1])[0])[:-1], vertex=False)
        self.abandon()
        make = scissors_use if outline.tool == "scissors" else outline_use
        return use_tool(self._app, make(case, self._app.tools, outline))

    def abandon(self) -> None:
        """Forget the outline in hand and what was shown."""
        self._outline = None
        self._rays = []
        self._forget_wire()
        self._forget_hover()
        self.changed.emit()
        self.begun.emit()

    # -- lines of sight in the 3D view ----------------------------------------------------------------------------

    def look(self, ray: Ray) -> None:
        """Go on with a line that is drawn over the 3D view."""
        if not self._rays:
            self._need_target()
        self._rays.append(ray)
        self.changed.emit()

    def cut(self) -> Job | None:
        """Cut along the lines of sight that were drawn."""
        rays, case = tuple(self._rays), self._app.case
        self.abandon()
        if not rays or case is None:
            return None
        return use_tool(self._app, scissors_use(case, self._app.tools, rays))

    # -- the cursor -----------------------------------------------------------------------------------------------

    def hover(self, index: ArrayLike, axis: int) -> None:
        """Show where the outline would go on, or what a click would take."""
        place, tool = np.asarray(index, float), self._app.tools.tool
        if self._outline is not None and tool in VERTEX_TOOLS:
            self._hover_outline(place, axis)
        elif tool == "level":
            self._hover_level(place, axis)

    def leave(self) -> None:
        """Show nothing of what a click would take."""
        if self._level is not None or self._voxel is not None:
            self._forget_hover()
            self.changed.emit()

    def click(self, index: ArrayLike, axis: int, takes_away: bool = False) -> Job | None:
        """Use a tool that acts where the image is clicked.

        Raises
        ------
        UsageError
            Where nothing is there to act on.
        """
        tool = self._app.tools.tool
        for clicked in CLICKED_TOOLS:
            if clicked == tool:
                case = self._app.need_case()
                return use_tool(self._app, click_use(clicked, case, self._app.tools, index, axis, takes_away))
        return None

    def close_down(self) -> None:
        """Let the threads end."""
        self._hover.close()
        self._wire_search.close()

    def _forget_hover(self) -> None:
        self._hover.forget()
        self._level = self._voxel = None

    # -- within ---------------------------------------------------------------------------------------------------

    @property
    def _wired(self) -> bool:
        return self._outline is not None and self._outline.tool == "livewire"

    @property
    def _case(self) -> Case:
        return self._app.need_case()

    @property
    def _geometry(self) -> Geometry:
        return self._case.volume.geometry

    def _begin(self, on: OnSlice, takes_away: bool) -> None:
        self._need_target()
        self.leave()
        self._outline = Outline(self._app.tools.tool, on, takes_away)
        self.begun.emit()

    def _need_target(self) -> None:
        """Refuse at the first point, not at the last, where the segment is locked."""
        if not (self._app.tools.tool == "scissors" and self._app.tools.cut_all):
            self._case.ensure_active()

    def _on_slice(self, place: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the patient point, mm, of a voxel index moved to the middle of the outline's slice."""
        assert self._outline is not None
        moved = place.copy()
        moved[self._outline.on.axis] = self._outline.on.index
        return self._geometry.to_patient(moved)

    def _index(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._geometry.to_index(points)

    def _to_cursor(self) -> NDArray[np.float64]:
        """Return what leads from the last vertex to the cursor, (n, 3), mm; a wire follows it a moment later."""
        if self._cursor is None:
            return np.empty((0, 3))
        return self._on_slice(self._cursor)[None] if self._wire is None else self._geometry.to_patient(self._wire[1:])

    def _wire_to(self, place: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the wire from the last vertex to a voxel index, (n, 3), mm, without the vertex itself."""
        assert self._outline is not None
        if not len(self._outline.points):
            return self._on_slice(place)[None]
        wire = self._wire
        if wire is None or not np.array_equal(wire[-1], place):  # the mouse was faster than the search
            wire = self._search_to(place)()
        return self._geometry.to_patient(wire[1:])

    def _search_to(self, place: NDArray[np.float64]) -> Callable[[], NDArray[np.float64]]:
        """Return what searches, on any thread, the wire from the last vertex to a voxel index."""
        assert self._outline is not None
        voxels, start = self._case.volume.voxels, self._index(self._outline.points[-1])
        return partial(follow_edge, voxels, self._geometry, start, place, self._outline.on)

    def _take_wire(self, wire: NDArray[np.float64]) -> None:
        self._wire = wire
        self.changed.emit()

    def _forget_wire(self) -> None:
        self._wire_search.forget()
        self._cursor = self._wire = None

    def _hover_outline(self, place: NDArray[np.float64], axis: int) -> None:
        assert self._outline is not None
        on = self._outline.on
        if (axis, round(float(place[axis]))) != (on.axis, on.index):
            self._forget_wire()
        else:
            self._cursor = place
            if self._wired:
                self._wire_search.ask(self._search_to(place), self._take_wire)
        self.changed.emit()

    def _hover_level(self, place: NDArray[np.float64], axis: int) -> None:
        if not self._geometry.contains(place):
            self.leave()
            return
        z, y, x = (int(i) for i in np.round(place))
        if (z, y, x) == self._voxel:
            return
        self._voxel = (z, y, x)
        on = OnSlice(axis, self._voxel[axis])
        look = partial(level_outline, self._case, self._app.tools, self._voxel, axis)
        self._hover.ask(look, partial(self._show_level, on))

    def _show_level(self, on: OnSlice, lines: tuple[Line, ...]) -> None:
        self._level = Sketch(on, tuple(self._geometry.to_patient(line) for line in lines), closed=True)
        self.changed.emit()
