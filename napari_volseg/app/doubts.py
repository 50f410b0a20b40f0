"""Where a tool that goes from slice to slice became unsure: marks that stay until somebody has looked there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, BoxMask
from napari_volseg.editing import Author, OnSlice, Step

if TYPE_CHECKING:
    from napari_volseg.app.application import Application
    from napari_volseg.app.case import Case

#: A mark is forgotten after so many steps.
MEMORY = 300
#: What a step is called that says that all marks were looked at.
CHECKED = "Unsure slices checked"


@dataclass(frozen=True, slots=True)
class Doubt:
    """A slice from which on a segment was not carried further.

    Parameters
    ----------
    value
        Label value of the segment.
    on
        The slice.
    box
        The segment on the last slice that has it (z, y, x).
    """

    value: int
    on: OnSlice
    box: Box

    @property
    def corners(self) -> NDArray[np.float64]:
        """Corners (4, 3) of the box on the slice, in turn, voxel indices (z, y, x), at the voxels' outer edges."""
        rows, columns = (axis for axis in range(3) if axis != self.on.axis)
        low, high = np.array(self.box.start) - 0.5, np.array(self.box.stop) - 0.5
        found = np.full((4, 3), float(self.on.index))
        found[:, rows] = [low[rows], low[rows], high[rows], high[rows]]
        found[:, columns] = [low[columns], high[columns], high[columns], low[columns]]
        return found


def unsure_facts(value: int, begun: OnSlice, mask: BoxMask, unsure: Sequence[int]) -> dict[str, Any]:
    """Return what a step keeps of the slices from which on a segment was not carried further; empty without any.

    Parameters
    ----------
    value
        Label value of the segment.
    begun
        The slice from which it was carried.
    mask
        How it was found.
    unsure
        The slices next to the last ones that have it.
    """
    frames = []
    for index in unsure:
        beside = index + (1 if index < begun.index else -1)
        place = [slice(None)] * 3
        place[begun.axis] = slice(beside - mask.box.start[begun.axis], beside - mask.box.start[begun.axis] + 1)
        outline = Box.of_mask(mask.mask[tuple(place)])
        assert outline is not None, "it was found beside the slice"
        shift = [beside if axis == begun.axis else mask.box.start[axis] for axis in range(3)]
        box = outline.shift(shift)
        frames.append({"slice": index, "start": list(box.start), "stop": list(box.stop)})
    return {"segment": value, "axis": begun.axis, "unsure": frames} if frames else {}


def doubts_of(case: Case | None) -> tuple[Doubt, ...]:
    """Return the doubts in effect: nobody has since changed their segment on the slice, or said that it is right."""
    if case is None:
        return ()
    history = case.session.history
    later: list[Step] = []
    found: dict[tuple[int, OnSlice], Doubt] = {}
    for step in islice(reversed(history.steps[: history.position]), MEMORY):
        if step.name == CHECKED:
            break
        for doubt in _raised(step):
            if doubt.value in case.table and not _met(doubt, later):
                found.setdefault((doubt.value, doubt.on), doubt)
        later.append(step)
    return tuple(sorted(found.values(), key=lambda doubt: (doubt.on.axis, doubt.on.index)))


def next_doubt(app: Application) -> None:
    """Show the next slice on which a tool was unsure, and its segment."""
    case, doubts = app.need_case(), doubts_of(app.case)
    here = app.view.index or tuple(n // 2 for n in case.volume.geometry.shape)
    following = next((d for d in doubts if here[d.on.axis] < d.on.index), doubts[0])
    index = [(a + b - 1) // 2 for a, b in zip(following.box.start, following.box.stop, strict=True)]
    index[following.on.axis] = following.on.index
    case.active = following.value
    app.view.index = (index[0], index[1], index[2])


def settle_doubts(app: Application) -> None:
    """Say that all unsure slices are right as they are, as a step."""
    app.need_case().session.note(name=CHECKED, author=Author("hand", "user"))


def why_no_doubt(app: Application) -> str | None:
    """Return why there is no unsure slice to go to; None where there is one."""
    return None if doubts_of(app.case) else "no tool was unsure of a slice"


def _raised(step: Step) -> list[Doubt]:
    """Return what a step was unsure of."""
    facts = step.parameters
    return [
        Doubt(facts["segment"], OnSlice(facts["axis"], frame["slice"]), Box.of(frame["start"], frame["stop"]))
        for frame in facts.get("unsure", ())
    ]


def _met(doubt: Doubt, later: list[Step]) -> bool:
    """Whether a later step changed the segment on the slice."""
    axis, index = doubt.on.axis, doubt.on.index
    return any(
        step.box.size and step.box.start[axis] <= index < step.box.stop[axis] and step.value in (doubt.value, None, 0)
        for step in later
    )
