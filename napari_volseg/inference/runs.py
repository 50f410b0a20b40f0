"""Bookkeeping of a run: the clock by phase, and memory."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Literal, TypeVar

from napari_volseg.inference.model import Seconds

Phase = Literal["network", "before", "after"]
Item = TypeVar("Item")


class Stopwatch:
    """Wall clock of one run, split into phases; it starts when it is made."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self._spent: dict[Phase, float] = {"network": 0.0, "before": 0.0, "after": 0.0}

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Count the time of a ``with`` block towards a phase."""
        start = perf_counter()
        try:
            yield
        finally:
            self._spent[name] += perf_counter() - start

    def timed(self, name: Phase, items: Iterable[Item]) -> Iterator[Item]:
        """Pass items on, counting the time that it takes to produce them, not to use them."""
        source = iter(items)
        while True:
            with self.phase(name):
                try:
                    item = next(source)
                except StopIteration:
                    return
            yield item

    def seconds(self) -> Seconds:
        """Return the time spent so far."""
        return Seconds(perf_counter() - self._start, **self._spent)


def peak_memory_bytes() -> int:
    """Return the largest resident memory that this process has had, bytes; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage counts what the process that started this one held
        lines = (line.split() for line in status.read_text().splitlines())
        return next((1024 * int(words[1]) for words in lines if words and words[0] == "VmHWM:"), 0)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
