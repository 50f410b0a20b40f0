"""What every automatic model offers and what a run of it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

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
    no_progress,
)
from napari_volseg.spatial import Straightening


@dataclass(frozen=True, slots=True)
class Seconds:
    """Where the time of a run went, seconds of wall clock.

    Parameters
    ----------
    total
        From the call to its return.
    network
        Forward passes and the blending of their output.
    before, after
        Everything earlier (loading weights, resampling, normalization) and later (back to the volume's grid).
    """

    total: float
    network: float
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class RunReport:
    """Facts about one run, for the window, the command line and benchmarks.

    Parameters
    ----------
    model
        Id of the model's card.
    device, backend
        What computed, in words, such as ``"CPU (2 threads)"`` and ``"torch"``.
    windows
        Number of forward passes; 0 for a model without a network.
    seconds
        Wall clock, by phase.
    peak_memory_bytes
        Largest resident memory of the process so far; 0 where the system does not tell.
    straightening
        How the image was resampled for the model; None where it was given on its own grid.
    skipped
        Number of windows outside of the body that were left out.
    """

    model: str
    device: str
    backend: str
    windows: int
    seconds: Seconds
    peak_memory_bytes: int
    straightening: Straightening | None = None
    skipped: int = 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the user should know of how the model saw the image."""
        return (*self._straightened(), *self._left_out())

    def _straightened(self) -> tuple[Finding, ...]:
        if self.straightening is None:
            return ()
        z, y, x = self.straightening.target.shape
        text = (
            f"the model saw the slices, tilted by {self.straightening.angle:.3g}°, resampled to an orthogonal grid "
            f"of {z} × {y} × {x} voxels; its labels were brought back to them"
        )
        return (Finding("model.straightened", text, "note"),)

    def _left_out(self) -> tuple[Finding, ...]:
        if not self.skipped:
            return ()
        text = (
            f"{self.skipped} of {self.skipped + self.windows} windows lay outside of the body and were left out, as "
            "was asked for: labels near its surface may differ from those of a whole run"
        )
        return (Finding("model.air_skipped", text, "note"),)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON-ready values, seconds rounded to milliseconds.

        Where the model saw a resampled image, ``"model_grid"`` tells its shape, its affine from index (z, y, x) to
        LPS mm, and the 4×4 that leads there from an index (z, y, x) of the image.
        """
        phases = ("total", "network", "before", "after")
        return {
            "model": self.model,
            "device": self.device,
            "backend": self.backend,
            "windows": self.windows,
            "seconds": {phase: round(getattr(self.seconds, phase), 3) for phase in phases},
            "peak_memory_bytes": self.peak_memory_bytes,
            **({"windows_skipped": self.skipped} if self.skipped else {}),
            **({} if self.straightening is None else {"model_grid": _grid_facts(self.straightening)}),
        }


def _grid_facts(way: Straightening) -> dict[str, Any]:
    return {
        "shape": list(way.target.shape),
        "affine": way.target.matrix.tolist(),
        "from_image": way.transform.tolist(),
    }


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Labels that a model proposes for a volume.

    Parameters
    ----------
    labels
        Unsigned integers (z, y, x) on the volume's own grid, 0 for none.
    segments
        What the values mean.
    report
        How the run went.
    """

    labels: NDArray[Any]
    segments: tuple[Segment, ...]
    report: RunReport

    def as_segmentation(self, volume: Volume) -> Segmentation:
        """Return the labels as a segmentation of the volume that was given to ``predict``."""
        return Segmentation(self.labels, volume.geometry, SegmentTable(self.segments))


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A part of a prediction that is final while the rest is still computed.

    Parameters
    ----------
    box
        Where it lies, voxels (z, y, x) of the volume.
    labels
        Unsigned integers of the box's shape; a view of the prediction, to be read and not written.
    """

    box: Box
    labels: NDArray[Any]


BandCallback = Callable[[Band], None]


def no_bands(_: Band) -> None:
    """Ignore bands."""


@runtime_checkable
class SegmentationModel(Protocol):
    """A model that labels a whole volume without being asked where."""

    @property
    def card(self) -> ModelCard:
        """What the model says of itself."""

    def predict(
        self,
        volume: Volume,
        *,
        further: Sequence[Volume] = (),
        device: str = "auto",
        backend: str = "auto",
        progress: ProgressCallback = no_progress,
        cancel: CancelToken | None = None,
        bands: BandCallback = no_bands,
        look_at: Box | None = None,
        skip_air: bool = False,
    ) -> Prediction:
        """Label a volume.

        Parameters
        ----------
        volume
            3D, on any grid; its voxels are not changed.
        further
            The images of the card's further channels, in their order and on the same grid.
        device
            ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
        backend
            ``"auto"`` or a back end that the model knows.
        progress
            Told once per window, from the thread that calls.
        cancel
            Looked at before every window.
        bands
            Told of labels as soon as they are final, from the thread that calls, each voxel at most once; not told
            where the image had to be straightened.
        look_at
            The part of the volume that somebody looks at, such as a slice: a model that tells bands begins there,
            where it can. Labels don't depend on it.
        skip_air
            Whether windows that lie wholly outside of the body of a CT are left out: faster, and not exact.

        Raises
        ------
        RefusedError
            Where the volume can't be given to this model.
        UsageError
            For an unknown device or back end.
        CancelledError
            Where the token was raised; nothing is returned.
        """


def require_3d(volume: Volume) -> None:
    """Refuse a volume with a time axis."""
    if volume.voxels.ndim != 3:
        raise RefusedError(
            f"{volume.name} holds {len(volume.voxels)} volumes over time: choose one of them to segment", "image.time"
        )
