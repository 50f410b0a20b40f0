"""What a session file begins with: the facts of its image and grid, and the state of the labels then."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.app.session_database import Base, insert_step, put_dropped, put_fact
from napari_volseg.app.session_tiles import NO_TILES, pack_tiles, write_base
from napari_volseg.core import Measurement, Prompt, Segmentation, SegmentTable, Volume
from napari_volseg.editing import History


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """The facts of a new file, and the state it starts from.

    Parameters
    ----------
    facts
        Grid, type of the labels, and the reference to the image, as text.
    labels
        Labels (z, y, x) now, an empty array where there are none.
    table, prompts, measurements, history
        Segments, prompts and measurements now, and the steps that led there.
    """

    facts: Mapping[str, str]
    labels: NDArray[Any]
    table: SegmentTable
    prompts: tuple[Prompt, ...]
    measurements: tuple[Measurement, ...]
    history: History


def start_from(
    segmentation: Segmentation,
    source: Mapping[str, str],
    history: History,
    prompts: tuple[Prompt, ...],
    measurements: tuple[Measurement, ...] = (),
) -> Start:
    """Return the start of a file from the labels as they are now, of which a copy is taken."""
    labels, geometry = segmentation.labels, segmentation.geometry
    facts = {
        "shape": json.dumps(geometry.shape),
        "matrix": json.dumps(geometry.matrix.tolist()),
        "dtype": labels.dtype.str,
        "source": json.dumps(dict(source)),
    }
    kept = labels.copy() if labels.any() else labels[:0].copy()
    return Start(facts, kept, segmentation.table, prompts, measurements, history)


def write_start(connection: sqlite3.Connection, start: Start) -> None:
    """Write all of it into an empty file."""
    for key, value in start.facts.items():
        put_fact(connection, key, value)
    history = start.history
    put_dropped(connection, history.dropped)
    for number, step in enumerate(history.steps, history.dropped + 1):
        insert_step(connection, number, step)
    put_fact(connection, "position", str(history.total_position))
    base = Base(history.total_position, start.table, start.prompts, NO_TILES, start.measurements)
    write_base(connection, base, pack_tiles(start.labels) if start.labels.size else {})


def source_reference(volume: Volume) -> dict[str, str]:
    """Return what recognizes an image again and tells nothing about a patient: a checksum of voxels and grid."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((volume.voxels.shape, volume.voxels.dtype.str)).encode())
    digest.update(volume.geometry.matrix.tobytes())
    for part in volume.voxels:
        digest.update(np.ascontiguousarray(part).tobytes())
    return {"blake2b": digest.hexdigest()}
