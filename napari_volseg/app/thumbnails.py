"""Middle slices of what was found, read in the background one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from psygnal import Signal

from napari_volseg.app.case import opening_window
from napari_volseg.app.jobs import Job, JobRunner
from napari_volseg.app.wishes import Plane
from napari_volseg.core import (
    Arriving,
    Box,
    CancelledError,
    CancelToken,
    ProgressCallback,
    VolsegError,
    Volume,
    Window,
    auto_window,
)
from napari_volseg.formats import FoundVolume, load
from napari_volseg.spatial import crop_geometry, steps_within, thin_geometry

#: Voxels that are kept along each axis, at most.
MOST = 256
#: Plane of the slices normal to each axis of a display grid.
PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnail:
    """The middle slice of a volume, as it was acquired.

    Parameters
    ----------
    volume
        That slice alone, on its display grid.
    plane
        Which way it lies.
    window
        How it is shown.
    """

    volume: Volume
    plane: Plane
    window: Window

    @classmethod
    def of(cls, volume: Volume, axis: int, index: int) -> Thumbnail:
        """Cut a slice normal to an axis (0 z, 1 y, 2 x) out of a 3D volume."""
        start, stop = [0, 0, 0], list(volume.geometry.shape)
        start[axis], stop[axis] = index, index + 1
        box = Box.of(start, stop)
        dz, dy, dx = steps = steps_within(box.shape, MOST)
        voxels = volume.voxels[box.slices][::dz, ::dy, ::dx].copy()
        cut = Volume(
            voxels,
            thin_geometry(crop_geometry(volume.geometry, box), steps),
            volume.modality,
            volume.quantity,
            volume.unit,
            volume.name,
            volume.provenance,
        )
        return cls(cut, PLANES[axis], opening_window(cut, auto_window(voxels)))


class _UntilMiddle(CancelToken):
    """Ends the reading of a volume once its middle slice is there."""

    def __init__(self, outer: CancelToken) -> None:
        super().__init__()
        self._outer = outer
        self.seen: Thumbnail | None = None

    @property
    def cancelled(self) -> bool:
        return self._outer.cancelled or super().cancelled

    def look(self, arriving: Arriving) -> None:
        middle = arriving.middle[arriving.axis]
        if arriving.arrived[middle]:
            self.seen = Thumbnail.of(arriving.volume, arriving.axis, middle)
            self.cancel()


def read_thumbnail(found: FoundVolume, progress: ProgressCallback, cancel: CancelToken) -> Thumbnail | None:
    """Read the middle slice of a volume, and no more of it where its files allow; None where it can't be read so."""
    until = _UntilMiddle(cancel)
    try:
        volume = load(found, progress, until, preview=until.look).at_time(0)
    except CancelledError:
        if until.seen is None:
            raise
        return until.seen
    except (VolsegError, OSError):
        return None
    axis = int(np.argmin([n / max(volume.geometry.shape) for n in volume.geometry.shape]))
    return Thumbnail.of(volume, axis, volume.geometry.shape[axis] // 2)


class Thumbnails:
    """The thumbnails that were read so far.

    Parameters
    ----------
    jobs
        Where they are read.

    Attributes
    ----------
    arrived
        Emitted with a volume whose thumbnail is there.
    """

    arrived = Signal(object)

    def __init__(self, jobs: JobRunner) -> None:
        self._jobs = jobs
        self._read: dict[FoundVolume, Thumbnail | None] = {}
        self._waiting: dict[FoundVolume, Job] = {}

    def get(self, found: FoundVolume) -> Thumbnail | None:
        """Return the thumbnail of a volume, None as long as it is not there."""
        return self._read.get(found)

    def want(self, found: Iterable[FoundVolume]) -> None:
        """Read the thumbnails of these volumes, and of no others any more."""
        wanted = tuple(found)
        self.stop()
        self._read = {volume: seen for volume, seen in self._read.items() if volume in wanted}
        for volume in wanted:
            if volume not in self._read:
                self._waiting[volume] = self._jobs.submit(
                    f"Reading the thumbnail of {volume.description}",
                    partial(read_thumbnail, volume),
                    partial(self._take, volume),
                    lane="thumbnails",
                    quiet=True,
                )

    def stop(self) -> None:
        """Read no more of them."""
        for job in self._waiting.values():
            job.cancel()
        self._waiting.clear()

    def _take(self, volume: FoundVolume, seen: Thumbnail | None) -> None:
        if self._waiting.pop(volume, None) is not None:
            self._read[volume] = seen
            self.arrived.emit(volume)
