"""What long work is given: a way to tell how far it is, and a way to be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from napari_volseg.core.errors import CancelledError


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is.

    Parameters
    ----------
    done, total
        Steps finished and steps in all; ``total`` 0 means not yet known.
    message
        What is being done, for people.
    seconds_left
        How long the rest takes, where whoever does it knows better than by what is done; None elsewhere.
    """

    done: int
    total: int
    message: str = ""
    seconds_left: float | None = None

    @property
    def fraction(self) -> float:
        """Share that is done, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0


def in_words(seconds: float) -> str:
    """Return a time span in the words of people, such as ``"40 s"`` or ``"3 min"``."""
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 90 else f"{round(whole / 60)} min"


ProgressCallback = Callable[[Progress], None]


def no_progress(_: Progress) -> None:
    """Ignore progress."""


class CancelToken:
    """A flag that one thread raises and another looks at between steps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the job to stop at its next step."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether stopping was asked for."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise CancelledError where stopping was asked for."""
        if self.cancelled:
            raise CancelledError("cancelled: nothing was changed")


#: The token of work that nobody means to stop.
NEVER = CancelToken()
