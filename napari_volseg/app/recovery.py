"""Reading a session file back, also after the program was killed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.app.session_file import connect
from napari_volseg.core import Geometry, GeometryError, Prompt, RefusedError, Segmentation, SegmentTable
from napari_volseg.editing import DEFAULT_BYTE_BUDGET, History, Step
from napari_volseg.editing.records import StepRecord, decode_step


@dataclass(frozen=True, slots=True, eq=False)
class Recovered:
    """What a session file holds.

    Parameters
    ----------
    geometry
        Grid of the labels; without its frame of reference UID, which is not stored.
    source
        The reference to the image that was given to ``SessionFile.create``.
    dtype
        Type of the labels.
    start
        The step from nothing to the labels that the session started from.
    steps
        All steps since, oldest first.
    position
        Number of them in effect.
    """

    geometry: Geometry
    source: Mapping[str, str]
    dtype: np.dtype[Any]
    start: Step
    steps: tuple[Step, ...]
    position: int

    @property
    def in_effect(self) -> tuple[Step, ...]:
        """The steps that made the labels, the start included."""
        return (self.start, *self.steps[: self.position])

    @property
    def table(self) -> SegmentTable:
        """The segments as they were last."""
        return next(step.table.after for step in reversed(self.in_effect) if step.table is not None)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts as they were last."""
        return next((step.prompts.after for step in reversed(self.in_effect) if step.prompts is not None), ())

    def segmentation(self, geometry: Geometry) -> Segmentation:
        """Replay the labels, onto the grid of the image that was opened for them.

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
        return Segmentation(self._labels(), geometry, self.table)

    def history(self, byte_budget: int = DEFAULT_BYTE_BUDGET) -> History:
        """Return the steps as a history to go on with."""
        return History.of(self.steps, self.position, byte_budget)

    def _labels(self) -> NDArray[Any]:
        labels = np.zeros(self.geometry.shape, self.dtype)
        for step in self.in_effect:
            step.apply_to(labels)
        return labels


def recover(path: str | Path) -> Recovered:
    """Read a session file back.

    Raises
    ------
    RefusedError
        Where the file is absent, open elsewhere, damaged, of another kind or of a newer release.
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
    except (sqlite3.Error, KeyError, TypeError, ValueError) as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise RefusedError(f"{path} is open in another program: close that first", "session.in_use") from error
        raise RefusedError(
            f"{path} is not a readable session file ({error}): restore it from a copy", "session.damaged"
        ) from error


def _read(connection: sqlite3.Connection) -> Recovered:
    facts = dict(connection.execute("SELECT key, value FROM meta"))
    rows = connection.execute("SELECT header, before, after FROM steps ORDER BY number")
    start, *steps = (decode_step(StepRecord(*row)) for row in rows)
    geometry = Geometry(tuple(json.loads(facts["shape"])), np.array(json.loads(facts["matrix"])))
    for step in (start, *steps):
        if step.box.clip(geometry.shape) != step.box or step.before.dtype != facts["dtype"]:
            raise ValueError(f'the step "{step.name}" does not fit its labels')
    position = int(facts["position"])
    if not 0 <= position <= len(steps):
        raise ValueError(f"position {position} lies outside {len(steps)} steps")
    return Recovered(geometry, json.loads(facts["source"]), np.dtype(facts["dtype"]), start, tuple(steps), position)
