"""What an nnU-Net v2 plans.json and dataset.json say, as checked and frozen facts.

Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation",
Nature Methods 18 (2021). Plans for 2D are read as those for 3D whose windows are one voxel thick along the first axis
of the network's grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from napari_volseg.inference.architectures import Architecture, Triple, parse_architecture
from napari_volseg.inference.outputs import OutputRule, parse_outputs
from napari_volseg.inference.refusals import MISSTATED, plan_refused
from napari_volseg.inference.sliding import MonaiWindows, Windows

#: Spacing (z, y, x) in mm; None along an axis that keeps the spacing of the image.
Spacing = tuple[float | None, float, float]

#: Larger figures are no plan of nnU-Net but damage, and would only exhaust the memory.
_MOST_PATCH_VOXELS = 2**27
MOST_CHANNELS = 64
_SPACINGS = 1e-3, 1e3  # mm
_MOST_ORDER = 5
_MOST_PARENTS = 16

#: Normalization schemes that are understood, and how a person would say them.
NORMALIZATIONS: dict[str, str] = {
    "CTNormalization": "clip to the training percentiles, then z-score with the training mean and deviation",
    "ZScoreNormalization": "z-score of the image",
    "RescaleTo01Normalization": "rescale the image to 0–1",
    "RGBTo01Normalization": "divide by 255",
    "NoNormalization": "none",
}


#: Letters of the patient's axes, both of one axis beside each other, and all the places in it of three axis codes.
_PATIENT_AXES = "LRPASI"
_ORIENTATIONS = [[x, y, z] for x in (0, 1) for y in (2, 3) for z in (4, 5)]

#: Readers of nnU-Net that reorient what they read, and the axis codes (z, y, x) to which they do.
READER_ORIENTATIONS = {"NibabelIOWithReorient": "SAR", "SimpleITKIOWithReorient": "SAR"}


@dataclass(frozen=True, slots=True)
class Normalization:
    """How a channel's intensities are brought to the network's scale.

    Parameters
    ----------
    scheme
        One of `NORMALIZATIONS`.
    mean, std, low, high
        Foreground statistics of the training set and its 0.5 and 99.5 percentiles; used for CT only.
    inside_only
        Whether the z-score looks at (and changes) only voxels within the non-zero region.
    """

    scheme: str
    mean: float = 0.0
    std: float = 1.0
    low: float = 0.0
    high: float = 0.0
    inside_only: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and 0 < self.std < math.inf and self.low <= self.high):
            raise ValueError(f"intensities of mean {self.mean}, deviation {self.std}, from {self.low} to {self.high}")


@dataclass(frozen=True, slots=True)
class Resampling:
    """Interpolation orders of one resampling step.

    Parameters
    ----------
    order
        Spline order, or order in the plane where the coarse axis is treated apart.
    order_z
        Order along the coarse axis.
    separate_z
        Whether the coarse axis is treated apart; None decides by spacing.
    threshold
        Ratio of largest to smallest spacing above which it is treated apart.
    """

    order: int
    order_z: int = 0
    separate_z: bool | None = None
    threshold: float = 3.0

    def __post_init__(self) -> None:
        if not (0 <= self.order <= _MOST_ORDER and 0 <= self.order_z <= _MOST_ORDER and self.threshold > 0):
            raise ValueError(
                f"splines of order {self.order} and {self.order_z}, where 0 to {_MOST_ORDER} are possible"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a network expects of an image and what its output means.

    Parameters
    ----------
    transpose
        ``transpose[i]`` is the image axis that becomes axis i of the network's grid.
    spacing
        Voxel spacing of the network's grid, mm, in its own axes; None along the first axis of 2D plans.
    patch_size
        Window, voxels, in the network's axes.
    channels
        Names of input channels.
    outputs
        What the channels of the output mean.
    normalizations
        By input channel, how intensities are scaled.
    image_resampling, output_resampling
        Of the image to the network's grid and of its output back.
    windows
        Where windows lie and how much they count.
    crop
        Whether an empty margin (zeros in all channels) is cut off first.
    orientation
        Axis codes (z, y, x) to which nnU-Net's reader brings every image, empty where it leaves them as stored.
    """

    transpose: Triple
    spacing: Spacing
    patch_size: Triple
    channels: tuple[str, ...]
    outputs: OutputRule
    normalizations: tuple[Normalization, ...]
    image_resampling: Resampling
    output_resampling: Resampling
    windows: Windows | MonaiWindows = field(default_factory=Windows)
    crop: bool = True
    orientation: str = ""

    def __post_init__(self) -> None:
        low, high = _SPACINGS
        if not all(step is None or low <= step <= high for step in self.spacing):
            raise ValueError(f"a spacing of {self.spacing} mm")
        if min(self.patch_size) < 1 or math.prod(self.patch_size) > _MOST_PATCH_VOXELS:
            raise ValueError(f"a patch of {self.patch_size} voxels")
        if not 1 <= len(self.channels) == len(self.normalizations) <= MOST_CHANNELS:
            raise ValueError(f"{len(self.channels)} input channels")
        if self.orientation and sorted(map(_PATIENT_AXES.find, self.orientation)) not in _ORIENTATIONS:
            raise ValueError(f"an orientation of {self.orientation!r}")

    @property
    def seen(self) -> tuple[object, ...]:
        """All of it on which the prepared image depends."""
        return (
            self.transpose,
            self.spacing,
            self.normalizations,
            self.image_resampling,
            self.output_resampling,
            self.crop,
        )

    @property
    def image_spacing(self) -> tuple[float, float, float] | None:
        """Spacing of the network's grid in the axes of the image, mm; None where it depends on the image."""
        if self.spacing[0] is None:
            return None
        z, y, x = (float(self.spacing[self.transpose.index(axis)] or 0.0) for axis in range(3))
        return z, y, x

    def spacing_for(self, image: Sequence[float]) -> tuple[float, float, float]:
        """Return the network's spacing for an image of some spacing, both in the network's axes, mm."""
        z, y, x = self.spacing
        return (float(image[0]) if z is None else z), y, x


