"""The steps that can be undone and redone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from napari_volseg.core import UsageError
from napari_volseg.editing.delta import Delta

DEFAULT_BYTE_BUDGET = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class History:
    """A snapshot of what was done; every change is a new history.

    Parameters
    ----------
    steps
        Oldest first.
    position
        Number of steps in effect: ``steps[:position]`` are done, ``steps[position:]`` undone.
    byte_budget
        Compressed bytes that the steps may take; the oldest go first, the newest always stays.
    dropped
        Number of steps that the budget has taken; they can't be undone any more.
    counted
        Compressed bytes of all steps, None where they were not counted yet.
    """

    steps: tuple[Delta, ...] = ()
    position: int = 0
    byte_budget: int = DEFAULT_BYTE_BUDGET
    dropped: int = 0
    counted: int | None = None

    @classmethod
    def of(
        cls, steps: Sequence[Delta], position: int, byte_budget: int = DEFAULT_BYTE_BUDGET, *, dropped: int = 0
    ) -> History:
        """Return the history of recovered steps of which the first ``position`` are in effect."""
        return cls(tuple(steps), position, byte_budget, dropped)._within_budget()

    @property
    def nbytes(self) -> int:
        """Compressed bytes of all steps."""
        return _size(self.steps) if self.counted is None else self.counted

    @property
    def total_position(self) -> int:
        """Number of steps in effect, dropped ones counted."""
        return self.dropped + self.position

    @property
    def current(self) -> Delta | None:
        """The last step in effect, None at the beginning."""
        return self.steps[self.position - 1] if self.position else None

    @property
    def next(self) -> Delta | None:
        """The step that redo would make, None at the end."""
        return self.steps[self.position] if self.can_redo else None

    @property
    def can_undo(self) -> bool:
        """Whether a step is left to undo."""
        return self.position > 0

    @property
    def can_redo(self) -> bool:
        """Whether a step is left to redo."""
        return self.position < len(self.steps)

    def with_step(self, step: Delta) -> History:
        """Return the history after a new step, which voids what was undone before it."""
        steps = (*self.steps[: self.position], step)
        counted = self.nbytes - _size(self.steps[self.position :]) + step.nbytes
        return replace(self, steps=steps, position=len(steps), counted=counted)._within_budget()

    def at(self, position: int) -> History:
        """Return the history with another number of steps in effect."""
        if not 0 <= position <= len(self.steps):
            raise UsageError(f"there is no position {position} in a history of {len(self.steps)} steps")
        return replace(self, position=position)

    def last_set(self, index: Sequence[int]) -> int | None:
        """Return the position right behind the step in effect that changed a voxel (z, y, x) last.

        None where no step that is kept did; the voxel is then as it was at the beginning, or ``dropped`` steps
        made it.
        """
        for position in range(self.position, 0, -1):
            if self.steps[position - 1].changes(index):
                return position
        return None

    def _within_budget(self) -> History:
        """Drop the oldest steps in effect; steps that can only be redone, and the newest in effect, stay."""
        counted, drop = self.nbytes, 0
        while counted > self.byte_budget and drop < self.position - 1:
            counted -= self.steps[drop].nbytes
            drop += 1
        steps, position, dropped = self.steps[drop:], self.position - drop, self.dropped + drop
        return replace(self, steps=steps, position=position, dropped=dropped, counted=counted)


def _size(steps: Sequence[Delta]) -> int:
    return sum(step.nbytes for step in steps)
