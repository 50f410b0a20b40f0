"""Smooth surfaces of the segments for the 3D view, made in the background while somebody looks at them."""

from __future__ import annotations

from typing import Any

from psygnal import Signal

from napari_volseg.app.case import Case
from napari_volseg.app.jobs import Job, JobRunner
from napari_volseg.app.surface_maker import Scene, SurfaceMaker
from napari_volseg.core import Box, CancelToken, ProgressCallback, SegmentTable

#: What is there is shown after so many seconds, and then the rest is made.
BATCH_SECONDS = 1.0


class SegmentSurfaces:
    """Surfaces of the segments of one case; nothing is made before it is wanted.

    Parameters
    ----------
    case
        Whose labels are shown.
    jobs
        Where surfaces are made.

    Attributes
    ----------
    changed
        Emitted when there is something new to see.
    scene
        What is to be seen, None before anything was made.
    """

    changed = Signal()

    def __init__(self, case: Case, jobs: JobRunner) -> None:
        self._case, self._jobs = case, jobs
        self.scene: Scene | None = None
        self._maker = SurfaceMaker(case.segmentation.labels, case.volume.geometry)
        self._boxes: list[Box] = []
        self._job: Job | None = None
        self._wanted = self._more = False
        case.session.changed.connect(self._take_box)
        case.session.table_changed.connect(self._take_table)

    @property
    def wanted(self) -> bool:
        """Whether somebody looks at them, so that they follow every change."""
        return self._wanted

    @wanted.setter
    def wanted(self, wanted: bool) -> None:
        begins = wanted and not self._wanted
        self._wanted = wanted
        if begins and (self.scene is None or self._boxes or self._more):
            self._begin()

    @property
    def ready(self) -> bool:
        """Whether they show the labels as they are."""
        return self.scene is not None and not self._more and not self._boxes

    def _take_box(self, box: Box) -> None:
        self._boxes.append(box)
        self._begin()

    def _take_table(self, _: SegmentTable) -> None:
        self._more = True
        self._begin()

    def _begin(self) -> None:
        """Make what is missing, unless that is being done or nobody looks."""
        if not self._wanted or (self._job is not None and not self._job.finished):
            self._more = True
            return
        boxes, self._boxes, self._more = self._boxes, [], False
        maker, table, active = self._maker, self._case.table, self._case.active
        maker.note(boxes)

        def work(progress: ProgressCallback, cancel: CancelToken) -> tuple[Scene, bool]:
            more = maker.work(table, active, BATCH_SECONDS, progress, cancel)
            return maker.scene(table), more

        title = "Making surfaces of the segments"
        quiet = self.scene is not None
        self._job = self._jobs.submit(title, work, self._take, lane="surfaces", quiet=quiet)

    def _take(self, result: tuple[Scene, bool]) -> None:
        self.scene, more = result
        self._job = None
        if (more or self._more or self._boxes) and self._wanted:
            self._begin()
        else:
            self._more = self._more or more
        self.changed.emit()

    def close(self) -> None:
        """Follow the case no more."""
        signals: tuple[Any, ...] = (self._case.session.changed, self._case.session.table_changed)
        for signal, slot in zip(signals, (self._take_box, self._take_table), strict=True):
            signal.disconnect(slot)
