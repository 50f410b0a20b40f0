"""One way for every network: prepare the image, run windows, bring labels back to the volume band by band."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import (
    Box,
    CancelToken,
    ModelCard,
    Progress,
    ProgressCallback,
    RefusedError,
    Reorientation,
    Volume,
    no_progress,
)
from napari_volseg.inference.air import windows_in_air
from napari_volseg.inference.devices import describe_device, import_torch, resolve_device
from napari_volseg.inference.failures import memory_told, telling
from napari_volseg.inference.heads import Head, mapped
from napari_volseg.inference.memory import Placement, memory_need, place
from napari_volseg.inference.model import Band, BandCallback, Prediction, RunReport, no_bands, require_3d
from napari_volseg.inference.plans import Plan
from napari_volseg.inference.preprocessing import (
    PreparedImage,
    SharedImage,
    part_to_prepare,
    prepare,
    resampled_shape,
)
from napari_volseg.inference.runs import Stopwatch, peak_memory_bytes
from napari_volseg.inference.sliding import Network, WindowGrid, stream_logits
from napari_volseg.inference.stitching import LabelStitcher
from napari_volseg.inference.upright import predict_upright
from napari_volseg.spatial import (
    apply_reorientation,
    invert_reorientation,
    reorient_geometry,
    reorientation_to,
    straightening,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Run:
    """How a prediction is run; see `SegmentationModel.predict` for what each means.

    ``shared`` keeps the prepared image beyond the run, for the next network over the same volumes.
    """

    device: str = "auto"
    backend: str = "auto"
    progress: ProgressCallback = no_progress
    cancel: CancelToken = field(default_factory=CancelToken)
    bands: BandCallback = no_bands
    look_at: Box | None = None
    skip_air: bool = False
    shared: SharedImage | None = None


@dataclass(frozen=True, slots=True)
class LoadedNetwork:
    """A network that is ready to run.

    Parameters
    ----------
    forward
        Maps (1, c, z, y, x) to (1, channels, z, y, x), both on the device; it returns when the device is done.
    backend
        What computes, in words.
    trunk, head
        Where both are given, ``forward`` in two steps: to features, and from them to logits.
    """

    forward: Network
    backend: str
    trunk: Network | None = None
    head: Head | None = None

    def streamed(self, channels: int) -> tuple[Network, int, Head | None]:
        """Return what is run on windows, how many channels of it are blended, and what maps them to ``channels``."""
        if self.trunk is None or self.head is None:
            return self.forward, channels, None
        return self.trunk, self.head.features, self.head


#: Gives the network for a device and the back end that was asked for.
NetworkSource = Callable[["torch.device", str], LoadedNetwork]


def run_network(
    plan: Plan, card: ModelCard, source: NetworkSource, volumes: Sequence[Volume], run: Run
) -> Prediction:
    """Label a volume.

    Parameters
    ----------
    plan
        What the network expects and what it answers.
    card
        The model's card; its orientation, where stated, is that in which the network sees the image.
    source
        Loads the network.
    volumes
        One per input channel, on one grid.
    run
        Device, back end and callbacks.
    """
    with memory_told(run.device):
        _require_channels(volumes, card)
        way = straightening(volumes[0].geometry)
        if way is not None:
            # bands lie on the straightened grid, which is not the one that is looked at
            inner = partial(_label, plan, card, source, run=replace(run, bands=no_bands, look_at=None))
            return predict_upright(inner, volumes, way, run.progress, run.cancel)
        return _label(plan, card, source, volumes, run)


def _label(plan: Plan, card: ModelCard, source: NetworkSource, volumes: Sequence[Volume], run: Run) -> Prediction:
    """Label a volume of orthogonal axes; arguments as of `run_network`."""
    watch = Stopwatch()
    with watch.phase("before"):
        device = resolve_device(run.device)
        run.progress(Progress(0, 0, "preparing the image"))
        network = telling(source, f"opening {card.title}")(device, run.backend)
        if run.skip_air:  # a window that is left out has no logits, not even the head's bias
            network = replace(network, trunk=None, head=None)
        to_model = reorientation_for(volumes[0], card)
        channels, spacing = seen_by_network(volumes, to_model, plan)
        box = part_to_prepare(channels, plan)
        grid = _grid(box, spacing, plan)

        def as_seen(array: NDArray[Any]) -> NDArray[Any]:
            """Return a view of an array on the volume's grid in the axes of the bands, cut to the prepared box."""
            seen = apply_reorientation(array, to_model).transpose(plan.transpose)[box.slices]
            return np.moveaxis(seen, grid.axis, 0)

        places = [as_seen(index) for index in _indices(volumes[0].geometry.shape)]
        passes = grid.passes(_plane_looked_at(run.look_at, places, grid))
        label_type = np.uint8 if max(plan.outputs.values) < 256 else np.uint16
        seams = len(passes) - 1
        outputs = len(plan.outputs.names)
        _, blended, _ = network.streamed(outputs)
        need = memory_need(grid, box.shape, len(channels), outputs, seams=seams, blended=blended)
        need = replace(need, labels=prod(volumes[0].geometry.shape) * np.dtype(label_type).itemsize)
        shared, key = run.shared or SharedImage(), (to_model, box, *plan.seen)
        if shared.holds(key):
            need = replace(need, held=need.image // (2 if grid.padded_shape != grid.shape else 1), planes=0)
        placed = place(need, device)
        prepared = shared.get(key, lambda: prepare(channels, spacing, plan, run.cancel, box))
    labels = np.zeros(volumes[0].geometry.shape, label_type)
    skip = None
    if run.skip_air:
        with watch.phase("before"):
            run.progress(Progress(0, 0, "looking for the body"))
            skip = windows_in_air(volumes[0], to_model, plan.transpose, box, grid, run.cancel)
    bands = _bands(labels, places, run.bands)
    windows = sum(grid.windows_of(rows) for rows in passes)
    before_window = window_counter(windows, run.progress, run.cancel)
    task = _Task(network, prepared, grid, plan, device, placed, passes, skip)
    _fill(as_seen(labels), task, watch, run, before_window, bands)
    skipped = 0 if skip is None else sum(grid.count(skip, rows) for rows in passes)
    report = RunReport(
        card.id,
        describe_device(run.device),
        network.backend,
        windows - skipped,
        watch.seconds(),
        peak_memory_bytes(),
        skipped=skipped,
    )
    return Prediction(labels, card.segments, report)


def _grid(box: Box, spacing: Sequence[float], plan: Plan) -> WindowGrid:
    """Return the windows over a part of an image, box and spacing (mm) in the network's axes."""
    shape = resampled_shape(box.shape, spacing, plan.spacing_for(spacing))
    return WindowGrid(shape, plan.patch_size, plan.windows)


def reorientation_for(volume: Volume, card: ModelCard) -> Reorientation:
    """Return the change of axes to those in which the network sees a volume.

    Without a stated orientation networks have seen arrays as files store them, so the stored grid is used.
    """
    if card.orientation:
        return reorientation_to(volume.geometry, card.orientation)
    return invert_reorientation(volume.origin_provenance.reorientation)


def prepare_volumes(
    volumes: Sequence[Volume], to_model: Reorientation, plan: Plan, cancel: CancelToken
) -> PreparedImage:
    """Return the network's image of volumes on one grid."""
    return prepare(*seen_by_network(volumes, to_model, plan), plan, cancel)


def seen_by_network(
    volumes: Sequence[Volume], to_model: Reorientation, plan: Plan
) -> tuple[list[NDArray[Any]], list[float]]:
    """Return views of volumes on one grid in the network's axes, and the spacing in them, mm."""
    spacing = reorient_geometry(volumes[0].geometry, to_model).spacing
    channels = [apply_reorientation(volume.voxels, to_model).transpose(plan.transpose) for volume in volumes]
    return channels, [spacing[axis] for axis in plan.transpose]


def _require_channels(volumes: Sequence[Volume], card: ModelCard) -> None:
    for volume in volumes:
        require_3d(volume)
        if not volume.geometry.same_grid(volumes[0].geometry):
            raise RefusedError(
                f"{volume.name} lies on another grid than {volumes[0].name}: resample it to that grid first",
                "image.channels",
            )
    if len(volumes) != len(card.channels):
        raise RefusedError(
            f"{card.title} needs {len(card.channels)} images ({', '.join(card.channels)}), and {len(volumes)} came: "
            "give one image for each of them, in this order",
            "image.channels",
        )


@dataclass(frozen=True, slots=True)
class _Task:
    """What is to be run, where, and in which order."""

    network: LoadedNetwork
    prepared: PreparedImage
    grid: WindowGrid
    plan: Plan
    device: torch.device
    placed: Placement
    passes: Sequence[range]
    skip: NDArray[np.bool_] | None


def _fill(
    target: NDArray[Any],
    task: _Task,
    watch: Stopwatch,
    run: Run,
    before_window: Callable[[], None],
    finished: Callable[[int, int], None],
) -> None:
    """Fill ``target``, a view of the labels in the axes of the bands, and tell which of its planes are finished."""
    torch, prepared, grid, plan = import_torch(), task.prepared, task.grid, task.plan
    order = [grid.axis, *(axis for axis in range(3) if axis != grid.axis)]
    apart = None if prepared.separate_axis is None else order.index(prepared.separate_axis)
    a, b, c = (grid.shape[axis] for axis in order)
    device, placed = task.device, task.placed
    network, blended, head = task.network.streamed(len(plan.outputs.names))
    forward = telling(lambda window: network(window.to(device)), "the network")
    band_device = device if placed.band else torch.device("cpu")

    def stitch(rows: range, seam: tuple[int, Tensor] | None) -> tuple[int, Tensor] | None:
        """Run some rows of windows up to a seam; return the plane with which they began in the midst."""
        begin = grid.starts[grid.axis][rows.start]
        stitcher = LabelStitcher((a, b, c), target, plan.outputs, apart, begin=begin)
        logits = stream_logits(forward, image, grid, blended, before_window, band_device, rows, task.skip)
        if head is not None:
            logits = mapped(logits, head)
        foremost: Tensor | None = None
        for first, planes in watch.timed("network", logits):
            run.cancel.check()  # no band is told after that
            foremost = planes[:, :1].clone() if foremost is None and begin else foremost
            with watch.phase("after"):
                finished(*stitcher.add(first, planes))
        if seam is not None:
            finished(*stitcher.close(*seam))
        return None if foremost is None else (begin, foremost)

    with torch.inference_mode():
        image = torch.from_numpy(prepared.voxels).to(device if placed.image else "cpu")
        seam = None
        for rows in task.passes:
            seam = stitch(rows, seam)


def _indices(shape: Sequence[int]) -> list[NDArray[Any]]:
    """Return the index of every voxel along each axis, as views that take no memory."""
    return list(np.broadcast_arrays(*np.ogrid[tuple(map(slice, shape))]))


def _plane_looked_at(look_at: Box | None, places: Sequence[NDArray[Any]], grid: WindowGrid) -> int | None:
    """Return the plane of the network's grid, along the bands' axis, that a part of the volume needs first.

    ``places`` are the volume's indices in the axes of the bands. None where the part lies across all bands, or
    outside of what the network sees.
    """
    if look_at is None or len(places[0]) < 2:
        return None
    axis = next(axis for axis, place in enumerate(places) if place[0, 0, 0] != place[1, 0, 0])
    along = places[axis][:, 0, 0]
    inside = np.flatnonzero((along >= look_at.start[axis]) & (along < look_at.stop[axis]))
    if not 0 < inside.size < len(along):
        return None
    at = (inside[inside.size // 2] + 0.5) * grid.shape[grid.axis] / len(along) - 0.5
    return max(0, int(np.floor(at)))


def _bands(labels: NDArray[Any], places: Sequence[NDArray[Any]], tell: BandCallback) -> Callable[[int, int], None]:
    """Return what to call with the first finished plane of the band's axes and one past the last."""

    def finished(begin: int, end: int) -> None:
        if begin < end:
            corners = np.array([[place[begin, 0, 0], place[end - 1, -1, -1]] for place in places])
            box = Box.of(corners.min(1), corners.max(1) + 1)
            tell(Band(box, labels[box.slices]))

    return finished


def window_counter(
    windows: int, progress: ProgressCallback, cancel: CancelToken, clock: Callable[[], float] = perf_counter
) -> Callable[[], None]:
    """Return what to call before each window: it stops a cancelled run, and tells how far it is and what is left.

    The time left is told from the second window on, as the first pays for loading kernels.
    """
    done, second = 0, 0.0

    def before_window() -> None:
        nonlocal done, second
        cancel.check()
        if done == 1:
            second = clock()
        left = (clock() - second) / (done - 1) * (windows - done) if done > 1 else None
        progress(Progress(done, windows, f"window {done + 1} of {windows}", left))
        done += 1

    return before_window
