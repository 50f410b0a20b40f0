"""Tools of the hand at work: one use of a tool becomes one step of the history, worked out on a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_volseg.app.case import Case
from napari_volseg.app.jobs import Job
from napari_volseg.core import BoxMask, CancelToken, ProgressCallback, UsageError
from napari_volseg.editing import Author, Plan

if TYPE_CHECKING:
    from napari_volseg.app.application import Application

HAND = Author("hand", "user")

#: What a parameter of a step is: a number or a word.
Setting = float | str

Work = Callable[[ProgressCallback, CancelToken], BoxMask]


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """One use of a tool: voxels that are given to the active segment or taken away.

    Parameters
    ----------
    title
        What the history calls it, before the name of the segment.
    work
        Returns, on any thread, the voxels; it reads the labels as they are when it runs.
    takes_away
        Whether the voxels are taken from the active segment.
    from_all
        Whether they are taken from whatever segment holds them.
    under
        Label value that the tool was put on, for the rule to stay on what it starts on.
    author
        Who makes the step.
    parameters
        What the tool was set to.
    """

    title: str
    work: Work
    takes_away: bool = False
    from_all: bool = False
    under: int = 0
    author: Author = HAND
    parameters: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Worked:
    """What a use came to, and the session's revision when it began to read the labels."""

    plan: Plan | None
    revision: int


def use_tool(app: Application, use: Use) -> Job:
    """Work out a use of a tool in the background; it arrives as one step.

    Where labels changed meanwhile, it is worked out anew.

    Raises
    ------
    UsageError
        Where no image is open, the active segment is locked, or there is none to take from.
    """
    case = app.need_case()
    return _submit(app, case, use, 0 if use.from_all else target(case, takes_away=use.takes_away))


def target(case: Case, *, takes_away: bool) -> int:
    """Return the label value of the active segment, made first where there is none and voxels are to be added.

    Raises
    ------
    UsageError
        Where it is locked, or there is none to take from.
    """
    if takes_away and not case.active:
        raise UsageError("there is no segment to take voxels from: choose one in the table")
    return case.ensure_active().value


def _submit(app: Application, case: Case, use: Use, value: int) -> Job:
    rule = case.range_rule(app.tools) if use.takes_away else case.rule(app.tools, use.under)
    name = f"{use.title}: {case.table[value].name}" if value else use.title

    def work(progress: ProgressCallback, cancel: CancelToken) -> _Worked:
        revision = case.session.revision
        mask = use.work(progress, cancel)
        cancel.check()
        try:
            plan = case.session.plan_apply(
                mask,
                0 if use.takes_away else value,
                rule=rule,
                erase=value if use.takes_away and value else None,
                name=name,
                author=use.author,
                parameters=dict(use.parameters),
            )
        except UsageError:
            if case.session.revision == revision:
                raise
            plan = None  # the table changed meanwhile: what is home decides
        return _Worked(plan, revision)

    def take(worked: _Worked) -> None:
        _take(app, case, use, value, worked)

    return app.jobs.submit(use.title, work, take, lane="tools")


def _take(app: Application, case: Case, use: Use, value: int, worked: _Worked) -> None:
    if case is not app.case:
        return
    if value and value not in case.table:
        app.notice(f"{use.title} changed nothing: its segment was removed meanwhile", "warning")
    elif worked.revision != case.session.revision:
        _submit(app, case, use, value)
    elif worked.plan is None:
        app.notice(f"{use.title} changes nothing: {_why_nothing(use)}")
    else:
        case.session.commit(worked.plan)


def _why_nothing(use: Use) -> str:
    if use.takes_away:
        return "no voxel of a segment that may be changed lies there"
    return "the voxels belong to the segment already, or locked segments or what may be overwritten stand in its way"