@dataclass(frozen=True, slots=True, kw_only=True)
class NnunetPlan(Plan):
    """One configuration of a trained nnU-Net.

    Parameters
    ----------
    configuration
        Its name, such as ``"3d_fullres"``.
    architecture
        The network.
    """

    configuration: str
    architecture: Architecture


def parse_plan(plans: Mapping[str, Any], dataset: Mapping[str, Any], configuration: str) -> NnunetPlan:
    """Return one configuration of a plans file.

    Parameters
    ----------
    plans, dataset
        Contents of plans.json and dataset.json.
    configuration
        Name of the configuration, such as ``"3d_fullres"``.

    Raises
    ------
    RefusedError
        For whatever is not understood: a cascade, another network, preprocessor, resampling or normalization, or a
        missing key.
    """
    try:
        chosen = _resolve(plans["configurations"], configuration)
        _refuse_unsupported(chosen, configuration)
        architecture, channels = parse_architecture(chosen), _channels(dataset)
        return NnunetPlan(
            configuration=configuration,
            transpose=_permutation(plans["transpose_forward"]),
            spacing=_spacing(chosen["spacing"], len(chosen["patch_size"])),
            patch_size=_patch_size(chosen["patch_size"], architecture.strides),
            channels=channels,
            outputs=parse_outputs(dataset),
            normalizations=_normalizations(plans, chosen, len(channels)),
            image_resampling=_resampling(chosen, "data", 3),
            output_resampling=_output_resampling(chosen),
            architecture=architecture,
            orientation=READER_ORIENTATIONS.get(plans.get("image_reader_writer", ""), ""),
        )
    except MISSTATED as problem:
        raise plan_refused(
            f"the plans of configuration {configuration!r} lack or misstate {problem}: "
            "use the plans.json and dataset.json that nnU-Net v2 wrote beside the checkpoint",
            "plans",
        ) from problem


