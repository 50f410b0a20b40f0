"""The durable session file: every finished step of a case on disk, from the moment it was made.

``case.volseg`` is an SQLite database in write-ahead mode with synchronous commits: a step that was committed
survives a killed process and a power cut. It holds no image and no name, path or identifier of a patient: only the
shape and place of the grid, a reference that the application chose (a checksum, see ``source_reference``) and the
steps.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import sqlite3
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import numpy as np

from napari_volseg.core import (
    BoxMask,
    RefusedError,
    Segmentation,
    SegmentTable,
    Volume,
)
from napari_volseg.editing import Author, Step, TableChange, make_delta
from napari_volseg.editing.records import encode_step

#: ``PRAGMA application_id`` of a session file: "nvsg" in ASCII.
APPLICATION_ID = 0x6E767367
SCHEMA_VERSION = 1
#: After a failed write the next attempt comes with the next step, or after so many seconds.
RETRY_SECONDS = 2.0

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (
    number INTEGER PRIMARY KEY, header TEXT NOT NULL, before BLOB NOT NULL, after BLOB NOT NULL
);
"""

ErrorCallback = Callable[[RefusedError], None]


@dataclass(frozen=True, slots=True)
class _Start:
    """The facts of a new file, and the labels it starts from as step 0."""

    facts: Mapping[str, str]
    labels: Step


@dataclass(frozen=True, slots=True)
class _Record:
    step: Step


@dataclass(frozen=True, slots=True)
class _Move:
    position: int


@dataclass(frozen=True, slots=True)
class _Barrier:
    """Answered with whether everything before it is on disk."""

    answer: queue.SimpleQueue[bool]


_Write = _Start | _Record | _Move


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
    """

    def __init__(self, path: Path, on_error: ErrorCallback) -> None:
        self.path = path
        self._writer = _Writer(path, on_error)
        self._stop = weakref.finalize(self, self._writer.stop)
        self._writer.start()

    @classmethod
    def create(
        cls, path: str | Path, segmentation: Segmentation, source: Mapping[str, str], on_error: ErrorCallback
    ) -> SessionFile:
        """Begin a new file that starts from the labels and table as they are now.

        Parameters
        ----------
        path
            Must not exist; it will be readable by its owner alone.
        segmentation
            The labels before the first step.
        source
            What recognizes the image again, see ``source_reference``; never a patient's data.
        on_error
            See the class.

        Raises
        ------
        RefusedError
            Where the file exists.
        """
        path = Path(path)
        if path.exists():
            raise RefusedError(f"{path} exists: recover it or choose another name", "session.exists")
        file = cls(path, on_error)
        file._writer.put(_Start(_facts(segmentation, source), _start_step(segmentation)))
        return file

    @classmethod
    def resume(cls, path: str | Path, on_error: ErrorCallback) -> SessionFile:
        """Go on with a file after ``recover``."""
        return cls(Path(path), on_error)

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

    def __init__(self, path: Path, on_error: ErrorCallback) -> None:
        self.healthy = True
        self._path = path
        self._on_error = on_error
        self._inbox: queue.SimpleQueue[_Write | _Barrier | None] = queue.SimpleQueue()
        self._pending: list[_Write] = []
        self._connection: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._run, name="session-file", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, item: _Write | _Barrier) -> None:
        self._inbox.put(item)

    def stop(self) -> None:
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        open_for_more = True
        while open_for_more:
            batch = self._next_batch()
            open_for_more = None not in batch
            self._pending += [item for item in batch if isinstance(item, _Write)]
            self._write_pending()
            for item in batch:
                if isinstance(item, _Barrier):
                    item.answer.put(not self._pending)
        if self._connection is not None:
            self._connection.close()

    def _next_batch(self) -> list[_Write | _Barrier | None]:
        """Wait for something to do and take all that has gathered, so that one commit serves it."""
        try:
            batch = [self._inbox.get(timeout=RETRY_SECONDS if self._pending else None)]
        except queue.Empty:
            return []
        while not self._inbox.empty():
            batch.append(self._inbox.get())
        return batch

    def _write_pending(self) -> None:
        if not self._pending:
            return
        try:
            if self._connection is None:
                self._connection = connect(self._path, create=isinstance(self._pending[0], _Start))
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                for item in self._pending:
                    _write(self._connection, item)
        except Exception as error:
            # Whatever it is: a thread that died would lose every later step in silence.
            self._tell(error)
        else:
            self._pending.clear()
            self.healthy = True

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


def _write(connection: sqlite3.Connection, item: _Write) -> None:
    match item:
        case _Start(facts=facts, labels=labels):
            connection.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
            _insert(connection, 0, labels)
            _set_position(connection, 0)
        case _Record(step=step):
            number = _position(connection) + 1
            connection.execute("DELETE FROM steps WHERE number >= ?", (number,))
            _insert(connection, number, step)
            _set_position(connection, number)
        case _Move(position=position):
            _set_position(connection, position)
        case _:
            assert_never(item)


def _insert(connection: sqlite3.Connection, number: int, step: Step) -> None:
    connection.execute("INSERT INTO steps VALUES (?, ?, ?, ?)", (number, *encode_step(step)))


def _position(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT value FROM meta WHERE key = 'position'").fetchone()[0])


def _set_position(connection: sqlite3.Connection, position: int) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('position', ?)", (str(position),))


def connect(path: Path, *, create: bool = False) -> sqlite3.Connection:
    """Open a session file for this process alone; the lock goes with the process, however it ends.

    Raises
    ------
    RefusedError
        Where it is a database of another kind or of a newer release.
    sqlite3.Error
        Where it is no database or can't be opened; ``SQLITE_BUSY`` where another process has it open.
    """
    if create:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        if not create:
            _refuse_other_kinds(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if create:
            connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _facts(segmentation: Segmentation, source: Mapping[str, str]) -> dict[str, str]:
    geometry = segmentation.geometry
    return {
        "shape": json.dumps(geometry.shape),
        "matrix": json.dumps(geometry.matrix.tolist()),
        "dtype": segmentation.labels.dtype.str,
        "source": json.dumps(dict(source)),
    }


def _start_step(segmentation: Segmentation) -> Step:
    """Return the step from nothing to the labels and table that a session starts from."""
    labels = segmentation.labels
    box = BoxMask.of(labels != 0).box
    present = labels[box.slices]
    return make_delta(
        {"name": "Start", "author": Author("tool", "session")},
        box,
        np.zeros_like(present),
        present,
        None,
        TableChange(SegmentTable(), segmentation.table),
    )


def _refuse_other_kinds(connection: sqlite3.Connection, path: Path) -> None:
    kind = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if kind != APPLICATION_ID:
        raise RefusedError(f"{path} is a database of another program: choose a session file", "session.other_kind")
    if version > SCHEMA_VERSION:
        raise RefusedError(
            f"{path} was written in version {version} of the format and this release knows {SCHEMA_VERSION}: "
            "update the program",
            "session.newer",
        )


def source_reference(volume: Volume) -> dict[str, str]:
    """Return what recognizes an image again and tells nothing about a patient: a checksum of voxels and grid."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((volume.voxels.shape, volume.voxels.dtype.str)).encode())
    digest.update(volume.geometry.matrix.tobytes())
    for part in volume.voxels:
        digest.update(np.ascontiguousarray(part).tobytes())
    return {"blake2b": digest.hexdigest()}
