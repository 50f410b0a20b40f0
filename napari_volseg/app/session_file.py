"""The durable session file: every finished step of a case on disk, from the moment it was made.

``case.volseg`` is an SQLite database with synchronous commits: a step that was committed survives a killed process
and a power cut. It holds no image and no name, path or identifier of a patient: only the shape and place of the grid,
a reference that the application chose (a checksum, see ``source_reference``), the steps, and how the case was looked
at.
"""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from napari_volseg.app.session_database import (
    connect,
    drop_steps,
    fact,
    insert_step,
    new_file,
    put_fact,
    read_base,
    read_dropped,
    sealed_transaction,
    void_steps,
)
from napari_volseg.app.session_start import Start, source_reference, start_from, write_start
from napari_volseg.app.session_tiles import BaseMove
from napari_volseg.core import Prompt, RefusedError, Segmentation
from napari_volseg.editing import DEFAULT_BYTE_BUDGET, History, Step

#: After a failed write the next attempt comes with the next step, or after so many seconds.
RETRY_SECONDS = 2.0
#: How the case is looked at is kept when it has been left alone for so long, seconds, or with the next step.
VIEW_SECONDS = 0.5
#: Labels are kept whole anew when so many steps have come since, and nothing was to be done for a moment.
BASE_EVERY, IDLE_SECONDS = 64, 0.2
#: The whole labels stay so many steps behind, lest they have to go back with the first undo.
BASE_BEHIND = 8
#: Compressed bytes of steps that a file keeps: twice what memory does, so that whatever can be undone is there.
FILE_BYTE_BUDGET = 2 * DEFAULT_BYTE_BUDGET

__all__ = ["ErrorCallback", "SessionFile", "source_reference"]

ErrorCallback = Callable[[RefusedError], None]


@dataclass(frozen=True, slots=True)
class _Open:
    """Lock the file and mark it as open, before there is anything to write."""


@dataclass(frozen=True, slots=True)
class _Record:
    step: Step


@dataclass(frozen=True, slots=True)
class _Move:
    position: int


@dataclass(frozen=True, slots=True)
class _View:
    text: str


@dataclass(frozen=True, slots=True)
class _Barrier:
    """Answered with whether everything before it is on disk."""

    answer: queue.SimpleQueue[bool]


