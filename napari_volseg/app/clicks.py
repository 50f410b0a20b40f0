"""Click to segment: prompts in, one undoable step of the history out.

A click is answered on the network lane by the interactive engine and then made as a step that also holds the
prompts before and after it, so that undo rewinds both. A new click cancels the pass that is running; its own
pass answers all prompts together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_volseg.app.case import LABEL_TYPE, Case, assisted, losses, replace_segment
from napari_volseg.app.engines import EngineShelf
from napari_volseg.app.jobs import Job, JobRunner
from napari_volseg.app.live import LivePrediction
from napari_volseg.app.wishes import ToolWishes
from napari_volseg.core import (
    Box,
    BoxMask,
    BoxPrompt,
    CancelToken,
    LassoPrompt,
    PointPrompt,
    ProgressCallback,
    Prompt,
    ScribblePrompt,
    UsageError,
)
from napari_volseg.editing import Author, OverwriteRule, Plan, PromptChange, Step
from napari_volseg.inference import Band
from napari_volseg.interactive import InteractiveModel, InteractiveSession

_NOTHING = Box((0, 0, 0), (0, 0, 0))

#: A sentence for the user, and whether it is a warning.
Remark = tuple[str, bool]
#: The step to make, None where nothing is left to do, and what is to be told of it.
Answer = tuple[Plan | None, Remark | None]


@dataclass(slots=True, eq=False)
class _Talk:
    """Prompts about one segment, answered by one session of the engine.

    ``steps`` are the positions of the history at which the labels are what the engine's session takes them
    for; any other step in between ends the talk. ``initial`` is what the segment was before the first prompt, None
    for what it is when the engine is first asked.
    """

    model: InteractiveModel
    value: int
    rule: OverwriteRule
    steps: list[Step | None]
    wanted: tuple[Prompt, ...] = ()
    engine: InteractiveSession | None = field(default=None)
    initial: BoxMask | None = None


class Clicks:
    """The prompts of one case and the engine that answers them.

    Parameters
    ----------
    case
        What is segmented.
    jobs
        Where the engine runs.
    wishes
        What may be overwritten.
    engines
        Holds the engine that answers; another choice begins a new talk.
    live
        Shows what an engine has found so far, where its answer takes long.

    Attributes
    ----------
    changed
        Emitted when prompts or answers changed.
    told
        Emitted with a sentence, and whether it is a warning, where a prompt took much from other segments or changed
        nothing.
    """

    changed = Signal()
    told = Signal(str, bool)

    def __init__(
        self, case: Case, jobs: JobRunner, wishes: ToolWishes, engines: EngineShelf, live: LivePrediction
    ) -> None:
        self.case = case
        self._live = live
        self._jobs = jobs
        self._wishes = wishes
        self._engines = engines
        self._talk: _Talk | None = None
        self._job: Job | None = None
        case.session.prompts_changed.connect(self._follow_history)
        jobs.changed.connect(self._follow_job)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts that the labels answer now."""
        return self.case.session.prompts

    @property
    def wanted(self) -> tuple[Prompt, ...]:
        """The prompts in effect once the answer that is on its way has arrived."""
        return self._talk.wanted if self.busy and self._talk is not None else self.prompts

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return self._job is not None and not self._job.finished

    def add(self, prompt: Prompt) -> Job:
        """Ask for the segment that the prompts so far and this one describe."""
        segment = self.case.ensure_active()
        self._recall(segment.value)
        wanted = self.wanted if self._continues(segment.value) else ()
        self._stop()
        if not self._continues(segment.value):
            self._talk = self._new_talk(segment.value, self.case.rule(self._wishes))
        assert self._talk is not None
        self._talk.wanted = (*wanted, prompt)
        self._ask(self._talk)
        assert self._job is not None
        return self._job

    def remove(self, prompt: Prompt) -> Job:
        """Ask for the segment without one of its prompts, whichever it was.

        Raises
        ------
        UsageError
            Where the segment has been changed by something else since, so that no prompt can be told from it.
        """
        return self._revise(tuple(p for p in self.wanted if p != prompt))

    def replace(self, prompt: Prompt, by: Prompt) -> Job:
        """Ask for the segment with one prompt in place of another; UsageError as for `remove`."""
        return self._revise(tuple(by if p == prompt else p for p in self.wanted))

    def reset(self) -> Job:
        """Ask for the segment without any prompt: what it was before the first; UsageError as for `remove`."""
        return self._revise(())

    def _recall(self, value: int) -> None:
        """Take up the talk of an earlier run of the program: what it began from is in the history."""
        history = self.case.session.history
        position = history.position
        while position and (change := history.steps[position - 1].prompts) is not None and change.before:
            position -= 1
        begun = history.steps[position - 1].prompts if position else None
        if self._talk is not None or not self.prompts or begun is None:
            return
        chain = history.steps[position - 1 : history.position]
        if any(step.value not in (value, None) for step in chain):
            return  # they were about another segment
        labels = self.case.segmentation.labels.copy()
        for step in reversed(chain):
            step.revert_on(labels)
        self._talk = self._new_talk(value, self.case.rule(self._wishes), self.prompts)
        self._talk.initial = BoxMask.of(labels == value)

    def _revise(self, wanted: tuple[Prompt, ...]) -> Job:
        self._recall(self.case.active)
        talk = self._talk
        if talk is None or not self._continues(talk.value):
            raise UsageError(
                "the segment was changed since these prompts were given: undo that change first, or prompt anew"
            )
        self._stop()
        talk.wanted = wanted
        self._ask(talk)
        assert self._job is not None
        return self._job

    def accept(self) -> None:
        """Finish this segment, as a step: further clicks start anew from what it holds then."""
        self._stop()
        self._talk = None
        self.case.session.replace(
            _NOTHING,
            self.case.segmentation.labels[_NOTHING.slices],
            name="Accept clicks",
            author=Author("hand", "user"),
            prompts=PromptChange(self.prompts, ()),
        )
        self.changed.emit()

    def _continues(self, value: int) -> bool:
        talk = self._talk
        if talk is None or talk.value != value or talk.model is not self._engines.chosen:
            return False
        return self.case.session.history.current in talk.steps

    def _new_talk(self, value: int, rule: OverwriteRule, wanted: tuple[Prompt, ...] = ()) -> _Talk:
        return _Talk(self._engines.chosen, value, rule, [self.case.session.history.current], wanted)

    def _stop(self) -> None:
        if self._job is not None:
            self._job.cancel()
        self._job = None

    def _follow_history(self, _: tuple[Prompt, ...]) -> None:
        self._stop()
        self.changed.emit()

    def _follow_job(self, job: Job) -> None:
        """Let go of a click that was refused or cancelled: nobody wants it any more."""
        if job is self._job and job.finished:
            self._job = None
            self.changed.emit()

    def _ask(self, talk: _Talk) -> None:
        wanted, before, asked = talk.wanted, self.prompts, self.case.session.revision

        card = talk.model.card

        def work(progress: ProgressCallback, cancel: CancelToken) -> Answer:
            if talk.engine is None:
                talk.engine = self._open(talk)
            _bring_to(talk.engine, wanted)
            table = self.case.table

            def show(part: BoxMask) -> None:
                band = Band(part.box, part.mask * LABEL_TYPE(talk.value))
                self._live.take(self.case, cancel, table, band)

            mask = talk.engine.result(progress, cancel, show)
            if wanted and not mask.box.size:
                raise UsageError(
                    "the clicks describe no voxel: add a positive click inside the structure you want to segment"
                )
            box, labels = replace_segment(self.case, talk.value, mask)
            plan = self.case.session.plan_replace(
                box,
                labels,
                table=assisted(table, talk.value, card.title) if wanted else None,
                name=f"{_name_of(before, wanted)}: {self.case.table[talk.value].name}",
                author=Author("model", card.id, card.version),
                prompts=PromptChange(before, wanted),
            )
            return plan, remark_on(self.case, box, labels, talk.value)

        self._job = self._jobs.submit(
            "Click to segment", work, lambda answer: self._apply(talk, answer, asked), lane="network", urgent=True
        )
        self.changed.emit()

    def _open(self, talk: _Talk) -> InteractiveSession:
        initial = self.case.mask_of(talk.value) if talk.initial is None else talk.initial
        return talk.model.open(
            self.case.volume,
            initial=initial if initial.box.size else None,
            forbidden=self.case.protected(talk.rule),
        )

    def _ask_anew(self, talk: _Talk) -> None:
        """Ask again, from the labels as they are now, with every prompt that has no answer yet."""
        answered = len(self.prompts) if talk.wanted[: len(self.prompts)] == self.prompts else 0
        self._talk = self._new_talk(talk.value, talk.rule, talk.wanted[answered:])
        self._ask(self._talk)

    def _apply(self, talk: _Talk, answer: Answer, asked: int) -> None:
        """Make the step; where labels changed since it was asked for, the answer is for a past that is gone."""
        plan, remark = answer
        if talk is not self._talk or plan is None:
            return
        self._job = None
        session = self.case.session
        if session.revision != asked:
            self._ask_anew(talk)
            return
        session.commit(plan)
        talk.steps.append(session.history.current)
        self.changed.emit()
        if remark:
            self.told.emit(*remark)


