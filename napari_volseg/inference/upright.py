"""A sheared volume as models see it: on an orthogonal grid; their labels return to the slices as acquired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from napari_volseg.core import CancelToken, Progress, ProgressCallback, Volume
from napari_volseg.inference.model import Prediction, Seconds
from napari_volseg.inference.runs import Stopwatch, peak_memory_bytes
from napari_volseg.spatial import Straightening


def predict_upright(
    predict: Callable[[Sequence[Volume]], Prediction],
    volumes: Sequence[Volume],
    way: Straightening,
    progress: ProgressCallback,
    cancel: CancelToken,
) -> Prediction:
    """Label a sheared volume through its upright grid.

    Parameters
    ----------
    predict
        Labels volumes whose axes are orthogonal.
    volumes
        3D, one per channel, on the source grid of ``way``.
    way
        From the volumes' grid to the upright one; the report of the run keeps it.
    progress
        Told that the image is resampled.
    cancel
        Looked at between slabs.

    Returns
    -------
    Prediction
        Labels on the volumes' own grid; what the model labelled outside its field of view is left out.
    """
    watch = Stopwatch()
    with watch.phase("before"):
        progress(Progress(0, 0, "resampling the tilted slices"))
        upright = [replace(v, voxels=way.image(v.voxels, cancel), geometry=way.target) for v in volumes]
    seen = predict(upright)
    with watch.phase("after"):
        labels = way.labels_back(seen.labels, cancel)
    around, inside = watch.seconds(), seen.report.seconds
    seconds = Seconds(around.total, inside.network, inside.before + around.before, inside.after + around.after)
    report = replace(seen.report, seconds=seconds, peak_memory_bytes=peak_memory_bytes(), straightening=way)
    return replace(seen, labels=labels, report=report)
