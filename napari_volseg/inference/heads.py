"""The last layer of a network apart from the rest, where it is the same linear map at every voxel.

Blending of windows is linear, too, and the weights of all windows at a voxel add up to 1: mapping what is blended
gives the logits that blending the mapped windows gives, up to rounding. So only features are blended, fewer than
there are segments, and each voxel is mapped once instead of once for every window that it lies in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Planes that are mapped at a time; their logits are all that exists of the logits.
PLANES = 8


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
