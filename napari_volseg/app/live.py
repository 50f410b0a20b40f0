"""What a model that runs, or answers a prompt, has labelled so far, to be looked at until its result arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_volseg.app.case import Case
from napari_volseg.app.jobs import Job
from napari_volseg.core import Box, CancelToken, SegmentTable
from napari_volseg.inference import Band

if TYPE_CHECKING:
    from napari_volseg.app.application import Application


@dataclass(slots=True, eq=False)
class Sighting:
    """The finished bands of one run.

    Parameters
    ----------
    case
        What the model labels.
    table
        What label values mean: for an automatic model its own, not those of the case.
    bands
        Finished parts, in the order in which they came; more are appended.
    """

    case: Case
    table: SegmentTable
    bands: list[Band]


class LivePrediction:
    """Collects the finished bands of the model that runs; nothing of them is in the labels or in their history.

    Parameters
    ----------
    app
        Whose jobs are followed.

    Attributes
    ----------
    sighting
        What there is to see; None where no model runs, or nothing of its result is final yet.
    changed
        Emitted with the box (z, y, x) of voxels that arrived or are shown no more.
    """

    changed = Signal(Box)

    def __init__(self, app: Application) -> None:
        self._app = app
        self._token: CancelToken | None = None
        self.sighting: Sighting | None = None
        app.jobs.changed.connect(self._follow)
        app.case_changed.connect(self._end)

    def take(self, case: Case, cancel: CancelToken, table: SegmentTable, band: Band) -> None:
        """Show a band of the run with this token, on the inbox's thread; called on any.

        Parameters
        ----------
        case
            What is labelled.
        cancel
            Of the job that does it.
        table
            What the band's label values mean, the same for all bands of a run.
        band
            What is finished.
        """
        self._app.jobs.inbox.post(lambda: self._show(case, cancel, table, band))

    def _show(self, case: Case, cancel: CancelToken, table: SegmentTable, band: Band) -> None:
        running = any(job.token is cancel for job in self._app.jobs.active)
        if not running or cancel.cancelled or case is not self._app.case:
            return
        if self.sighting is None or self._token is not cancel:
            self._end()
            self._token = cancel
            self.sighting = Sighting(case, table, [])
        self.sighting.bands.append(band)
        self.changed.emit(band.box)

    def _follow(self, job: Job) -> None:
        if job.token is self._token and (job.finished or job.token.cancelled):
            self._end()

    def _end(self) -> None:
        sighting, self.sighting, self._token = self.sighting, None, None
        if sighting is not None:
            self.changed.emit(Box.whole(sighting.case.segmentation.labels.shape))
