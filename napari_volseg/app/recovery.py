"""Reading a session file back, also after the program was killed."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.app.session_database import (
    check_seal,
    connect,
    read_base,
    read_dropped,
    read_steps,
)
from napari_volseg.app.session_tiles import grid_of, read_labels
from napari_volseg.core import Geometry, GeometryError, Measurement, Prompt, RefusedError, Segmentation, SegmentTable
from napari_volseg.editing import DEFAULT_BYTE_BUDGET, History, Step

#: A file that another program writes meanwhile is copied so often until a copy is whole, and so long apart, seconds.
COPY_ATTEMPTS, COPY_PAUSE = 20, 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Recovered:
    """What a session file holds.

    Parameters
    ----------
    geometry
        Grid of the labels; without its frame of reference UID, which is not stored.
    source
        The reference to the image that was given to ``SessionFile.create``.
    labels
        The labels (z, y, x) with the steps in effect.
    table
        The segments as they were last.
    prompts, measurements
        The prompts and measurements as they were last.
    steps
        The steps that are kept, oldest first.
    position
        Number of them in effect.
    dropped
        Number of older ones that are not kept any more.
    view
        How the case was looked at, empty where that is not known.
    crashed
        Whether the program that wrote it did not come to close it.
    """

    geometry: Geometry
    source: Mapping[str, str]
    labels: NDArray[Any]
    table: SegmentTable
    prompts: tuple[Prompt, ...]
    measurements: tuple[Measurement, ...]
    steps: tuple[Step, ...]
    position: int
    dropped: int
    view: Mapping[str, Any]
    crashed: bool

    def segmentation(self, geometry: Geometry) -> Segmentation:
        """Return the labels, of which there is one copy, on the grid of the image that was opened for them.

        Raises
        ------
        GeometryError
            Where that is another grid.
        """
        if not geometry.same_grid(self.geometry):
            raise GeometryError(
                f"a session on a grid of shape {self.geometry.shape} does not belong to an image of shape "
                f"{geometry.shape}: open the image it was made on",
                "session.other_image",
            )
        return Segmentation(self.labels, geometry, self.table)

    def history(self, byte_budget: int = DEFAULT_BYTE_BUDGET) -> History:
        """Return the steps as a history to go on with."""
        return History.of(self.steps, self.position, byte_budget, dropped=self.dropped)


def recover(path: str | Path) -> Recovered:
    """Read a session file back.

    Raises
    ------
    RefusedError
        Where the file is absent, open elsewhere, damaged, of another kind or of another release.
    """
    path = Path(path)
    if not path.is_file():
        raise RefusedError(f"there is no session file at {path}: choose one that exists", "session.absent")
    try:
        connection = connect(path)
        try:
            return _read(connection)
        finally:
            connection.close()
    except Exception as error:  # a damaged file may fail in any way; whatever it is, nothing of it is used
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise RefusedError(f"{path} is open in another program: close that first", "session.in_use") from error
        if isinstance(error, RefusedError) and error.code.startswith("session."):
            raise
        raise RefusedError(
            f"{path} is not a readable session file ({error}): restore it from a copy", "session.damaged"
        ) from error


def recover_copy(path: Path) -> Recovered:
    """Read a session file back that another program has open and may be writing to.

    Raises
    ------
    RefusedError
        Where no whole copy could be had.
    """
    with TemporaryDirectory(prefix="napari-volseg-") as folder:
        for attempt in range(COPY_ATTEMPTS):
            time.sleep(COPY_PAUSE * (attempt > 0))
            for ending in ("", "-wal", "-journal"):
                copy = Path(folder) / f"copy{ending}"
                copy.unlink(missing_ok=True)
                part = path.with_name(path.name + ending)
                if part.exists():
                    shutil.copyfile(part, copy)
            try:
                return recover(Path(folder) / "copy")
            except RefusedError as error:
                refused = error
    raise RefusedError(f"{path} changes all the time and can't be read ({refused}): close it first", "session.in_use")


def _read(connection: sqlite3.Connection) -> Recovered:
    check_seal(connection)
    facts = dict(connection.execute("SELECT key, value FROM meta"))
    dropped, base, position = read_dropped(connection), read_base(connection), int(facts["position"])
    steps = read_steps(connection, dropped + 1)
    shape, dtype = grid_of(connection)
    for step in steps:
        if step.box.clip(shape) != step.box or step.before.dtype != dtype.str:
            raise ValueError(f'the step "{step.name}" does not fit its labels')
    for number in (position, base.number):
        if not dropped <= number <= dropped + len(steps):
            raise ValueError(f"position {number} lies outside {dropped} to {dropped + len(steps)}")
    labels = read_labels(connection, base)
    here, there = base.number - dropped, position - dropped
    table, prompts = replay(labels, base.table, base.prompts, steps, here, there)
    measured = _measured(base.measurements, steps, here, there)
    return Recovered(
        Geometry((shape[0], shape[1], shape[2]), np.array(json.loads(facts["matrix"]))),
        json.loads(facts["source"]),
        labels,
        table,
        prompts,
        measured,
        tuple(steps),
        position - dropped,
        dropped,
        _view(facts.get("view", "{}")),
        "open" in facts,
    )


def replay(
    labels: NDArray[Any],
    table: SegmentTable,
    prompts: tuple[Prompt, ...],
    steps: list[Step],
    here: int,
    there: int,
) -> tuple[SegmentTable, tuple[Prompt, ...]]:
    """Bring labels (z, y, x) from one position among steps to another; return segments and prompts there."""
    for step in steps[here:there]:
        step.apply_to(labels)
        table = step.table.after if step.table else table
        prompts = step.prompts.after if step.prompts else prompts
    for step in reversed(steps[there:here]):
        step.revert_on(labels)
        table = step.table.before if step.table else table
        prompts = step.prompts.before if step.prompts else prompts
    return table, prompts


def _measured(
    measurements: tuple[Measurement, ...], steps: list[Step], here: int, there: int
) -> tuple[Measurement, ...]:
    """Return the measurements at one position among steps, where those at another are given."""
    for step in steps[here:there]:
        measurements = step.measurements.after if step.measurements else measurements
    for step in reversed(steps[there:here]):
        measurements = step.measurements.before if step.measurements else measurements
    return measurements


def _view(text: str) -> Mapping[str, Any]:
    """Return what was kept of the view; it stands outside the seal, so that anything may be there."""
    try:
        view = json.loads(text)
    except ValueError:
        return {}
    return view if isinstance(view, dict) else {}
