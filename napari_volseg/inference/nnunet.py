"""A trained nnU-Net v2 folder as a segmentation model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from napari_volseg.core import (
    ANATOMICAL_STRUCTURE,
    TISSUE,
    Box,
    CancelToken,
    CardStep,
    Code,
    ModelCard,
    ProgressCallback,
    RefusedError,
    Segment,
    Volume,
    color_for,
    no_progress,
)
from napari_volseg.inference.backends import open_module
from napari_volseg.inference.checkpoints import Checkpoint, read_checkpoint
from napari_volseg.inference.devices import import_torch
from napari_volseg.inference.engine import LoadedNetwork, Run, run_network
from napari_volseg.inference.folders import find_weights, read_json, sha256_of
from napari_volseg.inference.heads import head_of, mean_of
from napari_volseg.inference.model import BandCallback, Prediction, no_bands
from napari_volseg.inference.networks import build_unet, last_layer, leave_out_head
from napari_volseg.inference.plans import NORMALIZATIONS, Plan, parse_plan
from napari_volseg.inference.postprocessing import card_steps, nnunet_steps, require_known
from napari_volseg.inference.preprocessing import SharedImage
from napari_volseg.inference.refusals import MISSTATED, plan_refused
from napari_volseg.inference.sliding import Network

if TYPE_CHECKING:
    import torch


#: All sets of axes along which a network of three axes, and one of two, may mirror.
_MIRRORINGS = [[list(axes) for n in range(of + 1) for axes in combinations(range(of), n)] for of in (3, 2)]


class NnunetModel:
    """A model folder in the layout of nnU-Net v2 (see `folders`), run one window at a time.

    Weights are read at the first prediction, or at once where only the checkpoint names the configuration, and stay
    in memory as long as the model.

    Parameters
    ----------
    folder
        Holds plans.json, dataset.json and folds with a checkpoint; the output of several folds is averaged.
    mirroring
        Whether to average over mirrored windows along the axes that the training allowed: slower by 2 to 8 times,
        usually a little more accurate.
    facts
        What the folder's card.json would say, where it has none.

    Raises
    ------
    RefusedError
        Where the folder is not one, or its model is of a kind that is not supported.
    """

    def __init__(
        self, folder: Path | str, *, mirroring: bool = False, facts: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self.folder = Path(folder)
        self.mirroring = mirroring
        self._opened: tuple[tuple[str, str, int], LoadedNetwork] | None = None
        self._weights_paths = find_weights(self.folder)
        card_path = self.folder / "card.json"
        self._facts: Mapping[str, Any] = read_json(card_path) if card_path.is_file() else facts
        configuration = self._facts.get("configuration") or self._checkpoints[0].configuration
        plans, dataset = read_json(self.folder / "plans.json"), read_json(self.folder / "dataset.json")
        self.plan = parse_plan(plans, dataset, configuration)
        try:
            folds = [path.parent.name.removeprefix("fold_") for path in self._weights_paths]
            steps = nnunet_steps(self.folder, folds, self.plan.outputs.segments)
            self._card = make_card(self.folder, self.plan, self._facts, steps)
        except MISSTATED as problem:
            raise plan_refused(
                f"{card_path} is not a card of a model ({problem}): copy it again from where the model was trained",
                "card",
            ) from problem

    @property
    def card(self) -> ModelCard:
        """What the model's files say of it."""
        return self._card

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
        shared: SharedImage | None = None,
    ) -> Prediction:
        """Label a volume; see `SegmentationModel.predict`.

        ``shared`` keeps the prepared image for the next of several networks over the same volumes.
        """
        run = Run(device, backend, progress, cancel or CancelToken(), bands, look_at, skip_air, shared)
        return run_network(self.plan, self.card, self.open_network, (volume, *further), run)

    def open_network(self, device: torch.device, backend: str = "auto") -> LoadedNetwork:
        """Return the mean forward pass of all folds on a device; the last one that was asked for is kept."""
        wanted = (str(device), backend, import_torch().get_num_threads())
        if self._opened is None or self._opened[0] != wanted:
            self._opened = wanted, self._open(device, backend)
        return self._opened[1]

    def _open(self, device: torch.device, backend: str) -> LoadedNetwork:
        """Return the networks' mean, in two steps where fewer features than logits lie between these."""
        window = (1, len(self.plan.channels), *self.plan.patch_size)
        layers = [last_layer(network) for network in self._networks]
        head = mean_of([head_of(layer) for layer in layers if layer is not None]) if all(layers) else None
        apart = head is not None and head.features < head.channels
        for network in self._networks:
            leave_out_head(network, apart)
        opened = [open_module(network, window, device, backend) for network in self._networks]
        axes = self._mirroring_axes if self.mirroring else ()
        names = " and ".join(dict.fromkeys(name for _, name in opened))
        networks = [network for network, _ in opened]
        if head is None or not apart:
            return LoadedNetwork(ensemble(networks, axes), names)
        trunk = side_by_side(networks, axes)
        return LoadedNetwork(lambda window: head(trunk(window)[0])[None], names, trunk, head)

    @cached_property
    def _checkpoints(self) -> tuple[Checkpoint, ...]:
        expected = self._facts.get("sha256")
        if expected and sha256_of(self._weights_paths[0]) != expected:
            raise RefusedError(
                f"{self._weights_paths[0]} is not the file that its card.json was written for (SHA-256 differs): "
                "copy the model folder again",
                "model.checksum",
            )
        return tuple(read_checkpoint(path) for path in self._weights_paths)

    @cached_property
    def _networks(self) -> tuple[torch.nn.Module, ...]:
        pairs = zip(self._weights_paths, self._checkpoints, strict=True)
        return tuple(self._build(path, checkpoint) for path, checkpoint in pairs)

    def _build(self, path: Path, checkpoint: Checkpoint) -> torch.nn.Module:
        # On torch's meta device nothing is allocated: a network that isn't the checkpoint's costs no memory.
        with import_torch().device("meta"):
            network = build_unet(self.plan.architecture, len(self.plan.channels), len(self.plan.outputs.names))
        try:
            network.load_state_dict(dict(checkpoint.weights), assign=True)
        except RuntimeError as problem:
            first = str(problem).split("\n")[1:2] or [str(problem)]
            raise RefusedError(
                f"the weights in {path} do not fit plans.json's network ({first[0].strip()[:160]}): "
                "use the plans.json that belongs to the checkpoint",
                "model.weights",
            ) from problem
        return network.float().eval()

    @property
    def _mirroring_axes(self) -> tuple[int, ...]:
        """Axes of the network's grid, of which 2D networks have not the first."""
        flat = self.plan.spacing[0] is None
        axes = self._facts.get("mirroring_axes", self._checkpoints[0].mirroring_axes)
        if not isinstance(axes, list | tuple) or sorted(axes, key=str) not in _MIRRORINGS[flat]:
            raise plan_refused(
                f"mirroring along the axes {axes} is not possible: use the card and the checkpoint of the training",
                "mirroring",
            )
        return tuple(axis + flat for axis in axes)


