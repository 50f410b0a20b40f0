"""The application without its window: what is open, what runs, what the user wishes, and what can be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_volseg.app import exporting, segmenting
from napari_volseg.app.case import Case
from napari_volseg.app.clicks import Clicks
from napari_volseg.app.jobs import Job, JobRunner, error_sentence
from napari_volseg.app.keeping import Keeper
from napari_volseg.app.opening import Decided, Question, load_decided
from napari_volseg.app.painting import Painter
from napari_volseg.app.sessions import Listener, SessionStore, Work
from napari_volseg.app.shelf import ModelShelf
from napari_volseg.app.view_state import ViewKeeper, restore_view
from napari_volseg.app.volumes import SegmentVolumes
from napari_volseg.app.wishes import ToolWishes, ViewWishes
from napari_volseg.core import (
    Box,
    CancelToken,
    DecisionNeededError,
    Finding,
    Point,
    PointPrompt,
    ProgressCallback,
    Segmentation,
    UsageError,
    VolsegError,
    Volume,
)
from napari_volseg.editing import Author, Plan
from napari_volseg.formats import FoundVolume, ImportReport, RefusedFile, Scan, import_report, load_labels, scan


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence for the user.

    Parameters
    ----------
    text
        The sentence.
    kind
        ``"error"`` and ``"warning"`` ask for attention; ``"info"`` may pass by.
    """

    text: str
    kind: Literal["info", "warning", "error"] = "info"


