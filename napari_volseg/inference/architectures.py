"""Which network a plan describes: plain or residual encoder, in today's and in the older spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_volseg.inference.refusals import plan_refused

Triple = tuple[int, int, int]

#: More is damage, and would only exhaust memory and time.
_MOST_STAGES = 16
_MOST_FEATURES = 2**14
_MOST_CONVS = 64
_LARGEST_KERNEL = 64

#: Per network, the key of its encoder's depth in today's plans.
_DEPTH_KEYS = {"PlainConvUNet": "n_conv_per_stage", "ResidualEncoderUNet": "n_blocks_per_stage"}


@dataclass(frozen=True, slots=True)
class Architecture:
    """A U-Net of nnU-Net, stages from the finest to the coarsest.

    A network of 2D plans is one whose kernels and strides are a single voxel along the first axis.

    Parameters
    ----------
    features
        Channels of each encoder stage.
    kernel_sizes, strides
        Per encoder stage, in the axes of the plan; the stride is that of the stage's first convolution.
    encoder_convs, decoder_convs
        Convolutions per stage (of a residual encoder: blocks); the decoder has one stage less and runs from coarse
        to fine.
    bias
        Whether convolutions have a bias.
    norm_eps, norm_affine
        Of the instance normalization.
    slope
        Negative slope of the leaky rectifier, 0 for a plain one.
    residual
        Whether the encoder is made of residual blocks behind a stem.
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
    residual: bool = False


def parse_architecture(configuration: Mapping[str, Any]) -> Architecture:
    """Return the network of a plans configuration in today's or in the older spelling.

    Raises
    ------
    RefusedError
        For any network but a PlainConvUNet or ResidualEncoderUNet in 2D or 3D with instance normalization and
        (leaky) rectifiers.
    """
    block = configuration.get("architecture")
    name = str(block["network_class_name"] if block else configuration["UNet_class_name"]).rpartition(".")[2]
    if name not in _DEPTH_KEYS:
        raise plan_refused(
            f"the network {name} is not supported: use a model trained as {' or '.join(_DEPTH_KEYS)}", "network"
        )
    if block:
        return _from_block(block["arch_kwargs"], name, len(configuration["patch_size"]))
    return _from_flat_keys(configuration, name)


def _from_block(kwargs: Mapping[str, Any], name: str, dimensions: int) -> Architecture:
    _expect(kwargs.get("conv_op"), f"Conv{dimensions}d", "convolution")
    _expect(kwargs.get("norm_op"), f"InstanceNorm{dimensions}d", "normalization layer")
    _expect_basic_blocks(kwargs)
    nonlinearity = str(kwargs.get("nonlin")).rpartition(".")[2]
    if nonlinearity != "ReLU":
        _expect(nonlinearity, "LeakyReLU", "activation")
    norm = kwargs.get("norm_op_kwargs") or {}
    leak = (kwargs.get("nonlin_kwargs") or {}).get("negative_slope", 0.01)
    stages = _stages(kwargs["n_stages"])
    return Architecture(
        features=_per_stage(kwargs["features_per_stage"], stages, _MOST_FEATURES),
        kernel_sizes=_sizes_per_stage(kwargs["kernel_sizes"], stages, dimensions),
        strides=_sizes_per_stage(kwargs["strides"], stages, dimensions),
        encoder_convs=_per_stage(kwargs[_DEPTH_KEYS[name]], stages, _MOST_CONVS),
        decoder_convs=_per_stage(kwargs["n_conv_per_stage_decoder"], stages - 1, _MOST_CONVS),
        bias=bool(kwargs.get("conv_bias", False)),
        norm_eps=float(norm.get("eps", 1e-5)),
        norm_affine=bool(norm.get("affine", False)),
        slope=0.0 if nonlinearity == "ReLU" else float(leak),
        residual=name == "ResidualEncoderUNet",
    )


def _from_flat_keys(configuration: Mapping[str, Any], name: str) -> Architecture:
    base, largest = configuration["UNet_base_num_features"], configuration["unet_max_num_features"]
    stages, dimensions = _stages(len(configuration["n_conv_per_stage_encoder"])), len(configuration["patch_size"])
    return Architecture(
        features=_per_stage([min(int(base) * 2**i, int(largest)) for i in range(stages)], stages, _MOST_FEATURES),
        kernel_sizes=_sizes_per_stage(configuration["conv_kernel_sizes"], stages, dimensions),
        strides=_sizes_per_stage(configuration["pool_op_kernel_sizes"], stages, dimensions),
        encoder_convs=_per_stage(configuration["n_conv_per_stage_encoder"], stages, _MOST_CONVS),
        decoder_convs=_per_stage(configuration["n_conv_per_stage_decoder"], stages - 1, _MOST_CONVS),
        residual=name == "ResidualEncoderUNet",
    )


def _expect_basic_blocks(kwargs: Mapping[str, Any]) -> None:
    if kwargs.get("bottleneck_channels") is not None or kwargs.get("nonlin_first"):
        raise plan_refused("bottleneck blocks and rectifiers before norms are not supported", "network")
    _expect(kwargs.get("block", "BasicBlockD"), "BasicBlockD", "residual block")


def _expect(found: Any, expected: str, what: str) -> None:
    name = str(found).rpartition(".")[2]
    if name != expected:
        raise plan_refused(f"the {what} {name} is not supported: use a model with {expected}", "network")


def _stages(value: Any) -> int:
    """Return the number of stages, before lists of that length are made."""
    stages = int(value)
    if not 2 <= stages <= _MOST_STAGES:
        raise ValueError(f"{stages} stages")
    return stages


def _per_stage(value: int | Sequence[int], stages: int, most: int) -> tuple[int, ...]:
    values = (value,) * stages if isinstance(value, int) else tuple(int(v) for v in value)
    if len(values) != stages:
        raise ValueError(f"{len(values)} values for {stages} stages")
    if not all(1 <= value <= most for value in values):
        raise ValueError(f"{values} channels or convolutions per stage")
    return values


def _sizes_per_stage(value: Any, stages: int, dimensions: int) -> tuple[Triple, ...]:
    """Return strides or kernel sizes (z, y, x) of all stages."""
    entries = [value] * stages if isinstance(value, int) else list(value)
    if len(entries) != stages:
        raise ValueError(f"{len(entries)} kernels or strides for {stages} stages")
    return tuple(_sizes(entry, dimensions) for entry in entries)


def _sizes(value: int | Sequence[int], dimensions: int) -> Triple:
    sizes = (value,) * dimensions if isinstance(value, int) else tuple(int(v) for v in value)
    if len(sizes) != dimensions or not 1 <= min(sizes) <= max(sizes) <= _LARGEST_KERNEL:
        raise ValueError(f"a stride or kernel of {value}")
    z, y, x = (1,) * (3 - dimensions) + sizes
    return z, y, x
