"""From a model's prediction to segments of the open case."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import (
    Box,
    CancelToken,
    ModelCard,
    ProgressCallback,
    Segment,
    Segmentation,
    SegmentTable,
    Volume,
    color_for,
)
from napari_volseg.inference import Prediction, RunReport, load_model


@dataclass(frozen=True, slots=True, eq=False)
class Merge:
    """What a prediction would change.

    Parameters
    ----------
    base
        The table that the merge was made for.
    table
        The table afterwards.
    box
        Voxels that may change.
    labels
        Labels in the box afterwards.
    report
        How the model ran.
    card
        Which model it was.
    """

    base: SegmentTable
    table: SegmentTable
    box: Box
    labels: NDArray[np.uint16]
    report: RunReport
    card: ModelCard


def predict(
    volume: Volume,
    model: str,
    *,
    device: str = "auto",
    backend: str = "auto",
    progress: ProgressCallback,
    cancel: CancelToken,
) -> tuple[ModelCard, Prediction]:
    """Run a model, given by name or folder, over a volume."""
    loaded = load_model(model)
    return loaded.card, loaded.predict(volume, device=device, backend=backend, progress=progress, cancel=cancel)


def merge_prediction(segmentation: Segmentation, card: ModelCard, prediction: Prediction) -> Merge:
    """Join a prediction with the segments that exist.

    A segment that the same model made before, under the same name, is replaced; every other predicted segment
    becomes a new one. Voxels that the model leaves as background keep what they hold, unless a replaced
    segment held them.
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
    np.copyto(labels, predicted, where=predicted > 0)
    return Merge(base, table, box, labels, prediction.report, card)


def _join_tables(
    base: SegmentTable, card: ModelCard, predicted: tuple[Segment, ...]
) -> tuple[SegmentTable, dict[int, int]]:
    table = base
    values: dict[int, int] = {}
    ours = {s.name: s.value for s in base if s.algorithm_name == card.id and not s.locked}
    for segment in predicted:
        value = ours.get(segment.name, table.next_value())
        values[segment.value] = value
        if value not in table:
            color = segment.color if value == segment.value or segment.color else color_for(value)
            made = replace(segment, value=value, color=color, algorithm_type="AUTOMATIC", algorithm_name=card.id)
            table = table.with_segment(made)
    return table, values
