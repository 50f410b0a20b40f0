"""The durable session file: every finished step of a case on disk, from the moment it was made.

``case.volseg`` is an SQLite database with synchronous commits: a step that was committed survives a killed process
and a power cut. It holds no image and no name, path or identifier of a patient: only the shape and place of the grid,
a reference that the application chose (a checksum, see ``source_reference``), the steps, and how the case was looked
at.
"""

from __future__ import annotations

import json
import queue
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_volseg.app.session_changes import Change, Move, Open, OpenFile, Record, View
from napari_volseg.app.session_database import new_file, sealed_transaction
from napari_volseg.app.session_start import Start, source_reference, start_from, write_start
from napari_volseg.app.session_tiles import MOVE_BYTES
from napari_volseg.app.session_watch import Watch
from napari_volseg.core import Measurement, Prompt, RefusedError, Segmentation
from napari_volseg.editing import History, Step

#: After a failed write the next attempt comes with the next step, or after so many seconds.
RETRY_SECONDS = 2.0
#: A disk that takes longer counts as one that fails, seconds; each of so many bytes a second is waited for besides.
HANG_SECONDS, SLOWEST_DISK = 0.8, 20e6
#: How the case is looked at is kept when it has been left alone for so long, seconds, or with the next step.
VIEW_SECONDS = 0.5

__all__ = ["ErrorCallback", "SessionFile", "source_reference"]

ErrorCallback = Callable[[RefusedError], None]


@dataclass(frozen=True, slots=True)
class _Barrier:
    """Answered with whether everything before it is on disk."""

    answer: queue.SimpleQueue[bool]


_Write = Start | Change


def _nothing() -> None:
    """Stand in for a callback that nobody wants."""


