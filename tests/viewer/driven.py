"""A small chiral CT, and mouse events to drive a viewer model without Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.utils.interactions import (
    mouse_double_click_callbacks,
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
    mouse_wheel_callbacks,
)

from napari_volseg.core import Geometry, Volume

SHAPE = (12, 20, 30)
SPACING = (3.0, 1.5, 1.0)


@dataclass
class Event:
    """What napari tells of the mouse."""

    type: str
    position: Sequence[float] = (0.0, 0.0, 0.0)
    pos: Sequence[float] = (0.0, 0.0)
    button: int = 1
    modifiers: tuple[str, ...] = ()
    delta: tuple[float, float] = (0.0, 0.0)
    is_dragging: bool = False
    handled: bool = False


class LiveEvent:
    """An event that napari exchanges for the next one while a drag goes on."""

    def __init__(self, event: Event) -> None:
        object.__setattr__(self, "__wrapped__", event)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "__wrapped__"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "__wrapped__":
            object.__setattr__(self, name, value)
        else:
            setattr(object.__getattribute__(self, "__wrapped__"), name, value)


@dataclass
class Hand:
    """Moves a mouse over a viewer; positions are napari's (z, y, x), canvas positions (x, y)."""

    viewer: ViewerModel
    seen: list[bool] = field(default_factory=list)

    def press(self, position: Any, pos: Any = (0.0, 0.0), **fields: Any) -> None:
        mouse_press_callbacks(self.viewer, LiveEvent(Event("mouse_press", position, pos, **fields)))

    def move(self, position: Any, pos: Any = (0.0, 0.0), **fields: Any) -> None:
        mouse_move_callbacks(self.viewer, Event("mouse_move", position, pos, is_dragging=True, **fields))
        self.seen.append(self.viewer.scene.camera.mouse_pan)

    def drag(self, positions: Sequence[Any], pos: Sequence[Any] | None = None, **fields: Any) -> None:
        canvas = pos or [(0.0, 0.0)] * len(positions)
        self.press(positions[0], canvas[0], **fields)
        for position, place in zip(positions[1:], canvas[1:], strict=True):
            self.move(position, place, **fields)
        self.release(positions[-1], canvas[-1], **fields)

    def release(self, position: Any, pos: Any = (0.0, 0.0), **fields: Any) -> None:
        mouse_release_callbacks(self.viewer, Event("mouse_release", position, pos, **fields))

    def hover(self, position: Any, **fields: Any) -> None:
        mouse_move_callbacks(self.viewer, Event("mouse_move", position, **fields))

    def double_click(self, position: Any) -> None:
        mouse_double_click_callbacks(self.viewer, Event("mouse_double_click", position))

    def wheel(self, turn: float, position: Any = (0.0, 0.0, 0.0), *modifiers: str) -> None:
        event = Event("mouse_wheel", position, delta=(0.0, turn), modifiers=modifiers)
        mouse_wheel_callbacks(self.viewer, event)


def make_volume(geometry: Geometry | None = None) -> Volume:
    geometry = geometry or Geometry.from_spacing(SHAPE, SPACING, (-10.0, -20.0, 100.0))
    voxels = np.full(geometry.shape, -1000, np.int16)
    voxels[2:-2, 3:-3, 4:-4] = 40
    voxels[-4:, :5, :6] = 1200
    return Volume(voxels, geometry, "CT", "HU", "HU", "chiral")
