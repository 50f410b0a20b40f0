"""A trained nnU-Net v2 folder as a segmentation model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import (
    ANATOMICAL_STRUCTURE,
    TISSUE,
    CancelToken,
    Code,
    ModelCard,
    Progress,
    ProgressCallback,
    RefusedError,
    Reorientation,
    Segment,
    UsageError,
    Volume,
    color_for,
    no_progress,
)
from napari_volseg.inference.checkpoints import Checkpoint, read_checkpoint
from napari_volseg.inference.devices import describe_device, import_torch, resolve_device, wait_for
from napari_volseg.inference.folders import find_weights, read_json, sha256_of
from napari_volseg.inference.model import Prediction, RunReport, require_3d
from napari_volseg.inference.networks import build_unet
from napari_volseg.inference.plans import NORMALIZATIONS, Plan, parse_plan
from napari_volseg.inference.preprocessing import PreparedImage, prepare
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

BACKENDS = ("auto", "torch")


class NnunetModel:
    """A model folder in the layout of nnU-Net v2 (see `folders`), run with one fold and one window at a time.

    Weights are read at the first prediction, or at once where only the checkpoint names the configuration, and stay
    in memory as long as the model.

    Parameters
    ----------
    folder
        Holds plans.json, dataset.json and a fold with a checkpoint.
    mirroring
        Whether to average over mirrored windows along the axes that the training allowed: slower by 2 to 8 times,
        usually a little more accurate.

    Raises
    ------
    RefusedError
        Where the folder is not one, or its model is of a kind that is not supported.
    """

    def __init__(self, folder: Path | str, *, mirroring: bool = False) -> None:
        self.folder = Path(folder)
        self.mirroring = mirroring
        self._weights_path = find_weights(self.folder)
        card_path = self.folder / "card.json"
        self._facts: Mapping[str, Any] = read_json(card_path) if card_path.is_file() else {}
        configuration = self._facts.get("configuration") or self._checkpoint.configuration
        plans, dataset = read_json(self.folder / "plans.json"), read_json(self.folder / "dataset.json")
        self.plan = parse_plan(plans, dataset, configuration)
        try:
            self._card = make_card(self.folder, self.plan, self._facts)
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise RefusedError(
                f"{card_path} is not a card of a model ({problem}): copy it again from where the model was trained",
                "model.card",
            ) from problem

    @property
    def card(self) -> ModelCard:
        """What the model's files say of it."""
        return self._card

    def predict(
        self,
        volume: Volume,
        *,
        device: str = "auto",
        backend: str = "auto",
        progress: ProgressCallback = no_progress,
        cancel: CancelToken | None = None,
    ) -> Prediction:
        """Label a volume; see `SegmentationModel.predict`."""
        watch, cancel = Stopwatch(), cancel or CancelToken()
        if backend not in BACKENDS:
            raise UsageError(f"back end {backend!r} is unknown to this model: choose one of {', '.join(BACKENDS)}")
        require_3d(volume)
        way = straightening(volume.geometry)
        if way is not None:
            predict = partial(self.predict, device=device, backend=backend, progress=progress, cancel=cancel)
            return predict_upright(predict, volume, way, progress, cancel)
        with watch.phase("before"):
            where = resolve_device(device)
            progress(Progress(0, 0, "preparing the image"))
            network = self._network_on(where)
            to_model = self._reorientation(volume)
            prepared = self._prepare(volume, to_model, cancel)
        grid = WindowGrid(prepared.voxels.shape, self.plan.patch_size)
        labels = np.zeros(volume.geometry.shape, np.uint8 if len(self.plan.labels) <= 256 else np.uint16)
        target = apply_reorientation(labels, to_model).transpose(self.plan.transpose)[prepared.box.slices]
        self._run(network, prepared, grid, target, where, watch, _window_counter(grid.windows, progress, cancel))
        report = RunReport(
            self.card.id, describe_device(device), "torch", grid.windows, watch.seconds(), peak_memory_bytes()
        )
        return Prediction(labels, self.card.segments, report)

    def _run(
        self,
        network: Network,
        prepared: PreparedImage,
        grid: WindowGrid,
        target: NDArray[Any],
        device: torch.device,
        watch: Stopwatch,
        before_window: Callable[[], None],
    ) -> None:
        """Fill ``target`` (z, y, x), a view of the labels in the network's axes, with labels."""
        torch = import_torch()
        stitcher = LabelStitcher(grid.shape, target, prepared.separate_axis)
        try:
            with torch.inference_mode():
                image = torch.from_numpy(prepared.voxels).to(device)
                logits = stream_logits(network, image, grid, len(self.plan.labels), before_window)
                for first, planes in watch.timed("network", logits):
                    with watch.phase("after"):
                        stitcher.add(first, planes)
        except torch.OutOfMemoryError as problem:
            raise RefusedError(
                f"the memory of {device} does not suffice for windows of {grid.patch} voxels: choose the device cpu",
                "device.memory",
            ) from problem

    def _prepare(self, volume: Volume, to_model: Reorientation, cancel: CancelToken) -> PreparedImage:
        transpose = self.plan.transpose
        spacing = reorient_geometry(volume.geometry, to_model).spacing
        image = apply_reorientation(volume.voxels, to_model).transpose(transpose)
        return prepare(image, [spacing[axis] for axis in transpose], self.plan, cancel)

    def _reorientation(self, volume: Volume) -> Reorientation:
        """Return the change of axes to those of the training.

        Without a stated orientation nnU-Net has seen arrays as files store them, so the stored grid is used.
        """
        if self.card.orientation:
            return reorientation_to(volume.geometry, self.card.orientation)
        return invert_reorientation(volume.origin_provenance.reorientation)

    @cached_property
    def _checkpoint(self) -> Checkpoint:
        expected = self._facts.get("sha256")
        if expected and sha256_of(self._weights_path) != expected:
            raise RefusedError(
                f"{self._weights_path} is not the file that its card.json was written for (SHA-256 differs): "
                "copy the model folder again",
                "model.checksum",
            )
        return read_checkpoint(self._weights_path)

    @cached_property
    def _network(self) -> torch.nn.Module:
        # On torch's meta device nothing is allocated: a network that isn't the checkpoint's costs no memory.
        with import_torch().device("meta"):
            network = build_unet(self.plan.architecture, len(self.plan.channels), len(self.plan.labels))
        try:
            network.load_state_dict(dict(self._checkpoint.weights), assign=True)
        except RuntimeError as problem:
            first = str(problem).split("\n")[1:2] or [str(problem)]
            raise RefusedError(
                f"the weights in {self._weights_path} do not fit plans.json's network ({first[0].strip()[:160]}): "
                "use the plans.json that belongs to the checkpoint",
                "model.weights",
            ) from problem
        return network.float().eval()

    def _network_on(self, device: torch.device) -> Network:
        """Return the forward pass on a device; it returns when the device is done."""
        network = self._network.to(device)
        axes = self._mirroring_axes if self.mirroring else ()

        def forward(window: torch.Tensor) -> torch.Tensor:
            logits = _mirrored_mean(network, window, axes)
            wait_for(device)
            return logits

        return forward

    @property
    def _mirroring_axes(self) -> tuple[int, ...]:
        return tuple(self._facts.get("mirroring_axes", self._checkpoint.mirroring_axes))


