"""Segment tools at work: settings, whether a tool can be used, and its result as one step of the history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.app.application import Application
from napari_volseg.app.case import Case
from napari_volseg.app.jobs import Job
from napari_volseg.app.preview import READING
from napari_volseg.app.tool_table import SEGMENT_TOOLS
from napari_volseg.app.tool_types import OtherSegment, Request, SegmentTool, Setting
from napari_volseg.core import BoxMask, CancelToken, ProgressCallback, UsageError
from napari_volseg.editing import Author, OnSlice, Plan, Relabelled, reshaped, restrained

#: Index axis that counts the slices of each plane.
AXES = {"axial": 0, "coronal": 1, "sagittal": 2}


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


# -- settings -------------------------------------------------------------------------------------------------


def settings_of(app: Application, tool: SegmentTool) -> dict[str, Setting]:
    """Return what each parameter of a tool is set to; of segments, one that exists."""
    kept = app.tools.settings
    values = {p.name: kept.get(f"{tool.id}.{p.name}", p.default) for p in tool.parameters}
    for parameter in tool.parameters:
        if isinstance(parameter, OtherSegment):
            others = other_segments(app)
            if values[parameter.name] not in others:
                values[parameter.name] = next(iter(others), 0)
    return values


def set_settings(app: Application, tool: SegmentTool, values: Mapping[str, Setting]) -> None:
    """Keep what parameters of a tool are to be set to."""
    app.tools.settings = {**app.tools.settings, **{f"{tool.id}.{name}": value for name, value in values.items()}}


def other_segments(app: Application) -> dict[int, str]:
    """Return names of the segments besides the active one, by label value."""
    case = app.case
    return {s.value: s.name for s in case.table if s.value != case.active} if case is not None else {}


def why_not(app: Application, tool_id: str) -> str | None:
    """Return why a tool can't be used now, None where it can."""
    tool, case = SEGMENT_TOOLS[tool_id], app.case
    settings = settings_of(app, tool)
    if app.preview.arriving is not None:
        return READING
    if case is None:
        return "open an image first"
    if tool.target != "segment" and not len(case.table):
        return "segment something first"
    if app.view.three_d and tool.needs_slice(settings):
        return "no slice is shown in 3D: go to one with A, C or S"
    return None if tool.acts_on(settings) == "all" else _why_not_on_segment(app, tool, case)


def _why_not_on_segment(app: Application, tool: SegmentTool, case: Case) -> str | None:
    if not case.active:
        return None if tool.target == "segment" else "choose a segment in the table first"
    segment = case.table[case.active]
    if segment.locked:
        return f'segment "{segment.name}" is locked: unlock it or choose another one'
    if tool.needs_other and not other_segments(app):
        return "it takes a second segment: add one first"
    return None


# -- running --------------------------------------------------------------------------------------------------


def apply_tool(app: Application, tool_id: str) -> Job:
    """Run a tool in the background with the settings that the panel shows; its result arrives as one step.

    Raises
    ------
    UsageError
        Where no image is open, the segment is locked, or there is none to act on.
    """
    tool = SEGMENT_TOOLS[tool_id]
    value = 0 if tool.acts_on(settings_of(app, tool)) == "all" else app.need_case().ensure_active().value
    return _submit(app, tool, _request(app, tool, value))


def suggest_settings(app: Application, tool_id: str) -> Job:
    """Set parameters of a tool, in the background, to what suits the image."""
    tool = SEGMENT_TOOLS[tool_id]
    suggest, request = tool.suggest, _request(app, tool, app.need_case().active)
    if suggest is None:
        raise UsageError(f"{tool.title} suggests no settings: set them by hand")

    def work(progress: ProgressCallback, cancel: CancelToken) -> dict[str, Setting]:
        return suggest(request)

    return app.jobs.submit(f"{tool.title}: suggestion", work, lambda found: set_settings(app, tool, found))


