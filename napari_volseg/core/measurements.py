"""What was measured in an image: distances, angles and two diameters, in patient coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_volseg.core.prompts import Point


@dataclass(frozen=True, slots=True)
class Distance:
    """The distance between two points.

    Parameters
    ----------
    points
        Patient (x, y, z), mm, LPS.
    name
        What was measured, empty where that was not said.
    """

    points: tuple[Point, Point]
    name: str = ""

    @property
    def lines(self) -> tuple[tuple[Point, Point], ...]:
        """The lines that are drawn."""
        return (self.points,)

    @property
    def lengths(self) -> tuple[float, ...]:
        """The distance, mm."""
        return (math.dist(*self.points),)


@dataclass(frozen=True, slots=True)
class Angle:
    """The angle between two arms.

    Parameters
    ----------
    points
        The end of one arm, where they meet, and the end of the other; patient (x, y, z), mm, LPS.
    name
        What was measured, empty where that was not said.
    """

    points: tuple[Point, Point, Point]
    name: str = ""

    @property
    def lines(self) -> tuple[tuple[Point, Point], ...]:
        """The lines that are drawn."""
        first, middle, last = self.points
        return (first, middle), (middle, last)

    @property
    def lengths(self) -> tuple[float, ...]:
        """Nothing: the arms may be of any length."""
        return ()

    @property
    def degrees(self) -> float:
        """The angle, 0 to 180 degrees; 0 where an arm has no length."""
        first, middle, last = self.points
        a, b = _minus(first, middle), _minus(last, middle)
        across = math.hypot(
            a[1] * b[2] - a[2] * b[1],
            a[2] * b[0] - a[0] * b[2],
            a[0] * b[1] - a[1] * b[0],
        )
        return math.degrees(math.atan2(across, sum(i * j for i, j in zip(a, b, strict=True))))


@dataclass(frozen=True, slots=True)
class Diameters:
    """The longest diameter of something on a slice and the longest one at right angles to it.

    Source: Eisenhauer et al., Eur J Cancer 45, 2009 (RECIST 1.1): lesions are told by the longest diameter, lymph
    nodes by the short axis.

    Parameters
    ----------
    points
        Both ends of the long one, then both of the short one; patient (x, y, z), mm, LPS.
    name
        What was measured, empty where that was not said.
    """

    points: tuple[Point, Point, Point, Point]
    name: str = ""

    @property
    def lines(self) -> tuple[tuple[Point, Point], ...]:
        """The lines that are drawn, the long one first."""
        a, b, c, d = self.points
        return (a, b), (c, d)

    @property
    def lengths(self) -> tuple[float, ...]:
        """Long and short diameter, mm."""
        return tuple(math.dist(*line) for line in self.lines)


Measurement = Distance | Angle | Diameters


def _minus(a: Point, b: Point) -> Point:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]
