"""Segment tools at work: settings, whether a tool can be used, and its result as one step of the history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_volseg.app.case import Case
from napari_volseg.app.jobs import Job
from napari_volseg.app.preview import READING
from napari_volseg.app.tool_drafts import Draft, Outcome, draft_tool, plan_draft, step_name
from napari_volseg.app.tool_table import SEGMENT_TOOLS
from napari_volseg.app.tool_types import OtherSegment, Request, SegmentTool, Setting
from napari_volseg.core import CancelToken, ProgressCallback, UsageError
from napari_volseg.editing import OnSlice

if TYPE_CHECKING:
    from napari_volseg.app.application import Application

#: Index axis that counts the slices of each plane.
AXES = {"axial": 0, "coronal": 1, "sagittal": 2}


# -- settings -------------------------------------------------------------------------------------------------


def settings_of(app: Application, tool: SegmentTool) -> dict[str, Setting]:
    """Return what each parameter of a tool is set to; of segments, one that exists."""
    kept = app.tools.settings
    values = {p.name: kept.get(f"{tool.id}.{p.name}", p.default) for p in tool.parameters}
    for parameter in tool.parameters:
        if isinstance(parameter, OtherSegment):
            offered = segments_offered(app, tool, parameter)
            if values[parameter.name] not in offered:
                values[parameter.name] = next(iter(offered), 0)
    return values


def set_settings(app: Application, tool: SegmentTool, values: Mapping[str, Setting]) -> None:
    """Keep what parameters of a tool are to be set to."""
    app.tools.settings = {**app.tools.settings, **{f"{tool.id}.{name}": value for name, value in values.items()}}


def tune(app: Application, tool: SegmentTool, values: Mapping[str, Setting]) -> None:
    """Keep what the user sets; a tool that judges each voxel for itself shows at once what it would do."""
    set_settings(app, tool, values)
    if tool.by_voxel and tool.id == app.tools.segment_tool and why_not(app, tool.id) is None:
        app.tools.previewing = True


def segments_offered(app: Application, tool: SegmentTool, parameter: OtherSegment) -> dict[int, str]:
    """Return names of the segments that a parameter can be set to, by label value: all but what the tool acts on."""
    none = {0: parameter.none} if parameter.none else {}
    if app.case is None:
        return none
    taken = 0 if tool.target == "all" else app.case.active
    return none | {s.value: s.name for s in app.case.table if s.value != taken}


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
    if app.view.three_d and tool.needs_slice(app.tools.reach, settings):
        return "no slice is shown in 3D: go to one with A, C or S"
    return None if tool.acts_on(settings) == "all" else _why_not_on_segment(app, tool, case)


def _why_not_on_segment(app: Application, tool: SegmentTool, case: Case) -> str | None:
    if not case.active:
        return None if tool.target == "segment" else "choose a segment in the table first"
    segment = case.table[case.active]
    if segment.locked:
        return f'segment "{segment.name}" is locked: unlock it or choose another one'
    if tool.needs_other and len(case.table) < 2:
        return "it takes a second segment: add one first"
    return None


# -- running --------------------------------------------------------------------------------------------------


def apply_tool(app: Application, tool_id: str) -> Job:
    """Run a tool in the background with the settings that the panel shows; its result arrives as one step.

    What is previewed of it is not worked out again.

    Raises
    ------
    UsageError
        Where no image is open, the segment is locked, or there is none to act on.
    """
    tool = SEGMENT_TOOLS[tool_id]
    value = 0 if tool.acts_on(settings_of(app, tool)) == "all" else app.need_case().ensure_active().value
    draft = app.tool_preview.finished(tool)
    return _submit(app, tool, request_of(app, tool, value), draft)


def suggest_settings(app: Application, tool_id: str) -> Job:
    """Set parameters of a tool, in the background, to what suits the image."""
    tool = SEGMENT_TOOLS[tool_id]
    suggest, request = tool.suggest, request_of(app, tool, app.need_case().active)
    if suggest is None:
        raise UsageError(f"{tool.title} suggests no settings: set them by hand")

    def work(progress: ProgressCallback, cancel: CancelToken) -> dict[str, Setting]:
        return suggest(request)

    return app.jobs.submit(f"{tool.title}: suggestion", work, lambda found: set_settings(app, tool, found))


def request_of(app: Application, tool: SegmentTool, value: int) -> Request:
    """Return what a tool is to work on as the panel is set, where ``value`` is the segment's, 0 for all."""
    case = app.need_case()
    axis = AXES[app.view.plane]
    shown = app.view.index or [n // 2 for n in case.volume.geometry.shape]
    return Request(
        case,
        case.table,
        value,
        settings_of(app, tool),
        tool.reach(app.tools.reach),
        app.tools.slab_mm,
        OnSlice(axis, shown[axis]),
        tool.confined,
        case.rule(app.tools),
        case.range_rule(app.tools),
    )


def _submit(app: Application, tool: SegmentTool, request: Request, draft: Draft | None = None) -> Job:
    def work(progress: ProgressCallback, cancel: CancelToken) -> Outcome:
        session = request.case.session
        revision = session.revision
        try:
            return plan_draft(draft or draft_tool(tool, request, cancel))
        except UsageError:
            if session.revision == revision:
                raise
            return Outcome(revision, None, "")  # the table changed meanwhile: what is home decides

    return app.jobs.submit(step_name(tool, request), work, lambda outcome: _take(app, tool, request, outcome))


def _take(app: Application, tool: SegmentTool, request: Request, outcome: Outcome) -> None:
    """Make a tool's step; where the labels changed meanwhile, have it worked out anew."""
    case = request.case
    if case is not app.case:
        return
    if request.value and request.value not in case.table:
        app.notice(f"{tool.title} changed nothing: its segment was removed meanwhile", "warning")
    elif outcome.revision != case.session.revision:
        _submit(app, tool, replace(request, table=case.table))
    else:
        _make(app, request, outcome)


def _make(app: Application, request: Request, outcome: Outcome) -> None:
    app.tools.previewing = False
    if outcome.plan is not None:
        request.case.session.commit(outcome.plan)
        _follow_renumbered(request)
    app.notice(outcome.told, "warning" if outcome.plan is None else "info")


def _follow_renumbered(request: Request) -> None:
    """Keep the segment that was acted on the active one where it has got another label value."""
    case, name = request.case, request.table[request.value].name if request.value else ""
    if name and request.value not in case.table:
        case.active = next((s.value for s in case.table if s.name == name), case.active)
