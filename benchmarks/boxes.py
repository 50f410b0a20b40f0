"""LiteMedSAM on labelled images: the true box on every slice, and one box on the largest slice for the volume.

::

    pip install "napari-volseg[litemedsam]"
    python benchmarks/boxes.py IMAGE LABELS [--values 5,1,52] [--axis 0] [--no-slices] [--json boxes.json]

Slice Dice is the mean over the slices with the structure, each answered from its own tight box; what goes on to other
slices is not judged there.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, BoxPrompt, Geometry, Volume
from napari_volseg.formats import load_labels, open_volume
from napari_volseg.interactive import InteractiveModel, load_engine
from napari_volseg.spatial import crop_geometry

#: Voxels of a structure that make a slice count.
LEAST = 20


def box_about(mask: NDArray[np.bool_], axis: int, index: int, geometry: Geometry) -> BoxPrompt:
    """Return the tight box about a mask (z, y, x) on one of its slices along ``axis``."""
    places = np.argwhere(np.take(mask, index, axis))
    (top, left), (bottom, right) = places.min(0), places.max(0)
    corners = ((top, left), (top, right), (bottom, right), (bottom, left))
    patient = geometry.to_patient([np.insert(corner, axis, index) for corner in corners])
    return BoxPrompt(tuple(tuple(map(float, corner)) for corner in patient))


def answered(model: InteractiveModel, volume: Volume, box: BoxPrompt) -> NDArray[np.bool_]:
    """Return the mask (z, y, x) for a box."""
    session = model.open(volume)
    session.add(box)
    return session.result().expand(volume.geometry.shape)


def slice_scores(
    model: InteractiveModel, volume: Volume, labels: NDArray[np.integer], values: list[int], axis: int
) -> dict[int, list[float]]:
    """Return the Dice coefficients on single slices, each a volume of its own so that nothing goes on from there."""
    scores: dict[int, list[float]] = {value: [] for value in values}
    for index in range(labels.shape[axis]):
        start, stop = [0, 0, 0], list(labels.shape)
        start[axis], stop[axis] = index, index + 1
        box = Box.of(start, stop)
        thin = replace(
            volume, voxels=volume.voxels[box.slices], geometry=crop_geometry(volume.geometry, box), provenance=None
        )
        for value in values:
            truth = labels[box.slices] == value
            if truth.sum() >= LEAST:
                found = answered(model, thin, box_about(truth, axis, 0, thin.geometry))
                scores[value].append(dice(found, truth))
    return scores


def volume_score(model: InteractiveModel, volume: Volume, truth: NDArray[np.bool_], axis: int) -> dict[str, object]:
    """Return what comes of one box on the largest slice."""
    others = tuple(a for a in range(3) if a != axis)
    key = int(truth.sum(others).argmax())
    start = time.perf_counter()
    found = answered(model, volume, box_about(truth, axis, key, volume.geometry))
    ends = [np.flatnonzero(mask.any(others))[[0, -1]].tolist() for mask in (found, truth)]
    seconds = round(time.perf_counter() - start, 1)
    return {"key": key, "dice": round(dice(found, truth), 3), "found": ends[0], "true": ends[1], "seconds": seconds}


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the Dice coefficient of two masks."""
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--values", help="labels to measure, such as 5,1,52; all unless told")
    parser.add_argument("--axis", type=int, default=0, choices=(0, 1, 2), help="index axis that counts the slices")
    parser.add_argument("--no-slices", action="store_true", help="leave out the single slices")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    volume = open_volume(options.image)
    labels = load_labels(options.labels, volume).labels
    present = [int(value) for value in np.unique(labels) if value]
    values = [int(value) for value in options.values.split(",")] if options.values else present
    model = load_engine("litemedsam")
    scores = {} if options.no_slices else slice_scores(model, volume, labels, values, options.axis)
    told = {}
    for value in values:
        row = volume_score(model, volume, labels == value, options.axis)
        if scores.get(value):
            row |= {"slices": len(scores[value]), "slice_dice": round(float(np.mean(scores[value])), 3)}
        told[value] = row
        print(value, row, flush=True)
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
