"""The database inside a session file: its tables, its seal, and what stands in them.

Every transaction ends with a seal, a checksum over all facts and the chain of all steps. SQLite finds torn
transactions by itself; the seal finds what else can happen to a file, such as blocks that were lost or pages of two
moments side by side, so that nothing opens but a state that was written.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from napari_volseg.app.filesystems import is_shared
from napari_volseg.core import Measurement, Prompt, RefusedError, SegmentTable
from napari_volseg.editing import Step
from napari_volseg.editing.records import StepRecord, decode_state, decode_step, encode_state, encode_step

#: ``PRAGMA application_id`` of a session file: "nvsg" in ASCII.
APPLICATION_ID = 0x6E767367
SCHEMA_VERSION = 2
#: A journal that grew beyond this is cut when it is empty again, bytes.
JOURNAL_LIMIT = 64 << 20

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (
    number INTEGER PRIMARY KEY, header TEXT NOT NULL, before BLOB NOT NULL, after BLOB NOT NULL, digest BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS tiles (
    z INTEGER, y INTEGER, x INTEGER, method TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (z, y, x)
);
"""
#: Keys that change by themselves; a wrong value of theirs does no harm.
_UNSEALED = ("seal", "view", "open")


class Base(NamedTuple):
    """A step of the history up to which the labels are kept whole, as tiles.

    Parameters
    ----------
    number
        Number of steps in effect there.
    table, prompts
        Segments and prompts there.
    tiles
        Checksum of all tiles, see ``session_tiles``.
    measurements
        Measurements there.
    """

    number: int
    table: SegmentTable
    prompts: tuple[Prompt, ...]
    tiles: str
    measurements: tuple[Measurement, ...] = ()


# -- opening ------------------------------------------------------------------------------------------------


