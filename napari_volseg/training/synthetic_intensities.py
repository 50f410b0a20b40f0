"""How bright tissues are: as in CT, as in some MR sequence, or anyhow.

Imported only where PyTorch is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_volseg.training.synthetic_fields import Dice, octaves, smooth_noise

Table = NDArray[np.float64]

#: Shares of volumes as in CT and as in MR; the others follow no rule.
_CT, _MR = 0.52, 0.3
#: Range (HU) of a tissue's mean in CT, and how much it varies slowly within.
_HU: dict[str, tuple[float, float, float]] = {
    "air": (-1000, -985, 3),
    "gas": (-1000, -800, 10),
    "lung": (-900, -650, 50),
    "fat": (-118, -82, 10),
    "fluid": (-5, 28, 3),
    "muscle": (42, 66, 5),
    "soft": (20, 95, 7),
    "vessel": (35, 55, 4),
    "marrow": (60, 320, 60),
    "bone": (280, 1300, 90),
}
#: Share of CT volumes with contrast medium, and its range in vessels, HU.
_ENHANCED = 0.7
_VESSEL = (110.0, 360.0)


def tissue_means(
    dice: Dice, count: int, roles: Mapping[int, str], size: int
) -> tuple[Table, Table, NDArray[np.bool_]]:
    """Return mean and slow variation (count, size) of each tissue, and which volumes (count,) are like CT (in HU)."""
    chance = dice.host.random(count)
    means, spread = np.zeros((count, size)), np.zeros((count, size))
    for row in range(count):
        fill = _ct if chance[row] < _CT else _mr if chance[row] < _CT + _MR else _anyhow
        fill(dice.host, roles, means[row], spread[row])
    return means, spread, chance < _CT


def _ct(host: np.random.Generator, roles: Mapping[int, str], means: Table, spread: Table) -> None:
    enhanced = host.random() < _ENHANCED
    level = {role: host.uniform(low, high) for role, (low, high, _) in _HU.items()}
    vessel = host.uniform(*_VESSEL)
    varied = {
        "soft": host.choice([6.0, 15.0, 28.0]),
        "muscle": host.choice([0.0, 3.0]),
        "vessel": 15.0,
        "bone": 120.0,
    }
    for number, role in roles.items():
        low, high, slow = _HU[role]
        mean = level[role] + host.normal() * varied.get(role, 0.1 * (high - low))
        if role == "vessel" and enhanced and host.random() < 0.75:
            mean = vessel + host.normal() * 12
        if role == "soft" and enhanced and host.random() < 0.25:
            mean += host.uniform(20, 110)
        means[number] = mean if role in ("soft", "muscle", "vessel") else np.clip(mean, low, high)
        spread[number] = slow * host.uniform(0, 1.2) * (3 if host.random() < 0.05 else 1)


def _mr(host: np.random.Generator, roles: Mapping[int, str], means: Table, spread: Table) -> None:
    scale = float(np.exp(host.uniform(np.log(120), np.log(2500))))
    level = {role: host.uniform(0.12, 1) for role in _HU}
    level |= {"air": 0.02, "gas": 0.02, "lung": host.uniform(0.02, 0.12), "bone": host.uniform(0.03, 0.2)}
    for number, role in roles.items():
        jitter = {"soft": 0.13, "muscle": 0.03, "vessel": 0.15, "fluid": 0.1}.get(role, 0.02)
        means[number] = scale * max(level[role] + host.normal() * jitter, 0.01)
        spread[number] = scale * level[role] * host.uniform(0, 0.12)


def _anyhow(host: np.random.Generator, roles: Mapping[int, str], means: Table, spread: Table) -> None:
    scale = float(np.exp(host.uniform(np.log(50), np.log(3000))))
    values = host.uniform(0, 1, 5)
    for number, role in roles.items():
        value = host.choice(values) + host.normal() * 0.06 if host.random() < 0.5 else host.uniform(0, 1)
        value = 0.02 if role == "air" and host.random() < 0.8 else value
        means[number] = scale * max(float(value), 0.0)
        spread[number] = scale * host.uniform(0, 0.1)


def painted(dice: Dice, tissue: Tensor, means: Tensor, spread: Tensor) -> Tensor:
    """Return the intensity (count, 1, e, e, e) of tissues by tables (count, size) of mean and variation."""
    count, edge = tissue.shape[0], tissue.shape[-1]
    index = tissue.flatten(1).long()
    mean = means.gather(1, index).view(tissue.shape)
    amplitude = spread.gather(1, index).view(tissue.shape)
    fine = octaves(dice, count, edge, (edge // 5, edge // 3))
    slow = smooth_noise(dice, count, edge, 5)
    share = dice.uniform(0, 1, (count, 1, 1, 1, 1))
    return mean + amplitude * (share * fine + (1 - share) * slow)


def uneven(dice: Dice, image: Tensor, is_ct: Tensor) -> Tensor:
    """Return images of which those not like CT are seen by uneven coils and with some gamma."""
    count, edge = image.shape[0], image.shape[-1]
    bias = (smooth_noise(dice, count, edge, 2) * dice.uniform(0, 0.3, (count, 1, 1, 1, 1))).exp()
    top = image.amax((1, 2, 3, 4), keepdim=True).clamp_min(1e-3)
    gamma = dice.log_uniform(0.65, 1.5, (count, 1, 1, 1, 1))
    bent = top * (image.clamp_min(0) / top) ** gamma
    return torch.where(is_ct.view(-1, 1, 1, 1, 1), image, bent * bias)
