"""The plain convolutional U-Net, with the parameter names that nnU-Net's checkpoints use.

Names follow ``PlainConvUNet`` of dynamic-network-architectures: ``encoder.stages.{stage}.0.convs.{i}.conv.weight``,
``decoder.transpconvs.{i}.weight``, ``decoder.stages.{i}.convs.{j}.norm.bias``, ``decoder.seg_layers.{i}.weight``. Its
state dicts list most tensors several times (``all_modules``, ``decoder.encoder``); ours list each once, and
`canonical_weights` brings one to the other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_volseg.inference.plans import Architecture, Triple

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
        What to build.
    in_channels, out_channels
        Channels of the image and of the output; the background counts as one.
    deep_supervision
        Initial value of the network's attribute of the same name. While it is true the network returns a list of
        logits, finest first, one per decoder stage; otherwise the finest alone.

    Returns
    -------
    nn.Module
        Maps (n, in_channels, z, y, x) to (n, out_channels, z, y, x) or to the list. Sizes must be divisible by the
        product of strides along each axis.
    """
    from torch import cat, nn

    down = _encoder(architecture, in_channels)
    ups, stages, heads = _decoder(architecture, out_channels)

    class PlainConvUNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.deep_supervision = deep_supervision
            self.encoder = nn.ModuleDict({"stages": down})
            self.decoder = nn.ModuleDict({"transpconvs": ups, "stages": stages, "seg_layers": heads})

        def forward(self, image: Tensor) -> Tensor | list[Tensor]:
            skips = []
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
            return outputs[::-1] if self.deep_supervision else heads[-1](x)

    return PlainConvUNet()


def canonical_weights(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state dict of nnU-Net or of `build_unet` with each tensor once and without wrappers' prefixes."""
    bare = {_without_wrappers(name): tensor for name, tensor in state.items()}
    return {
        name: t for name, t in bare.items() if ".all_modules." not in name and not name.startswith("decoder.encoder.")
    }


def _without_wrappers(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _encoder(a: Architecture, in_channels: int) -> nn.ModuleList:
    from torch import nn

    inputs = (in_channels, *a.features[:-1])
    stages = [
        # nnU-Net wraps each stage once more: there pooling layers may precede the convolutions
        nn.Sequential(_stage(a, a.encoder_convs[i], inputs[i], a.features[i], a.kernel_sizes[i], a.strides[i]))
        for i in range(len(a.features))
    ]
    return nn.ModuleList(stages)


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


def _block(a: Architecture, inputs: int, outputs: int, kernel: Triple, stride: Triple) -> nn.Module:
    from torch import nn

    padding = ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2, (kernel[2] - 1) // 2)
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=a.bias),
            norm=nn.InstanceNorm3d(outputs, eps=a.norm_eps, affine=a.norm_affine),
            nonlin=nn.LeakyReLU(a.slope, inplace=True),
        )
    )