def connect(path: Path) -> sqlite3.Connection:
    """Open a session file for this process alone; the lock goes with the process, however it ends.

    Committed is on disk: in write-ahead mode on disks of this machine, with a rollback journal on shares, where the
    shared memory that write-ahead mode needs is not to be had.

    Raises
    ------
    RefusedError
        Where it is a database of another kind or of another release.
    sqlite3.Error
        Where it is no database or can't be opened; ``SQLITE_BUSY`` where another process has it open.
    """
    connection = _open(path)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        _refuse_other_kinds(connection, path)
        _make_durable(connection, shared=is_shared(path))
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def new_file(path: Path) -> Iterator[sqlite3.Connection]:
    """Make a session file for its owner alone; it appears under its name when it is whole and on disk.

    Raises
    ------
    FileExistsError
        Where the name was taken meanwhile.
    """
    part = path.with_name(f"{path.name}.new")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with closing(_open(part)) as connection:
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.executescript(_SCHEMA)
            yield connection
        _name_it(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    try:
        sync_folder(path.parent)
    except OSError:
        path.unlink(missing_ok=True)  # a name that may be gone tomorrow: it is made anew
        raise


def _name_it(part: Path, path: Path) -> None:
    """Give a file its name without taking that of another one."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise FileExistsError(17, "it was made by another program meanwhile", str(path)) from None
        part.rename(path)
    else:
        part.unlink()


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the system has a way to."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_durable(connection: sqlite3.Connection, *, shared: bool) -> None:
    connection.execute(f"PRAGMA journal_mode = {'DELETE' if shared else 'WAL'}")
    connection.execute(f"PRAGMA synchronous = {'EXTRA' if shared else 'FULL'}")
    connection.execute("PRAGMA fullfsync = ON")  # macOS alone: there, fsync does not reach the disk
    connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_LIMIT}")


def _refuse_other_kinds(connection: sqlite3.Connection, path: Path) -> None:
    kind = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if kind != APPLICATION_ID:
        raise RefusedError(f"{path} is a database of another program: choose a session file", "session.other_kind")
    if version != SCHEMA_VERSION:
        cure = "update the program" if version > SCHEMA_VERSION else "open it with the release that wrote it"
        raise RefusedError(
            f"{path} was written in version {version} of the format and this release knows {SCHEMA_VERSION}: {cure}",
            "session.newer" if version > SCHEMA_VERSION else "session.older",
        )


@contextmanager
def sealed_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Make changes that are on disk all together, or not at all, when this ends."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        put_fact(connection, "seal", _seal(connection))


# -- facts --------------------------------------------------------------------------------------------------


def fact(connection: sqlite3.Connection, key: str) -> str:
    """Return a fact; KeyError where it is missing."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    if row is None:
        raise KeyError(key)
    return str(row[0])


def put_fact(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Keep a fact, in the place of an earlier one."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def read_base(connection: sqlite3.Connection) -> Base:
    """Return where the labels are kept whole."""
    stored = json.loads(fact(connection, "base"))
    table, prompts, measurements = decode_state(stored["state"])
    return Base(int(stored["number"]), table, prompts, str(stored["tiles"]), measurements)


def put_base(connection: sqlite3.Connection, base: Base) -> None:
    """Keep where the labels are kept whole."""
    state = encode_state(base.table, base.prompts, base.measurements)
    stored = {"number": base.number, "state": state, "tiles": base.tiles}
    put_fact(connection, "base", json.dumps(stored))


# -- steps --------------------------------------------------------------------------------------------------


def insert_step(connection: sqlite3.Connection, number: int, step: Step) -> None:
    """Keep a step behind the one before it, whose checksum its own continues."""
    record = encode_step(step)
    digest = _chained(_digest_before(connection, number), number, record)
    connection.execute("INSERT INTO steps VALUES (?, ?, ?, ?, ?)", (number, *record, digest))


def read_steps(connection: sqlite3.Connection, first: int, last: int | None = None) -> list[Step]:
    """Return the steps numbered ``first`` to ``last`` (included; to the end where absent).

    Raises
    ------
    ValueError
        Where one is missing or not what was written.
    """
    query = "SELECT number, header, before, after, digest FROM steps WHERE number BETWEEN ? AND ? ORDER BY number"
    steps, before = [], _digest_before(connection, first)
    for expected, row in enumerate(connection.execute(query, (first, (1 << 62) if last is None else last)), first):
        number, record, digest = row[0], StepRecord(*row[1:4]), row[4]
        if number != expected or digest != _chained(before, number, record):
            raise ValueError(f"step {expected} is not as it was written")
        steps.append(decode_step(record))
        before = digest
    if last is not None and len(steps) != last - first + 1:
        raise ValueError(f"steps {first} to {last} are not all there")
    return steps


def void_steps(connection: sqlite3.Connection, first: int) -> None:
    """Remove the steps from number ``first`` on."""
    connection.execute("DELETE FROM steps WHERE number >= ?", (first,))


def drop_steps(connection: sqlite3.Connection, byte_budget: int, last: int) -> None:
    """Remove the oldest steps, up to number ``last``, as long as all together take more than a number of bytes."""
    sizes = connection.execute("SELECT number, length(before) + length(after) FROM steps ORDER BY number").fetchall()
    excess, dropped = sum(size for _, size in sizes) - byte_budget, None
    for number, size in sizes:
        if excess <= 0 or number > last:
            break
        excess, dropped = excess - size, number
    if dropped is not None:
        put_dropped(connection, dropped, _digest_before(connection, dropped + 1))
        connection.execute("DELETE FROM steps WHERE number <= ?", (dropped,))


def put_dropped(connection: sqlite3.Connection, count: int, digest: bytes = b"") -> None:
    """Keep how many of the oldest steps are gone, and the checksum that the next one continues."""
    put_fact(connection, "dropped", json.dumps([count, digest.hex()]))


def read_dropped(connection: sqlite3.Connection) -> int:
    """Return how many of the oldest steps are gone."""
    return int(json.loads(fact(connection, "dropped"))[0])


def _digest_before(connection: sqlite3.Connection, number: int) -> bytes:
    row = connection.execute("SELECT digest FROM steps WHERE number = ?", (number - 1,)).fetchone()
    if row is not None:
        return bytes(row[0])
    count, digest = json.loads(fact(connection, "dropped"))
    if count != number - 1:
        raise ValueError(f"step {number - 1} is missing")
    return bytes.fromhex(digest)


def _chained(before: bytes, number: int, record: StepRecord) -> bytes:
    """Return the checksum of a step and of all steps before it."""
    digest = hashlib.blake2b(before, digest_size=16)
    header = record.header.encode()
    digest.update(f"{number} {len(header)} {len(record.before)} ".encode())
    for part in (header, record.before, record.after):
        digest.update(part)
    return digest.digest()


# -- the seal -----------------------------------------------------------------------------------------------


def check_seal(connection: sqlite3.Connection) -> None:
    """Refuse facts and steps that no transaction left like this.

    Raises
    ------
    ValueError
        Where the seal does not fit.
    """
    if fact(connection, "seal") != _seal(connection):
        raise ValueError("its parts do not belong together")


def _seal(connection: sqlite3.Connection) -> str:
    facts = [row for row in connection.execute("SELECT key, value FROM meta ORDER BY key") if row[0] not in _UNSEALED]
    last = connection.execute("SELECT number, digest FROM steps ORDER BY number DESC LIMIT 1").fetchone()
    head = [last[0], last[1].hex()] if last else None
    return hashlib.blake2b(json.dumps([facts, head]).encode(), digest_size=16).hexdigest()
