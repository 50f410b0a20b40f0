"""U-Nets with the parameter names that nnU-Net's checkpoints use.

Names follow ``PlainConvUNet`` and ``ResidualEncoderUNet`` of dynamic-network-architectures:
``encoder.stages.{stage}.0.convs.{i}.conv.weight``, ``encoder.stages.{stage}.blocks.{i}.conv1.norm.bias``,
``decoder.transpconvs.{i}.weight``, ``decoder.stages.{i}.convs.{j}.norm.bias``, ``decoder.seg_layers.{i}.weight``. Its
state dicts list most tensors several times (``all_modules``, ``decoder.encoder``); ours list each once, and
`canonical_weights` brings one to the other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_volseg.inference.architectures import Architecture, Triple

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Prefixes that wrappers (data parallel, compiled) put in front of every name.
_WRAPPERS = ("module.", "_orig_mod.")


def build_unet(
    architecture: Architecture, in_channels: int, out_channels: int, *, deep_supervision: bool = False
) -> nn.Module:
    """Return a U-Net with fresh weights.

    Parameters
    ----------
    architecture
        What to build. One for 2D is built in 3D with kernels of one voxel along the first axis.
    in_channels, out_channels
        Channels of the image and of the output; the background counts as one.
    deep_supervision
        Initial value of the network's attribute of the same name. While it is true the network returns a list of
        logits, finest first, one per decoder stage; otherwise the finest alone. `leave_out_head` has it return what
        its last layer would map to these.

    Returns
    -------
    nn.Module
        Maps (n, in_channels, z, y, x) to (n, out_channels, z, y, x) or to the list. Sizes must be divisible by the
        product of strides along each axis.
    """
    from torch import cat, nn

    encoder = _residual_encoder if architecture.residual else _plain_encoder
    stem, down = encoder(architecture, in_channels)
    ups, stages, heads = _decoder(architecture, out_channels)

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.deep_supervision, self.headless = deep_supervision, False
            self.last_layer = [heads[-1]]  # in a list, lest its weights are listed twice
            self.encoder = nn.ModuleDict({"stem": stem, "stages": down})
            self.decoder = nn.ModuleDict({"transpconvs": ups, "stages": stages, "seg_layers": heads})

        def forward(self, image: Tensor) -> Tensor | list[Tensor]:
            skips, image = [], stem(image)
            for stage in down:
                image = stage(image)
                skips.append(image)
            return self._decode(skips)

        def _decode(self, skips: list[Tensor]) -> Tensor | list[Tensor]:
            x = skips.pop()
            outputs = []
            for up, stage, head in zip(ups, stages, heads, strict=True):
                x = stage(cat((up(x), skips.pop()), 1))
                if self.deep_supervision:
                    outputs.append(head(x))
            if self.headless:
                return x
            return outputs[::-1] if self.deep_supervision else heads[-1](x)

    return UNet()


def last_layer(network: nn.Module) -> nn.Conv3d | None:
    """Return the layer of a `build_unet` that maps features to the finest logits, None of other networks."""
    (layer,) = getattr(network, "last_layer", (None,))
    return layer


def leave_out_head(network: nn.Module, left_out: bool = True) -> None:
    """Have a `build_unet` return the features that its last layer would map, or the logits again."""
    network.headless = left_out  # type: ignore[assignment]


def canonical_weights(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state dict of nnU-Net or of `build_unet` with each tensor once and without wrappers' prefixes.

    Kernels of 2D networks become kernels of one voxel along the first axis.
    """
    bare = {_without_wrappers(name): tensor for name, tensor in state.items()}
    return {
        name: t.unsqueeze(2) if t.ndim == 4 else t
        for name, t in bare.items()
        if ".all_modules." not in name and not name.startswith("decoder.encoder.")
    }


