"""What scanners and reconstructions do to an image: blur, thick slices, coarse grids, noise, clipping.

Imported only where PyTorch is wanted.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from napari_volseg.training.synthetic_fields import Dice

#: Shares of batches that are sampled coarsely in all directions, and in thick slices.
_COARSE = 0.55
_THICK = 0.4
#: Shares of volumes that are cut off to a window, and stored in few steps.
_WINDOWED = 0.1


def degraded(dice: Dice, image: Tensor, is_ct: Tensor) -> Tensor:
    """Return images (count, 1, e, e, e) as a scanner would give them; ``is_ct`` (count,) are in HU."""
    edge = image.shape[-1]
    image = blurred(dice, image)
    size = _acquired(dice, edge)
    seen = functional.interpolate(image, size, mode="area") if size != [edge] * 3 else image
    seen = _noisy(dice, seen, is_ct)
    if size != [edge] * 3:
        seen = functional.interpolate(seen, (edge,) * 3, mode="trilinear", align_corners=False)
    return _clipped(dice, seen, is_ct)


def blurred(dice: Dice, image: Tensor) -> Tensor:
    """Return images after a Gaussian point spread of 0.25 to 1.2 voxels, each its own."""
    count = image.shape[0]
    sigma = dice.uniform(0.25, 1.2, (count, 1)).square() if dice.chance(0.5) else dice.uniform(0.3, 0.8, (count, 1))
    sigma = sigma.clamp_min(0.2)
    along = torch.arange(-3, 4, device=image.device)
    kernel = torch.exp(-0.5 * (along / sigma) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    out = image.transpose(0, 1)
    for axis in range(3):
        shape = [count, 1, 1, 1, 1]
        shape[2 + axis] = 7
        padding = [0] * 6
        padding[2 * (2 - axis)] = padding[2 * (2 - axis) + 1] = 3
        padded = functional.pad(out, padding, mode="replicate")
        out = functional.conv3d(padded, kernel.view(shape), groups=count)
    return out.transpose(0, 1).contiguous()


def _acquired(dice: Dice, edge: int) -> list[int]:
    """Return the number of samples along each axis with which a batch is acquired."""
    factors = [1.0, 1.0, 1.0]
    if dice.chance(_COARSE):
        factors = [float(dice.host.uniform(1, 3.2))] * 3
    if dice.chance(_THICK):
        factors[int(dice.host.integers(3))] *= float(dice.host.uniform(1.3, 5))
    return [max(8, round(edge / f)) for f in factors]


def _noisy(dice: Dice, image: Tensor, is_ct: Tensor) -> Tensor:
    """Return images with noise: correlated in CT, of a magnitude otherwise."""
    count = image.shape[0]
    shape = (count, 1, 1, 1, 1)
    white = dice.normal(image.shape)
    soft = functional.avg_pool3d(white, 3, 1, 1) * 3.2
    share = dice.uniform(0, 1, shape)
    noise = share * soft + (1 - share) * white
    noise = noise / (share.square() + (1 - share).square()).sqrt()
    hounsfield = dice.log_uniform(3, 35, shape)
    ct = image + hounsfield * noise
    top = image.abs().amax((1, 2, 3, 4), keepdim=True)
    level = top * dice.log_uniform(0.004, 0.09, shape)
    other = ((image + level * noise).square() + (level * dice.normal(image.shape)).square()).sqrt()
    return torch.where(is_ct.view(shape), ct, other)


def _clipped(dice: Dice, image: Tensor, is_ct: Tensor) -> Tensor:
    """Return images within what their kind can store; some are cut off to a window."""
    count = image.shape[0]
    shape = (count, 1, 1, 1, 1)
    ct = image.clamp(-1024, 3071).round()
    window = ct.clamp(-200, 300)
    ct = torch.where(dice.flags(_WINDOWED, count).view(shape), window, ct)
    return torch.where(is_ct.view(shape), ct, image)
