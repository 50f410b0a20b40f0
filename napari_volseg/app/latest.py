"""Answers to questions that the mouse asks faster than they can be worked out: only the newest matters."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from napari_volseg.app.jobs import Inbox
from napari_volseg.core import VolsegError

T = TypeVar("T")


class Latest:
    """Works out the newest question on a thread of its own; older ones are dropped, and so are refusals.

    Unlike a job it is neither shown nor cancelled, so it is for what takes a fraction of a second.

    Parameters
    ----------
    inbox
        Brings answers to the thread that empties it.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._pool = ThreadPoolExecutor(1, "volseg-hover")
        self._newest = 0
        self._closed = False

    def ask(self, work: Callable[[], T], then: Callable[[T], object]) -> None:
        """Have ``work`` done and its result given to ``then``, unless something else is asked meanwhile."""
        if self._closed:
            return
        self._newest += 1
        number = self._newest

        def run() -> None:
            with suppress(VolsegError):
                if number == self._newest:
                    answer = work()
                    self._inbox.post(lambda: self._tell(number, answer, then))

        self._pool.submit(run)

    def _tell(self, number: int, answer: T, then: Callable[[T], object]) -> None:
        if number == self._newest:
            then(answer)

    def forget(self) -> None:
        """Drop what was asked."""
        self._newest += 1

    def close(self) -> None:
        """Drop what was asked and let the thread end."""
        self.forget()
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
