"""What an nnU-Net v2 plans.json and dataset.json say, as checked and frozen facts.

Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation",
Nature Methods 18 (2021). Both spellings of a network are read: the ``architecture`` block of today's plans and the
flat keys (``UNet_class_name``) of older ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_volseg.core import RefusedError

Triple = tuple[int, int, int]

#: Larger figures are no plan of nnU-Net but damage, and would only exhaust the memory.
_MOST_PATCH_VOXELS = 2**27
_MOST_PER_STAGE = 2**14

#: Normalization schemes that are understood, and how a person would say them.
NORMALIZATIONS: dict[str, str] = {
    "CTNormalization": "clip to the training percentiles, then z-score with the training mean and deviation",
    "ZScoreNormalization": "z-score of the image",
    "RescaleTo01Normalization": "rescale the image to 0–1",
    "RGBTo01Normalization": "divide by 255",
    "NoNormalization": "none",
}


#: Readers of nnU-Net that reorient what they read, and the axis codes (z, y, x) to which they do.
READER_ORIENTATIONS = {"NibabelIOWithReorient": "SAR", "SimpleITKIOWithReorient": "SAR"}


@dataclass(frozen=True, slots=True)
class Architecture:
    """A plain convolutional U-Net, stages from the finest to the coarsest.

    Parameters
    ----------
    features
        Channels of each encoder stage.
    kernel_sizes, strides
        Per encoder stage, in the axes of the plan; the stride is that of the stage's first convolution.
    encoder_convs, decoder_convs
        Convolutions per stage; the decoder has one stage less and runs from coarse to fine.
    bias
        Whether convolutions have a bias.
    norm_eps, norm_affine
        Of the instance normalization.
    slope
        Negative slope of the leaky rectifier, 0 for a plain one.
    """

    features: tuple[int, ...]
    kernel_sizes: tuple[Triple, ...]
    strides: tuple[Triple, ...]
    encoder_convs: tuple[int, ...]
    decoder_convs: tuple[int, ...]
    bias: bool = True
    norm_eps: float = 1e-5
    norm_affine: bool = True
    slope: float = 0.01


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


@dataclass(frozen=True, slots=True)
class Plan:
    """One configuration of a trained nnU-Net.

    Parameters
    ----------
    configuration
        Its name, such as ``"3d_fullres"``.
    transpose
        ``transpose[i]`` is the image axis that becomes axis i of the network's grid.
    spacing
        Voxel spacing of the network's grid, mm, in its own axes.
    patch_size
        Window, voxels, in the network's axes.
    channels
        Names of input channels.
    labels
        Segment names by output channel; index 0 is the background.
    normalization
        How intensities are scaled.
    image_resampling, output_resampling
        Of the image to the network's grid and of its output back.
    architecture
        The network.
    orientation
        Axis codes (z, y, x) to which nnU-Net's reader brings every image, empty where it leaves them as stored.
    """

    configuration: str
    transpose: Triple
    spacing: tuple[float, float, float]
    patch_size: Triple
    channels: tuple[str, ...]
    labels: tuple[str, ...]
    normalization: Normalization
    image_resampling: Resampling
    output_resampling: Resampling
    architecture: Architecture
    orientation: str = ""

    @property
    def image_spacing(self) -> tuple[float, float, float]:
        """Spacing of the network's grid in the axes of the image, mm."""
        by_axis = dict(zip(self.transpose, self.spacing, strict=True))
        return by_axis[0], by_axis[1], by_axis[2]


