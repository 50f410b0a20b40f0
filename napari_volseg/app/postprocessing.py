"""What a model's card asks to be done to its labels, each step a step of the history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import (
    NEVER,
    Box,
    BoxMask,
    CancelToken,
    CardStep,
    CheckSides,
    Finding,
    Geometry,
    KeepLargest,
    ModelCard,
    RemoveSmall,
)
from napari_volseg.editing import (
    Author,
    Connectivity,
    EditSession,
    Plan,
    keep_largest,
    misplaced_islands,
    remove_small,
)
from napari_volseg.inference import Prediction

#: As nnU-Net and MONAI judge islands: corners connect.
_CONNECTIVITY: Connectivity = 26


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """What one step of a card changes in a prediction.

    Parameters
    ----------
    words
        What it does, such as ``"keep the largest island of Liver"``.
    where
        The voxels that change, as positions in the flat label array (z, y, x).
    before, after
        Label values of the model in these voxels.
    findings
        What the user should know of it.
    """

    words: str
    where: NDArray[np.intp]
    before: NDArray[Any]
    after: NDArray[Any]
    findings: tuple[Finding, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return what reports hold of it."""
        return {"step": self.words, "voxels": int(self.where.size), "findings": [f.message for f in self.findings]}


def corrections(
    card: ModelCard, prediction: Prediction, geometry: Geometry, cancel: CancelToken = NEVER
) -> tuple[Correction, ...]:
    """Work out the steps of a card one after the other, on any thread; the prediction's labels stay as they are."""
    if not card.postprocessing:
        return ()
    labels = prediction.labels.copy()
    return tuple(_corrections(card, labels, geometry, cancel))


def _corrections(
    card: ModelCard, labels: NDArray[Any], geometry: Geometry, cancel: CancelToken
) -> Iterator[Correction]:
    names = {segment.value: segment.name for segment in card.segments}
    for step in card.postprocessing:
        cancel.check()
        where, after, findings = _change(step, labels, geometry, names, cancel)
        yield Correction(step.words(names), where, labels.ravel()[where], after, findings)
        labels.ravel()[where] = after


def _change(
    step: CardStep, labels: NDArray[Any], geometry: Geometry, names: Mapping[int, str], cancel: CancelToken
) -> tuple[NDArray[np.intp], NDArray[Any], tuple[Finding, ...]]:
    """Return the flat positions that a step changes, their new values, and what is to be told."""
    if isinstance(step, CheckSides):
        found = misplaced_islands(labels, step.left, step.right, geometry, cancel=cancel)
        to_right, to_left = (_flat(part, labels.shape) for part in (found.left, found.right))
        after = np.repeat(np.array([step.right, step.left], labels.dtype), [to_right.size, to_left.size])
        told = (_crossed(names[step.left], names[step.right]),) if found.crossed else ()
        return np.concatenate((to_right, to_left)), after, told
    shape = np.isin(labels, step.values)
    match step:
        case KeepLargest():
            kept = keep_largest(shape, 1, connectivity=_CONNECTIVITY, cancel=cancel)
        case RemoveSmall():
            kept = remove_small(shape, 1, geometry, step.mm3, connectivity=_CONNECTIVITY, cancel=cancel)
    shape[kept.box.slices] &= ~kept.mask
    where = np.flatnonzero(shape)
    return where, np.zeros(where.size, labels.dtype), ()


def _flat(part: BoxMask, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the voxels of a part as positions in a flat array."""
    place = np.nonzero(part.mask)
    moved = tuple(axis + start for axis, start in zip(place, part.box.start, strict=True))
    return np.ravel_multi_index(moved, shape).astype(np.intp)


def _crossed(left: str, right: str) -> Finding:
    text = f"{left} lies to the right of {right}: check both, as nothing of them was changed"
    return Finding("model.sides_crossed", text, "warning")


def corrected(labels: NDArray[Any], steps: tuple[Correction, ...]) -> NDArray[Any]:
    """Return a prediction's labels with all corrections."""
    labels = labels.copy() if steps else labels
    for step in steps:
        labels.ravel()[step.where] = step.after
    return labels


def plan_correction(
    session: EditSession, card: ModelCard, step: Correction, values: Mapping[int, int]
) -> Plan | None:
    """Work out, on any thread, a correction as a step of the history, None where it changes nothing.

    Only voxels change that still hold what the model said.

    Parameters
    ----------
    session
        Whose labels hold the prediction.
    card, step
        The model's, and what is to be corrected.
    values
        Label value in the session by label value of the model.
    """
    revision, table, labels = session.revision, session.segmentation.table, session.segmentation.labels
    if not step.where.size or not {values[value] for value in _named(step)} <= set(table.values):
        return None
    place = np.unravel_index(step.where, labels.shape)
    box = Box.of([int(axis.min()) for axis in place], [int(axis.max()) + 1 for axis in place])
    inside = tuple(axis - start for axis, start in zip(place, box.start, strict=True))
    new = labels[box.slices].copy()
    held = new[inside] == _translated(step.before, values)
    hit = tuple(axis[held] for axis in inside)
    new[hit] = _translated(step.after[held], values)
    plan = session.plan_replace(
        box,
        new,
        name=f"{card.title}: {step.words}",
        author=Author("model", card.id, card.version),
        parameters={"postprocessing": step.as_dict()},
    )
    return plan and replace(plan, revision=revision)  # what was read before is no newer


def _named(step: Correction) -> set[int]:
    return {int(value) for value in (*np.unique(step.before), *np.unique(step.after))} - {0}


def _translated(found: NDArray[Any], values: Mapping[int, int]) -> NDArray[np.uint16]:
    lookup = np.zeros(int(max(values, default=0)) + 1, np.uint16)
    lookup[list(values)] = list(values.values())
    return lookup[found]
