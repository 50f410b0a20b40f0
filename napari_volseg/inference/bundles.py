"""MONAI bundles, read as data: what their configuration says in plain values, and none of its expressions.

A bundle's inference configuration is a small program: ``_target_`` names classes to build, ``$`` starts Python. Here
the parts that describe a segmentation (network, preprocessing, inferer, output) are looked up by name and translated;
whatever else they need is refused by name. References (``@key#part``) are followed, expressions never evaluated.

https://docs.monai.io/en/stable/mb_specification.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_volseg.inference.file_models import FileModel
from napari_volseg.inference.folders import read_json
from napari_volseg.inference.network_files import NetworkFile, Trust, network_file
from napari_volseg.inference.nnunet import make_card
from napari_volseg.inference.outputs import Exclusive, OutputRule, Regions
from napari_volseg.inference.plans import MOST_CHANNELS, Normalization, Plan, Resampling
from napari_volseg.inference.postprocessing import bundle_steps
from napari_volseg.inference.refusals import MISSTATED, plan_refused
from napari_volseg.inference.sliding import MonaiWindows

Json = dict[str, Any]

#: Transforms that change nothing here: volumes come loaded, with channels, as numbers.
_WITHOUT_EFFECT = ("LoadImaged", "EnsureChannelFirstd", "EnsureTyped", "CastToTyped", "AddChanneld")

_LARGEST_ISLAND = "KeepLargestConnectedComponentd"

#: References that point to each other end here, and so do a few that stand for millions of values.
_DEEPEST = 8
_MOST_VALUES = 10_000


def is_bundle(folder: Path) -> bool:
    """Whether a folder looks like a MONAI bundle."""
    return (folder / "configs" / "metadata.json").is_file()


def read_bundle(folder: Path, *, trusted: Trust = False) -> FileModel:
    """Return the model of a MONAI bundle with ``configs/inference.json`` and weights in ``models``.

    Parameters
    ----------
    folder
        Holds configs and models.
    trusted
        Whether TorchScript in it may run (see `network_files.Trust`); weights are preferred where both are there.

    Raises
    ------
    RefusedError
        Where the bundle needs code, or something that is not understood.
    """
    metadata, config = (
        read_json(folder / "configs" / "metadata.json"),
        read_json(folder / "configs" / "inference.json"),
    )
    try:
        plan = _plan(metadata, config)
        steps = bundle_steps(_transforms(config, "postprocessing", _LARGEST_ISLAND), plan.outputs.values)
        card = make_card(folder, plan, _facts(metadata), steps)
        return FileModel(plan, card, _network(folder, config), trusted=trusted)
    except MISSTATED as problem:
        raise plan_refused(
            f"the bundle {folder.name} lacks or misstates {problem}: see docs/models.md for what is read of bundles",
            "bundle",
        ) from problem


def plain(config: Mapping[str, Any], value: Any) -> Any:
    """Return a value of a configuration with its references followed.

    Raises
    ------
    RefusedError
        For an expression, a macro and references without end.
    """
    return _followed(config, value, 0, iter(range(_MOST_VALUES)))


def _followed(config: Mapping[str, Any], value: Any, depth: int, budget: Iterator[int]) -> Any:
    """Return a value, ``depth`` references away from where the reading began; ``budget`` is of values."""
    if next(budget, None) is None:
        raise plan_refused(
            f"the bundle's configuration stands for more than {_MOST_VALUES} values: write out those that it needs",
            "bundle",
        )
    if isinstance(value, str):
        if value.startswith(("$", "%")) or depth > _DEEPEST:
            raise plan_refused(
                f"the bundle's configuration computes a value ({value[:80]!r}), and no expression of a model is "
                "evaluated: write the value itself into inference.json",
                "code",
            )
        is_reference = value.startswith("@")
        return _followed(config, _looked_up(config, value[1:]), depth + 1, budget) if is_reference else value
    if isinstance(value, Mapping):
        return {key: _followed(config, part, depth, budget) for key, part in value.items()}
    return [_followed(config, part, depth, budget) for part in value] if isinstance(value, list) else value


def _looked_up(config: Mapping[str, Any], reference: str) -> Any:
    found: Any = config
    for part in reference.replace("::", "#").split("#"):
        found = found[int(part)] if isinstance(found, list) else found[part]
    return found


def _network(folder: Path, config: Mapping[str, Any]) -> NetworkFile:
    weights, program = folder / "models" / "model.pt", folder / "models" / "model.ts"
    if not weights.is_file() and program.is_file():
        return network_file("torchscript", program, {})
    network = _by_key(config, "network_def", "network")
    name = _target(network)
    return network_file(name, weights, {key: value for key, value in network.items() if not key.startswith("_")})


def _plan(metadata: Mapping[str, Any], config: Mapping[str, Any]) -> Plan:
    inputs = metadata["network_data_format"]["inputs"]["image"]
    steps = _transforms(config, "preprocessing")
    channels = int(inputs["num_channels"])
    names = {int(key): str(name) for key, name in inputs.get("channel_def", {}).items()}
    inferer = _by_key(config, "inferer")
    if _target(inferer) != "SlidingWindowInferer":
        raise plan_refused(f"the inferer {_target(inferer)} is not supported: use SlidingWindowInferer", "bundle")
    z, y, x = (float(step) for step in _only(steps, "Spacingd")["pixdim"])
    a, b, c = (int(size) for size in inferer["roi_size"])
    if channels > MOST_CHANNELS:
        raise ValueError(f"{channels} input channels")
    return Plan(
        transpose=(0, 1, 2),
        spacing=(z, y, x),
        patch_size=(a, b, c),
        channels=tuple(names.get(i, str(inputs.get("modality", "image"))) for i in range(channels)),
        outputs=_outputs(metadata, config),
        normalizations=(_normalization(steps),) * channels,
        image_resampling=Resampling(1, separate_z=False),
        output_resampling=Resampling(1, separate_z=False),
        windows=MonaiWindows(float(inferer.get("overlap", 0.25)), inferer.get("mode", "constant") == "gaussian"),
        crop=False,
        orientation=str(_only(steps, "Orientationd")["axcodes"]),
    )


def _outputs(metadata: Mapping[str, Any], config: Mapping[str, Any]) -> OutputRule:
    """Return exclusive labels, or regions where the output goes through a sigmoid and a threshold."""
    definition = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    names = tuple(str(definition[key]) for key in sorted(definition, key=int))
    if any(step.get("sigmoid") for step in _transforms(config, "postprocessing", "Activationsd")):
        return Regions(names, tuple(range(1, len(names) + 1)))
    return Exclusive(names)


def _normalization(steps: list[Json]) -> Normalization:
    """Return what the preprocessing does to intensities, and refuse what it does besides."""
    known = {"Orientationd", "Spacingd", *_WITHOUT_EFFECT}
    rest = [step for step in steps if _target(step) not in known and not step.get("_disabled_")]
    if not rest:
        return Normalization("NoNormalization")
    if len(rest) > 1:
        raise plan_refused(f"the preprocessing {', '.join(map(_target, rest))} is not supported together", "bundle")
    (step,) = rest
    match _target(step):
        case "ScaleIntensityRanged":
            return _range(step)
        case "NormalizeIntensityd" if not step.get("nonzero") and step.get("subtrahend") is None:
            return Normalization("ZScoreNormalization")
        case "ScaleIntensityd" if (step.get("minv", 0.0), step.get("maxv", 1.0)) == (0.0, 1.0):
            return Normalization("RescaleTo01Normalization")
        case name:
            raise plan_refused(f"the preprocessing {name} is not supported as {step}", "bundle")


def _range(step: Mapping[str, Any]) -> Normalization:
    """Return the linear map from [a_min, a_max] to [b_min, b_max] as a shift and a divisor."""
    low, high, bottom, top = (float(step[key]) for key in ("a_min", "a_max", "b_min", "b_max"))
    by = (high - low) / (top - bottom)
    if not step.get("clip"):
        return Normalization("CTNormalization", mean=low - bottom * by, std=by, low=-math.inf, high=math.inf)
    return Normalization("CTNormalization", mean=low - bottom * by, std=by, low=low, high=high)


def _transforms(config: Mapping[str, Any], key: str, only: str = "") -> list[Json]:
    """Return the transforms of a Compose, those of one name alone where it is given.

    Of those without effect here no argument is looked at.
    """
    if key not in config:
        return []
    steps = config[key]["transforms"]
    steps = _looked_up(config, steps[1:]) if isinstance(steps, str) and steps.startswith("@") else steps
    kept = [step for step in steps if isinstance(step, Mapping) and _target(step) not in _WITHOUT_EFFECT]
    if only:
        kept = [step for step in kept if _target(step) == only]
    return [plain(config, {name: value for name, value in step.items() if name != "keys"}) for step in kept]


def _by_key(config: Mapping[str, Any], *keys: str) -> Json:
    """Return the first of some parts of a configuration that is a description and no expression that wraps one."""
    for key in keys:
        if isinstance(config.get(key), Mapping):
            needed = {name: part for name, part in config[key].items() if name not in ("device", "sw_device")}
            return dict(plain(config, needed))
    raise KeyError(keys[0])


def _only(steps: list[Json], name: str) -> Json:
    found = [step for step in steps if _target(step) == name]
    if len(found) != 1:
        raise plan_refused(f"the bundle's preprocessing has {len(found)} times {name}: one is needed", "bundle")
    return found[0]


def _target(part: Mapping[str, Any]) -> str:
    return str(part["_target_"]).rpartition(".")[2]


def _facts(metadata: Mapping[str, Any]) -> Json:
    """Return what the card shows of metadata.json."""
    shown = {"title": "name", "version": "version", "task": "task", "intended_use": "intended_use"}
    return {key: str(metadata[name]) for key, name in shown.items() if metadata.get(name)}