def parse_plan(plans: Mapping[str, Any], dataset: Mapping[str, Any], configuration: str) -> Plan:
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
        For whatever is not understood: a cascade, region-based labels, several input channels, another network,
        preprocessor, resampling or normalization, or a missing key.
    """
    try:
        chosen = _resolve(plans["configurations"], configuration)
        _refuse_unsupported(plans, dataset, chosen, configuration)
        architecture = parse_architecture(chosen)
        return Plan(
            configuration=configuration,
            transpose=_permutation(plans["transpose_forward"]),
            spacing=_spacing(chosen["spacing"]),
            patch_size=_patch_size(chosen["patch_size"], architecture.strides),
            channels=_channels(dataset),
            labels=_labels(dataset["labels"]),
            normalization=_normalization(plans, chosen),
            image_resampling=_resampling(chosen, "data", 3),
            output_resampling=_output_resampling(chosen),
            architecture=architecture,
            orientation=READER_ORIENTATIONS.get(plans.get("image_reader_writer", ""), ""),
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as problem:
        raise _refused(
            f"the plans of configuration {configuration!r} lack or misstate {problem}: "
            "use the plans.json and dataset.json that nnU-Net v2 wrote beside the checkpoint",
            "plans",
        ) from problem


def parse_architecture(configuration: Mapping[str, Any]) -> Architecture:
    """Return the network of a plans configuration in today's or in the older spelling.

    Raises
    ------
    RefusedError
        For any network but a 3D PlainConvUNet with instance normalization and (leaky) rectifiers.
    """
    block = configuration.get("architecture")
    name = str(block["network_class_name"] if block else configuration["UNet_class_name"]).rpartition(".")[2]
    if name != "PlainConvUNet":
        raise _refused(
            f"the network {name} is not supported yet: use a model trained as PlainConvUNet "
            "(nnU-Net's default planner)",
            "network",
        )
    return _from_block(block["arch_kwargs"]) if block else _from_flat_keys(configuration)


def _from_block(kwargs: Mapping[str, Any]) -> Architecture:
    _expect(kwargs.get("conv_op"), "Conv3d", "convolution")
    _expect(kwargs.get("norm_op"), "InstanceNorm3d", "normalization layer")
    nonlinearity = str(kwargs.get("nonlin")).rpartition(".")[2]
    if nonlinearity != "ReLU":
        _expect(nonlinearity, "LeakyReLU", "activation")
    norm = kwargs.get("norm_op_kwargs") or {}
    leak = (kwargs.get("nonlin_kwargs") or {}).get("negative_slope", 0.01)
    stages = int(kwargs["n_stages"])
    return Architecture(
        features=_per_stage(kwargs["features_per_stage"], stages),
        kernel_sizes=tuple(_sizes(k) for k in kwargs["kernel_sizes"]),
        strides=tuple(_sizes(s) for s in kwargs["strides"]),
        encoder_convs=_per_stage(kwargs["n_conv_per_stage"], stages),
        decoder_convs=_per_stage(kwargs["n_conv_per_stage_decoder"], stages - 1),
        bias=bool(kwargs.get("conv_bias", False)),
        norm_eps=float(norm.get("eps", 1e-5)),
        norm_affine=bool(norm.get("affine", False)),
        slope=0.0 if nonlinearity == "ReLU" else float(leak),
    )


def _from_flat_keys(configuration: Mapping[str, Any]) -> Architecture:
    base, largest = configuration["UNet_base_num_features"], configuration["unet_max_num_features"]
    stages = len(configuration["n_conv_per_stage_encoder"])
    return Architecture(
        features=tuple(min(int(base) * 2**i, int(largest)) for i in range(stages)),
        kernel_sizes=tuple(_sizes(k) for k in configuration["conv_kernel_sizes"]),
        strides=tuple(_sizes(s) for s in configuration["pool_op_kernel_sizes"]),
        encoder_convs=_per_stage(configuration["n_conv_per_stage_encoder"], stages),
        decoder_convs=_per_stage(configuration["n_conv_per_stage_decoder"], stages - 1),
    )


def _resolve(configurations: Mapping[str, Any], name: str, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a configuration with everything it inherits."""
    if name not in configurations or name in seen:
        raise _refused(
            f"the plans hold no usable configuration {name!r} but {sorted(configurations)}: "
            "use the plans.json that belongs to the checkpoint",
            "plans",
        )
    own = dict(configurations[name])
    parent = own.pop("inherits_from", None)
    return {**_resolve(configurations, parent, (*seen, name)), **own} if parent else own


def _refuse_unsupported(
    plans: Mapping[str, Any], dataset: Mapping[str, Any], chosen: Mapping[str, Any], name: str
) -> None:
    if chosen.get("previous_stage"):
        raise _refused(
            f"configuration {name!r} is the second stage of a cascade, which is not supported yet: "
            "use a 3d_fullres model",
            "cascade",
        )
    if len(chosen["patch_size"]) != 3:
        raise _refused(f"configuration {name!r} is not three-dimensional: use a 3d_fullres model", "dimension")
    if dataset.get("regions_class_order") or any(isinstance(v, list) for v in dataset["labels"].values()):
        raise _refused(
            "the model was trained on overlapping regions, which are not supported yet: "
            "use a model whose dataset.json gives one value to each label",
            "regions",
        )
    channels = _channels(dataset)
    if len(channels) != 1:
        raise _refused(
            f"the model needs {len(channels)} input channels ({', '.join(channels)}), which is not supported yet: "
            "use a model for one image",
            "channels",
        )
    if chosen.get("preprocessor_name", "DefaultPreprocessor") != "DefaultPreprocessor":
        raise _refused(
            f"the preprocessor {chosen['preprocessor_name']} is unknown: use a model with DefaultPreprocessor",
            "preprocessor",
        )


