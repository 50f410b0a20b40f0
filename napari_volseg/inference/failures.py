"""What goes wrong while a network runs, as one sentence each: too little memory, or a network that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from napari_volseg.core import RefusedError, VolsegError
from napari_volseg.inference.refusals import plan_refused

P = ParamSpec("P")
R = TypeVar("R")

#: Words by which torch and the back ends say in a RuntimeError that there is no memory, or none for a thread.
_NO_MEMORY = ("allocate", "out of memory", "bad_alloc", "start new thread")


@contextmanager
def memory_told(device: str) -> Iterator[None]:
    """Turn a lack of memory into a refusal that says what to do."""
    try:
        yield
    except Exception as problem:
        if not is_lack_of_memory(problem):
            raise
        raise RefusedError(
            f"memory ran out during the run (device: {device}), and nothing was kept of it: close other programs, "
            "crop the volume, or choose another device",
            "device.memory",
        ) from problem


def is_lack_of_memory(problem: BaseException) -> bool:
    """Whether an error of Python, NumPy, torch or a back end says that there is too little memory."""
    words = str(problem).lower()
    return isinstance(problem, MemoryError) or (
        isinstance(problem, RuntimeError) and any(told in words for told in _NO_MEMORY)
    )


def telling(work: Callable[P, R], what: str) -> Callable[P, R]:
    """Return a function whose failures refuse the model; those for lack of memory stay what they are."""

    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return work(*args, **kwargs)
        except VolsegError:
            raise
        except Exception as problem:  # every back end has errors of its own
            if is_lack_of_memory(problem):
                raise
            first = " ".join(str(problem).split())[:200]
            raise plan_refused(
                f"{what} failed ({first}): copy the model again from its source, or choose another back end",
                "failed",
            ) from problem

    return told
