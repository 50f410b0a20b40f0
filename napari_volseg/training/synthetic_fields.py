"""Smooth noise, grids and distances from which synthetic scenes are made, batched on a device.

Imported only where PyTorch is wanted. Distances are in voxels and negative inside; they may be computed on a coarse
grid and are then brought up, which keeps surfaces smooth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

#: Sides of the coarse grid are this many times shorter.
COARSE = 2


@dataclass(frozen=True, slots=True, eq=False)
class Dice:
    """Chance for one batch: structure is drawn on the host, fields on the device.

    Parameters
    ----------
    host
        Draws what is built.
    generator
        Draws fields.
    device
        Where fields lie.
    """

    host: np.random.Generator
    generator: torch.Generator
    device: str

    @classmethod
    def of(cls, seed: int, step: int, device: str) -> Dice:
        """Return the chance of a step."""
        generator = torch.Generator(device).manual_seed((seed * 2_147_483_647 + step * 15_485_863) % 2**62)
        return cls(np.random.default_rng([seed, step]), generator, device)

    def uniform(self, low: float, high: float, shape: Sequence[int]) -> Tensor:
        """Return numbers between two bounds."""
        return self.on_device(self.host.uniform(low, high, tuple(shape)))

    def log_uniform(self, low: float, high: float, shape: Sequence[int]) -> Tensor:
        """Return numbers whose logarithms are even between two bounds."""
        return self.on_device(np.exp(self.host.uniform(np.log(low), np.log(high), tuple(shape))))

    def on_device(self, values: np.typing.ArrayLike) -> Tensor:
        """Return host numbers as float32 on the device."""
        return torch.as_tensor(np.asarray(values, np.float32)).to(self.device, non_blocking=True)

    def flags(self, share: float, count: int) -> Tensor:
        """Return ``count`` booleans, as many true as ``share`` says on average."""
        return self.on_device(self.host.random(count) < share) > 0

    def chance(self, share: float) -> bool:
        """Return true as often as ``share`` says."""
        return bool(self.host.random() < share)

    def normal(self, shape: Sequence[int]) -> Tensor:
        """Return a white field."""
        return torch.randn(tuple(shape), generator=self.generator, device=self.device)


def smooth_noise(dice: Dice, count: int, edge: int, nodes: int, channels: int = 1) -> Tensor:
    """Return unit noise (count, channels, e, e, e) with about ``nodes`` bumps along an edge."""
    coarse = dice.normal((count, channels, nodes + 2, nodes + 2, nodes + 2))
    fine = functional.interpolate(coarse, (edge,) * 3, mode="trilinear", align_corners=True)
    return fine * 1.5


def octaves(dice: Dice, count: int, edge: int, nodes: Sequence[int]) -> Tensor:
    """Return about unit noise (count, 1, e, e, e) of several bump sizes."""
    fields = [smooth_noise(dice, count, edge, n) for n in nodes]
    return torch.stack(fields).sum(0) / len(fields) ** 0.5


def warped_grid(dice: Dice, count: int, edge: int, size: int) -> Tensor:
    """Return bent positions (count, 3, e, e, e) in voxels of a cube of ``size``, its middle at 0.

    ``edge`` is the number of samples along each side.
    """
    along = (torch.arange(edge, device=dice.device, dtype=torch.float32) + 0.5) * (size / edge) - size / 2
    grid = torch.stack(torch.meshgrid(along, along, along, indexing="ij"))
    large = smooth_noise(dice, count, edge, 3, 3) * dice.uniform(0, 0.05 * size, (count, 1, 1, 1, 1))
    small = smooth_noise(dice, count, edge, 9, 3) * dice.uniform(0, 0.015 * size, (count, 1, 1, 1, 1))
    return grid + large + small


def rotations(dice: Dice, count: int) -> Tensor:
    """Return random turns (count, 3, 3)."""
    q, r = np.linalg.qr(dice.host.standard_normal((count, 3, 3)))
    return dice.on_device(q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :])


def turned(grid: Tensor, turn: Tensor, centre: Tensor) -> Tensor:
    """Return positions (count, 3, e, e, e) seen from ``centre`` (count, 3), turned."""
    relative = grid - centre[..., None, None, None]
    return torch.einsum("nij,njzyx->nizyx", turn, relative)


def superquadric(local: Tensor, radii: Tensor, power: Tensor) -> Tensor:
    """Return about the distance (count, 1, e, e, e) to a rounded box with half axes ``radii`` (count, 3)."""
    scaled = (local / radii[..., None, None, None]).abs().clamp_min(1e-4)
    exponent = power[:, None, None, None, None]
    norm = (scaled**exponent).sum(1, keepdim=True) ** (1 / exponent)
    return (norm - 1) * radii.amin(1)[:, None, None, None, None]


def balls(grid: Tensor, centres: Tensor, radii: Tensor) -> Tensor:
    """Return the distance (count, 1, e, e, e) to a union of balls, centres (count, k, 3) and radii (count, k)."""
    nearest = None
    for index in range(centres.shape[1]):
        relative = grid - centres[:, index, :, None, None, None]
        distance = relative.square().sum(1, keepdim=True).sqrt() - radii[:, index, None, None, None, None]
        nearest = distance if nearest is None else torch.minimum(nearest, distance)
    assert nearest is not None
    return nearest


def walks(dice: Dice, count: int, points: int, stride: Tensor, bend: float, start: Tensor) -> Tensor:
    """Return smoothed random walks (count, points, 3) with steps of ``stride`` (count,) voxels."""
    heading = dice.host.standard_normal((count, 1, 3))
    turns = np.cumsum(dice.host.standard_normal((count, points, 3)) * bend, axis=1)
    direction = heading / np.linalg.norm(heading, axis=2, keepdims=True) + turns
    direction /= np.linalg.norm(direction, axis=2, keepdims=True) + 1e-6
    path = dice.on_device(np.cumsum(direction, axis=1)) * stride[:, None, None]
    middle = path[:, points // 2].unsqueeze(1)
    return path - middle + start.unsqueeze(1)


def brought_up(field: Tensor, edge: int) -> Tensor:
    """Return a coarse field (count, c, …) on the grid with ``edge`` voxels a side."""
    return functional.interpolate(field, (edge,) * 3, mode="trilinear", align_corners=False)