def remark_on(case: Case, box: Box, labels: NDArray[Any], value: int) -> Remark | None:
    """Return what is to be told of an answer that gives a box the values ``labels`` (z, y, x)."""
    name, lost = case.table[value].name, losses(case, box, labels, value)
    if lost:
        return f"{name} took {lost}: undo it [Ctrl+Z], or lock what is to stay", True
    if np.array_equal(case.segmentation.labels[box.slices], labels):
        return f"{name} did not change: it agrees with this prompt already, or what is there is locked", False
    return None


def _name_of(before: tuple[Prompt, ...], wanted: tuple[Prompt, ...]) -> str:
    """Return what a change of the prompts is called in the history."""
    if not wanted:
        return "Reset clicks"
    if len(wanted) < len(before):
        return "Take back a prompt"
    kinds = {PointPrompt: "Click", ScribblePrompt: "Scribble", BoxPrompt: "Box", LassoPrompt: "Lasso"}
    return "Move a prompt" if len(wanted) == len(before) else f"{kinds[type(wanted[-1])]} {len(wanted)}"


def _bring_to(session: InteractiveSession, wanted: tuple[Prompt, ...]) -> None:
    """Take prompts back and add prompts until the engine's session holds exactly ``wanted``."""
    common = 0
    for have, want in zip(session.prompts, wanted, strict=False):
        if have != want:
            break
        common += 1
    for prompt in reversed(session.prompts[common:]):
        session.remove(prompt)
    for prompt in wanted[common:]:
        session.add(prompt)
