"""The outline in hand: what is drawn in the view and not yet part of a segment."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_volseg.app.case import Case
from napari_volseg.app.clicked import CLICKED_TOOLS, click_use
from napari_volseg.app.hovering import LevelHover
from napari_volseg.app.jobs import Job
from napari_volseg.app.latest import Latest
from napari_volseg.app.outlines import (
    Outline,
    Ray,
    Sketch,
    box_prompt,
    lasso_prompt,
    outline_use,
    rectangle,
    scissors_use,
)
from napari_volseg.app.using import target, use_tool
from napari_volseg.core import Geometry, UsageError
from napari_volseg.editing import OnSlice, follow_edge

if TYPE_CHECKING:
    from napari_volseg.app.application import Application

DrawnTool = Literal["polygon", "livewire", "lasso", "scissors", "box", "lasso-prompt"]
DRAWN_TOOLS: tuple[DrawnTool, ...] = get_args(DrawnTool)
#: Tools that set one vertex with every press, until they are closed.
VERTEX_TOOLS = ("polygon", "livewire")
#: Fewer points enclose nothing.
FEWEST_POINTS = 3


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
        self._level = LevelHover(app.jobs.inbox, app.tools, self.changed.emit)
        self._wire_search = Latest(app.jobs.inbox)
        self._outline: Outline | None = None
        self._rays: list[Ray] = []
        self._cursor: NDArray[np.float64] | None = None
        self._wire: NDArray[np.float64] | None = None
        app.tools.events.tool.connect(self.abandon)
        app.tools.events.level_side.connect(self._level.leave)
        app.case_changed.connect(self.abandon)
        app.view.events.plane.connect(self._leave_view)
        app.view.events.three_d.connect(self._leave_view)

    @property
    def outline(self) -> Outline | None:
        """The outline that was begun and not closed."""
        return self._outline

    @property
    def cutting(self) -> bool:
        """Whether a line is being drawn over the 3D view."""
        return bool(self._rays)

    @property
    def sketch(self) -> Sketch | None:
        """What is to be seen of the outline in hand, or of what a click would take; None where nothing is."""
        if self._rays:
            return Sketch(None, (np.array([ray.screen for ray in self._rays]),), closed=True)
        if self._outline is None:
            return self._level.sketch
        outline = self._outline
        if outline.tool == "box":
            return Sketch(outline.on, (rectangle(self._geometry, outline),), closed=True)
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
        flat = self._flat(place)
        self._outline.add(self._wire_to(flat) if self._wired else self._geometry.to_patient(flat)[None])
        self._forget_wire()
        self.changed.emit()

    def move(self, index: ArrayLike) -> None:
        """Go on with a line that is drawn free hand."""
        outline = self._outline
        if outline is None:
            return
        if outline.tool == "box" and len(outline.points) > 1:
            outline.drop()
        outline.add(self._geometry.to_patient(self._flat(np.asarray(index, float)))[None])
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
        """Close the outline and give what it encloses to the active segment, take it away, or ask a model about it.

        Raises
        ------
        UsageError
            Where an outline of vertices has fewer than three, which it keeps; free hand, that was a mere click.
        """
        outline, case = self._outline, self._app.case
        if outline is None or case is None:
            return None
        if outline.tool == "box":
            self.abandon()
            return self._app.prompt(box_prompt(case.volume.geometry, outline))
        if len(outline.points) < FEWEST_POINTS:
            self._refuse_few(outline)
            return None
        if self._wired:
            outline.add(self._wire_to(self._index(outline.points[:1])[0])[:-1], vertex=False)
        self.abandon()
        if outline.tool == "lasso-prompt":
            return self._app.prompt(lasso_prompt(case.volume.geometry, outline))
        make = scissors_use if outline.tool == "scissors" else outline_use
        return use_tool(self._app, make(case, self._app.tools, outline))

    def abandon(self) -> None:
        """Forget the outline in hand and what was shown."""
        self._outline = None
        self._rays = []
        self._forget_wire()
        self._level.leave()
        self.changed.emit()
        self.begun.emit()

    # -- lines of sight in the 3D view ----------------------------------------------------------------------------

    def look(self, ray: Ray) -> None:
        """Go on with a line that is drawn over the 3D view."""
        if not self._rays:
            self._need_target(takes_away=True)
        self._rays.append(ray)
        self.changed.emit()

    def cut(self) -> Job | None:
        """Cut along the lines of sight that were drawn."""
        rays, case = tuple(self._rays), self._app.case
        self.abandon()
        if len(rays) < FEWEST_POINTS or case is None:
            return None
        return use_tool(self._app, scissors_use(case, self._app.tools, rays))

    # -- the cursor -----------------------------------------------------------------------------------------------

    def hover(self, index: ArrayLike, axis: int) -> None:
        """Show where the outline would go on, or what a click would take."""
        place, tool = np.asarray(index, float), self._app.tools.tool
        if self._outline is not None and tool in VERTEX_TOOLS:
            self._hover_outline(place, axis)
        elif tool == "level":
            self._level.follow(self._case, place, axis)

    def leave(self) -> None:
        """Show nothing of what a click would take."""
        self._level.leave()

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
        self._level.close()
        self._wire_search.close()

    # -- within ---------------------------------------------------------------------------------------------------

    def _leave_view(self) -> None:
        """Forget a line that is being drawn free hand: it can't go on in another view."""
        outline = self._outline
        if self._rays or (outline is not None and outline.tool not in VERTEX_TOOLS):
            self.abandon()

    @property
    def _wired(self) -> bool:
        return self._outline is not None and self._outline.tool == "livewire"

    @property
    def _case(self) -> Case:
        return self._app.need_case()

    @property
    def _geometry(self) -> Geometry:
        """The grid of the case that is drawn on: it is open beneath an image that is being read."""
        case = self._app.case
        return case.volume.geometry if case is not None else self._case.volume.geometry

    def _refuse_few(self, outline: Outline) -> None:
        if outline.tool not in VERTEX_TOOLS:
            self.abandon()
            return
        had = "one point encloses" if len(outline.points) == 1 else "two points enclose"
        raise UsageError(f"{had} nothing: set at least three before you close the outline")

    def _begin(self, on: OnSlice, takes_away: bool) -> None:
        self._need_target(takes_away)
        self.leave()
        tools = self._app.tools
        self._outline = Outline(tools.tool, on, takes_away or (tools.tool == "lasso-prompt" and not tools.positive))
        self.begun.emit()

    def _need_target(self, takes_away: bool) -> None:
        """Refuse at the first point, not at the last, where the segment is locked; a new one is made at the last."""
        tools = self._app.tools
        scissors = tools.tool == "scissors"
        if scissors and tools.cut_all:
            return
        if self._case.active or takes_away or scissors:
            target(self._case, takes_away=takes_away or scissors)

    def _flat(self, place: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a voxel index moved to the middle of the outline's slice."""
        assert self._outline is not None
        moved = place.copy()
        moved[self._outline.on.axis] = self._outline.on.index
        return moved

    def _index(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._geometry.to_index(points)

    def _to_cursor(self) -> NDArray[np.float64]:
        """Return what leads from the last vertex to the cursor, (n, 3), mm; a wire follows it a moment later."""
        if self._cursor is None:
            return np.empty((0, 3))
        return self._geometry.to_patient(self._cursor[None] if self._wire is None else self._wire[1:])

    def _wire_to(self, place: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the wire from the last vertex to a voxel index, (n, 3), mm, without the vertex itself."""
        assert self._outline is not None
        if not len(self._outline.points):
            return self._geometry.to_patient(place)[None]
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
            self._cursor = self._flat(place)
            if self._wired:
                self._wire_search.ask(self._search_to(self._cursor), self._take_wire)
        self.changed.emit()