def _request(app: Application, tool: SegmentTool, value: int) -> Request:
    case = app.need_case()
    axis = AXES[app.view.plane]
    shown = app.view.index or [n // 2 for n in case.volume.geometry.shape]
    return Request(
        case,
        value,
        settings_of(app, tool),
        OnSlice(axis, shown[axis]),
        case.rule(app.tools),
        case.range_rule(app.tools),
    )


def _submit(app: Application, tool: SegmentTool, request: Request) -> Job:
    def work(progress: ProgressCallback, cancel: CancelToken) -> Outcome:
        return plan_tool(tool, request, cancel)

    return app.jobs.submit(_name(tool, request), work, lambda outcome: _take(app, tool, request, outcome))


def _take(app: Application, tool: SegmentTool, request: Request, outcome: Outcome) -> None:
    """Make a tool's step; where the labels changed meanwhile, have it worked out anew."""
    case = request.case
    if case is not app.case:
        return
    if request.value and request.value not in case.table:
        app.notice(f"{tool.title} changed nothing: its segment was removed meanwhile", "warning")
    elif outcome.revision != case.session.revision:
        _submit(app, tool, request)
    else:
        if outcome.plan is not None:
            case.session.commit(outcome.plan)
        app.notice(outcome.told, "warning" if outcome.plan is None else "info")


# -- planning -------------------------------------------------------------------------------------------------


def plan_tool(tool: SegmentTool, request: Request, cancel: CancelToken) -> Outcome:
    """Work out, on any thread, the step that a tool makes.

    It is stale where the session's revision is no longer that of the outcome, be it that labels changed while they
    were read.
    """
    session, name = request.case.session, _name(tool, request)
    revision = session.revision
    if tool.acts_on(request.settings) == "shape" and not request.shape().mask.any():
        return Outcome(revision, None, f"{name} has nothing to act on: the segment has no voxels yet")
    asked = _as_labels(request, tool.work(request, cancel))
    cancel.check()
    allowed = restrained(request.labels, asked, gain=request.rule, lose=request.release)
    old = request.labels[asked.box.slices]
    if emptied := _emptied(request, old, allowed.labels):
        return Outcome(revision, None, f'{name} would leave nothing of "{emptied}": choose other settings or lock it')
    parameters = _parameters(tool, request)
    plan = session.plan_replace(*allowed, name=name, author=Author("tool", tool.id), parameters=parameters)
    if plan is None:
        return Outcome(revision, None, _nothing(name, kept=not np.array_equal(asked.labels, old)))
    changed = np.count_nonzero(plan.after != request.labels[plan.delta.box.slices])
    return Outcome(revision, plan, f"{name}: {changed} voxel{'' if changed == 1 else 's'} changed")


def _as_labels(request: Request, result: BoxMask | Relabelled) -> Relabelled:
    return reshaped(request.labels, request.value, result) if isinstance(result, BoxMask) else result


def _emptied(request: Request, old: NDArray[Any], new: NDArray[Any]) -> str:
    """Return the name of a segment that was acted on and would lose its last voxel, empty where there is none."""
    table = request.case.table
    watched = (request.value,) if request.value else table.values
    for value in watched:
        if value in table and not table[value].locked and (old == value).any() and not (new == value).any():
            return table[value].name
    return ""


def _nothing(name: str, *, kept: bool) -> str:
    if kept:
        return f"{name} changes nothing: locked segments, or what may be overwritten, stand in its way"
    return f"{name} changes nothing with these settings"


def _name(tool: SegmentTool, request: Request) -> str:
    """Return what the history calls the step."""
    values = [request.value] if request.value else []
    if tool.needs_other:
        values.append(request.other)
    names = [request.case.table[value].name for value in values if value in request.case.table]
    return f"{tool.title}: {', '.join(names)}" if names else tool.title


def _parameters(tool: SegmentTool, request: Request) -> dict[str, Setting]:
    if not tool.needs_slice(request.settings):
        return dict(request.settings)
    return {**request.settings, "axis": request.plane.axis, "index": request.plane.index}
