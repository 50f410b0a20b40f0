"""A drag of the brush: many dabs that are visible at once and one step in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, BoxMask, UsageError
from napari_volseg.editing.delta import Delta, Description, make_delta

#: Least extent of a tile along the axes on which a dab extends, voxels.
_TILE = 32

#: Place of a tile, counted from that at which the stroke began.
Key = tuple[int, int, int]


class BeforeBuffer:
    """The labels as they were before a stroke, kept in tiles as large as its first dab, each as it is reached.

    Parameters
    ----------
    labels
        The whole label array (z, y, x), about to be painted on.
    """

    def __init__(self, labels: NDArray[Any]) -> None:
        self._labels = labels
        self._tiles: dict[Key, NDArray[Any]] = {}
        self._origin, self._size = (0, 0, 0), (1, 1, 1)
        self.box: Box | None = None

    def keep(self, box: Box) -> None:
        """Keep the labels of a box that is about to be painted; call it before painting."""
        if self.box is None:
            depth, rows, columns = (n if n == 1 else max(n, _TILE) for n in box.shape)
            self._origin, self._size = box.start, (depth, rows, columns)
        self.box = box if self.box is None else self.box.union(box)
        for key in self._keys(box):
            if key not in self._tiles:
                self._tiles[key] = self._labels[self._tile(key).slices].copy()

    def before(self, box: Box) -> NDArray[Any]:
        """Return the labels of a box as they were; outside of what was kept nothing has been painted."""
        labels = np.empty(box.shape, self._labels.dtype)
        for key in self._keys(box):
            tile, kept = self._tile(key), self._tiles.get(key)
            common = tile.intersect(box)
            source = self._labels[common.slices] if kept is None else kept[common.relative_to(tile).slices]
            labels[common.relative_to(box).slices] = source
        return labels

    def clear(self) -> None:
        """Forget everything: from now on the labels as they are count as before."""
        self._tiles.clear()
        self.box = None

    def _keys(self, box: Box) -> Iterator[Key]:
        """Yield the places of the tiles that a box meets."""
        ends = zip(self._origin, self._size, box.start, box.stop, strict=True)
        return product(*(range((a - at) // n, (b - 1 - at) // n + 1) for at, n, a, b in ends))  # type: ignore[return-value]

    def _tile(self, key: Key) -> Box:
        start = [at + n * k for at, n, k in zip(self._origin, self._size, key, strict=True)]
        return Box.of(start, [a + n for a, n in zip(start, self._size, strict=True)]).clip(self._labels.shape)


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
