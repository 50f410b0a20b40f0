"""One change of a segmentation, complete enough to be undone, redone, stored and explained."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NotRequired, Protocol, Required, TypedDict

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, Measurement, Prompt, SegmentTable, UsageError
from napari_volseg.editing.packing import PackedArray, pack

NO_BOX = Box((0, 0, 0), (0, 0, 0))


@dataclass(frozen=True, slots=True)
class Author:
    """Who or what changed labels.

    Parameters
    ----------
    kind
        ``"hand"`` (a brush), ``"tool"`` (an operation the user started) or ``"model"``.
    name
        Name of the tool or model; never a person's.
    version
        Its release, empty where it has none of its own.
    """

    kind: Literal["hand", "tool", "model"]
    name: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class PromptChange:
    """The prompts of the open case before and after a step."""

    before: tuple[Prompt, ...]
    after: tuple[Prompt, ...]


@dataclass(frozen=True, slots=True)
class MeasurementChange:
    """The measurements of the open case before and after a step."""

    before: tuple[Measurement, ...]
    after: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True)
class TableChange:
    """The segment table before and after a step."""

    before: SegmentTable
    after: SegmentTable


class Description(TypedDict):
    """What a caller says of a change: keywords of every editing method.

    ``parameters`` are the settings that led to it, in types that JSON knows; ``prompts`` is the change of prompts
    that belongs to it.
    """

    name: Required[str]
    author: Required[Author]
    parameters: NotRequired[Mapping[str, Any] | None]
    prompts: NotRequired[PromptChange | None]


@dataclass(frozen=True, slots=True, eq=False)
class Delta:
    """One step of the history.

    Parameters
    ----------
    name
        What it was, for the history panel, such as ``"Brush: Liver"``.
    author
        Who or what did it.
    value
        Label value that was painted (0 for erasing), None where several values changed or none.
    box
        Tight box of the changed voxels (z, y, x); of size 0 where only the table or prompts changed.
    before, after
        Labels of the box, compressed.
    parameters
        Settings that led to it, JSON types only.
    prompts
        Change of prompts, if any.
    table
        Change of the segment table, if any.
    time
        When it was made, seconds since 1970-01-01 UTC.
    measurements
        Change of the measurements, if any.
    """

    name: str
    author: Author
    value: int | None
    box: Box
    before: PackedArray
    after: PackedArray
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    prompts: PromptChange | None = None
    table: TableChange | None = None
    time: float = field(default_factory=time.time)
    measurements: MeasurementChange | None = None

    @property
    def nbytes(self) -> int:
        """Bytes that the compressed voxels take."""
        return self.before.nbytes + self.after.nbytes

    def changes(self, index: Sequence[int]) -> bool:
        """Tell whether this step gives a voxel (z, y, x) another label."""
        if not all(a <= i < b for a, i, b in zip(self.box.start, index, self.box.stop, strict=True)):
            return False
        place = tuple(i - a for a, i in zip(self.box.start, index, strict=True))
        return bool(self.before.unpack()[place] != self.after.unpack()[place])

    def apply_to(self, labels: NDArray[Any]) -> None:
        """Write the voxels as they are after this step into ``labels`` (z, y, x)."""
        labels[self.box.slices] = self.after.unpack()

    def revert_on(self, labels: NDArray[Any]) -> None:
        """Write the voxels as they were before this step into ``labels`` (z, y, x)."""
        labels[self.box.slices] = self.before.unpack()


Step = Delta
"""A step of the history is the delta that made it."""


class Journal(Protocol):
    """Where steps are made durable. Both methods return at once, on the thread that edits, and never raise."""

    def record(self, step: Step) -> None:
        """Keep a new step behind the present position; steps that were undone before it are void."""

    def moved(self, position: int) -> None:
        """Keep the number of steps in effect, counted from the first ever recorded."""


def make_delta(
    description: Description,
    box: Box,
    before: NDArray[Any],
    after: NDArray[Any],
    value: int | None,
    table: TableChange | None = None,
) -> Delta:
    """Return the delta of labels ``before`` → ``after``, both of the box's shape."""
    return Delta(
        description["name"],
        description["author"],
        None if value is None else int(value),
        box,
        pack(before),
        pack(after),
        _plain(description.get("parameters")),
        description.get("prompts"),
        table,
    )


def _plain(parameters: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return a copy in JSON types that no caller can change afterwards."""
    if not parameters:
        return MappingProxyType({})
    try:
        text = json.dumps(dict(parameters), default=from_numpy)
    except TypeError as error:
        raise UsageError(f"parameters {dict(parameters)!r} can't be kept ({error}): use JSON types") from error
    return MappingProxyType(json.loads(text))


def from_numpy(value: object) -> Any:
    """Return a NumPy scalar or array in JSON types; what ``json.dumps`` takes as its default."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is not a JSON type")
