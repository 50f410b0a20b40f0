"""How large each segment is, counted in the background when somebody looks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_volseg.app.case import Case
from napari_volseg.app.jobs import Job, JobRunner
from napari_volseg.core import CancelToken, Progress, ProgressCallback


class SegmentVolumes:
    """Volumes in mL of the segments of one case.

    Parameters
    ----------
    case
        Whose labels are counted.
    jobs
        Where they are counted.
    """

    changed = Signal()

    def __init__(self, case: Case, jobs: JobRunner) -> None:
        self._case = case
        self._jobs = jobs
        self._job: Job | None = None
        self._voxels = np.zeros(0, np.int64)

    def millilitres(self, value: int) -> float | None:
        """Return the volume of a segment as last counted, mL; None before a count or without physical size."""
        if not self._voxels.size or not self._case.volume.is_calibrated:
            return None
        count = int(self._voxels[value]) if value < self._voxels.size else 0
        return count * self._case.volume.geometry.voxel_volume / 1000

    def count(self) -> Job:
        """Count anew, in the background; a count that is running is given up."""
        if self._job is not None:
            self._job.cancel()
        labels = self._case.segmentation.labels

        def work(progress: ProgressCallback, cancel: CancelToken) -> NDArray[np.int64]:
            return count_voxels(labels, progress, cancel)

        self._job = self._jobs.submit("Measuring segments", work, self._take, quiet=True)
        return self._job

    def _take(self, voxels: NDArray[np.int64]) -> None:
        self._voxels = voxels
        self.changed.emit()


def count_voxels(labels: NDArray[np.uint16], progress: ProgressCallback, cancel: CancelToken) -> NDArray[np.int64]:
    """Return how many voxels (z, y, x) hold each label value, slice by slice so that memory stays small."""
    total = np.zeros(1, np.int64)
    for number, plane in enumerate(labels):
        cancel.check()
        counts = np.bincount(plane.reshape(-1), minlength=total.size)
        counts[: total.size] += total
        total = counts
        progress(Progress(number + 1, len(labels)))
    return total