def _channels(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    names = dataset.get("channel_names") or dataset["modality"]
    return tuple(str(names[key]) for key in sorted(names, key=int))


def _labels(labels: Mapping[str, Any]) -> tuple[str, ...]:
    """Return segment names by output channel; an ignore label has none."""
    by_value = {int(value): name for name, value in labels.items() if name != "ignore"}
    if sorted(by_value) != list(range(len(by_value))):
        raise _refused(
            f"the label values {sorted(by_value)} of dataset.json are not 0, 1, 2, …: "
            "use the file that nnU-Net was trained with",
            "labels",
        )
    return tuple(by_value[value] for value in sorted(by_value))


def _normalization(plans: Mapping[str, Any], chosen: Mapping[str, Any]) -> Normalization:
    scheme = chosen["normalization_schemes"][0]
    if scheme not in NORMALIZATIONS:
        raise _refused(
            f"the normalization {scheme} is unknown: use a model with one of {', '.join(NORMALIZATIONS)}",
            "normalization",
        )
    inside_only = bool(chosen["use_mask_for_norm"][0])
    if scheme != "CTNormalization":
        return Normalization(scheme, inside_only=inside_only)
    by_channel = plans.get("foreground_intensity_properties_per_channel")
    facts = (by_channel or plans["foreground_intensity_properties_by_modality"])["0"]
    mean, std, low, high = (float(facts[name]) for name in ("mean", "std", "percentile_00_5", "percentile_99_5"))
    if not (math.isfinite(mean + std + low + high) and std > 0 and low <= high):
        raise ValueError(f"intensities of mean {mean}, deviation {std}, percentiles {low} and {high}")
    return Normalization(scheme, mean=mean, std=std, low=low, high=high)


def _resampling(chosen: Mapping[str, Any], what: str, default_order: int) -> Resampling:
    function = chosen.get(f"resampling_fn_{what}", "resample_data_or_seg_to_shape")
    if function != "resample_data_or_seg_to_shape":
        raise _refused(
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
        raise _refused(
            f"output of interpolation order {rule.order} is not supported: use a model whose plans say order 1",
            "resampling",
        )
    return rule


def _expect(found: Any, expected: str, what: str) -> None:
    name = str(found).rpartition(".")[2]
    if name != expected:
        raise _refused(f"the {what} {name} is not supported: use a model with {expected}", "network")


def _per_stage(value: int | Sequence[int], stages: int) -> tuple[int, ...]:
    values = (value,) * stages if isinstance(value, int) else tuple(int(v) for v in value)
    if len(values) != stages:
        raise ValueError(f"{len(values)} values for {stages} stages")
    if not all(1 <= value <= _MOST_PER_STAGE for value in values):
        raise ValueError(f"{values} channels or convolutions per stage")
    return values


def _triple(value: int | Sequence[int]) -> Triple:
    z, y, x = (value,) * 3 if isinstance(value, int) else value
    return int(z), int(y), int(x)


def _sizes(value: int | Sequence[int]) -> Triple:
    """Return a stride or kernel size (z, y, x)."""
    sizes = _triple(value)
    if min(sizes) < 1:
        raise ValueError(f"a stride or kernel of {value}")
    return sizes


def _permutation(value: Sequence[int]) -> Triple:
    axes = _triple(value)
    if sorted(axes) != [0, 1, 2]:
        raise ValueError(f"an order of axes of {value}")
    return axes


def _patch_size(value: Sequence[int], strides: Sequence[Triple]) -> Triple:
    """Return the window, which every stage of the network must halve without a remainder."""
    patch = _triple(value)
    steps = [math.prod(stride[axis] for stride in strides) for axis in range(3)]
    whole = all(n > 0 and n % step == 0 for n, step in zip(patch, steps, strict=True))
    if not whole or math.prod(patch) > _MOST_PATCH_VOXELS or list(patch) == steps:
        raise ValueError(f"a patch of {value} voxels for strides of {steps}")
    return patch


def _spacing(value: Sequence[float]) -> tuple[float, float, float]:
    z, y, x = (float(v) for v in value)
    if not (min(z, y, x) > 0 and math.isfinite(z + y + x)):
        raise ValueError(f"a spacing of {value}")
    return z, y, x


def _refused(message: str, code: str) -> RefusedError:
    return RefusedError(message, f"model.{code}")