def _resolve(configurations: Mapping[str, Any], name: str, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a configuration with everything it inherits."""
    if name not in configurations or name in seen or len(seen) > _MOST_PARENTS:
        raise plan_refused(
            f"the plans hold no usable configuration {name!r} but {sorted(configurations)}: "
            "use the plans.json that belongs to the checkpoint",
            "plans",
        )
    own = dict(configurations[name])
    parent = own.pop("inherits_from", None)
    return {**_resolve(configurations, parent, (*seen, name)), **own} if parent else own


def _refuse_unsupported(chosen: Mapping[str, Any], name: str) -> None:
    if chosen.get("previous_stage"):
        raise plan_refused(
            f"configuration {name!r} is the second stage of a cascade, which is not supported yet: "
            "use a 3d_fullres model",
            "cascade",
        )
    if chosen.get("preprocessor_name", "DefaultPreprocessor") != "DefaultPreprocessor":
        raise plan_refused(
            f"the preprocessor {chosen['preprocessor_name']} is unknown: use a model with DefaultPreprocessor",
            "preprocessor",
        )


def _channels(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    names = dataset.get("channel_names") or dataset["modality"]
    if not 1 <= len(names) <= MOST_CHANNELS:
        raise ValueError(f"{len(names)} input channels")
    return tuple(str(names[key]) for key in sorted(names, key=int))


def _normalizations(plans: Mapping[str, Any], chosen: Mapping[str, Any], channels: int) -> tuple[Normalization, ...]:
    schemes, inside = chosen["normalization_schemes"], chosen["use_mask_for_norm"]
    if not len(schemes) == len(inside) == channels:
        raise ValueError(f"{len(schemes)} normalizations and {len(inside)} masks for {channels} channels")
    return tuple(_normalization(plans, schemes[i], bool(inside[i]), str(i)) for i in range(channels))


def _normalization(plans: Mapping[str, Any], scheme: str, inside_only: bool, channel: str) -> Normalization:
    if scheme not in NORMALIZATIONS:
        raise plan_refused(
            f"the normalization {scheme} is unknown: use a model with one of {', '.join(NORMALIZATIONS)}",
            "normalization",
        )
    if scheme != "CTNormalization":
        return Normalization(scheme, inside_only=inside_only)
    by_channel = plans.get("foreground_intensity_properties_per_channel")
    facts = (by_channel or plans["foreground_intensity_properties_by_modality"])[channel]
    mean, std, low, high = (float(facts[name]) for name in ("mean", "std", "percentile_00_5", "percentile_99_5"))
    if not (math.isfinite(mean + std + low + high) and std > 0 and low <= high):
        raise ValueError(f"intensities of mean {mean}, deviation {std}, percentiles {low} and {high}")
    return Normalization(scheme, mean=mean, std=std, low=low, high=high)


def _resampling(chosen: Mapping[str, Any], what: str, default_order: int) -> Resampling:
    function = chosen.get(f"resampling_fn_{what}", "resample_data_or_seg_to_shape")
    if function != "resample_data_or_seg_to_shape":
        raise plan_refused(
            f"the resampling {function} is not supported yet: use a model planned with nnU-Net's default planner",
            "resampling",
        )
    kwargs = chosen.get(f"resampling_fn_{what}_kwargs") or {}
    return Resampling(
        order=int(kwargs.get("order", default_order)),
        order_z=int(kwargs.get("order_z", 0)),
        separate_z=kwargs.get("force_separate_z", None),
        threshold=float(kwargs.get("separate_z_anisotropy_threshold", 3.0)),
    )


def _output_resampling(chosen: Mapping[str, Any]) -> Resampling:
    rule = _resampling(chosen, "probabilities", 1)
    if rule.order != 1 or rule.order_z not in (0, 1):
        raise plan_refused(
            f"output of interpolation order {rule.order} is not supported: use a model whose plans say order 1",
            "resampling",
        )
    return rule


def _permutation(value: Sequence[int]) -> Triple:
    z, y, x = (int(axis) for axis in value)
    if sorted((z, y, x)) != [0, 1, 2]:
        raise ValueError(f"an order of axes of {value}")
    return z, y, x


def _patch_size(value: Sequence[int], strides: Sequence[Triple]) -> Triple:
    """Return the window (z, y, x), which every stage of the network must halve without a remainder."""
    if len(value) not in (2, 3):
        raise ValueError(f"a patch of {len(value)} dimensions")
    z, y, x = (1,) * (3 - len(value)) + tuple(int(n) for n in value)
    steps = [math.prod(stride[axis] for stride in strides) for axis in range(3)]
    whole = all(n > 0 and n % step == 0 for n, step in zip((z, y, x), steps, strict=True))
    if not whole or z * y * x > _MOST_PATCH_VOXELS or [z, y, x] == steps:
        raise ValueError(f"a patch of {value} voxels for strides of {steps}")
    return z, y, x


def _spacing(value: Sequence[float], dimensions: int) -> Spacing:
    spacing = [float(step) for step in value]
    if len(spacing) != dimensions or not (min(spacing) > 0 and math.isfinite(sum(spacing))):
        raise ValueError(f"a spacing of {value}")
    y, x = spacing[-2:]
    return (spacing[0] if dimensions == 3 else None), y, x
