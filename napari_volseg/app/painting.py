"""Strokes of the tools in hand: from cursor positions in voxels to one undoable step."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_volseg.app.case import Case
from napari_volseg.app.using import HAND
from napari_volseg.app.wishes import ToolWishes
from napari_volseg.core import BoxMask, Point, ScribblePrompt
from napari_volseg.editing import Brush, OnSlice, Stroke, repeated, scope_box

#: Neighbouring positions of a scribble lie at most this share of its radius apart.
SCRIBBLE_STEP = 0.5


class Painter:
    """The brush, eraser and scribble of one case.

    Positions are voxel indices (z, y, x), fractional; ``axis`` is the index axis normal to the shown slice.
    """

    def __init__(self, case: Case, wishes: ToolWishes) -> None:
        self.case = case
        self._wishes = wishes
        self._stroke: Stroke | None = None
        self._path: list[NDArray[np.float64]] = []
        self._axis = 0
        self._brush: Brush | None = None

    @property
    def painting(self) -> bool:
        """Whether a stroke is being drawn."""
        return bool(self._path)

    @property
    def path(self) -> tuple[NDArray[np.float64], ...]:
        """Positions of the stroke that is being drawn, voxels (z, y, x)."""
        return tuple(self._path)

    def press(self, index: NDArray[np.float64], axis: int) -> None:
        """Begin a stroke of brush, eraser or scribble at a voxel position."""
        segment = self.case.ensure_active()
        self._axis, self._path = axis, []
        if self._wishes.tool != "scribble":
            erases = self._wishes.tool == "eraser"
            verb = "Erase" if erases else "Brush"
            under = self.case.label_at(index) if self._wishes.rule == "inside" else 0  # nothing else asks for it
            self._stroke = self.case.session.stroke(
                0 if erases else segment.value,
                name=f"{verb}: {segment.name}",
                author=HAND,
                rule=self.case.range_rule(self._wishes) if erases else self.case.rule(self._wishes, under),
                erase=segment.value if erases else None,
            )
        self.move(index)

    def move(self, index: NDArray[np.float64]) -> None:
        """Go on to a voxel position; what lies between is covered without gaps."""
        last = self._path[-1] if self._path else index
        self._path.append(np.asarray(index, float))
        if self._stroke is not None:
            self._stroke.add(self._dab(last, self._path[-1]))

    def release(self) -> None:
        """Finish the stroke as one step; nothing is recorded where it changed nothing."""
        stroke, self._stroke, self._path = self._stroke, None, []
        if stroke is not None:
            stroke.finish()

    def abort(self) -> None:
        """Take the stroke back as if it had not been begun."""
        stroke, self._stroke, self._path = self._stroke, None, []
        if stroke is not None:
            stroke.abort()

    def finish_scribble(self, positive: bool | None = None) -> ScribblePrompt | None:
        """Finish a scribble and return it as a prompt in patient mm; None where nothing was drawn.

        Its sign is the tool's where ``positive`` is not given.
        """
        path, self._path = self._path, []
        if not path:
            return None
        geometry = self.case.volume.geometry
        points = _densify(geometry.to_patient(np.asarray(path)), SCRIBBLE_STEP * self._wishes.radius_mm)
        positions: tuple[Point, ...] = tuple((float(x), float(y), float(z)) for x, y, z in points)
        sign = self._wishes.positive if positive is None else positive
        return ScribblePrompt(positions, self._wishes.radius_mm, sign)

    def _dab(self, start: NDArray[np.float64], stop: NDArray[np.float64]) -> BoxMask:
        dab = self._brush_in_hand().path(start, stop)
        if self._wishes.hand_reach != "slab" or not dab.mask.size:
            return dab
        scope = self.case.scope(self._wishes, OnSlice(self._axis, round(float(stop[self._axis]))))
        return repeated(dab, self._axis, scope_box(scope, self.case.volume.geometry.shape))

    def _brush_in_hand(self) -> Brush:
        """Return the brush as it is wished for now, even in the midst of a stroke; made anew where that changed."""
        radius, axis = self._wishes.radius_mm, None if self._wishes.hand_reach == "volume" else self._axis
        if self._brush is None or (self._brush.radius_mm, self._brush.axis) != (radius, axis):
            self._brush = Brush.of(self.case.volume.geometry, radius, axis)
        return self._brush


def _densify(points: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Return a polyline (n, 3) with points inserted so that neighbours lie at most ``step`` mm apart."""
    pieces = [points[:1]]
    for start, stop in pairwise(points):
        count = max(1, int(np.ceil(np.linalg.norm(stop - start) / step)))
        pieces.append(start + (stop - start) * np.linspace(0, 1, count + 1)[1:, None])
    return np.concatenate(pieces)