def _without_wrappers(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _plain_encoder(a: Architecture, in_channels: int) -> tuple[nn.Module, nn.ModuleList]:
    from torch import nn

    inputs = (in_channels, *a.features[:-1])
    stages = [
        # nnU-Net wraps each stage once more: there pooling layers may precede the convolutions
        nn.Sequential(_stage(a, a.encoder_convs[i], inputs[i], a.features[i], a.kernel_sizes[i], a.strides[i]))
        for i in range(len(a.features))
    ]
    return nn.Identity(), nn.ModuleList(stages)


def _residual_encoder(a: Architecture, in_channels: int) -> tuple[nn.Module, nn.ModuleList]:
    from torch import nn

    stem = _stage(a, 1, in_channels, a.features[0], a.kernel_sizes[0], (1, 1, 1))
    inputs = (a.features[0], *a.features[:-1])
    stages = []
    for i, outputs in enumerate(a.features):
        blocks = [_residual_block(a, inputs[i], outputs, a.kernel_sizes[i], a.strides[i])]
        blocks += [_residual_block(a, outputs, outputs, a.kernel_sizes[i]) for _ in range(a.encoder_convs[i] - 1)]
        stages.append(nn.Sequential(OrderedDict(blocks=nn.Sequential(*blocks))))
    return stem, nn.ModuleList(stages)


def _decoder(a: Architecture, out_channels: int) -> tuple[nn.ModuleList, nn.ModuleList, nn.ModuleList]:
    """Return transposed convolutions, stages and output layers, coarse to fine."""
    from torch import nn

    ups, stages, heads = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
    for convs, i in zip(a.decoder_convs, range(len(a.features) - 2, -1, -1), strict=True):
        below, here, stride = a.features[i + 1], a.features[i], a.strides[i + 1]
        ups.append(nn.ConvTranspose3d(below, here, stride, stride, bias=a.bias))
        stages.append(_stage(a, convs, 2 * here, here, a.kernel_sizes[i], (1, 1, 1)))
        heads.append(nn.Conv3d(here, out_channels, 1))
    return ups, stages, heads


def _stage(a: Architecture, convs: int, inputs: int, outputs: int, kernel: Triple, stride: Triple) -> nn.Module:
    from torch import nn

    first = _block(a, inputs, outputs, kernel, stride)
    rest = [_block(a, outputs, outputs, kernel, (1, 1, 1)) for _ in range(convs - 1)]
    return nn.Sequential(OrderedDict(convs=nn.Sequential(first, *rest)))


def _residual_block(
    a: Architecture, inputs: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1)
) -> nn.Module:
    """Return two convolutions beside a skip, which is averaged for a stride and projected for other channels.

    He et al., "Bag of tricks for image classification with convolutional neural networks" (2019), ResNet-D.
    """
    from torch import nn

    skip: list[nn.Module] = [] if stride == (1, 1, 1) else [nn.AvgPool3d(stride, stride)]
    skip += [] if inputs == outputs else [_block(a, inputs, outputs, (1, 1, 1), rectified=False, bias=False)]

    class ResidualBlock(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = _block(a, inputs, outputs, kernel, stride)
            self.conv2 = _block(a, outputs, outputs, kernel, rectified=False)
            self.skip = nn.Sequential(*skip)
            self.nonlin2 = nn.LeakyReLU(a.slope, inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.nonlin2(self.conv2(self.conv1(x)) + self.skip(x))

    return ResidualBlock()


def _block(
    a: Architecture,
    inputs: int,
    outputs: int,
    kernel: Triple,
    stride: Triple = (1, 1, 1),
    *,
    rectified: bool = True,
    bias: bool | None = None,
) -> nn.Module:
    """Return a convolution (``bias`` None: as the architecture has it), a norm and, where wanted, a rectifier."""
    from torch import nn

    padding = ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2, (kernel[2] - 1) // 2)
    layers = OrderedDict[str, nn.Module](
        conv=nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=a.bias if bias is None else bias),
        norm=nn.InstanceNorm3d(outputs, eps=a.norm_eps, affine=a.norm_affine),
    )
    if rectified:
        layers["nonlin"] = nn.LeakyReLU(a.slope, inplace=True)
    return nn.Sequential(layers)
