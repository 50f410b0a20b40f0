"""A network file with a card: any U-Net that nnU-Net did not train, as a segmentation model.

The card is ``card.json`` beside the file; `read_card_folder` says what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_volseg.core import Box, CancelToken, ModelCard, ProgressCallback, Volume, no_progress
from napari_volseg.inference.engine import LoadedNetwork, Run, run_network
from napari_volseg.inference.folders import read_json
from napari_volseg.inference.model import BandCallback, Prediction, no_bands
from napari_volseg.inference.network_files import (
    NetworkFile,
    TorchScript,
    Trust,
    network_file,
    open_network_file,
    require_checksum,
)
from napari_volseg.inference.nnunet import make_card
from napari_volseg.inference.outputs import Exclusive, OutputRule, Regions
from napari_volseg.inference.plans import NORMALIZATIONS, Normalization, Plan, Resampling
from napari_volseg.inference.refusals import MISSTATED, plan_refused
from napari_volseg.inference.sliding import MonaiWindows, Windows

if TYPE_CHECKING:
    import torch

CARD = "card.json"


class FileModel:
    """A network in a file of its own, run over volumes as its plan says.

    Parameters
    ----------
    plan
        What the network expects and what its output means.
    card
        What is shown of it.
    file
        The network.
    trusted
        Which files the user trusts as programs; only TorchScript needs it.
    """

    def __init__(self, plan: Plan, card: ModelCard, file: NetworkFile, *, trusted: Trust = False) -> None:
        self.plan = plan
        self.file = file
        self.trusted = trusted
        self._card = card
        self._opened: tuple[tuple[str, str], LoadedNetwork] | None = None

    @property
    def card(self) -> ModelCard:
        """What the model's files say of it."""
        return self._card

    @property
    def program(self) -> Path | None:
        """The file that must be trusted before it runs; None where the network is data."""
        return self.file.path if isinstance(self.file, TorchScript) else None

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
        """Label a volume; see `SegmentationModel.predict`."""
        run = Run(device, backend, progress, cancel or CancelToken(), bands, look_at, skip_air)
        return run_network(self.plan, self.card, self.open_network, (volume, *further), run)

    def open_network(self, device: torch.device, backend: str = "auto") -> LoadedNetwork:
        """Return the forward pass on a device; the last one that was asked for is kept."""
        wanted = (str(device), backend)
        if self._opened is None or self._opened[0] != wanted:
            require_checksum(self.file.path, self._card.checksum)
            window = (1, len(self.plan.channels), *self.plan.patch_size)
            opened = open_network_file(self.file, window, device, backend, trusted=self.trusted)
            self._opened = wanted, LoadedNetwork(*opened)
        return self._opened[1]


def is_card_folder(folder: Path) -> bool:
    """Whether a folder holds a card that names a network file."""
    return (folder / CARD).is_file() and "network" in read_json(folder / CARD)


def read_card_folder(folder: Path, *, trusted: Trust = False) -> FileModel:
    """Return the model of a folder with a network file and a card.

    The card is a JSON object with

    - ``network``: ``kind`` (onnx, torchscript, UNet, DynUNet, SegResNet, UNETR, SwinUNETR), ``file``, ``arguments``;
    - ``spacing`` (mm) and ``patch_size`` (voxels), in the order of the array's axes, and ``orientation``, the axis
      codes towards which they run, such as ``"RAS"``;
    - ``channels``: a list of ``{"name", "scheme"}``, the scheme as nnU-Net names it, with ``mean``, ``std``, ``low``
      and ``high`` for ``CTNormalization``;
    - ``labels``: names by output channel, the background first; or ``regions``: ``{name: value}`` in the order in
      which they paint;
    - optional: ``postprocessing`` (see `postprocessing.card_steps`);
    - optional: ``windows`` (``{"overlap", "gaussian"}`` as MONAI lays them; nnU-Net's otherwise), ``order`` of the
      image's interpolation (1), ``sha256`` of the file, and ``id``, ``title``, ``version``, ``task``,
      ``intended_use``, ``code_license``, ``weights_license``, ``segments`` as in other cards.

    Raises
    ------
    RefusedError
        Where the card lacks something or names what is unknown.
    """
    facts = read_json(folder / CARD)
    try:
        network = facts["network"]
        file = network_file(network["kind"], _inside(folder, network["file"]), network.get("arguments", {}))
        plan = _plan(facts)
        return FileModel(plan, make_card(folder, plan, facts), file, trusted=trusted)
    except MISSTATED as problem:
        raise plan_refused(
            f"{folder / CARD} lacks or misstates {problem}: see docs/models.md for what a card holds", "card"
        ) from problem


def _inside(folder: Path, name: str) -> Path:
    """Return a file of the folder; names that lead out of it are refused."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise plan_refused(
            f"the card names {name!r}, which lies outside of {folder}: copy the file itself into the folder", "path"
        )
    return path


def _plan(facts: Mapping[str, Any]) -> Plan:
    channels = facts["channels"]
    windows = facts.get("windows")
    z, y, x = (float(step) for step in facts["spacing"])
    a, b, c = (int(size) for size in facts["patch_size"])
    return Plan(
        transpose=(0, 1, 2),
        spacing=(z, y, x),
        patch_size=(a, b, c),
        channels=tuple(str(channel["name"]) for channel in channels),
        outputs=_outputs(facts),
        normalizations=tuple(_normalization(channel) for channel in channels),
        image_resampling=Resampling(int(facts.get("order", 1)), separate_z=False),
        output_resampling=Resampling(1, separate_z=False),
        windows=MonaiWindows(float(windows["overlap"]), bool(windows["gaussian"])) if windows else Windows(),
        crop=False,
        orientation=str(facts["orientation"]),
    )


def _outputs(facts: Mapping[str, Any]) -> OutputRule:
    if "regions" in facts:
        return Regions(tuple(facts["regions"]), tuple(int(value) for value in facts["regions"].values()))
    return Exclusive(tuple(str(name) for name in facts["labels"]))


def _normalization(channel: Mapping[str, Any]) -> Normalization:
    scheme = channel["scheme"]
    if scheme not in NORMALIZATIONS:
        raise ValueError(f"a normalization of {scheme!r}, which is none of {', '.join(NORMALIZATIONS)}")
    numbers = {key: float(channel[key]) for key in ("mean", "std", "low", "high") if key in channel}
    return Normalization(scheme, inside_only=bool(channel.get("inside_only", False)), **numbers)
