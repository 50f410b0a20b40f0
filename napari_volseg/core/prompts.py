"""What a user points at, in patient coordinates, so that it survives reorientation and a change of model."""

from __future__ import annotations

from dataclasses import dataclass, replace

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PointPrompt:
    """A click.

    Parameters
    ----------
    position
        Patient (x, y, z), mm, LPS.
    positive
        True for "this belongs to the segment", False for "this does not".
    """

    position: Point
    positive: bool = True


@dataclass(frozen=True, slots=True)
class ScribblePrompt:
    """A stroke of the brush as a prompt.

    Parameters
    ----------
    positions
        Patient (x, y, z) of the stroke's centre line, mm, LPS; neighbours at most half a radius apart.
    radius
        Radius of the stroke, mm.
    positive
        True for "this belongs to the segment", False for "this does not".
    """

    positions: tuple[Point, ...]
    radius: float
    positive: bool = True


@dataclass(frozen=True, slots=True)
class BoxPrompt:
    """A rectangle on one slice that holds the segment there, and its middle.

    Parameters
    ----------
    corners
        Patient (x, y, z) of the four outermost voxels, in turn, mm, LPS.
    positive
        Always true: a box says where the segment is.
    """

    corners: tuple[Point, Point, Point, Point]
    positive: bool = True


@dataclass(frozen=True, slots=True)
class LassoPrompt:
    """A closed line around something on one slice.

    Parameters
    ----------
    outline
        Patient (x, y, z) of the line's points in turn, mm, LPS; the last is joined to the first.
    positive
        True for "the segment lies within, and nowhere else on this slice near it", False for "nothing of what lies
        within belongs to it".
    """

    outline: tuple[Point, ...]
    positive: bool = True


Prompt = PointPrompt | ScribblePrompt | BoxPrompt | LassoPrompt


def moved_prompt(prompt: Prompt, by: Point) -> Prompt:
    """Return a prompt moved by patient (x, y, z), mm."""
    match prompt:
        case PointPrompt(position):
            return replace(prompt, position=_beyond(position, by))
        case ScribblePrompt(positions):
            return replace(prompt, positions=tuple(_beyond(p, by) for p in positions))
        case BoxPrompt((a, b, c, d)):
            return replace(prompt, corners=(_beyond(a, by), _beyond(b, by), _beyond(c, by), _beyond(d, by)))
        case LassoPrompt(outline):
            return replace(prompt, outline=tuple(_beyond(p, by) for p in outline))


def _beyond(point: Point, by: Point) -> Point:
    return point[0] + by[0], point[1] + by[1], point[2] + by[2]
