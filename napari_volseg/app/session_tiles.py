"""The labels of a session file kept whole up to some step, as compressed tiles, so that few steps are replayed.

The writing thread moves that base along when nothing else waits, a tile at a time, out of the file alone: it needs
neither the labels that are being edited nor their thread.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.app.session_database import Base, fact, put_base, read_base, read_steps
from napari_volseg.core import Box, Prompt, SegmentTable
from napari_volseg.editing import PackedArray, Step, pack

#: Voxels along each side of a tile.
SIDE = 64
#: Unpacked labels of the steps that one move takes at most, bytes; a step that is larger goes alone.
MOVE_BYTES = 256 << 20

Tile = tuple[int, int, int]
NO_TILES = "0" * 32


class BaseMove:
    """Brings the base of a session file from where it is to, or towards, another step.

    Parameters
    ----------
    connection
        The file.
    target
        Number of steps in effect where the base is wanted.

    Attributes
    ----------
    base
        Where it will be, but for the checksum of the tiles.
    """

    def __init__(self, connection: sqlite3.Connection, target: int) -> None:
        self._connection = connection
        self._shape, self._dtype = grid_of(connection)
        old = read_base(connection)
        first, last = sorted((old.number, target))
        self.backwards = target < old.number
        steps = read_steps(connection, first + 1, last)
        self._steps = _first_within(steps[::-1] if self.backwards else steps, self._dtype.itemsize)
        moved = len(self._steps)
        self.base = _after(old, self._steps, old.number - moved if self.backwards else old.number + moved)
        self._old_tiles = old.tiles
        self._packed: dict[Tile, PackedArray | None] = {}

    @property
    def reach(self) -> int:
        """The last step that this move rests upon; if that is void, so is the move."""
        return self.base.number + (len(self._steps) if self.backwards else 0)

    def work(self) -> Iterator[None]:
        """Work out the tiles, one step or tile for each turn; nothing is written."""
        labels: list[tuple[Box, NDArray[Any]]] = []
        for step in self._steps:
            if step.box.size:
                labels.append((step.box, (step.before if self.backwards else step.after).unpack()))
                yield
        for tile in sorted({t for box, _ in labels for t in tiles_of(box)}):
            whole = box_of(tile, self._shape)
            voxels = _read_tile(self._connection, tile, whole, self._dtype)
            for box, part in labels:
                common = box.intersect(whole)
                if common.size:
                    voxels[common.relative_to(whole).slices] = part[common.relative_to(box).slices]
            self._packed[tile] = pack(voxels) if voxels.any() else None
            yield

    def write(self) -> None:
        """Write the tiles and the new base; to be called within a transaction."""
        write_base(self._connection, self.base._replace(tiles=self._old_tiles), self._packed)


def write_base(connection: sqlite3.Connection, base: Base, tiles: Mapping[Tile, PackedArray | None]) -> None:
    """Put tiles in the place of those that are there, None for one without labels, and keep the base.

    ``base.tiles`` is the checksum before; the one after is worked out.
    """
    total = int(base.tiles, 16)
    for tile, packed in tiles.items():
        old = connection.execute("SELECT data FROM tiles WHERE z = ? AND y = ? AND x = ?", tile).fetchone()
        if old is not None:
            total ^= _digest(tile, old[0])
            connection.execute("DELETE FROM tiles WHERE z = ? AND y = ? AND x = ?", tile)
        if packed is not None:
            total ^= _digest(tile, packed.data)
            connection.execute("INSERT INTO tiles VALUES (?, ?, ?, ?, ?)", (*tile, packed.method, packed.data))
    put_base(connection, base._replace(tiles=f"{total:032x}"))


def pack_tiles(labels: NDArray[Any]) -> dict[Tile, PackedArray | None]:
    """Return the tiles of whole labels (z, y, x) that hold any."""
    whole = {tile: labels[box_of(tile, labels.shape).slices] for tile in tiles_of(Box.whole(labels.shape))}
    return {tile: pack(part) for tile, part in whole.items() if part.any()}


def read_labels(connection: sqlite3.Connection, base: Base) -> NDArray[Any]:
    """Return the labels (z, y, x) at the base.

    Raises
    ------
    ValueError
        Where a tile is missing or not what was written.
    """
    shape, dtype = grid_of(connection)
    labels, total = np.zeros(shape, dtype), 0
    for *place, method, data in connection.execute("SELECT z, y, x, method, data FROM tiles"):
        tile = (place[0], place[1], place[2])
        box = box_of(tile, shape)
        total ^= _digest(tile, data)
        labels[box.slices] = PackedArray(box.shape, dtype.str, method, data).unpack()
    if f"{total:032x}" != base.tiles:
        raise ValueError("its labels are not as they were written")
    return labels


def grid_of(connection: sqlite3.Connection) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape (z, y, x) and type of the labels."""
    return tuple(json.loads(fact(connection, "shape"))), np.dtype(fact(connection, "dtype"))


def tiles_of(box: Box) -> Iterator[Tile]:
    """Return the tiles that a box meets."""
    z, y, x = (range(a // SIDE, -(-b // SIDE)) for a, b in zip(box.start, box.stop, strict=True))
    yield from product(z, y, x)


def box_of(tile: Tile, shape: tuple[int, ...]) -> Box:
    """Return the voxels of a tile within labels of a shape."""
    start = np.multiply(tile, SIDE)
    return Box.of(start.tolist(), (start + SIDE).tolist()).clip(shape)


def _first_within(steps: list[Step], itemsize: int) -> list[Step]:
    taken, size = 0, 0
    for step in steps:
        size += step.box.size * itemsize
        if taken and size > MOVE_BYTES:
            break
        taken += 1
    return steps[:taken]


def _after(base: Base, steps: list[Step], number: int) -> Base:
    """Return the base with segments and prompts as they are behind some steps, taken back where it lies before."""
    backwards = number < base.number
    table: SegmentTable = base.table
    prompts: tuple[Prompt, ...] = base.prompts
    measurements = base.measurements
    for step in steps:
        if step.table is not None:
            table = step.table.before if backwards else step.table.after
        if step.prompts is not None:
            prompts = step.prompts.before if backwards else step.prompts.after
        if step.measurements is not None:
            measurements = step.measurements.before if backwards else step.measurements.after
    return Base(number, table, prompts, base.tiles, measurements)


def _read_tile(connection: sqlite3.Connection, tile: Tile, box: Box, dtype: np.dtype[Any]) -> NDArray[Any]:
    row = connection.execute("SELECT method, data FROM tiles WHERE z = ? AND y = ? AND x = ?", tile).fetchone()
    if row is None:
        return np.zeros(box.shape, dtype)
    return PackedArray(box.shape, dtype.str, *row).unpack().copy()


def _digest(tile: Tile, data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=16, key=repr(tile).encode()).digest(), "big")
