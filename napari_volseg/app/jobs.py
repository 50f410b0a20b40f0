"""Long work off the calling thread: lanes with one long-lived thread each, and results brought home.

Work runs on a lane's thread; progress, results and errors come back through an inbox that the owner of the
user interface empties on its own thread. Without an interface, ``JobRunner.wait`` empties it.
"""

from __future__ import annotations

import atexit
import itertools
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from psygnal import Signal

from napari_volseg.core import CancelledError, CancelToken, Progress, ProgressCallback, VolsegError

Work = Callable[[ProgressCallback, CancelToken], Any]
State = Literal["queued", "running", "done", "failed", "cancelled"]
Lane = Literal["network", "files", "tools", "preview", "downloads", "surfaces", "figures", "thumbnails"]

#: Progress is passed on at most this often, seconds.
PROGRESS_INTERVAL = 0.05

#: At exit, work that was asked to stop is waited for at most this long, seconds.
EXIT_PATIENCE = 30.0

URGENT, NORMAL = 0, 1


class Inbox:
    """Calls that other threads post and one thread runs.

    Attributes
    ----------
    wake
        Called, on the posting thread, after something was posted; an interface schedules ``pump`` from it.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.wake: Callable[[], None] = lambda: None

    def post(self, call: Callable[[], None]) -> None:
        """Leave a call to be run by whoever pumps."""
        self._calls.put(call)
        self.wake()

    def pump(self, timeout: float = 0.0) -> bool:
        """Run what has been posted, waiting up to ``timeout`` seconds for the first; tell whether any was."""
        try:
            call = self._calls.get(timeout=timeout) if timeout > 0 else self._calls.get_nowait()
        except queue.Empty:
            return False
        call()
        while True:
            try:
                self._calls.get_nowait()()
            except queue.Empty:
                return True


@dataclass(slots=True, eq=False)
class Job:
    """One piece of long work and how it stands; written on the inbox's thread only.

    Parameters
    ----------
    title
        What runs, for people.
    lane
        The thread it runs on.
    quiet
        Whether it is housekeeping that nobody asked for and nobody needs to see.
    stopped
        Whether the user asked for its end, and not another job that takes its place.
    """

    title: str
    lane: Lane
    work: Work
    then: Callable[[Any], object] | None = None
    quiet: bool = False
    state: State = "queued"
    progress: Progress = field(default_factory=lambda: Progress(0, 0))
    token: CancelToken = field(default_factory=CancelToken)
    error: BaseException | None = None
    result: Any = None
    stopped: bool = False
    started_at: float | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("done", "failed", "cancelled")

    def cancel(self) -> None:
        """Ask it to stop at its next step."""
        self.token.cancel()

    @property
    def remaining_seconds(self) -> float | None:
        """Time left, as the work itself tells or extrapolated from what is done; None before the first step."""
        if self.progress.seconds_left is not None:
            return self.progress.seconds_left
        if self.started_at is None or self.progress.done <= 0 or self.progress.total <= 0:
            return None
        elapsed = time.monotonic() - self.started_at
        return elapsed * (self.progress.total - self.progress.done) / self.progress.done


class JobRunner:
    """Runs jobs, one at a time in each lane, urgent ones first.

    All neural-network work shares the lane ``"network"``: a fresh thread for each call would lose cuDNN's
    per-thread plans.

    Attributes
    ----------
    changed
        Emitted with a job that stands otherwise than before.
    failed
        Emitted with a job that ended with an error.
    stopped
        Emitted with a job that the user had stopped, once it has ended.
    """

    changed = Signal(Job)
    failed = Signal(Job)
    stopped = Signal(Job)

    def __init__(self, inbox: Inbox | None = None) -> None:
        self.inbox = inbox or Inbox()
        self.jobs: list[Job] = []
        self._order = itertools.count()
        self._lanes: dict[Lane, queue.PriorityQueue[tuple[int, int, Job | None]]] = {}
        self._threads: list[threading.Thread] = []

    def submit(
        self,
        title: str,
        work: Work,
        then: Callable[[Any], object] | None = None,
        *,
        lane: Lane = "files",
        urgent: bool = False,
        quiet: bool = False,
    ) -> Job:
        """Queue ``work(progress, cancel)``; ``then(result)`` runs on the inbox's thread if it succeeds."""
        job = Job(title, lane, work, then, quiet)
        self.jobs = [j for j in self.jobs if not j.finished] + [job]
        self._lane(lane).put((URGENT if urgent else NORMAL, next(self._order), job))
        self.changed.emit(job)
        return job

    @property
    def active(self) -> tuple[Job, ...]:
        """Jobs that wait or run."""
        return tuple(j for j in self.jobs if not j.finished)

    @property
    def shown(self) -> tuple[Job, ...]:
        """Active jobs that the user asked for."""
        return tuple(j for j in self.active if not j.quiet)

    def wait(self, job: Job | None = None, timeout: float = 600.0) -> None:
        """Pump the inbox until ``job`` (or every job) has finished; TimeoutError after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        while not (job.finished if job else not self.active):
            self.inbox.pump(0.05)
            if time.monotonic() > end:
                raise TimeoutError(f"still running after {timeout:g} s: {[j.title for j in self.active]}")

    def stop(self) -> None:
        """Ask every job to stop at its next step, as the user wishes; each tells when it has ended."""
        for job in self.shown:
            job.stopped = True
        self.cancel_all()

    def cancel_all(self) -> None:
        """Ask every job to stop at its next step."""
        for job in self.active:
            job.cancel()

    def close(self) -> None:
        """Cancel everything and let the threads end; the exit of the program waits for them.

        PyTorch aborts a process whose interpreter ends while a thread is in a network.
        """
        self.cancel_all()
        for lane in self._lanes.values():
            lane.put((NORMAL + 1, next(self._order), None))
        self._lanes.clear()
        for thread in self._threads:
            atexit.register(thread.join, EXIT_PATIENCE)
        self._threads.clear()

    def _lane(self, name: Lane) -> queue.PriorityQueue[tuple[int, int, Job | None]]:
        if name not in self._lanes:
            self._lanes[name] = queue.PriorityQueue()
            thread = threading.Thread(
                target=self._serve, args=(self._lanes[name],), name=f"volseg-{name}", daemon=True
            )
            thread.start()
            self._threads.append(thread)
        return self._lanes[name]

    def _serve(self, lane: queue.PriorityQueue[tuple[int, int, Job | None]]) -> None:
        while (job := lane.get()[2]) is not None:
            self._run(job)

    def _run(self, job: Job) -> None:
        self.inbox.post(lambda: self._start(job))
        try:
            job.token.check()
            result = job.work(self._reporter(job), job.token)
            job.token.check()
        except CancelledError as error:
            self._post_end(job, "cancelled", error)
        except BaseException as error:  # a worker must outlive whatever a decoder or a network throws
            self._post_end(job, "failed", error)
        else:
            self.inbox.post(lambda: self._succeed(job, result))

    def _reporter(self, job: Job) -> ProgressCallback:
        last = 0.0

        def report(progress: Progress) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= PROGRESS_INTERVAL or progress.done == progress.total:
                last = now
                self.inbox.post(lambda: self._advance(job, progress))

        return report

    def _start(self, job: Job) -> None:
        job.started_at = time.monotonic()
        job.state = "running"
        self.changed.emit(job)

    def _advance(self, job: Job, progress: Progress) -> None:
        job.progress = progress
        self.changed.emit(job)

    def _post_end(self, job: Job, state: State, error: BaseException) -> None:
        self.inbox.post(lambda: self._end(job, state, error))

    def _end(self, job: Job, state: State, error: BaseException | None) -> None:
        job.state, job.error = state, error
        self.changed.emit(job)
        if state == "failed":
            self.failed.emit(job)
        elif state == "cancelled" and job.stopped:
            self.stopped.emit(job)

    def _succeed(self, job: Job, result: Any) -> None:
        if job.token.cancelled:
            self._end(job, "cancelled", CancelledError("cancelled: nothing was changed"))
            return
        try:
            job.result = result
            if job.then is not None:
                job.then(result)
        except Exception as error:  # an answer that can't be shown must not leave its job running for ever
            self._end(job, "failed", error)
        else:
            self._end(job, "done", None)


def error_sentence(error: BaseException) -> str:
    """Return what to tell a user: our own sentence, or the kind of an unexpected error and its text."""
    if isinstance(error, VolsegError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory for this step: close other programs or use a smaller volume"
    text = str(error).strip().splitlines()[0] if str(error).strip() else "no further information"
    return f"unexpected {type(error).__name__}: {text}; nothing was changed"
