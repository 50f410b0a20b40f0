"""Looking at an image while it is still being read."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
from psygnal import Signal

from napari_volseg.app.case import opening_window, values_between, windows_of
from napari_volseg.app.jobs import Job, JobRunner
from napari_volseg.app.wishes import ViewWishes
from napari_volseg.core import Arriving, CancelToken, PreviewCallback, Window, auto_window

#: An image that is read sooner is not shown before it is whole, seconds after it was asked for.
PATIENCE = 0.3
#: What has arrived is drawn at most this often, seconds.
REFRESH_INTERVAL = 0.25

READING = "the image is still being read"


@dataclass(frozen=True, slots=True)
class Sight:
    """An image under way and how it is looked at, estimated from one of its slices.

    Parameters
    ----------
    arriving
        The image.
    auto
        The automatic window.
    values
        Lowest and highest value.
    """

    arriving: Arriving
    auto: Window
    values: tuple[float, float]

    @classmethod
    def of(cls, arriving: Arriving) -> Sight:
        """Look at the best slice that is there."""
        plane = np.take(arriving.volume.voxels, arriving.best[arriving.axis], arriving.axis)
        return cls(arriving, auto_window(plane), values_between(plane))


class Preview:
    """The image that is being read, if it takes long enough to be looked at meanwhile.

    The open case is not touched. What was changed for the sake of the look, the window, is put back where the image
    doesn't come to its end.

    Parameters
    ----------
    jobs
        Where images are read.
    view
        How they are looked at.

    Attributes
    ----------
    sight
        What can be seen; None where nothing is being read, or only since a moment.
    changed
        An image appeared, more of it arrived, or it is gone.
    """

    changed = Signal()

    def __init__(self, jobs: JobRunner, view: ViewWishes) -> None:
        self._jobs, self._view = jobs, view
        self.sight: Sight | None = None
        self._newest: Arriving | None = None
        self._job: Job | None = None
        self._before = self._given = view.window
        self._told_at = 0.0
        jobs.changed.connect(self._follow)

    @property
    def arriving(self) -> Arriving | None:
        """The image that is shown while it is read."""
        return self.sight.arriving if self.sight else None

    @property
    def windows(self) -> dict[str, Window]:
        """Windows on offer for it, by id."""
        return windows_of(self.sight.arriving.volume, self.sight.auto) if self.sight else {}

    def listener(self, cancel: CancelToken, asked_at: float) -> PreviewCallback:
        """Return whom the reader of a job may tell of its image, on any thread.

        Parameters
        ----------
        cancel
            The token of the job.
        asked_at
            ``time.monotonic()`` as the image was asked for.
        """

        def announce(arriving: Arriving) -> None:
            self._newest = arriving
            sight = Sight.of(arriving)
            wait = max(0.0, asked_at + PATIENCE - time.monotonic())
            timer = threading.Timer(wait, self._jobs.inbox.post, [lambda: self._take(sight, cancel)])
            timer.daemon = True
            timer.start()

        return announce

    def give_way(self) -> Window | None:
        """End for the case that takes over; return the window, where the user has chosen one meanwhile."""
        chosen = self._view.window if self.sight is not None and self._view.window != self._given else None
        self.sight, self._job = None, None
        return chosen

    def _take(self, sight: Sight, cancel: CancelToken) -> None:
        job = next((job for job in self._jobs.active if job.token is cancel), None)
        if job is None or cancel.cancelled or sight.arriving is not self._newest:
            return
        if self.sight is None:
            self._before = self._given = self._view.window
        untouched = self._view.window == self._given
        self.sight, self._job, self._told_at = sight, job, time.monotonic()
        self.changed.emit()
        if untouched:
            self._view.window = self._given = opening_window(sight.arriving.volume, sight.auto)

    def _follow(self, job: Job) -> None:
        """Tell of more that has arrived; end with the job."""
        if job is not self._job:
            return
        if job.finished:
            self.sight, self._job = None, None
            self.changed.emit()
            self._view.window = self._before
        elif time.monotonic() - self._told_at >= REFRESH_INTERVAL:
            self._told_at = time.monotonic()
            self.changed.emit()
