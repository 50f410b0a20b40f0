"""From synthetic volumes to structures that somebody might want to segment: a pool, crops, targets.

Imported only where PyTorch is wanted. Everything stays on the device and nothing waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

#: Label ids are kept modulo this.
_IDS = 256
#: Targets smaller than so many voxels, or larger than this share of the crop, are not learned from.
SMALLEST = 30
_LARGEST = 0.6
#: Shares of targets that are two structures as one, or a part cut off by a plane.
_UNIONS = 0.15
_PARTS = 0.08
#: A label is drawn with its voxel count to this power.
_COMMONNESS = 0.2
#: How far from the middle of the crop the target may begin, as a share of the edge.
_OFF_CENTRE = 0.22
#: Share of crops that may reach beyond their volume, and of volumes that are only a slab thick.
_OVERHANGING = 0.15
_SLABS = 0.2
#: Steps of two voxels that a target may be long from where it begins.
_FLOOD_STEPS = 48


class Source(Protocol):
    """Where labelled volumes come from."""

    def draw(self, count: int, edge: int, step: int) -> tuple[Tensor, Tensor]:
        """Return images float32 and labels int16, each (count, 1, edge, edge, edge), the same for the same step."""


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Crops with one structure each.

    Parameters
    ----------
    image
        (n, 1, e, e, e), float32.
    mask
        (n, 1, e, e, e), bool: the structure, in one piece.
    edges
        (n, 1, e, e, e), bool: voxels with another label beside them.
    valid
        (n,), bool: whether the structure is neither too small nor too large.
    """

    image: Tensor
    mask: Tensor
    edges: Tensor
    valid: Tensor


