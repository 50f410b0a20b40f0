"""A session file that is open for writing, and the changes that can be made to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from napari_volseg.app.session_database import (
    connect,
    drop_steps,
    fact,
    insert_step,
    put_fact,
    read_base,
    read_dropped,
    sealed_transaction,
    void_steps,
)
from napari_volseg.app.session_tiles import BaseMove
from napari_volseg.editing import DEFAULT_BYTE_BUDGET, Step

#: Labels are kept whole anew when so many steps have come since, and nothing was to be done for a moment.
BASE_EVERY, IDLE_SECONDS = 64, 0.2
#: The whole labels stay so many steps behind, lest they have to go back with the first undo.
BASE_BEHIND = 8
#: Compressed bytes of steps that a file keeps: twice what memory does, so that whatever can be undone is there.
FILE_BYTE_BUDGET = 2 * DEFAULT_BYTE_BUDGET


@dataclass(frozen=True, slots=True)
class Open:
    """Lock the file and mark it as open, before there is anything to write."""


@dataclass(frozen=True, slots=True)
class Record:
    """A new step behind the present position; those that were undone before it are void."""

    step: Step


@dataclass(frozen=True, slots=True)
class Move:
    """Another number of steps in effect."""

    position: int


@dataclass(frozen=True, slots=True)
class View:
    """How the case is looked at, as JSON."""

    text: str


Change = Open | Record | Move | View


class OpenFile:
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

    def write(self, items: list[Change], position: int | None) -> int:
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

    def _write_one(self, item: Change, at: int) -> int:
        connection = self._connection
        match item:
            case Record(step=step):
                self._make_way(at + 1)
                void_steps(connection, at + 1)
                insert_step(connection, at + 1, step)
                put_fact(connection, "position", str(at + 1))
                return at + 1
            case Move(position=position):
                if position < read_dropped(connection):
                    raise ValueError(f"step {position} is not kept any more")
                put_fact(connection, "position", str(position))
                return position
            case Open():
                return at
            case View(text=text):
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
