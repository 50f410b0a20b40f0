"""A drag of the brush: many dabs that are visible at once and one step in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, BoxMask, UsageError
from napari_volseg.editing.delta import Delta, Description, make_delta

#: Share of its extent by which a buffer that became too small grows ahead of the brush.
_AHEAD = 0.5


class BeforeBuffer:
    """The labels as they were before a stroke, kept for a box that grows with it.

    Parameters
    ----------
    labels
        The whole label array (z, y, x), about to be painted on.
    """

    def __init__(self, labels: NDArray[Any]) -> None:
        self._labels = labels
        self._kept = np.empty((0, 0, 0), labels.dtype)
        self._kept_box: Box | None = None
        self.box: Box | None = None

    def keep(self, box: Box) -> None:
        """Keep the labels of a box that is about to be painted; call it before painting."""
        self.box = box if self.box is None else self.box.union(box)
        old = self._kept_box
        if old is not None and old.union(box) == old:
            return
        new = box if old is None else _grown(old, box).clip(self._labels.shape)
        kept = self._labels[new.slices].copy()
        if old is not None:
            kept[old.relative_to(new).slices] = self._kept
        self._kept, self._kept_box = kept, new

    def before(self, box: Box) -> NDArray[Any]:
        """Return the labels of a box that was kept, as they were."""
        assert self._kept_box is not None
        return self._kept[box.relative_to(self._kept_box).slices]

    def clear(self) -> None:
        """Forget everything: from now on the labels as they are count as before."""
        self._kept_box = self.box = None


def _grown(old: Box, new: Box) -> Box:
    """Return a box around both that reaches beyond on the sides where it had to grow."""
    union = old.union(new)
    ahead = np.ceil(np.asarray(union.shape) * _AHEAD).astype(int)
    start = np.where(np.less(union.start, old.start), np.subtract(union.start, ahead), union.start)
    stop = np.where(np.greater(union.stop, old.stop), np.add(union.stop, ahead), union.stop)
    return Box.of(start.tolist(), stop.tolist())


@dataclass(frozen=True, slots=True)
class StrokeHost:
    """What a stroke asks of its session: to paint, to record, to announce and to let go."""

    paintable: Callable[[BoxMask], BoxMask | None]
    written: Callable[[Box], None]
    record: Callable[[Delta], None]
    release: Callable[[], None]


class Stroke:
    """Dabs of one drag; made by ``EditSession.stroke``."""

    def __init__(self, labels: NDArray[Any], value: int, description: Description, host: StrokeHost) -> None:
        self._labels = labels
        self._value = value
        self._description = description
        self._host = host
        self._buffer = BeforeBuffer(labels)
        self._open = True

    def add(self, patch: BoxMask) -> Box | None:
        """Paint a dab at once and return the box that changed, None where nothing did."""
        if not self._open:
            raise UsageError("this stroke is finished: begin another one")
        hit = self._host.paintable(patch)
        if hit is None:
            return None
        self._buffer.keep(hit.box)
        np.copyto(self._labels[hit.box.slices], self._labels.dtype.type(self._value), where=hit.mask)
        self._host.written(hit.box)
        return hit.box

    def finish(self) -> Delta | None:
        """End the stroke and return its step, None where it changed nothing since the last step."""
        self._close()
        return self.settle()

    def abort(self) -> None:
        """End the stroke and restore the labels exactly."""
        self._close()
        box = self._buffer.box
        if box is not None:
            self._labels[box.slices] = self._buffer.before(box)
            self._buffer.clear()
            self._host.written(box)

    def settle(self) -> Delta | None:
        """Make a step of what was painted so far; dabs may follow and make another."""
        box = self._buffer.box
        if box is None:
            return None
        delta = make_delta(self._description, box, self._buffer.before(box), self._labels[box.slices], self._value)
        self._buffer.clear()
        self._host.record(delta)
        return delta

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._host.release()