class SessionFile:
    """A journal that commits each step on a thread of its own; made by ``create`` or ``resume``.

    A write that fails does not stop the work: it is told once, through the callback, and tried again until it
    succeeds.

    Parameters
    ----------
    path
        The file.
    on_error
        Called on the writing thread with one sentence that names the path.
    on_saved
        Called on the writing thread when everything is on disk again after an error.
    """

    def __init__(self, path: Path, on_error: ErrorCallback, on_saved: Callable[[], None] = _nothing) -> None:
        self.path = path
        self._writer = _Writer(path, on_error, on_saved)
        self._stop = weakref.finalize(self, self._writer.stop)
        self._writer.start()

    @classmethod
    def create(
        cls,
        path: str | Path,
        segmentation: Segmentation,
        source: Mapping[str, str],
        on_error: ErrorCallback,
        on_saved: Callable[[], None] = _nothing,
        *,
        history: History | None = None,
        prompts: tuple[Prompt, ...] = (),
        measurements: tuple[Measurement, ...] = (),
    ) -> SessionFile:
        """Begin a new file that starts from the labels and table as they are now.

        Parameters
        ----------
        path
            Must not exist; it will be readable by its owner alone.
        segmentation
            The labels now; a copy is taken.
        source
            What recognizes the image again, see ``source_reference``; never a patient's data.
        on_error, on_saved
            See the class.
        history, prompts, measurements
            The steps that led to the labels, and what is in effect, where work was begun elsewhere.

        Raises
        ------
        RefusedError
            Where the file exists.
        """
        path = Path(path)
        if path.exists():
            raise RefusedError(f"{path} exists: recover it or choose another name", "session.exists")
        file = cls(path, on_error, on_saved)
        file._writer.put(start_from(segmentation, source, history or History(), prompts, measurements))
        return file

    @classmethod
    def resume(
        cls, path: str | Path, on_error: ErrorCallback, on_saved: Callable[[], None] = _nothing
    ) -> SessionFile:
        """Go on with a file after ``recover``."""
        file = cls(Path(path), on_error, on_saved)
        file._writer.put(Open())
        return file

    @property
    def healthy(self) -> bool:
        """Whether the last attempt to write succeeded."""
        return self._writer.healthy

    def record(self, step: Step) -> None:
        """Keep a new step behind the present position; steps that were undone before it are void."""
        self._writer.put(Record(step))

    def moved(self, position: int) -> None:
        """Keep the number of steps in effect, counted from the first ever recorded."""
        self._writer.put(Move(position))

    def keep_view(self, view: Mapping[str, Any]) -> None:
        """Keep how the case is looked at, in types that JSON knows, once that has come to rest."""
        self._writer.put(View(json.dumps(view)))

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until every step so far was tried; return whether all of them are on disk."""
        answer: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._writer.put(_Barrier(answer))
        try:
            return answer.get(timeout=timeout)
        except queue.Empty:
            return False

    def close(self) -> None:
        """Write what is left and let the file go; this also happens when the program ends."""
        self._stop()


class _Writer:
    """The thread that owns the connection, and one that watches it.

    They never refer to their ``SessionFile``, so that this can be collected.
    """

    def __init__(self, path: Path, on_error: ErrorCallback, on_saved: Callable[[], None]) -> None:
        self.healthy = True
        self._path = path
        self._on_error = on_error
        self._on_saved = on_saved
        self._inbox: queue.SimpleQueue[_Write | _Barrier | None] = queue.SimpleQueue()
        self._start: Start | None = None
        self._pending: list[Change] = []
        self._view: View | None = None
        self._file: OpenFile | None = None
        self._position: int | None = None
        self._thread = threading.Thread(target=self._run, name="session-file", daemon=True)
        self._watch = Watch(lambda: self._tell(TimeoutError("the disk does not answer")))

    def start(self) -> None:
        self._watch.start()
        self._thread.start()

    def put(self, item: _Write | _Barrier) -> None:
        self._inbox.put(item)

    def stop(self) -> None:
        self._inbox.put(None)
        while self._thread.is_alive() and not self._watch.is_late:
            self._thread.join(0.05)
        self._watch.close()

    @property
    def _unsaved(self) -> bool:
        return self._start is not None or bool(self._pending)

    def _run(self) -> None:
        open_for_more = True
        while open_for_more:
            batch = self._next_batch()
            open_for_more = None not in batch
            self._take(batch)
            self._write_pending()
            for item in batch:
                if isinstance(item, _Barrier):
                    item.answer.put(not self._unsaved)
            if not batch:
                self._tidy()
        if self._file is not None:
            self._file.close()

    def _next_batch(self) -> list[_Write | _Barrier | None]:
        """Wait for something to do and take all that has gathered, so that one commit serves it."""
        try:
            patience = self._patience()
            batch = [self._inbox.get_nowait() if patience == 0 else self._inbox.get(timeout=patience)]
        except queue.Empty:
            return []
        while not self._inbox.empty():
            batch.append(self._inbox.get())
        return batch

    def _patience(self) -> float | None:
        """Return for how long nothing may come before something of its own is done, seconds; None for ever."""
        if self._unsaved:
            return RETRY_SECONDS
        if self._view is not None:
            return VIEW_SECONDS
        return None if self._file is None else self._file.patience

    def _take(self, batch: list[_Write | _Barrier | None]) -> None:
        """Make what came pending; the newest view waits for a step, an end or a rest."""
        for item in batch:
            if isinstance(item, View):
                self._view = item
            elif isinstance(item, Start):
                self._start = item
            elif isinstance(item, Open | Record | Move):
                self._pending.append(item)
        rests = all(isinstance(item, View) for item in batch) and batch
        if self._view is not None and not rests:
            self._pending.append(self._view)
            self._view = None

    def _write_pending(self) -> None:
        if not self._unsaved:
            return
        try:
            with self._watch.over(self._expected_seconds()):
                self._begin()
                if self._file is None:
                    self._file = OpenFile(self._path)
                # Numbers count from the last success that was seen: a commit that went through unseen is made again.
                self._position = self._file.write(self._pending, self._position)
        except Exception as error:
            # Whatever it is: a thread that died would lose every later step in silence.
            self._let_go_if_lost()
            self._tell(error)
        else:
            self._pending.clear()
            self._tell_saved()

    def _expected_seconds(self) -> float:
        """Return how long writing what is pending may take before the disk counts as one that fails."""
        size = sum(item.step.nbytes for item in self._pending if isinstance(item, Record))
        if self._start is not None:
            size += self._start.labels.nbytes + self._start.history.nbytes
        return HANG_SECONDS + size / SLOWEST_DISK

    def _begin(self) -> None:
        """Make the file, where that has not been done yet."""
        if self._start is not None:
            with new_file(self._path) as connection, sealed_transaction(connection):
                write_start(connection, self._start)
            self._start = None

    def _tidy(self) -> None:
        """Do a piece of the work that keeps the file quick to open."""
        try:
            if self._file is not None and not self._unsaved:
                with self._watch.over(HANG_SECONDS + MOVE_BYTES / SLOWEST_DISK):
                    self._file.tidy()
                self._tell_saved()
        except Exception:
            # Every step is on disk all the same; what hinders will hinder the next step, too, and is told then.
            if self._file is not None:
                self._file.postpone()

    def _let_go_if_lost(self) -> None:
        """Close a file that is no longer at its path, so that the next attempt looks there anew."""
        if self._file is not None and not self._file.is_in_place:
            file, self._file = self._file, None
            file.close()

    def _tell(self, error: Exception) -> None:
        """Tell of a failure, once until a write succeeds again."""
        if self.healthy:
            self.healthy = False
            self._on_error(
                RefusedError(
                    f"work can't be saved to {self._path} ({error}): it goes on in memory; "
                    "make room or make the folder writable, or export your labels",
                    "session.unwritable",
                )
            )

    def _tell_saved(self) -> None:
        """Tell, after a failure, that everything is on disk again."""
        if not self.healthy:
            self.healthy = True
            self._on_saved()
