"""The history as a list: one row for each position that can be gone to, and who set a voxel."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

from napari_volseg.core import CancelToken, ProgressCallback
from napari_volseg.editing import Author, Delta, History

if TYPE_CHECKING:
    from napari_volseg.app.application import Application
    from napari_volseg.app.jobs import Job

RowState = Literal["done", "current", "undone"]


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A position of the history, named after the step that leads to it.

    Parameters
    ----------
    position
        Number of steps in effect when it is gone to.
    name
        Name of the step.
    author
        Who made it; None for the beginning.
    time
        When, seconds since 1970-01-01 UTC; None for the beginning.
    state
        Whether it lies before or at the present position, or was undone.
    """

    position: int
    name: str
    author: Author | None
    time: float | None
    state: RowState

    @property
    def details(self) -> str:
        """Who made the step, with what and when, in words."""
        if self.author is None or self.time is None:
            return ""
        return f"{by_words(self.author)}, {clock(self.time)}"


class HistoryRows(Sequence[HistoryRow]):
    """The rows of a history, oldest first; each is made when it is looked at, as there may be many thousand.

    Parameters
    ----------
    history
        A snapshot.
    """

    def __init__(self, history: History) -> None:
        self._history = history

    def __len__(self) -> int:
        return len(self._history.steps) + 1

    @overload
    def __getitem__(self, index: int) -> HistoryRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[HistoryRow]: ...
    def __getitem__(self, index: int | slice) -> HistoryRow | list[HistoryRow]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        if position == 0:
            return HistoryRow(0, _beginning(self._history), None, None, self._state(0))
        step = self._history.steps[position - 1]
        return HistoryRow(position, step.name, step.author, step.time, self._state(position))

    def _state(self, position: int) -> RowState:
        here = self._history.position
        return "current" if position == here else "done" if position < here else "undone"


def go_to_step(app: Application, position: int) -> None:
    """Undo or redo until so many steps are in effect."""
    app.need_case().session.go_to(position)


def tell_who_set(app: Application) -> Job | None:
    """Say which step set the voxel under the cursor last, and mark it in the list; works in the background."""
    case, voxel = app.need_case(), app.view.cursor
    if voxel is None:
        app.notice("point at a voxel of a slice first: the step that set it last is then told")
        return None
    history, label = case.session.history, case.label_at(voxel)

    def work(progress: ProgressCallback, cancel: CancelToken) -> int | None:
        return history.last_set(voxel)

    def tell(position: int | None) -> None:
        app.view.marked_step = position
        app.notice(who_set(history, position, label))

    return app.jobs.submit("Looking up a voxel", work, tell, quiet=True)


def who_set(history: History, position: int | None, label: int) -> str:
    """Return the step that leads to a position in words; ``label`` is what the voxel holds since."""
    if position is None:
        if history.dropped:
            return "this voxel was set last by a step that is too old to be kept"
        return "no step has set this voxel" if label == 0 else "this voxel was like this from the beginning"
    step, count = history.steps[position - 1], len(history.steps) + history.dropped
    return f"“{step.name}”, {describe(step)}: step {position + history.dropped} of {count}"


def describe(step: Delta) -> str:
    """Return who made a step, with what and when."""
    return f"{by_words(step.author)}, {clock(step.time)}"


def by_words(author: Author) -> str:
    """Return an author in words: by hand, by a tool, or by a model with its version."""
    if author.kind == "hand":
        return "by hand"
    name = f"{author.name} {author.version}".strip()
    return f"by the {author.kind} {name}"


def clock(seconds: float, now: float | None = None) -> str:
    """Return a moment as local time, with its day where that is not today."""
    then, today = time.localtime(seconds), time.localtime(now)
    same_day = then[:3] == today[:3]
    return time.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M:%S", then)


def _beginning(history: History) -> str:
    if not history.dropped:
        return "Opened"
    return f"{history.dropped} earlier step{'s' * (history.dropped != 1)}, kept no longer"
