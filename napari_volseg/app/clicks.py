"""Click to segment: prompts in, one undoable step of the history out.

A click is answered on the network lane by the interactive engine and then applied as a step that also holds
the prompts before and after it, so that undo rewinds both. A new click cancels the pass that is running; its
own pass answers all prompts together.
"""

from __future__ import annotations

from psygnal import Signal

from napari_volseg.app.case import Case, replace_segment
from napari_volseg.app.jobs import Job, JobRunner
from napari_volseg.app.wishes import ToolWishes
from napari_volseg.core import BoxMask, CancelToken, ProgressCallback, Prompt, UsageError
from napari_volseg.editing import Author, PromptChange, Step
from napari_volseg.interactive import InteractiveModel, InteractiveSession, load_engine


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
    engine
        Name of the interactive model.
    """

    changed = Signal()

    def __init__(self, case: Case, jobs: JobRunner, wishes: ToolWishes, engine: str = "default") -> None:
        self.case = case
        self.prompts: tuple[Prompt, ...] = ()
        self._jobs = jobs
        self._wishes = wishes
        self._model: InteractiveModel = load_engine(engine)
        self._engine: InteractiveSession | None = None
        self._value = 0
        self._wanted: tuple[Prompt, ...] = ()
        self._steps: list[Step | None] = []
        self._job: Job | None = None

    @property
    def engine_title(self) -> str:
        """Which model answers, for people."""
        return self._model.card.title

    @property
    def wanted(self) -> tuple[Prompt, ...]:
        """The prompts in effect once the answer that is on its way has arrived."""
        return self._wanted

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return self._job is not None and not self._job.finished

    def add(self, prompt: Prompt) -> Job:
        """Ask for the segment that the prompts so far and this one describe."""
        segment = self.case.ensure_active()
        if not self._continues(segment.value):
            self._begin(segment.value)
        if self._job is not None:
            self._job.cancel()
        self._wanted = (*self._wanted, prompt)
        self._job = self._submit(self._wanted)
        self.changed.emit()
        return self._job

    def accept(self) -> None:
        """Finish this segment: further clicks start anew from what it holds then."""
        self._forget()
        self.prompts = ()
        self.changed.emit()

    def rewind(self, step: Step, *, undone: bool) -> None:
        """Follow an undone or redone step of the history."""
        if step.prompts is None:
            return
        if self._job is not None:
            self._job.cancel()
        self.prompts = step.prompts.before if undone else step.prompts.after
        self._wanted = self.prompts
        self.changed.emit()

    def _continues(self, value: int) -> bool:
        return self._engine is not None and value == self._value and self.case.session.history.current in self._steps

    def _begin(self, value: int) -> None:
        self._forget()
        self._value = value
        self._steps = [self.case.session.history.current]

    def _forget(self) -> None:
        if self._job is not None:
            self._job.cancel()
        self._engine, self._value, self._wanted, self._steps, self._job = None, 0, (), [], None

    def _submit(self, wanted: tuple[Prompt, ...]) -> Job:
        value, before = self._value, self.prompts
        rule = self.case.rule(self._wishes)

        def work(progress: ProgressCallback, cancel: CancelToken) -> BoxMask:
            if self._engine is None:
                self._engine = self._open(value, rule)
            _bring_to(self._engine, wanted)
            return self._engine.result(progress, cancel)

        def apply(mask: BoxMask) -> None:
            if wanted == self._wanted and value == self._value:
                self._apply(value, mask, PromptChange(before, wanted))

        return self._jobs.submit("Click to segment", work, apply, lane="network", urgent=True)

    def _open(self, value: int, rule: object) -> InteractiveSession:
        initial = self.case.mask_of(value)
        forbidden = self.case.protected(rule)
        return self._model.open(self.case.volume, initial=initial if initial.box.size else None, forbidden=forbidden)

    def _apply(self, value: int, mask: BoxMask, prompts: PromptChange) -> None:
        box, labels = replace_segment(self.case, value, mask)
        card = self._model.card
        count = len(prompts.after)
        self.case.session.replace(
            box,
            labels,
            name=f"Click {count}: {self.case.table[value].name}",
            author=Author("model", card.id, card.version),
            prompts=prompts,
        )
        self.prompts = prompts.after
        self._steps.append(self.case.session.history.current)
        self.changed.emit()
        if not mask.box.size:
            raise UsageError(
                "the clicks describe no voxel: add a positive click inside the structure you want to segment"
            )


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
