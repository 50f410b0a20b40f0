"""Noticing a disk that doesn't answer: a call that hangs raises no error that could be told."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Watch:
    """Looks on, from a thread of its own, while another thread does something that should be done soon.

    Parameters
    ----------
    late
        Called on the watching thread, once for each thing that takes too long, before the other thread goes on.
    """

    def __init__(self, late: Callable[[], None]) -> None:
        self._late = late
        self._change = threading.Condition()
        self._deadline: float | None = None
        self._told = self._closed = False
        self._thread = threading.Thread(target=self._run, name="session-watch", daemon=True)

    def start(self) -> None:
        """Begin to look on."""
        self._thread.start()

    @property
    def is_late(self) -> bool:
        """Whether something takes too long right now."""
        return self._told and self._deadline is not None

    @contextmanager
    def over(self, seconds: float) -> Iterator[None]:
        """Expect what is done within the block to take no longer than some seconds."""
        self._set(time.monotonic() + seconds)
        try:
            yield
        finally:
            self._set(None)

    def close(self) -> None:
        """Look no more."""
        with self._change:
            self._closed = True
            self._change.notify()

    def _set(self, deadline: float | None) -> None:
        with self._change:
            self._deadline, self._told = deadline, False
            self._change.notify()

    def _run(self) -> None:
        with self._change:
            while not self._closed:
                if self._deadline is None or self._told:
                    self._change.wait()
                elif (left := self._deadline - time.monotonic()) > 0:
                    self._change.wait(left)
                else:
                    self._told = True
                    self._late()


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
