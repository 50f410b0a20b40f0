"""Images of heads in any MR contrast, made from label maps on a device as fast as a network can learn from them.

Imported only where PyTorch is wanted.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_volseg.training.brain_maps import HeadMaps
from napari_volseg.training.synthetic_degradation import degraded
from napari_volseg.training.synthetic_fields import Dice, brought_up, warped_grid
from napari_volseg.training.synthetic_intensities import painted, uneven

#: Turn about each axis (degrees) and stretch along it, at most.
_TURN = 25.0
_STRETCH = 0.15
#: How far the middle of an image lies from that of the brains, as a share of the head's size.
_OFF_CENTRE = 0.2
#: Shares of images whose tissues of one family look alike, that show the brain alone, and whose air is black.
_FAMILIES = 0.5
_STRIPPED = 0.15
_BLACK = 0.6


class HeadImages:
    """A source of images with labels.

    Parameters
    ----------
    maps
        Whose shapes are used.
    device
        ``"cuda"``, ``"cpu"``.
    seed
        Of all images.
    """

    def __init__(self, maps: HeadMaps, device: str, seed: int) -> None:
        self.maps, self.device, self.seed = maps, device, seed
        kind = torch.float16 if device == "cuda" else torch.float32
        self._labels = torch.as_tensor(maps.labels)[:, None].to(device, kind)
        self._targets = torch.as_tensor(maps.targets).to(device)
        brains = np.argwhere(maps.targets[maps.labels[:, ::4, ::4, ::4]] > 0)[:, 1:].mean(0)
        self._middle = 4 * brains + 1.5 - (np.array(maps.labels.shape[1:]) - 1) / 2
        self._in_brain = torch.as_tensor((maps.targets > 0) | (maps.families == 1)).to(device)

    def draw(self, count: int, edge: int, step: int) -> tuple[Tensor, Tensor]:
        """Return images of mean 0 and deviation 1 (count, 1, e, e, e) and targets (count, e, e, e), int64."""
        dice = Dice.of(self.seed, step, self.device)
        index = self._shapes(dice, count, edge)
        means, spread = contrasts(dice.host, count, self.maps)
        shared = self.maps.tissues
        image = painted(dice, index[:, None], dice.on_device(means[:, shared]), dice.on_device(spread[:, shared]))
        brain = functional.max_pool3d(self._in_brain[index].float()[:, None], 3, 1, 1)
        stripped = dice.flags(_STRIPPED, count).view(-1, 1, 1, 1, 1)
        image = torch.where(stripped & (brain < 0.5), 0.0, image)
        never = torch.zeros(count, dtype=torch.bool, device=image.device)
        image = degraded(dice, uneven(dice, image, never), never)
        deviation, mean = torch.std_mean(image, (1, 2, 3, 4), keepdim=True)
        return (image - mean) / deviation.clamp_min(1e-3), self._targets[index]

    def _shapes(self, dice: Dice, count: int, edge: int) -> Tensor:
        """Return bent, turned, stretched and cut-out maps (count, e, e, e), int64."""
        chosen = torch.as_tensor(dice.host.integers(len(self._labels), size=count)).to(self.device)
        size = np.array(self.maps.labels.shape[1:])
        grid = brought_up(warped_grid(dice, count, edge // 2, edge), edge)
        places = torch.einsum("nij,njzyx->nizyx", dice.on_device(_turns(dice.host, count)), grid)
        middle = dice.uniform(-_OFF_CENTRE, _OFF_CENTRE, (count, 3)) * dice.on_device(size) + dice.on_device(
            self._middle
        )
        places = places + middle[..., None, None, None]
        half = dice.on_device(size / 2).view(1, 3, 1, 1, 1)
        normal = (places / half).permute(0, 2, 3, 4, 1).flip(-1)
        source = self._labels[chosen]
        found = functional.grid_sample(source, normal.to(source.dtype), mode="nearest", align_corners=False)
        return found[:, 0].round().long()


def _turns(host: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return small turns with stretches, half of them mirrored left to right (count, 3, 3), axes (z, y, x)."""
    angles = np.radians(host.uniform(-_TURN, _TURN, (count, 3)))
    matrix = np.broadcast_to(np.eye(3), (count, 3, 3)).copy()
    for axis in range(3):
        a, b = (i for i in range(3) if i != axis)
        turn = np.broadcast_to(np.eye(3), (count, 3, 3)).copy()
        cos, sin = np.cos(angles[:, axis]), np.sin(angles[:, axis])
        turn[:, a, a], turn[:, b, b], turn[:, a, b], turn[:, b, a] = cos, cos, -sin, sin
        matrix = matrix @ turn
    stretch = 1 + host.uniform(-_STRETCH, _STRETCH, (count, 3))
    stretch[:, 2] *= host.choice([-1.0, 1.0], count)
    return matrix * stretch[:, None, :]


def contrasts(
    host: np.random.Generator, count: int, maps: HeadMaps
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and slow variation (count, tissues) of each tissue; in some images those of a family look alike."""
    tissues = int(maps.tissues.max()) + 1
    family = np.zeros(tissues, int)
    family[maps.tissues] = maps.families
    means = host.uniform(0, 1, (count, tissues))
    levels = host.uniform(0, 1, (count, 4))
    alike = (host.random((count, 1)) < _FAMILIES) & (family > 0)
    means = np.where(alike, levels[:, family] + host.normal(0, 0.05, means.shape), means).clip(0)
    means[:, 0] = np.where(host.random(count) < _BLACK, 0.0, 0.15 * host.random(count))
    spread = host.uniform(0, 0.06, (count, tissues))
    spread[:, 0] = 0
    return 1000 * means, 1000 * spread
