"""The network of the engine ``network``: a residual U-Net from image, prompts and previous mask to a mask.

Its first level works at half the resolution without throwing detail away: a convolution of six voxels in steps of
two is the same as packing 2 × 2 × 2 voxels into channels before one of three, and the transposed one at the end
unpacks them. Imported only where PyTorch is wanted.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from napari_volseg.core import UsageError

#: Channels per level, finest (half resolution) first.
SIZES: dict[str, tuple[int, ...]] = {"s24": (24, 48, 96, 160, 224), "small": (16, 24, 40, 64, 96)}
#: Image, two windows around the clicked intensity, + and - points, + and - regions, previous probability.
CHANNELS = 8
#: Every edge of a patch is a multiple of this.
MULTIPLE = 32
_SLOPE = 0.01


class Norm(nn.Module):
    """Instance normalization with scale and shift; written out on CUDA, where a compiler fuses it in any layout."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, D, H, W) of the same shape and type."""
        if not x.is_cuda:
            return functional.instance_norm(x, weight=self.weight, bias=self.bias, eps=1e-5)
        wide = x.float()
        variance, mean = torch.var_mean(wide, (2, 3, 4), keepdim=True, correction=0)
        scale = self.weight.view(1, -1, 1, 1, 1) * torch.rsqrt(variance + 1e-5)
        return ((wide - mean) * scale + self.bias.view(1, -1, 1, 1, 1)).to(x.dtype)


def _conv(inputs: int, outputs: int, stride: int = 1, kernel: int = 3, padding: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False), Norm(outputs))


class Block(nn.Module):
    """Two convolutions around which the input is carried; the first may halve the resolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _conv(inputs, outputs, stride)
        self.second = _conv(outputs, outputs)
        self.carry = nn.Identity() if stride == 1 and inputs == outputs else _conv(inputs, outputs, 1, 1, 0)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C', D / stride, H / stride, W / stride)."""
        carried = functional.avg_pool3d(x, self.stride) if self.stride > 1 else x
        inner = functional.leaky_relu(self.first(x), _SLOPE)
        return functional.leaky_relu(self.second(inner) + self.carry(carried), _SLOPE)


class ClickNetwork(nn.Module):
    """From prompts and image to a mask.

    Parameters
    ----------
    features
        Channels per level, finest first.
    """

    def __init__(self, features: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = _conv(CHANNELS, features[0], 2, 6, 2)
        pairs = list(pairwise(features))
        self.encoder = nn.ModuleList([Block(features[0], features[0], 1), *(Block(a, b, 2) for a, b in pairs)])
        self.ups = nn.ModuleList([nn.ConvTranspose3d(b, a, 2, 2) for a, b in reversed(pairs)])
        self.decoder = nn.ModuleList([_conv(a, a) for a, _ in reversed(pairs)])
        self.head = nn.ConvTranspose3d(features[0], 2, 2, 2)
        self.quality = nn.Linear(features[-1], 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 2, D, H, W) of mask and edges, and the logit (B,) of the expected overlap.

        Parameters
        ----------
        x
            (B, 8, D, H, W) of :func:`napari_volseg.interactive.encoding.encode`; edges multiples of :data:`MULTIPLE`.
        """
        x = functional.leaky_relu(self.stem(x), _SLOPE)
        levels = []
        for block in self.encoder:
            x = block(x)
            levels.append(x)
        quality = self.quality(x.mean((2, 3, 4))).squeeze(1)
        for up, conv, level in zip(self.ups, self.decoder, reversed(levels[:-1]), strict=True):
            x = functional.leaky_relu(conv(up(x) + level), _SLOPE)
        return self.head(x), quality


class ClickAnswer(nn.Module):
    """A click network whose answer is one array, for back ends that know no other.

    Parameters
    ----------
    network
        The network.
    """

    def __init__(self, network: ClickNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 2, D, H, W): the logits of the mask, and that of the expected overlap everywhere."""
        logits, quality = self.network(x)
        mask = logits[:, :1]
        return torch.cat([mask, quality.view(-1, 1, 1, 1, 1).expand_as(mask)], 1)


def build_click_network(size: str) -> ClickNetwork:
    """Return an untrained network of one of :data:`SIZES`.

    Raises
    ------
    UsageError
        For a size that there is not.
    """
    if size not in SIZES:
        raise UsageError(f"there is no click network of size {size!r}: choose one of {', '.join(SIZES)}")
    return ClickNetwork(SIZES[size])
