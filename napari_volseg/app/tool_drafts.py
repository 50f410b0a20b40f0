"""What a segment tool would do, worked out on any thread: a draft first, then the step that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.app.tool_types import Redrawn, Request, Result, SegmentTool, Setting
from napari_volseg.core import Box, BoxMask, CancelToken, SegmentTable
from napari_volseg.editing import Author, Plan, Relabelled, reshaped, restrained, union_of

#: Slices that are judged before it is asked whether to go on.
_AT_ONCE = 16
_NOWHERE = Box((0, 0, 0), (0, 0, 0))


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """What a tool would do, as locks and rules allow.

    Parameters
    ----------
    tool
        Which.
    request
        On what.
    revision
        The session's revision when it began to look at the labels.
    new
        New labels of the tight box of what changes; None where nothing does or must.
    table
        The segments from then on.
    told
        Why nothing changes, or what the user should know of what does; else empty.
    facts
        What the step keeps besides the settings.
    """

    tool: SegmentTool
    request: Request
    revision: int
    new: Relabelled | None
    table: SegmentTable
    told: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the history calls the step."""
        return step_name(self.tool, self.request)

    def nothing(self, told: str) -> Draft:
        """Return the draft of no change, with the reason."""
        return Draft(self.tool, self.request, self.revision, None, self.table, told)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a tool came to.

    Parameters
    ----------
    revision
        The session's revision when it began to look at the labels.
    plan
        The step; None where it changes nothing or must not be made.
    told
        One sentence for the user.
    """

    revision: int
    plan: Plan | None
    told: str


def draft_tool(tool: SegmentTool, request: Request, cancel: CancelToken) -> Draft:
    """Work out, on any thread, what a tool would do.

    It is stale where the session's revision is no longer that of the draft, be it that labels changed while they
    were read.
    """
    draft = Draft(tool, request, request.case.session.revision, None, request.table)
    if tool.acts_on(request.settings) == "shape" and not request.shape().mask.any():
        where = "yet" if request.reach == "volume" else f"within this {request.reach}"
        return draft.nothing(f"{draft.name} has nothing to act on: the segment has no voxels {where}")
    asked, kept = _asked(tool, request, cancel)
    labels, new = request.case.segmentation.labels, asked.new
    if not new.labels.size:
        return draft.nothing(_nothing(draft.name, kept=kept))
    table = _settled(labels, new, draft.table, asked.table)
    if emptied := _emptied(request, new, table):
        return draft.nothing(f'{draft.name} would leave nothing of "{emptied}": choose other settings or lock it')
    return Draft(tool, request, draft.revision, new, table, asked.remark, asked.facts)


def plan_draft(draft: Draft) -> Outcome:
    """Work out, on any thread, the step that a draft becomes."""
    request, session = draft.request, draft.request.case.session
    if draft.new is None:
        return Outcome(draft.revision, None, draft.told)
    table = None if draft.table == request.table else draft.table
    author, parameters = Author("tool", draft.tool.id), {**_parameters(draft.tool, request), **draft.facts}
    plan = session.plan_replace(*draft.new, table=table, name=draft.name, author=author, parameters=parameters)
    if plan is None:
        return Outcome(draft.revision, None, _nothing(draft.name, kept=True))
    changed = np.count_nonzero(plan.after != request.case.segmentation.labels[plan.delta.box.slices])
    told = f"{draft.name}: {changed} voxel{'' if changed == 1 else 's'} changed"
    return Outcome(draft.revision, plan, f"{told}, {draft.told}" if draft.told else told)


def step_name(tool: SegmentTool, request: Request) -> str:
    """Return what the history calls the step of a tool."""
    values = [request.value] if request.value else []
    if tool.needs_other:
        values.append(request.other)
    names = [request.table[value].name for value in values if value in request.table]
    return f"{tool.title}: {', '.join(names)}" if names else tool.title


def _asked(tool: SegmentTool, request: Request, cancel: CancelToken) -> tuple[Redrawn, bool]:
    """Return what locks and rules leave of a tool's result, and whether they kept anything where that is nothing."""
    labels, locked = request.case.segmentation.labels, request.table.locked_values
    parts, kept = [], False
    last = Redrawn(Relabelled(_NOWHERE, labels[_NOWHERE.slices]), request.table)
    for piece in _pieces(tool, request):
        asked = _in_volume(piece, tool.work(piece, cancel))
        cancel.check()
        allowed = restrained(labels, asked.new, gain=request.rule, lose=request.release, locked=locked, cancel=cancel)
        last = asked
        if allowed.labels.size:
            parts.append(allowed)
        else:
            kept = kept or not np.array_equal(asked.new.labels, labels[asked.new.box.slices])
    return replace(last, new=_joined(labels, parts)), kept


