"""From a model's prediction to segments of the open case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_volseg.app.postprocessing import Correction
from napari_volseg.core import (
    Box,
    CancelToken,
    Finding,
    ModelCard,
    ProgressCallback,
    RefusedError,
    Segment,
    Segmentation,
    SegmentTable,
    Volume,
)
from napari_volseg.editing import Author, EditSession, Plan
from napari_volseg.inference import Band, Prediction, load_model
from napari_volseg.inference.network_files import Trust


@dataclass(frozen=True, slots=True, eq=False)
class Merge:
    """What a prediction would change.

    Parameters
    ----------
    table
        The table afterwards.
    box
        Voxels that may change.
    labels
        Labels in the box afterwards.
    values
        Label value in the table by label value of the model.
    """

    table: SegmentTable
    box: Box
    labels: NDArray[np.uint16]
    values: Mapping[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A prediction and the step that it would make.

    Parameters
    ----------
    card
        Which model it was.
    prediction
        What it said.
    plan
        The step, None where it changes nothing.
    values
        Label value in the case by label value of the model.
    corrections
        What the card asks to be done afterwards, each a step of its own.
    findings
        What is to be told of the images of its channels.
    """

    card: ModelCard
    prediction: Prediction
    plan: Plan | None
    values: Mapping[int, int] = field(default_factory=dict)
    corrections: tuple[Correction, ...] = ()
    findings: tuple[Finding, ...] = ()


def predict(
    volume: Volume,
    model: str,
    *,
    further: Sequence[Volume] = (),
    trusted: Trust = False,
    device: str = "auto",
    backend: str = "auto",
    progress: ProgressCallback,
    cancel: CancelToken,
    bands: Callable[[ModelCard, Band], None] = lambda card, band: None,
    look_at: Box | None = None,
) -> tuple[ModelCard, Prediction]:
    """Run a model, given by name or folder, over a volume; ``bands`` hears of parts of its labels that are final.

    ``further`` are the images of its further channels; ``trusted`` says which programs among models may run;
    ``look_at`` is the part of the volume whose bands should come first.

    Raises
    ------
    RefusedError
        For colours and other values that are for viewing only, and for a program that is not trusted.
    """
    require_grey(volume)
    loaded = load_model(model, trusted=trusted)
    card = loaded.card
    prediction = loaded.predict(
        volume,
        further=further,
        device=device,
        backend=backend,
        progress=progress,
        cancel=cancel,
        bands=partial(bands, card),
        look_at=look_at,
    )
    return card, prediction


def require_grey(volume: Volume) -> None:
    """Refuse values that are for viewing only."""
    if volume.origin_provenance.details.get("view_only"):
        raise RefusedError(
            f"{volume.name} holds colours or complex numbers, which no model understands: open a grey image",
            "view_only",
        )


def plan_prediction(
    session: EditSession, card: ModelCard, prediction: Prediction, corrections: tuple[Correction, ...] = ()
) -> Outcome:
    """Work out, on any thread, the step by which a prediction joins the segments that exist."""
    revision = session.revision
    merge = merge_prediction(session.segmentation, card, prediction)
    plan = session.plan_replace(
        merge.box,
        merge.labels,
        name=f"Model: {card.title}",
        author=Author("model", card.id, card.version),
        table=merge.table,
        parameters=prediction.report.as_dict(),
    )
    return Outcome(card, prediction, plan and replace(plan, revision=revision), merge.values, corrections)


def merge_prediction(segmentation: Segmentation, card: ModelCard, prediction: Prediction) -> Merge:
    """Join a prediction with the segments that exist.

    A segment that the same model made before, under the same name, is replaced; every other predicted segment
    becomes a new one. Voxels of segments that a person made stay, and so do voxels that the model leaves as
    background, unless a replaced segment held them.
    """
    base = segmentation.table
    table, values = _join_tables(base, card, prediction.segments)
    lookup = np.zeros(int(prediction.labels.max(initial=0)) + 1, np.uint16)
    for source, target in values.items():
        if source < lookup.size:
            lookup[source] = target
    replaced = [target for target in values.values() if target in base]
    touched = prediction.labels > 0
    if replaced:
        touched |= np.isin(segmentation.labels, replaced)
    box = Box.of_mask(touched) or Box((0, 0, 0), (0, 0, 0))
    labels = segmentation.labels[box.slices].astype(np.uint16)
    labels[np.isin(labels, replaced)] = 0
    predicted = lookup[prediction.labels[box.slices]]
    by_hand = [s.value for s in base if s.algorithm_type != "AUTOMATIC"]
    np.copyto(labels, predicted, where=(predicted > 0) & ~np.isin(labels, by_hand))
    return Merge(table, box, labels, values)


def _join_tables(
    base: SegmentTable, card: ModelCard, predicted: tuple[Segment, ...]
) -> tuple[SegmentTable, dict[int, int]]:
    table = base
    values: dict[int, int] = {}
    ours = {s.name: s.value for s in base if s.algorithm_name == card.id and not s.locked}
    for segment in predicted:
        free = segment.value if segment.value not in table else table.next_value()
        value = ours.get(segment.name, free)
        values[segment.value] = value
        if value not in table:
            table = table.with_segment(replace(made_by(card, segment), value=value))
    return table, values


def made_by(card: ModelCard, segment: Segment) -> Segment:
    """Return a predicted segment marked as the automatic work of its model."""
    return replace(segment, algorithm_type="AUTOMATIC", algorithm_name=card.id)