def make_card(folder: Path, plan: Plan, facts: Mapping[str, Any], steps: tuple[CardStep, ...] = ()) -> ModelCard:
    """Return the card of a model folder from its plan and the facts of its card.json (empty where there is none).

    ``steps`` are what other files ask to be done afterwards; the card.json has the last word on it.
    """
    steps = card_steps(facts, plan.outputs.segments) if "postprocessing" in facts else steps
    require_known(steps, plan.outputs.segments)
    title, labels = str(facts.get("title", folder.resolve().name)), sorted(plan.outputs.segments.items())
    return ModelCard(
        id=str(facts.get("id", folder.resolve().name)),
        title=title,
        version=str(facts.get("version", "")),
        task=str(facts.get("task", f"labels {', '.join(plan.outputs.segments.values())}")),
        segments=tuple(segment_of(value, name, title, facts) for value, name in labels),
        channels=plan.channels,
        spacing=plan.image_spacing,
        orientation=str(facts.get("orientation", plan.orientation)),
        intensity=_intensity(plan),
        code_license=str(facts.get("code_license", "")),
        weights_license=str(facts.get("weights_license", "")),
        checksum=str(facts.get("sha256", "")),
        intended_use=str(facts.get("intended_use", "")),
        postprocessing=steps,
    )


def _intensity(plan: Plan) -> str:
    """Return the normalization in words, channel by channel where they differ."""
    words = [NORMALIZATIONS[rule.scheme] for rule in plan.normalizations]
    if len(set(words)) == 1:
        return words[0]
    return "; ".join(f"{channel}: {how}" for channel, how in zip(plan.channels, words, strict=True))


def segment_of(value: int, name: str, algorithm: str, facts: Mapping[str, Any] = MappingProxyType({})) -> Segment:
    """Return the segment that a label of a model becomes, with what a card says of it under its name."""
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


def ensemble(networks: Sequence[Network], axes: tuple[int, ...] = ()) -> Network:
    """Return the mean of networks, each averaged over mirrored windows along some axes (z 0, y 1, x 2)."""
    if len(networks) == 1 and not axes:
        return networks[0]

    def forward(window: torch.Tensor) -> torch.Tensor:
        total = mirrored_mean(networks[0], window, axes)
        for network in networks[1:]:
            total = total + mirrored_mean(network, window, axes)
        return total / len(networks)

    return forward


def side_by_side(networks: Sequence[Network], axes: tuple[int, ...] = ()) -> Network:
    """Return all channels of networks, each averaged over mirrored windows along some axes (z 0, y 1, x 2)."""
    from torch import cat

    return lambda window: cat([mirrored_mean(network, window, axes) for network in networks], 1)


def mirrored_mean(network: Network, window: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """Return the mean output over all combinations of mirrored axes (z 0, y 1, x 2), the plain one included."""
    if not axes:
        return network(window)
    axis, rest = axes[0] + 2, axes[1:]
    there_and_back = mirrored_mean(network, window.flip(axis), rest).flip(axis)
    return (mirrored_mean(network, window, rest) + there_and_back) / 2