def _pieces(tool: SegmentTool, request: Request) -> list[Request]:
    """Return the request a few slices at a time where the tool judges each voxel for itself."""
    area = request.area
    if not tool.by_voxel:
        return [request]
    starts = range(area.start[0], area.stop[0], _AT_ONCE)
    boxes = (Box((k, *area.start[1:]), (min(k + _AT_ONCE, area.stop[0]), *area.stop[1:])) for k in starts)
    return [replace(request, within=box) for box in boxes]


def _joined(labels: NDArray[Any], parts: list[Relabelled]) -> Relabelled:
    """Return the new labels of several boxes as those of one, of size 0 where there are none."""
    if len(parts) == 1:
        return parts[0]
    whole = union_of(part.box for part in parts)
    new = labels[whole.slices].copy()
    for part in parts:
        new[part.box.relative_to(whole).slices] = part.labels
    return Relabelled(whole, new)


def _in_volume(request: Request, result: Result) -> Redrawn:
    """Return a result as labels of the whole volume's indices, cut to the voxels that may change."""
    match result:
        case BoxMask():
            found = Redrawn(reshaped(request.labels, request.value, result), request.table)
        case Redrawn():
            found = result
        case _:
            found = Redrawn(result, request.table)
    new = found.new
    whole = new.box.shift(request.seen.start)
    common = whole.intersect(request.area)
    if not common.size:
        return replace(found, new=Relabelled(_NOWHERE, new.labels[:0, :0, :0]))
    return replace(found, new=Relabelled(common, new.labels[common.relative_to(whole).slices]))


def _settled(labels: NDArray[Any], new: Relabelled, before: SegmentTable, wished: SegmentTable) -> SegmentTable:
    """Return a wished table in which removed segments stay that keep voxels, and new ones are left out without."""
    for segment in before:
        if segment.value not in wished and _left(labels, new, segment.value):
            wished = wished.with_segment(segment)
    for segment in wished:
        if segment.value not in before and not (new.labels == segment.value).any():
            wished = wished.without(segment.value)
    return wished


def _left(labels: NDArray[Any], new: Relabelled, value: int) -> bool:
    """Whether any voxel carries a label value once a box has its new labels."""
    if (new.labels == value).any():
        return True
    here = np.count_nonzero(labels[new.box.slices] == value)
    return bool(np.count_nonzero(labels == value) > here)


def _emptied(request: Request, new: Relabelled, table: SegmentTable) -> str:
    """Return the name of a segment that was acted on and would lose its last voxel, empty where there is none."""
    labels = request.case.segmentation.labels
    old = labels[new.box.slices]
    watched = (request.value,) if request.value else table.values
    for value in watched:
        if value in table and (old == value).any() and not _left(labels, new, value):
            return table[value].name
    return ""


def _nothing(name: str, *, kept: bool) -> str:
    if kept:
        return f"{name} changes nothing: locked segments, or what may be overwritten, stand in its way"
    return f"{name} changes nothing with these settings"


def _parameters(tool: SegmentTool, request: Request) -> dict[str, Setting]:
    parameters: dict[str, Setting] = {**request.settings, "reach": request.reach}
    if request.reach == "slab":
        parameters["slab_mm"] = request.slab_mm
    if tool.needs_slice(request.reach, request.settings):
        parameters |= {"axis": request.plane.axis, "index": request.plane.index}
    return parameters