_Change = _Open | _Record | _Move | _View
_Write = Start | _Change


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
        history, prompts
            The steps that led to the labels, and the prompts in effect, where work was begun elsewhere.

        Raises
        ------
        RefusedError
            Where the file exists.
        """
        path = Path(path)
        if path.exists():
            raise RefusedError(f"{path} exists: recover it or choose another name", "session.exists")
        file = cls(path, on_error, on_saved)
        file._writer.put(start_from(segmentation, source, history or History(), prompts))
        return file

    @classmethod
    def resume(
        cls, path: str | Path, on_error: ErrorCallback, on_saved: Callable[[], None] = _nothing
    ) -> SessionFile:
        """Go on with a file after ``recover``."""
        file = cls(Path(path), on_error, on_saved)
        file._writer.put(_Open())
        return file

    @property
    def healthy(self) -> bool:
        """Whether the last attempt to write succeeded."""
        return self._writer.healthy

    def record(self, step: Step) -> None:
        """Keep a new step behind the present position; steps that were undone before it are void."""
        self._writer.put(_Record(step))

    def moved(self, position: int) -> None:
        """Keep the number of steps in effect, counted from the first ever recorded."""
        self._writer.put(_Move(position))

    def keep_view(self, view: Mapping[str, Any]) -> None:
        """Keep how the case is looked at, in types that JSON knows, once that has come to rest."""
        self._writer.put(_View(json.dumps(view)))

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
    """The thread that owns the connection; it never refers to its ``SessionFile``, so that this can be collected."""

    def __init__(self, path: Path, on_error: ErrorCallback, on_saved: Callable[[], None]) -> None:
        self.healthy = True
        self._path = path
        self._on_error = on_error
        self._on_saved = on_saved
        self._inbox: queue.SimpleQueue[_Write | _Barrier | None] = queue.SimpleQueue()
        self._start: Start | None = None
        self._pending: list[_Change] = []
        self._view: _View | None = None
        self._file: _OpenFile | None = None
        self._position: int | None = None
        self._thread = threading.Thread(target=self._run, name="session-file", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, item: _Write | _Barrier) -> None:
        self._inbox.put(item)

    def stop(self) -> None:
        self._inbox.put(None)
        self._thread.join()

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
            if isinstance(item, _View):
                self._view = item
            elif isinstance(item, Start):
                self._start = item
            elif isinstance(item, _Open | _Record | _Move):
                self._pending.append(item)
        rests = all(isinstance(item, _View) for item in batch) and batch
        if self._view is not None and not rests:
            self._pending.append(self._view)
            self._view = None

    def _write_pending(self) -> None:
        if not self._unsaved:
            return
        try:
            self._begin()
            if self._file is None:
                self._file = _OpenFile(self._path)
            # Numbers count from the last success that was seen: a commit that went through unseen is made again.
            self._position = self._file.write(self._pending, self._position)
        except Exception as error:
            # Whatever it is: a thread that died would lose every later step in silence.
            self._let_go_if_lost()
            self._tell(error)
        else:
            self._pending.clear()
            if not self.healthy:
                self.healthy = True
                self._on_saved()

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
                self._file.tidy()
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


class _OpenFile:
    """A session file that is open for writing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect(path)
        self._identity = _identity(path)
        self._base: int | None = None
        self._position = 0
        self._put_off = 0
        self._move: BaseMove | None = None
        self._work: Iterator[None] = iter(())

    @property
    def patience(self) -> float | None:
        """For how long nothing may come before there is something to tidy, seconds; None where there is nothing."""
        if self._move is not None:
            return 0
        return IDLE_SECONDS if self._base_is_far() else None

    @property
    def is_in_place(self) -> bool:
        """Whether the file at the path is still the one that is open."""
        try:
            return _identity(self._path) == self._identity
        except OSError:
            return False

    def write(self, items: list[_Change], position: int | None) -> int:
        """Commit some changes behind a position (that of the file where absent); return the one after."""
        with sealed_transaction(self._connection):
            at = int(fact(self._connection, "position")) if position is None else position
            for item in items:
                at = self._write_one(item, at)
            put_fact(self._connection, "open", "1")
            self._base = read_base(self._connection).number
        if not self.is_in_place:
            raise FileNotFoundError("the file was moved or removed")
        self._position = at
        return at

    def tidy(self) -> None:
        """Go on with bringing the whole labels closer to the present step, or begin with it."""
        if self._move is None:
            target = max(self._position - BASE_BEHIND, min(self._base or 0, self._position))
            self._move = BaseMove(self._connection, target)
            self._work = self._move.work()
        if next(self._work, self) is self:
            self._finish_move(self._move)

    def postpone(self) -> None:
        """Give up tidying until many more steps have come."""
        self._move, self._put_off = None, self._position

    def close(self) -> None:
        """Close it; where nothing hinders, mark that the program ended as it should."""
        try:
            if self.is_in_place:
                self._connection.execute("DELETE FROM meta WHERE key = 'open'")
        except sqlite3.Error:
            self._move = None  # the mark stays, and what was committed is safe
        finally:
            self._connection.close()

    def _base_is_far(self) -> bool:
        if self._base is None:
            return False
        return self._position < self._base or self._position - max(self._base, self._put_off) >= BASE_EVERY

    def _write_one(self, item: _Change, at: int) -> int:
        connection = self._connection
        match item:
            case _Record(step=step):
                self._make_way(at + 1)
                void_steps(connection, at + 1)
                insert_step(connection, at + 1, step)
                put_fact(connection, "position", str(at + 1))
                return at + 1
            case _Move(position=position):
                if position < read_dropped(connection):
                    raise ValueError(f"step {position} is not kept any more")
                put_fact(connection, "position", str(position))
                return position
            case _Open():
                return at
            case _View(text=text):
                put_fact(connection, "view", text)
                return at
            case _:
                assert_never(item)

    def _make_way(self, number: int) -> None:
        """Take the whole labels back behind steps that are about to be void."""
        if self._move is not None and number <= self._move.reach:
            self._move = None
        while read_base(self._connection).number >= number:
            move = BaseMove(self._connection, number - 1)
            for _ in move.work():
                pass
            move.write()

    def _finish_move(self, move: BaseMove) -> None:
        self._move = None
        with sealed_transaction(self._connection):
            move.write()
            drop_steps(self._connection, FILE_BYTE_BUDGET, min(move.base.number, self._position) - 1)
        self._base = move.base.number


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
