"""Volume and mean value of each segment, counted in the background; of slices that did not change it is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_volseg.app.case import Case
from napari_volseg.app.jobs import Job, JobRunner
from napari_volseg.core import Box, CancelToken, Progress, ProgressCallback


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of a segment.

    Parameters
    ----------
    voxels
        How many it has.
    millilitres
        Their volume; None where the image has no known physical size.
    mean, sd
        Mean and population standard deviation of the image there, in its unit; None without a finite value.
    """

    voxels: int
    millilitres: float | None
    mean: float | None
    sd: float | None


class SliceSums:
    """Sums over the voxels of each segment, slice by slice.

    Parameters
    ----------
    labels, voxels
        Labels and image, (z, y, x).
    """

    def __init__(self, labels: NDArray[Any], voxels: NDArray[Any]) -> None:
        self._labels, self._image = labels, voxels
        self._values: tuple[int, ...] = ()
        #: Of each slice and segment: voxels, voxels with a finite value, their sum and the sum of their squares.
        self._sums = np.zeros((4, len(labels), 1))

    def use(self, values: tuple[int, ...]) -> None:
        """Count for other label values than before; what is known of those that stay is kept."""
        if values == self._values:
            return
        sums = np.zeros((4, len(self._labels), len(values) + 1))
        for column, value in enumerate(values, 1):
            if value in self._values:
                sums[:, :, column] = self._sums[:, :, self._values.index(value) + 1]
        self._values, self._sums = values, sums

    def count(self, index: int) -> None:
        """Count a slice anew."""
        columns = len(self._values) + 1
        lookup = np.zeros(max(self._values, default=0) + 1, np.intp)
        lookup[list(self._values)] = np.arange(1, columns)
        flat = self._labels[index].reshape(-1)
        inside = np.flatnonzero(flat)
        self._sums[:, index] = 0
        if not inside.size:
            return
        place = lookup[np.minimum(flat[inside], len(lookup) - 1)]
        image = np.asarray(self._image[index]).reshape(-1)[inside].astype(np.float64)
        self._sums[0, index] = np.bincount(place, minlength=columns)
        finite = np.isfinite(image)
        if not finite.all():
            place, image = place[finite], image[finite]
        for row, weights in ((1, None), (2, image), (3, image * image)):
            self._sums[row, index] = np.bincount(place, weights, columns)

    def figures(self, voxel_ml: float | None) -> dict[int, Figures]:
        """Return what is known of each segment, where a voxel has so many mL."""
        totals = self._sums.sum(1)
        return {value: _figures(totals[:, column], voxel_ml) for column, value in enumerate(self._values, 1)}


class SegmentFigures:
    """Volumes and mean values of the segments of one case.

    Parameters
    ----------
    case
        Whose labels are counted.
    jobs
        Where they are counted.
    """

    changed = Signal()

    def __init__(self, case: Case, jobs: JobRunner) -> None:
        self._case, self._jobs = case, jobs
        self._job: Job | None = None
        self._sums = SliceSums(case.segmentation.labels, case.volume.voxels)
        self._stale = set(range(case.volume.geometry.shape[0]))
        self._known: dict[int, Figures] = {}
        case.session.changed.connect(self._note)

    def of(self, value: int) -> Figures | None:
        """Return what is known of a segment; None before it was counted."""
        return self._known.get(value)

    def millilitres(self, value: int) -> float | None:
        """Return the volume of a segment as last counted, mL; None before a count or without physical size."""
        known = self.of(value)
        return known.millilitres if known is not None else None

    def count(self) -> Job:
        """Count what changed, in the background; a count that is running is given up."""
        if self._job is not None:
            self._job.cancel()
        table, volume, sums, stale = self._case.table, self._case.volume, self._sums, self._stale
        voxel_ml = volume.geometry.voxel_volume / 1000 if volume.is_calibrated else None

        def work(progress: ProgressCallback, cancel: CancelToken) -> dict[int, Figures]:
            sums.use(table.values)
            total = len(stale)
            while stale:
                cancel.check()
                index = stale.pop()  # first, for it may be written to, and noted, while it is counted
                sums.count(index)
                progress(Progress(total - len(stale), total))
            return sums.figures(voxel_ml)

        self._job = self._jobs.submit("Measuring segments", work, self._take, lane="figures", quiet=True)
        return self._job

    def close(self) -> None:
        """Follow the case no more."""
        self._case.session.changed.disconnect(self._note)

    def _note(self, box: Box) -> None:
        self._stale.update(range(box.start[0], box.stop[0]))

    def _take(self, known: dict[int, Figures]) -> None:
        self._known = known
        self.changed.emit()


def _figures(totals: NDArray[np.float64], voxel_ml: float | None) -> Figures:
    voxels, finite, total, squares = (float(t) for t in totals)
    mean = total / finite if finite else None
    sd = math.sqrt(max(0.0, squares / finite - mean * mean)) if mean is not None else None
    return Figures(int(voxels), None if voxel_ml is None else voxels * voxel_ml, mean, sd)
