"""The last layer of a network apart from the rest, where it is the same linear map at every voxel.

Blending of windows is linear, too, and the weights of all windows at a voxel add up to 1: mapping what is blended
gives the logits that blending the mapped windows gives, up to rounding. So only features are blended, fewer than
there are segments, and each voxel is mapped once instead of once for every window that it lies in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Planes that are mapped at a time; their logits are all that exists of the logits.
PLANES = 8

#: Of 32-bit sums, as a share of the largest.
_ROUNDING = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Logits from features.

    Parameters
    ----------
    weights
        (channels, features), float32.
    bias
        (channels,), float32.
    """

    weights: Tensor
    bias: Tensor

    @property
    def features(self) -> int:
        """Number of features."""
        return int(self.weights.shape[1])

    @property
    def channels(self) -> int:
        """Number of logits."""
        return int(self.weights.shape[0])

    def __call__(self, features: Tensor) -> Tensor:
        """Return the logits (channels, …) of features (features, …)."""
        weights, bias = self.weights.to(features.device), self.bias.to(features.device)
        logits = bias[:, None].addmm(weights, features.reshape(self.features, -1).float())
        return logits.view(self.channels, *features.shape[1:])


def head_of(convolution: nn.Conv3d) -> Head:
    """Return a convolution of single voxels as a map."""
    weights = convolution.weight.detach().float().cpu().flatten(1)
    bias = convolution.bias
    return Head(weights, weights.new_zeros(len(weights)) if bias is None else bias.detach().float().cpu())


def split(network: nn.Module, window: Sequence[int]) -> Head | None:
    """Take the last layer off a network of any kind, where it maps fewer features to the output; return it.

    Which layer that is, is not guessed: without it the network must give features that it maps to the very output.

    Parameters
    ----------
    network
        In evaluation mode on the CPU; it returns features afterwards, or is left as it was.
    window
        Shape (1, c, z, y, x) of what it is given.
    """
    import torch

    maps = [(name, layer) for name, layer in network.named_modules() if _widens(layer)]
    if not maps:
        return None
    image = torch.rand(*window, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = network(image)
        for name, layer in reversed(maps):
            network.set_submodule(name, torch.nn.Identity())
            if _maps(head_of(layer), network, image, whole):
                return head_of(layer)
            network.set_submodule(name, layer)
    return None


def _maps(head: Head, trunk: nn.Module, image: Tensor, whole: Tensor) -> bool:
    """Whether what is left of a network gives features that a head maps to what the whole gave, up to rounding."""
    try:
        features = trunk(image)
    except RuntimeError:  # the layer was in its midst, and what follows misses its channels
        return False
    if features.shape[:2] != (1, head.features):
        return False
    found = head(features[0])[None]
    return found.shape == whole.shape and float((found - whole).abs().max()) <= _ROUNDING * float(whole.abs().max())


def _widens(layer: nn.Module) -> TypeGuard[nn.Conv3d]:
    """Whether a layer is a convolution of single voxels to more channels than it is given."""
    from torch import nn

    if not isinstance(layer, nn.Conv3d) or layer.in_channels >= layer.out_channels:
        return False
    plain = layer.groups == 1 and set(layer.stride) == {1} and layer.padding in ((0, 0, 0), 0, "valid")
    return plain and set(layer.kernel_size) == {1}


def mean_of(heads: Sequence[Head]) -> Head:
    """Return the head whose logits are the mean of those of several, from the features of all one after the other."""
    from torch import cat, stack

    return Head(cat([head.weights for head in heads], 1) / len(heads), stack([head.bias for head in heads]).mean(0))


def mapped(bands: Iterator[tuple[int, Tensor]], head: Head) -> Iterator[tuple[int, Tensor]]:
    """Yield bands of features as bands of logits, each with the index of its first plane.

    Each plane is mapped by itself, so that its logits are the same to the last bit whichever band it lies in.

    Parameters
    ----------
    bands
        Index of a first plane, and features (features, planes, y, x) of it and those that follow.
    head
        From features to logits.
    """
    for first, planes in bands:
        logits = planes.new_empty((head.channels, min(PLANES, planes.shape[1]), *planes.shape[2:]))
        for begin in range(0, planes.shape[1], PLANES):
            part = planes[:, begin : begin + PLANES]
            for index in range(part.shape[1]):
                logits[:, index] = head(part[:, index])
            yield first + begin, logits[:, : part.shape[1]]