class Application:
    """State and actions of the program; the window shows the former and calls the latter.

    Every action returns at once: long ones return their ``Job``. Signals are emitted on the thread that pumps
    the job runner's inbox.

    Parameters
    ----------
    jobs
        Where long work runs.
    sessions
        Where the work on each image is kept; None keeps it in memory.
    """

    case_changed = Signal()
    scan_changed = Signal()
    noticed = Signal(Notice)
    asked = Signal(Question)

    def __init__(self, jobs: JobRunner | None = None, sessions: SessionStore | None = None) -> None:
        self.jobs = jobs or JobRunner()
        self._sessions = sessions
        self._journal: Keeper | None = None
        self._view_keeper = ViewKeeper(self)
        self._place: Path | None = None
        self._room: TemporaryDirectory[str] | None = None
        self._decided = Decided()
        self.view = ViewWishes()
        self.tools = ToolWishes()
        self.case: Case | None = None
        self.report: ImportReport | None = None
        self.clicks: Clicks | None = None
        self.painter: Painter | None = None
        self.volumes: SegmentVolumes | None = None
        self.models = ModelShelf(self.jobs, self.tools)
        self.scan_result: Scan | None = None
        self.jobs.failed.connect(self._tell_failure)
        self._view_keeper.connect()

    # -- opening --------------------------------------------------------------------------------------------

    def open_path(self, path: Path, decided: Decided | None = None) -> Job:
        """Look what a file or folder holds; a single volume is opened at once, several are listed."""
        self._place, self._decided = path, decided or Decided()
        answers, room = self._decided.answers, self._room_for(path)

        def work(progress: ProgressCallback, cancel: CancelToken) -> Scan:
            return scan(path, progress, cancel, answers, room)

        return self.jobs.submit(f"Looking into {path.name}", work, self._take_scan)

    def open_found(self, found: FoundVolume, decided: Decided | None = None) -> Job:
        """Load one of the volumes that were found, and the work on it; what only the user can tell is asked."""
        known = decided or Decided(self._decided.answers)

        def work(progress: ProgressCallback, cancel: CancelToken) -> tuple[Volume, Work | None] | DecisionNeededError:
            try:
                volume = load_decided(found, known, progress, cancel)
            except DecisionNeededError as error:
                return error
            return volume, self._find_work(volume)

        return self.jobs.submit(
            f"Opening {found.description}", work, lambda outcome: self._take_loaded(found, known, outcome)
        )

    def open_volume(self, volume: Volume) -> Job:
        """Make a volume that is in memory the open case, with the work on it."""

        def work(progress: ProgressCallback, cancel: CancelToken) -> tuple[Volume, Work | None]:
            return volume, self._find_work(volume)

        return self.jobs.submit(f"Opening {volume.name}", work, lambda found: self._take_volume(*found))

    def adopt(self, volume: Volume, work: Work | None = None, refused: Sequence[RefusedFile] = ()) -> None:
        """Make a volume the open case; ``refused`` are the files of its place that could not be used."""
        self._leave_case()
        self.report = import_report(volume, refused)
        self.case = Case(volume)
        if work is not None:
            self.case = Case(volume, work.segmentation, work.journal, history=work.history, prompts=work.prompts)
        self._journal = work.journal if work else None
        self.clicks = Clicks(self.case, self.jobs, self.tools)
        self.painter = Painter(self.case, self.tools)
        self.volumes = SegmentVolumes(self.case, self.jobs)
        self.tools.tool = "navigate"
        self.view.window = self.case.first_window()
        self.view.index = self.view.marked_step = None
        if work is not None:
            restore_view(work.view, self.case, self.view, self.tools)
        self.case_changed.emit()
        self._view_keeper.follow(self.case, self._journal)
        if self._journal is not None and not self._journal.healthy:
            self._begin_spare(self._journal)
        self._warn(volume.origin_provenance.findings)

    def open_other_session(self) -> Job:
        """Go to the next session of the open image, where a branch was made or a damaged one was replaced."""
        case, sessions, kept = self.need_case(), self._sessions, self._kept_sessions()
        if sessions is None or self._journal is None or len(kept) < 2:
            raise UsageError("there is no other session of this image: this is the only one")
        other = kept[(kept.index(self._journal.path) + 1) % len(kept)]

        def work(progress: ProgressCallback, cancel: CancelToken) -> Work:
            return sessions.open(case.volume, self._listener, other)

        return self.jobs.submit(
            "Opening the other session", work, lambda found: self._take_volume(case.volume, found)
        )

    @property
    def has_other_session(self) -> bool:
        """Whether the open image has more than one session."""
        return len(self._kept_sessions()) > 1

    def _kept_sessions(self) -> list[Path]:
        here = self._journal.path if self._journal is not None else None
        kept = self._sessions.sessions(here) if self._sessions is not None and here is not None else []
        return kept if here in kept else []

    def open_labels(self, path: Path) -> Job:
        """Load labels for the open case; they replace what is there, as one undoable step."""
        case = self.need_case()

        def work(progress: ProgressCallback, cancel: CancelToken) -> Segmentation:
            return load_labels(path, case.volume)

        return self.jobs.submit(f"Opening labels {path.name}", work, lambda labels: self._take_labels(case, labels))

    # -- segmenting -----------------------------------------------------------------------------------------

    def run_model(self) -> Job:
        """Run the automatic model that is chosen, in the background; its segments arrive as one step."""
        case, model, device = self.need_case(), self.tools.model, self.tools.device

        def work(progress: ProgressCallback, cancel: CancelToken) -> segmenting.Outcome:
            card, prediction = segmenting.predict(case.volume, model, device=device, progress=progress, cancel=cancel)
            return segmenting.plan_prediction(case.session, card, prediction)

        return self.jobs.submit(
            f"Segmenting with {model}", work, lambda outcome: self._take_outcome(case, outcome), lane="network"
        )

    def click(self, position: Point, positive: bool | None = None) -> Job:
        """Add a click at a patient position (x, y, z), mm, LPS; its sign is the tool's where not given."""
        self.need_case()
        assert self.clicks is not None
        return self.clicks.add(PointPrompt(position, self.tools.positive if positive is None else positive))

    def finish_scribble(self, positive: bool | None = None) -> Job | None:
        """Turn the scribble that was drawn into a prompt; its sign is the tool's where not given."""
        if self.painter is None or self.clicks is None:
            return None
        prompt = self.painter.finish_scribble(positive)
        return self.clicks.add(prompt) if prompt else None

    def fill(self, index: NDArray[np.float64], axis: int) -> Job:
        """Fill the region of equal label around a voxel (z, y, x); on the slice normal to ``axis``, or in 3D."""
        case = self.need_case()
        assert self.painter is not None
        plan_fill = self.painter.plan_fill(index, axis)

        def work(progress: ProgressCallback, cancel: CancelToken) -> Plan | None:
            return plan_fill()

        return self.jobs.submit("Filling", work, lambda plan: plan and case.session.commit(plan), quiet=True)

    def accept_clicks(self) -> None:
        """Finish the segment that is being clicked."""
        if self.clicks is not None:
            self.clicks.accept()

    def next_segment(self) -> None:
        """Finish the segment in hand and begin another."""
        case = self.need_case()
        self.accept_clicks()
        case.add_segment()

    # -- history --------------------------------------------------------------------------------------------

    def undo(self) -> None:
        """Take the last step back, prompts included."""
        self.need_case().session.undo()

    def redo(self) -> None:
        """Do the last step again that was taken back."""
        self.need_case().session.redo()

    # -- exporting ------------------------------------------------------------------------------------------

    def export(self, kind: str, path: Path) -> Job:
        """Write an export in the background, from the labels as they are now."""
        case = self.need_case()
        now = case.segmentation
        snapshot = Segmentation(now.labels.copy(), now.geometry, now.table)

        def work(progress: ProgressCallback, cancel: CancelToken) -> Path:
            return exporting.export(kind, path, snapshot, case.volume)

        return self.jobs.submit(f"Exporting {path.name}", work, self._tell_saved)

    # -- telling --------------------------------------------------------------------------------------------

    def need_case(self) -> Case:
        """Return the open case; refuse where there is none."""
        if self.case is None:
            raise UsageError("no image is open: open a DICOM folder or a NIfTI file first")
        return self.case

    def notice(self, text: str, kind: Literal["info", "warning", "error"] = "info") -> None:
        """Tell the user one sentence."""
        self.noticed.emit(Notice(text, kind))

    def attempt(self, action: Callable[..., Any], *args: Any) -> Any:
        """Run an action and turn a refusal into a notice: what every button, menu and key goes through."""
        try:
            return action(*args)
        except VolsegError as error:
            self.notice(error_sentence(error), "error")
            return None

    def close(self) -> None:
        """Stop all work, let the session file go, and remove what was unpacked."""
        busy = self.jobs.active
        self._leave_case()
        self.jobs.close()
        if (
            self._room is not None and not busy
        ):  # else it goes at the exit of the program, which waits for the threads
            self._room.cleanup()

    def _take_scan(self, result: Scan) -> None:
        self.scan_result = result
        self.scan_changed.emit()
        if len(result.found) == 1:
            self.open_found(result.found[0], self._decided)
        elif not result.found:
            self.notice(refusal_sentence(result), "error")

    def _take_loaded(
        self, found: FoundVolume, decided: Decided, outcome: tuple[Volume, Work | None] | DecisionNeededError
    ) -> None:
        if not isinstance(outcome, DecisionNeededError):
            self._take_volume(*outcome, self._refused_beside(found))
            return
        if not len(self.asked):
            raise outcome
        keyword, place = outcome.keyword, self._place

        def answer(choice: str) -> Job:
            now = decided.with_answer(keyword, choice)
            if place is not None and Decided.changes_scan(keyword):
                return self.open_path(place, now)
            return self.open_found(found, now)

        choices = {name: text for name, text in outcome.choices.items() if name != "refuse"}
        self.asked.emit(Question(str(outcome), choices, answer))

    def _find_work(self, volume: Volume) -> Work | None:
        return self._sessions.open(volume, self._listener) if self._sessions else None

    def _room_for(self, path: Path) -> Path | None:
        """Return the private folder in which an archive is unpacked, None for other paths."""
        if path.suffix.lower() != ".zip":
            return None
        self._room = self._room or TemporaryDirectory(prefix="napari-volseg-", ignore_cleanup_errors=True)
        return Path(self._room.name)

    def _refused_beside(self, found: FoundVolume) -> tuple[RefusedFile, ...]:
        scan_result = self.scan_result
        return scan_result.refused if scan_result is not None and found in scan_result.found else ()

    def _take_volume(self, volume: Volume, work: Work | None, refused: Sequence[RefusedFile] = ()) -> None:
        self.adopt(volume, work, refused)
        if work is not None and work.told:
            self.notice(work.told, "info" if work.history else "warning")

    def _leave_case(self) -> None:
        """Write what is left of the open case; its file is closed on the way."""
        self._view_keeper.leave()
        if self._journal is not None:
            self._journal.close()
        self._journal = None

    @property
    def _listener(self) -> Listener:
        """What writing threads call; the answers are given on the inbox's thread."""
        post = self.jobs.inbox.post
        return Listener(
            lambda keeper, error: post(lambda: self._keep_elsewhere(keeper, error)),
            lambda keeper: post(lambda: self._keep_at_home(keeper)),
        )

    def _keep_elsewhere(self, keeper: Keeper, error: VolsegError) -> None:
        self.notice(str(error), "error")
        if keeper is self._journal:
            self._begin_spare(keeper)

    def _begin_spare(self, keeper: Keeper) -> None:
        spare = keeper.go_elsewhere(self.need_case().session)
        if spare is not None:
            self.notice(f"your work is kept in {spare} meanwhile; it is found there when you open this image again")

    def _keep_at_home(self, keeper: Keeper) -> None:
        keeper.come_home()
        self.notice(f"your work is saved again in {keeper.path}")

    def _take_labels(self, case: Case, labels: Segmentation) -> None:
        if case is not self.case:
            return
        case.session.replace(
            Box.whole(labels.labels.shape),
            labels.labels,
            name="Open labels",
            author=Author("tool", "open labels"),
            table=labels.table,
        )
        self._warn(labels.findings)

    def _warn(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            if finding.severity == "warning":
                self.notice(finding.message, "warning")

    def _take_outcome(self, case: Case, outcome: segmenting.Outcome) -> None:
        """Make a model's step; where the labels changed meanwhile, join it with them anew in the background."""
        if case is not self.case:
            return
        if outcome.plan is not None and outcome.plan.revision != case.session.revision:

            def again(progress: ProgressCallback, cancel: CancelToken) -> segmenting.Outcome:
                return segmenting.plan_prediction(case.session, outcome.card, outcome.prediction)

            self.jobs.submit(
                "Joining with your changes", again, lambda new: self._take_outcome(case, new), lane="network"
            )
            return
        if outcome.plan is not None:
            case.session.commit(outcome.plan)
        report = outcome.prediction.report
        told = "".join(f"; {finding.message}" for finding in report.findings)
        self.notice(f"{outcome.card.title} finished in {report.seconds.total:.1f} s on {report.device}{told}")

    def _tell_saved(self, path: Path) -> None:
        self.notice(f"Saved and verified: {path}")

    def _tell_failure(self, job: Job) -> None:
        if job.error is not None:
            self.notice(error_sentence(job.error), "error")


def refusal_sentence(result: Scan) -> str:
    """Return one sentence on why nothing could be opened."""
    if not result.refused:
        return "no image was found there: choose a folder with a DICOM series or a NIfTI file"
    first = result.refused[0]
    more = f" ({len(result.refused) - 1} more were refused)" if len(result.refused) > 1 else ""
    reason = first.reason if first.path.name in first.reason else f"{first.path.name} was refused: {first.reason}"
    return f"{reason}{more}"
