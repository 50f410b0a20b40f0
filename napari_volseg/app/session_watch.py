"""Noticing a disk that doesn't answer: a call that hangs raises no error that could be told."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

#: Seconds after which it is looked again at most, and how many times as long as it was to take a wait may count.
TICK, MOST = 0.05, 1.5


class Watch:
    """Looks on, from a thread of its own, while another thread does something that should be done soon.

    Parameters
    ----------
    late
        Called on the watching thread, once for each thing that takes too long, before the other thread goes on.
    clock
        Returns seconds. Time during which the watching thread could not run is not counted: where the computer is
        busy or asleep, the other thread is kept waiting likewise, and not by the disk.
    """

    def __init__(self, late: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._late, self._clock = late, clock
        self._change = threading.Condition()
        self._left: float | None = None
        self._turn = 0
        self._told = self._closed = False
        self._thread = threading.Thread(target=self._run, name="session-watch", daemon=True)

    def start(self) -> None:
        """Begin to look on."""
        self._thread.start()

    @property
    def is_late(self) -> bool:
        """Whether something takes too long right now."""
        return self._told and self._left is not None

    @contextmanager
    def over(self, seconds: float) -> Iterator[None]:
        """Expect what is done within the block to take no longer than some seconds."""
        self._set(seconds)
        try:
            yield
        finally:
            self._set(None)

    def close(self) -> None:
        """Look no more."""
        with self._change:
            self._closed = True
            self._change.notify()

    def _set(self, seconds: float | None) -> None:
        with self._change:
            self._left, self._told, self._turn = seconds, False, self._turn + 1
            self._change.notify()

    def _run(self) -> None:
        with self._change:
            while not self._closed:
                if self._left is None or self._told:
                    self._change.wait()
                elif self._left > 0:
                    self._wait(min(TICK, self._left))
                else:
                    self._told = True
                    self._late()

    def _wait(self, seconds: float) -> None:
        """Wait, and count that as what it was to be where it took much longer."""
        began, turn = self._clock(), self._turn
        self._change.wait(seconds)
        if self._left is not None and self._turn == turn:  # else something else is looked at by now
            self._left -= min(self._clock() - began, MOST * seconds)


def promptly(work: Callable[[], T], seconds: float) -> T:
    """Return what a call returns, or raise what it raises.

    Raises
    ------
    TimeoutError
        Where it takes longer than some seconds; it is left to itself then.
    """
    answer: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            answer.put(work())
        except BaseException as error:
            answer.put(error)

    threading.Thread(target=run, name="session-folder", daemon=True).start()
    try:
        result = answer.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if isinstance(result, BaseException):
        raise result
    return result