def make_card(folder: Path, plan: Plan, facts: Mapping[str, Any]) -> ModelCard:
    """Return the card of a model folder from its plan and the facts of its card.json (empty where there is none)."""
    title = str(facts.get("title", folder.resolve().name))
    return ModelCard(
        id=str(facts.get("id", folder.resolve().name)),
        title=title,
        version=str(facts.get("version", "")),
        task=str(facts.get("task", f"labels {', '.join(plan.labels[1:])}")),
        segments=tuple(_segment(value, name, title, facts) for value, name in enumerate(plan.labels) if value),
        channels=plan.channels,
        spacing=plan.image_spacing,
        orientation=str(facts.get("orientation", plan.orientation)),
        intensity=NORMALIZATIONS[plan.normalization.scheme],
        code_license=str(facts.get("code_license", "")),
        weights_license=str(facts.get("weights_license", "")),
        checksum=str(facts.get("sha256", "")),
        intended_use=str(facts.get("intended_use", "")),
    )


def _segment(value: int, name: str, algorithm: str, facts: Mapping[str, Any]) -> Segment:
    own = facts.get("segments", {}).get(name, {})
    red, green, blue = own.get("color", color_for(value))
    words = name.replace("_", " ")
    return Segment(
        value,
        words[:1].upper() + words[1:],
        (int(red), int(green), int(blue)),
        Code(*own["category"]) if "category" in own else ANATOMICAL_STRUCTURE,
        Code(*own["type"]) if "type" in own else TISSUE,
        algorithm_type="AUTOMATIC",
        algorithm_name=algorithm,
    )


def _window_counter(windows: int, progress: ProgressCallback, cancel: CancelToken) -> Callable[[], None]:
    """Return what to call before each window: it stops a cancelled run and tells how many windows are done."""
    done = 0

    def before_window() -> None:
        nonlocal done
        cancel.check()
        progress(Progress(done, windows, f"window {done + 1} of {windows}"))
        done += 1

    return before_window


def _mirrored_mean(network: Network, window: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """Return the mean output over all combinations of mirrored axes (z 0, y 1, x 2), the plain one included."""
    if not axes:
        return network(window)
    axis, rest = axes[0] + 2, axes[1:]
    there_and_back = _mirrored_mean(network, window.flip(axis), rest).flip(axis)
    return (_mirrored_mean(network, window, rest) + there_and_back) / 2