class Pool:
    """Volumes on the device, from which many targets are drawn while the oldest are replaced.

    Parameters
    ----------
    source
        Makes volumes.
    size
        Number of volumes.
    edge
        Their edge, voxels.
    device
        Where they lie.
    """

    def __init__(self, source: Source, size: int, edge: int, device: str) -> None:
        self.source, self.size, self.edge, self.device = source, size, edge, device
        shape = (size, edge, edge, edge)
        self.images = torch.zeros(shape, dtype=torch.float16, device=device)
        self.labels = torch.zeros(shape, dtype=torch.uint8, device=device)
        self.counts = torch.zeros((size, _IDS), device=device)
        self.step = self._next = 0

    def refresh(self, count: int) -> None:
        """Replace the ``count`` oldest volumes; ``size`` is a multiple of it."""
        start = self._next
        images, labels = self.source.draw(count, self.edge, self.step)
        slots = slice(start, start + count)
        self.images[slots] = images[:, 0].clamp(-60000, 60000).half()
        self.labels[slots] = labels[:, 0].remainder(_IDS).to(torch.uint8)
        flat = self.labels[slots].flatten(1).long()
        counts = torch.zeros((count, _IDS), device=self.device)
        self.counts[slots] = counts.scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float32))
        self.step += 1
        self._next = (start + count) % self.size

    def draw(self, count: int, edge: int, generator: torch.Generator) -> Targets:
        """Return ``count`` crops with a target each, flipped and turned at random."""
        chosen = torch.randint(self.size, (count,), generator=generator, device=self.device)
        ids = self._wanted(chosen, generator)
        begin = self._begin(chosen, ids, edge, generator)
        image, labels, begin = self._crops(chosen, begin, edge, generator)
        mask = _target(labels, ids, begin, generator)
        order = np.random.default_rng(int(generator.initial_seed()) % 2**32).permutation(3) + 1
        axes = (0, *order.tolist())
        image, labels, mask = (t.permute(axes).unsqueeze(1).contiguous() for t in (image, labels, mask))
        voxels = mask.flatten(1).sum(1)
        valid = (voxels >= SMALLEST) & (voxels <= _LARGEST * edge**3)
        return Targets(image, mask, _edges(labels), valid)

    def _wanted(self, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """Return a label id (n,) in each chosen volume; rare ones nearly as often as common ones, air never."""
        counts = self.counts[chosen]
        fit = (counts >= SMALLEST) & (counts <= 0.5 * self.edge**3)
        fit[:, 0] = False
        noise = torch.rand(counts.shape, generator=generator, device=self.device).clamp(1e-6, 1 - 1e-6)
        return torch.where(fit, counts**_COMMONNESS / -noise.log(), 0).argmax(1)

    def _begin(self, chosen: Tensor, ids: Tensor, edge: int, generator: torch.Generator) -> Tensor:
        """Return a voxel (n, 3) of the wanted label in each chosen volume, in its middle part where there is one."""
        labels = self.labels[chosen].flatten(1)
        noise = torch.rand(labels.shape, generator=generator, device=self.device)
        place = torch.where(labels == ids[:, None], noise + self._central(edge), -1.0).argmax(1)
        return _unravelled(place, self.edge)

    def _central(self, edge: int) -> Tensor:
        """Return 1 (1, voxels) where a crop around a voxel, moved off centre or not, may lie within a volume."""
        margin = min(edge * (0.5 - _OFF_CENTRE), self.edge / 2 - 1)
        along = torch.arange(self.edge, device=self.device)
        fits = (along >= margin) & (along <= self.edge - 1 - margin)
        return (fits[:, None, None] & fits[None, :, None] & fits[None, None, :]).view(1, -1).float()

    def _crops(
        self, chosen: Tensor, begin: Tensor, edge: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return image and labels (n, e, e, e) around ``begin``, each axis flipped or not, and where that is now."""
        count = len(chosen)
        shift = torch.rand((count, 3), generator=generator, device=self.device) - 0.5
        middle = begin + 2 * _OFF_CENTRE * edge * shift
        origin = (middle - edge / 2).round().long()
        free = torch.rand((count, 1), generator=generator, device=self.device) < _OVERHANGING
        origin = torch.where(free, origin, origin.clamp(0, self.edge - edge))
        flipped = torch.rand((count, 3), generator=generator, device=self.device) < 0.5
        along = torch.arange(edge, device=self.device)
        steps = torch.where(flipped[..., None], edge - 1 - along, along)
        index = origin[..., None] + steps
        low, high = self._ends(begin, generator)
        beyond = (index < low[..., None]) | (index >= high[..., None])
        index = torch.maximum(torch.minimum(index, high[..., None] - 1), low[..., None])
        z, y, x = index[:, 0, :, None, None], index[:, 1, None, :, None], index[:, 2, None, None, :]
        which = chosen[:, None, None, None]
        local = begin - origin
        local = torch.where(flipped, edge - 1 - local, local)
        labels = self.labels[which, z, y, x]
        labels = labels * ~(beyond[:, 0, :, None, None] | beyond[:, 1, None, :, None] | beyond[:, 2, None, None, :])
        return self.images[which, z, y, x].float(), labels, local

    def _ends(self, begin: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return where the volumes begin and end (n, 3): some are slabs around ``begin`` whose last slices go on."""
        count = len(begin)
        axis = torch.randint(3, (count, 1), generator=generator, device=self.device)
        slab = torch.rand((count, 1), generator=generator, device=self.device) < _SLABS
        chosen = (torch.arange(3, device=self.device) == axis) & slab
        sides = 6 + 26 * torch.rand((2, count, 3), generator=generator, device=self.device)
        low = torch.where(chosen, begin - sides[0].long(), 0).clamp_min(0)
        high = torch.where(chosen, begin + sides[1].long(), self.edge).clamp_max(self.edge)
        return low, high


def _target(labels: Tensor, ids: Tensor, begin: Tensor, generator: torch.Generator) -> Tensor:
    """Return the structure (n, e, e, e) at ``begin``: a label, at times two neighbours or a part of one."""
    mask = labels == ids[:, None, None, None]
    mask = mask | _neighbour(labels, begin, generator)
    mask = mask & _side(labels.shape, begin, generator, labels.device)
    return _in_one_piece(mask, begin)


def _neighbour(labels: Tensor, begin: Tensor, generator: torch.Generator) -> Tensor:
    """Return, for some of the crops, another label (n, e, e, e) that occurs near ``begin``."""
    count, edge = len(labels), labels.shape[-1]
    offset = torch.randint(-12, 13, (count, 3), generator=generator, device=labels.device)
    place = (begin + offset).clamp(0, edge - 1)
    other = labels[torch.arange(count, device=labels.device), place[:, 0], place[:, 1], place[:, 2]]
    wanted = torch.rand(count, generator=generator, device=labels.device) < _UNIONS
    wanted = wanted & (other != 0)
    return (labels == other[:, None, None, None]) & wanted[:, None, None, None]


def _side(shape: torch.Size, begin: Tensor, generator: torch.Generator, device: torch.device) -> Tensor:
    """Return one side of a plane near ``begin`` for some of the crops, everything for the others."""
    count, edge = shape[0], shape[-1]
    normal = torch.randn((count, 3), generator=generator, device=device)
    normal = normal / normal.norm(dim=1, keepdim=True).clamp_min(1e-3)
    distance = 1 + 8 * torch.rand(count, generator=generator, device=device)
    along = torch.arange(edge, device=device)
    relative = along - begin[..., None]
    heights = normal[..., None] * relative
    height = heights[:, 0, :, None, None] + heights[:, 1, None, :, None] + heights[:, 2, None, None, :]
    cut = torch.rand(count, generator=generator, device=device) < _PARTS
    return (height < distance[:, None, None, None]) | ~cut[:, None, None, None]


def _in_one_piece(mask: Tensor, begin: Tensor) -> Tensor:
    """Return the part of a mask (n, e, e, e) that hangs together with ``begin``, gaps of a voxel bridged."""
    count, edge = len(mask), mask.shape[-1]
    coarse = functional.max_pool3d(mask.half().unsqueeze(1), 2)
    flood = torch.zeros_like(coarse)
    half = begin // 2
    flood[torch.arange(count, device=mask.device), 0, half[:, 0], half[:, 1], half[:, 2]] = 1
    for _ in range(min(_FLOOD_STEPS, edge)):
        flood = functional.max_pool3d(flood, 3, 1, 1) * coarse
    return mask & (functional.interpolate(flood, scale_factor=2.0, mode="nearest")[:, 0] > 0)


def _edges(labels: Tensor) -> Tensor:
    """Return voxels (n, 1, e, e, e) that have another label beside them."""
    edges = torch.zeros_like(labels, dtype=torch.bool)
    for axis in (2, 3, 4):
        length = labels.shape[axis] - 1
        differs = labels.narrow(axis, 1, length) != labels.narrow(axis, 0, length)
        edges.narrow(axis, 1, length).logical_or_(differs)
        edges.narrow(axis, 0, length).logical_or_(differs)
    return edges


def _unravelled(place: Tensor, edge: int) -> Tensor:
    """Return flat places (n,) in a cube as indices (n, 3)."""
    return torch.stack([place // edge**2, place // edge % edge, place % edge], 1)
