"""The application without its window: what is open, what runs, what the user wishes, and what can be asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from psygnal import Signal

from napari_volseg.app import exporting, model_run
from napari_volseg.app.case import Case
from napari_volseg.app.clicks import Clicks
from napari_volseg.app.drawing import Drawing
from napari_volseg.app.engines import EngineShelf
from napari_volseg.app.figures import SegmentFigures
from napari_volseg.app.fusion import Fusion
from napari_volseg.app.jobs import Job, JobRunner, error_sentence
from napari_volseg.app.keeping import Keeper
from napari_volseg.app.live import LivePrediction
from napari_volseg.app.measuring import Measuring
from napari_volseg.app.model_places import ModelPlaces
from napari_volseg.app.opening import Decided, Question, load_decided, look_into, refusal_sentence
from napari_volseg.app.painting import Painter
from napari_volseg.app.preview import READING, Preview
from napari_volseg.app.sessions import Listener, SessionStore, Work
from napari_volseg.app.shelf import ModelShelf
from napari_volseg.app.surfaces import SegmentSurfaces
from napari_volseg.app.thumbnails import Thumbnails
from napari_volseg.app.tool_preview import ToolPreview
from napari_volseg.app.tour import SAVED, Tour
from napari_volseg.app.view_state import ViewKeeper, restore_view
from napari_volseg.app.wishes import ToolWishes, ViewWishes
from napari_volseg.core import (
    Box,
    CancelToken,
    DecisionNeededError,
    Finding,
    Point,
    PointPrompt,
    ProgressCallback,
    Prompt,
    Segmentation,
    UsageError,
    VolsegError,
    Volume,
    Window,
)
from napari_volseg.editing import Author
from napari_volseg.formats import (
    FoundVolume,
    ImportReport,
    RefusedFile,
    Scan,
    ScanMemory,
    import_report,
    load_labels,
)


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


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """An image that was read, ready to be worked on.

    Parameters
    ----------
    case
        The image and its segments.
    work
        Where the segments come from and go to; None where they stay in memory.
    again
        The image as it was read anew where it is open already: the case is that one, and its work stays.
    """

    case: Case
    work: Work | None = None
    again: Volume | None = None


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
    scans
        Where it is remembered what scans found; None reads every file anew.
    places
        Where it is remembered which models the user brought in; None forgets them at the end.

    Attributes
    ----------
    turned
        Emitted with the side of the patient from which the 3D view is to look.
    """

    case_changed = Signal()
    scan_changed = Signal()
    noticed = Signal(Notice)
    asked = Signal(Question)
    view_reset = Signal()
    turned = Signal(str)

    def __init__(
        self,
        jobs: JobRunner | None = None,
        sessions: SessionStore | None = None,
        scans: ScanMemory | None = None,
        places: ModelPlaces | None = None,
    ) -> None:
        self.jobs = jobs or JobRunner()
        self._scans = scans
        self._sessions = sessions
        self._journal: Keeper | None = None
        self._place: Path | None = None
        self._room: TemporaryDirectory[str] | None = None
        self._decided = Decided()
        self.view = ViewWishes()
        self.tools = ToolWishes()
        self.preview = Preview(self.jobs, self.view)
        self.case: Case | None = None
        self.report: ImportReport | None = None
        self.clicks: Clicks | None = None
        self.painter: Painter | None = None
        self.figures: SegmentFigures | None = None
        self.surfaces: SegmentSurfaces | None = None
        self.drawing = Drawing(self)
        self.measuring = Measuring(self)
        self.fusion = Fusion(self)
        self._view_keeper = ViewKeeper(self)
        self.thumbnails = Thumbnails(self.jobs)
        self.tour = Tour(self)
        self.engines = EngineShelf(self.jobs, self.tools)
        self.models = ModelShelf(self.jobs, self.tools, places, self.asked.emit)
        self.scan_result: Scan | None = None
        self.tool_preview = ToolPreview(self)
        self.live = LivePrediction(self)
        self.jobs.failed.connect(self._tell_failure)
        self.jobs.stopped.connect(self._tell_stop)

    # -- opening --------------------------------------------------------------------------------------------

    def open_path(self, path: Path, decided: Decided | None = None) -> Job:
        """Look what a file or folder holds; a single volume is opened at once, several are listed."""
        self._place, self._decided = path, decided or Decided()
        answers, room = self._decided.answers, self._room_for(path)

        def work(progress: ProgressCallback, cancel: CancelToken) -> Scan:
            return look_into(path, progress, cancel, answers, room, self._scans)

        return self.jobs.submit(f"Looking into {path.name}", work, self._take_scan)

    def list_path(self, path: Path) -> Job:
        """Look what a file or folder holds and list it; nothing is opened."""
        self._place, self._decided = path, Decided()
        room = self._room_for(path)

        def work(progress: ProgressCallback, cancel: CancelToken) -> Scan:
            return look_into(path, progress, cancel, None, room, self._scans)

        return self.jobs.submit(f"Looking into {path.name}", work, self._take_listing)

    def open_found(self, found: FoundVolume, decided: Decided | None = None) -> Job:
        """Load one of the volumes that were found, and the work on it; what only the user can tell is asked.

        Where that takes a moment, ``preview`` shows the image meanwhile; the open case stays as it is.
        """
        known, asked_at = decided or Decided(self._decided.answers), time.monotonic()

        def work(progress: ProgressCallback, cancel: CancelToken) -> Opened | DecisionNeededError:
            try:
                volume = load_decided(found, known, progress, cancel, self.preview.listener(cancel, asked_at))
            except DecisionNeededError as error:
                return error
            return self.find_work(volume)

        return self.jobs.submit(
            f"Opening {found.description}", work, lambda outcome: self._take_loaded(found, known, outcome)
        )

    def open_volume(self, volume: Volume) -> Job:
        """Make a volume that is in memory the open case, with the work on it."""

        def work(progress: ProgressCallback, cancel: CancelToken) -> Opened:
            return self.find_work(volume)

        return self.jobs.submit(f"Opening {volume.name}", work, self.take_opened)

    def adopt(self, volume: Volume, refused: Sequence[RefusedFile] = ()) -> None:
        """Make a volume the open case, with nothing done on it yet.

        Parameters
        ----------
        volume
            The image.
        refused
            Files of its place that could not be used.
        """
        self.take_opened(Opened(Case(volume)), refused)

    def open_labels(self, path: Path) -> Job:
        """Load labels for the open case; they replace what is there, as one undoable step."""
        case = self.need_case()

        def work(progress: ProgressCallback, cancel: CancelToken) -> Segmentation:
            return load_labels(path, case.volume)

        return self.jobs.submit(f"Opening labels {path.name}", work, lambda labels: self._take_labels(case, labels))

    # -- segmenting -----------------------------------------------------------------------------------------

    def run_model(self) -> Job:
        """Run the automatic model that is chosen, in the background; its segments arrive as one step.

        What it has finished so far is shown by ``live``. What its card asks to be done afterwards follows, each as
        a step of its own.
        """
        return model_run.run_model(self)

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

    def prompt(self, prompt: Prompt) -> Job | None:
        """Add a prompt of any kind."""
        return self.clicks.add(prompt) if self.clicks is not None else None

    def accept_clicks(self) -> None:
        """Finish the segment that is being clicked."""
        if self.clicks is not None:
            self.clicks.accept()

    def reset_clicks(self) -> None:
        """Take all prompts of this segment back."""
        if self.clicks is not None:
            self.clicks.reset()

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
        measurements = case.session.measurements

        def work(progress: ProgressCallback, cancel: CancelToken) -> Path:
            return exporting.export(kind, path, snapshot, case.volume, measurements)

        return self.jobs.submit(f"Exporting {path.name}", work, self._tell_saved)

    # -- telling --------------------------------------------------------------------------------------------

    @property
    def last_folder(self) -> Path | None:
        """The folder that was looked into last, where the next choice begins; it is forgotten with the program.

        Names of folders may be those of patients, so that no settings hold it.
        """
        if self._place is None:
            return None
        return self._place if self._place.is_dir() else self._place.parent

    @property
    def shown_volume(self) -> Volume | None:
        """The image that is looked at: one that is being read, or else that of the open case."""
        if self.preview.arriving is not None:
            return self.preview.arriving.volume
        return self.case.volume if self.case is not None else None

    def windows(self) -> dict[str, Window]:
        """Return the windows on offer for the image that is looked at, by id."""
        return self.preview.windows or (self.case.windows() if self.case is not None else {})

    def kept_sessions(self) -> list[Path]:
        """Return the sessions of the open image from the open one on; none where nothing is kept."""
        sessions, journal = self._sessions, self._journal
        return sessions.sessions(journal.path) if sessions is not None and journal is not None else []

    def need_case(self) -> Case:
        """Return the open case; refuse where there is none, be it that its image is still being read."""
        if self.preview.arriving is not None:
            raise UsageError(f"{READING}: wait until it is open, or cancel")
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
        self.drawing.close_down()
        self.jobs.close()
        # else it goes at the exit of the program, which waits for the threads
        if self._room is not None and not busy:
            self._room.cleanup()

    def _take_scan(self, result: Scan) -> None:
        self._take_listing(result)
        if len(result.found) == 1:
            self.open_found(result.found[0], self._decided)

    def _take_listing(self, result: Scan) -> None:
        if result.found or self.scan_result is None:  # what is listed stays where nothing comes in its place
            self.scan_result = result
            self.scan_changed.emit()
        if not result.found:
            self.notice(refusal_sentence(result, self._place), "error")

    def _take_loaded(self, found: FoundVolume, decided: Decided, outcome: Opened | DecisionNeededError) -> None:
        if not isinstance(outcome, DecisionNeededError):
            self.take_opened(outcome, self._refused_beside(found))
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

    def find_work(self, volume: Volume, path: Path | None = None) -> Opened:
        """Return a case with the work on an image, or with one of its sessions; runs on a worker."""
        case = self.case
        if path is None and case is not None and case.is_of(volume):
            return Opened(case, again=volume)
        if self._sessions is None:
            return Opened(Case(volume).survey())
        work = self._sessions.open(volume, self._listener, path)
        case = Case(
            volume,
            work.segmentation,
            work.journal,
            history=work.history,
            prompts=work.prompts,
            measurements=work.measurements,
        )
        return Opened(case.survey(), work)

    def _room_for(self, path: Path) -> Path | None:
        """Return the private folder in which an archive is unpacked, None for other paths."""
        if path.suffix.lower() != ".zip":
            return None
        self._room = self._room or TemporaryDirectory(prefix="napari-volseg-", ignore_cleanup_errors=True)
        return Path(self._room.name)

    def _refused_beside(self, found: FoundVolume) -> tuple[RefusedFile, ...]:
        scan_result = self.scan_result
        return scan_result.refused if scan_result is not None and found in scan_result.found else ()

    def take_opened(self, opened: Opened, refused: Sequence[RefusedFile] = ()) -> None:
        """Make a case the open one; one that is open already stays as it is."""
        if opened.again is not None:
            self._stay(opened.case, opened.again)
            return
        self._leave_case()
        self.fusion.remove()
        self.report = import_report(opened.case.volume, refused)
        zoomed = self.case is None and self.preview.sight is not None  # while it was read
        self.case, work = (case := opened.case), opened.work
        self._journal = work.journal if work else None
        self.clicks = Clicks(case, self.jobs, self.tools, self.engines, self.live)
        self.clicks.told.connect(lambda text, warns: self.notice(text, "warning" if warns else "info"))
        self.painter = Painter(case, self.tools)
        self.figures = SegmentFigures(case, self.jobs)
        self.surfaces = SegmentSurfaces(case, self.jobs)
        self.tools.tool, self.tools.channels = "navigate", {}
        chosen = self.preview.give_way()
        self.view.window = case.first_window()
        self.view.index = self.view.marked_step = None
        if not zoomed:
            self.view.zoom = self.view.center = None
        restore_view(work.view if work else {}, case, self.view, self.tools)
        self.view.window = chosen or self.view.window
        self.case_changed.emit()
        self._view_keeper.follow(case, self._journal)
        if work is not None and self.scan_result is not None:
            self.fusion.recall(work.view.get("second"), self.scan_result.found)
        self._begin_spare()
        self.warn(case.volume.origin_provenance.findings)
        if work is not None and work.told:
            self.notice(work.told, "info" if work.history else "warning")

    def _stay(self, case: Case, volume: Volume) -> None:
        """Show the open image anew and tell so, or open it after all where another one took its place meanwhile."""
        if case is self.case:
            self.case_changed.emit()
            self.notice(f"the image {volume.name} is open already: your work on it goes on")
        else:
            self.open_volume(volume)

    def _leave_case(self) -> None:
        """Write what is left of the open case; its file is closed on the way."""
        self._view_keeper.leave()
        for follower in (self.surfaces, self.figures):
            if follower is not None:
                follower.close()
        self.surfaces = self.figures = None
        if self._journal is not None:
            self._journal.close()
        self._journal = None

    @property
    def _listener(self) -> Listener:
        """What writing threads call; the answers are given on the inbox's thread."""
        return Listener(
            lambda keeper, error: self.jobs.inbox.post(lambda: self._keep_elsewhere(keeper, error)),
            lambda keeper: self.jobs.inbox.post(lambda: self._keep_at_home(keeper)),
        )

    def _keep_elsewhere(self, keeper: Keeper, error: VolsegError) -> None:
        self.notice(str(error), "error")
        if keeper is self._journal:
            self._begin_spare()

    def _begin_spare(self) -> None:
        journal = self._journal
        spare = journal.go_elsewhere(self.need_case().session) if journal and not journal.healthy else None
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
        self.warn(labels.findings)

    def warn(self, findings: Iterable[Finding]) -> None:
        """Tell the user of the findings that ask for attention."""
        for finding in findings:
            if finding.severity == "warning":
                self.notice(finding.message, "warning")

    def _tell_saved(self, path: Path) -> None:
        self.notice(f"{SAVED}: {path}")

    def _tell_stop(self, job: Job) -> None:
        self.notice(f"stopped: {job.title}; nothing was changed")

    def _tell_failure(self, job: Job) -> None:
        if job.error is not None:
            self.notice(error_sentence(job.error), "error")
