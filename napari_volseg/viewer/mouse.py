"""The mouse on the canvas: tools with the left button, window and level with the right, the wheel for slices.

While connected, these take the place of napari's own mouse functions of the viewer, which would zoom where a
radiologist expects to scroll.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from napari.components import ViewerModel
from napari.components.overlays import BrushCircleOverlay
from numpy.typing import NDArray

from napari_volseg.app import Application
from napari_volseg.app.drawing import VERTEX_TOOLS
from napari_volseg.app.layouts import maximize, take_in_hand
from napari_volseg.app.measuring import MEASURING_TOOLS
from napari_volseg.app.outlines import Ray
from napari_volseg.app.picking import click_along
from napari_volseg.app.wishes import Plane, ViewName
from napari_volseg.core import PointPrompt, Prompt, Window, moved_prompt
from napari_volseg.viewer.markers import marks_of
from napari_volseg.viewer.planes import LAYOUTS

LEFT, RIGHT, MIDDLE = 1, 2, 3

#: Pixels to drag for a change as large as the window's width.
WINDOW_DRAG_PIXELS = 250
#: Factor of one notch of the wheel when it zooms.
ZOOM_STEP = 1.2
#: A mark is taken hold of within this many pixels.
GRIP_PIXELS = 9
#: A window is never dragged narrower than this share of what it was.
NARROWEST = 0.01

#: Cursor of each tool; the circle has the brush's size in mm.
CURSORS = {
    "navigate": "standard",
    "brush": "circle",
    "eraser": "circle",
    "scribble": "circle",
    "fill": "pointing",
    "click": "crosshair",
    "box": "crosshair",
    "lasso-prompt": "crosshair",
    "polygon": "crosshair",
    "lasso": "crosshair",
    "livewire": "crosshair",
    "scissors": "crosshair",
    "level": "crosshair",
    "grow": "crosshair",
    "keep-island": "pointing",
    "remove-island": "pointing",
    "distance": "crosshair",
    "angle": "crosshair",
    "diameters": "crosshair",
}

#: Tools that show something under the cursor before the button is pressed.
HOVERING = (*VERTEX_TOOLS, "level")


class Ground(Protocol):
    """The view over which a mouse is moved."""

    viewer: ViewerModel
    name: ViewName

    @property
    def three_d(self) -> bool:
        """Whether it shows the volume instead of slices."""

    @property
    def plane(self) -> Plane:
        """The plane of its slices."""

    @property
    def axis(self) -> int:
        """Index axis normal to its plane."""

    def to_index(self, position: Any) -> NDArray[np.float64]:
        """Return the fractional voxel index of a napari position (z, y, x)."""

    def to_ray(self, event: Any) -> Ray:
        """Return the line of sight of an event over the 3D view."""

    def is_over_image(self, position: Any) -> bool:
        """Whether there is a voxel at a napari position (z, y, x)."""

    def point_at(self, position: Any) -> None:
        """Let the slices of all planes meet at a napari position (z, y, x)."""

    def read_cursor(self) -> None:
        """Tell what is under the cursor."""


class Mouse:
    """What mouse events on a canvas do.

    Parameters
    ----------
    app
        What is asked.
    ground
        Where events come from.
    scribbled
        Called when the scribble in hand grew.
    """

    def __init__(self, app: Application, ground: Ground, scribbled: Callable[[], None]) -> None:
        self._app = app
        self._ground = ground
        self._viewer = viewer = ground.viewer
        self._scribbled = scribbled
        self._paused = False
        self._wheel = 0.0
        self._unfinished: Callable[[], object] | None = None
        taken = (
            (viewer.mouse_drag_callbacks, self.drag),
            (viewer.mouse_wheel_callbacks, self.wheel),
            (viewer.mouse_double_click_callbacks, self.double_click),
            (viewer.mouse_move_callbacks, self.hover),
        )
        self._before = [(callbacks, list(callbacks)) for callbacks, _ in taken]
        for callbacks, own in taken:
            callbacks[:] = [own]
        _bare_brush(viewer)

    def close(self) -> None:
        """Give the mouse back to napari."""
        for callbacks, before in self._before:
            callbacks[:] = before

    @property
    def tool_in_hand(self) -> bool:
        """Whether the left button works on the case instead of moving the view."""
        app = self._app
        works = self._is_open and not self._paused
        return works and (app.tools.tool == "scissors" if self._ground.three_d else app.tools.tool != "navigate")

    @property
    def double_click_means_more(self) -> bool:
        """Whether a double click is more than two clicks: it closes an outline, or maximizes the view."""
        return not self.tool_in_hand or self._app.tools.tool in VERTEX_TOOLS

    def pause(self, paused: bool) -> None:
        """Put the tool aside, so that the left button moves the view, or take it up again."""
        self._paused = paused
        self.follow_tool()

    def follow_tool(self) -> None:
        """Set napari's mouse and cursor to what is in hand."""
        flat = self._app.shown_volume is not None and not self._ground.three_d
        self._set_camera(pan=not self.tool_in_hand, zoom=not flat)
        cursor = self._viewer.cursor
        cursor.scaled = True
        cursor.size = 2 * self._app.tools.radius_mm
        cursor.style = CURSORS[self._app.tools.tool] if self.tool_in_hand else "standard"

    def drag(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        """Follow a press of any button to its release."""
        self.finish()
        if self._app.shown_volume is None:
            return
        take_in_hand(self._app.view, self._ground.name)
        if self._ground.three_d:
            if event.button == LEFT and self.tool_in_hand:
                yield from self._cut_in_3d(event)
            elif event.button == LEFT and self._clicks_in_3d:
                yield from self._click_in_3d(event)
        elif event.button == RIGHT:
            yield from self._drag_window(event)
        elif event.button == MIDDLE:
            yield from self._drag_view(event)
        elif event.button == LEFT:
            if self._ground.is_over_image(event.position):
                self._ground.point_at(event.position)
            if self.tool_in_hand:
                yield from self._use_tool(event)

    def wheel(self, viewer: ViewerModel, event: Any) -> None:
        """Scroll through slices; zoom about the cursor with Control. In 3D napari's camera zooms."""
        if self._app.shown_volume is None or self._ground.three_d:
            return
        turn = float(event.delta[1])
        if "Control" in event.modifiers:
            self._zoom(ZOOM_STEP ** float(np.clip(turn, -1, 1)), event.position)
            return
        self._wheel += float(np.clip(turn, -1, 1))
        notches = int(self._wheel)
        self._wheel -= notches
        if notches:
            layout = LAYOUTS[self._ground.plane]
            step = viewer.dims.current_step[layout.normal] - notches * layout.wheel_down
            viewer.dims.set_current_step(layout.normal, step)

    def double_click(self, viewer: ViewerModel, event: Any) -> None:
        """Close the outline in hand; where no tool is, show this view alone, or all of them again."""
        if self._clicks_in_3d:
            return  # its two presses were clicks
        if not self.tool_in_hand:
            maximize(self._app.view)
        elif self._app.drawing.outline is not None:
            self._app.attempt(self._app.drawing.close)

    def hover(self, _: ViewerModel, event: Any) -> None:
        """Show where the outline would go on, or what a click would take; with Shift, go there in all planes."""
        drawing, view = self._app.drawing, self._app.view
        if view.pointed != self._ground.name:
            view.pointed = self._ground.name
            self._ground.read_cursor()
        if "Shift" in event.modifiers and not event.is_dragging and not self._ground.three_d and self._is_open:
            self._ground.point_at(event.position)
        if not self.tool_in_hand or self._ground.three_d:
            if drawing.sketch is not None:
                drawing.leave()
        elif self._app.tools.tool in MEASURING_TOOLS and not event.is_dragging:
            self._stretch(event)
        elif self._app.tools.tool in HOVERING and not event.is_dragging:
            drawing.hover(self._ground.to_index(event.position), self._ground.axis)

    @property
    def _is_open(self) -> bool:
        return self._app.case is not None and self._app.preview.arriving is None

    def _use_tool(self, event: Any) -> Iterator[None]:
        app, index = self._app, self._ground.to_index(event.position)
        painter, drawing = app.painter, app.drawing
        assert painter is not None
        minus = "Shift" in event.modifiers or "Alt" in event.modifiers
        sign = False if minus else None
        event.handled = True
        match app.tools.tool:
            case "click":
                held = self._prompt_at(event.position)
                if held is None:
                    self._click(index, sign)
                else:
                    yield from self._follow(event, lambda _: None, lambda: self._put_down(held, index, sign, event))
            case "polygon" | "livewire":
                app.attempt(drawing.press, index, self._ground.axis, minus)
            case "lasso" | "scissors" | "box" | "lasso-prompt":
                app.attempt(drawing.press, index, self._ground.axis, minus)
                yield from self._follow(event, self._draw, drawing.close)
            case "scribble":
                app.attempt(painter.press, index, self._ground.axis)
                yield from self._follow(event, self._paint, lambda: app.finish_scribble(sign))
            case "distance" | "angle" | "diameters":
                app.attempt(app.measuring.press, index, self._ground.axis)
                yield from self._follow(event, self._stretch, app.measuring.release)
            case "brush" | "eraser":
                app.attempt(painter.press, index, self._ground.axis)
                yield from self._follow(event, self._paint, painter.release)
            case _:
                app.attempt(drawing.click, index, self._ground.axis, minus)

    @property
    def _clicks_in_3d(self) -> bool:
        """Whether a press over the 3D view that is not a drag, which turns it, is a click into the case."""
        ready = self._is_open and not self._paused and self._ground.three_d
        return ready and self._app.tools.tool == "click"

    def _click_in_3d(self, event: Any) -> Iterator[None]:
        pressed, minus = np.array(event.pos, float), "Shift" in event.modifiers or "Alt" in event.modifiers
        ray = self._ground.to_ray(event)
        yield
        while event.type == "mouse_move":
            yield
        if np.linalg.norm(np.array(event.pos, float) - pressed) < GRIP_PIXELS:
            self._app.attempt(click_along, self._app, ray, False if minus else None)

    def _cut_in_3d(self, event: Any) -> Iterator[None]:
        event.handled = True
        drawing = self._app.drawing
        self._app.attempt(drawing.look, self._ground.to_ray(event))
        if drawing.cutting:  # else it was refused, once and for all of the drag
            yield from self._follow(event, self._look, drawing.cut)

    def _follow(self, event: Any, move: Callable[[Any], object], finish: Callable[[], object]) -> Iterator[None]:
        """Go on with a drag from its press to its release, or until another button is pressed."""
        self._unfinished, last = finish, tuple(event.pos)
        yield
        while event.type == "mouse_move":
            move(event)
            last = tuple(event.pos)
            yield
        if tuple(event.pos) != last:  # moves in quick succession don't all arrive, the last one perhaps included
            move(event)
        self.finish()

    def _paint(self, event: Any) -> None:
        painter = self._app.painter
        if painter is not None and painter.painting:
            self._app.attempt(painter.move, self._ground.to_index(event.position))
            self._scribbled()

    def _draw(self, event: Any) -> None:
        self._app.drawing.move(self._ground.to_index(event.position))

    def _stretch(self, event: Any) -> None:
        self._app.measuring.move(self._ground.to_index(event.position))

    def _look(self, event: Any) -> None:
        if self._app.drawing.cutting:  # it may have been abandoned
            self._app.drawing.look(self._ground.to_ray(event))

    def finish(self) -> None:
        """End the drag in hand, as where another view is shown.

        napari forgets it where another button is pressed before the first is released.
        """
        finish, self._unfinished = self._unfinished, None
        if finish is not None:
            self._app.attempt(finish)
            self._scribbled()
        self.follow_tool()

    def _click(self, index: NDArray[np.float64], sign: bool | None) -> None:
        app = self._app
        geometry = app.need_case().volume.geometry
        if geometry.contains(index):
            x, y, z = (float(c) for c in geometry.to_patient(index))
            app.attempt(app.click, (x, y, z), sign)

    def _prompt_at(self, position: Any) -> Prompt | None:
        """Return the prompt whose mark is under the cursor, clicks before lines."""
        app, geometry = self._app, self._app.need_case().volume.geometry
        here, axis = self._ground.to_index(position), self._ground.axis
        prompts = app.clicks.prompts[::-1] if app.clicks is not None else ()
        for prompt in sorted(prompts, key=lambda prompt: not isinstance(prompt, PointPrompt)):
            marks = marks_of(prompt, geometry)
            away = np.linalg.norm((marks - here) * geometry.spacing, axis=1)
            seen = np.round(marks[:, axis]) == np.round(here[axis])  # those of other slices are not under the cursor
            if (seen & (away * self._viewer.scene.camera.zoom < GRIP_PIXELS)).any():
                return prompt
        return None

    def _put_down(self, held: Prompt, start: NDArray[np.float64], sign: bool | None, event: Any) -> None:
        """Move a prompt by as much as its mark was dragged; a mere press onto a line is a click like any other."""
        app, index = self._app, self._ground.to_index(event.position)
        geometry = app.need_case().volume.geometry
        click = isinstance(held, PointPrompt)
        # Clicks go to where they are put down; what lies on a slice moves by whole voxels, so that it stays on one.
        by = index - geometry.to_index(held.position) if isinstance(held, PointPrompt) else np.round(index - start)
        if app.clicks is None or np.linalg.norm(by * geometry.spacing) * self._viewer.scene.camera.zoom < GRIP_PIXELS:
            if not click:
                self._click(start, sign)
            return
        if not geometry.contains(index):
            what = "click" if click else "prompt"
            app.notice(f"the {what} was not moved: it would lie outside the image", "warning")
            return
        x, y, z = (float(c) for c in geometry.matrix[:3, :3] @ by)
        app.attempt(app.clicks.replace, held, moved_prompt(held, (x, y, z)))

    def _drag_window(self, event: Any) -> Iterator[None]:
        wishes = self._app.fusion.wishes if self._ground.name == "second" else self._app.view
        start, origin = wishes.window, np.array(event.pos, float)
        event.handled = True
        self._set_camera(pan=False, zoom=False)
        yield
        while event.type == "mouse_move":
            dx, dy = np.array(event.pos, float) - origin
            wishes.window = dragged_window(start, float(dx), float(dy))
            event.handled = True
            yield
        self.finish()

    def _drag_view(self, event: Any) -> Iterator[None]:
        last = np.array(event.pos, float)
        yield
        while event.type == "mouse_move":
            here = np.array(event.pos, float)
            self._pan(*(here - last))
            last = here
            yield

    def _pan(self, dx: float, dy: float) -> None:
        camera = self._viewer.scene.camera
        vertical, horizontal = camera.orientation2d
        down = 1 if str(vertical) == "down" else -1
        right = 1 if str(horizontal) == "right" else -1
        depth, row, column = camera.center
        camera.center = (depth, row - down * dy / camera.zoom, column - right * dx / camera.zoom)

    def _zoom(self, factor: float, position: Any) -> None:
        camera, dims = self._viewer.scene.camera, self._viewer.dims
        cursor = np.array([position[axis] for axis in dims.displayed])
        center = cursor + (np.array(camera.center[-2:]) - cursor) / factor
        camera.zoom *= factor
        camera.center = (camera.center[0], float(center[0]), float(center[1]))

    def _set_camera(self, *, pan: bool, zoom: bool) -> None:
        self._viewer.scene.camera.mouse_pan = pan
        self._viewer.scene.camera.mouse_zoom = zoom


def _bare_brush(viewer: ViewerModel) -> None:
    """Take the ground off the circle of the brush: a square in its middle, which stays behind with other tools."""
    for overlay in viewer.canvas.overlays.values():
        if isinstance(overlay, BrushCircleOverlay):
            overlay.box = False


def dragged_window(start: Window, dx: float, dy: float) -> Window:
    """Return a window after a drag by ``dx`` pixels to the right (wider) and ``dy`` down (higher centre)."""
    width = max(start.width * (1 + dx / WINDOW_DRAG_PIXELS), start.width * NARROWEST)
    return Window(start.center + dy * start.width / WINDOW_DRAG_PIXELS, width)
