"""Seeded label arrays for ``editing.py``: an organ with specks and cavities, and stacks of which slices are drawn."""

from __future__ import annotations

import numpy as np

#: Voxels (z, y, x) of the organ's box: a large kidney in slices of 1.5 mm.
ORGAN = (80, 110, 120)
VALUE = 3


def organ() -> np.ndarray:
    """Return a bent ellipsoid (z, y, x) with rough borders, islands and cavities."""
    rng = np.random.default_rng(7)
    z, y, x = (np.linspace(-1.15, 1.15, n) for n in ORGAN)
    z, y, x = z[:, None, None], y[:, None], x
    radius = z**2 + (y - 0.25 * z**2) ** 2 + (x + 0.2 * y * z) ** 2
    mask = radius + rng.normal(0, 0.03, ORGAN) < 0.9
    mask &= rng.random(ORGAN) > 0.002
    return mask | (rng.random(ORGAN) < 0.0005)


def volume(shape: tuple[int, int, int]) -> np.ndarray:
    """Return labels of ``shape`` (z, y, x) with the organ in their middle and a layered body around it."""
    labels = np.ones(shape, np.uint8)
    labels[:, : shape[1] // 8] = 0
    labels[:, :, -shape[2] // 8 :] = 2
    mask = organ()[tuple(slice(0, n) for n in shape)]
    start = [(n - m) // 2 for n, m in zip(shape, mask.shape, strict=True)]
    part = labels[tuple(slice(a, a + n) for a, n in zip(start, mask.shape, strict=True))]
    part[:] = np.where(mask, VALUE, 1)
    return labels


def _discs(centers: list[tuple[float, float]], radius: float) -> np.ndarray:
    rows, columns = np.ogrid[:512, :512]
    return np.logical_or.reduce([(rows - r) ** 2 + (columns - c) ** 2 <= radius**2 for r, c in centers])


def _organ_slice(k: int) -> np.ndarray:
    rows, columns = np.ogrid[:512, :512]
    angle = np.arctan2(rows - 256, columns - 230 - 0.3 * k)
    reach = 110 * np.sqrt(max(0.02, 1 - ((k - 100) / 104) ** 2)) * (1 + 0.25 * np.cos(2 * angle + k / 60))
    return np.hypot(rows - 256, columns - 230 - 0.3 * k) <= reach


def stacks() -> dict[str, np.ndarray]:
    """Return true masks (z, y, x) of 201 slices of 512×512, by name."""
    slices = range(201)
    return {
        "organ": np.stack([_organ_slice(k) for k in slices]),
        "moving": np.stack([_discs([(60 + 1.9 * k, 120 + k)], 7) for k in slices]),
        "fast": np.stack([_discs([(256 + 190 * np.sin(k / 20), 256 + 190 * np.cos(k / 20))], 25) for k in slices]),
        "splitting": np.stack([_discs([(200, 256 - 1.1 * k), (200 + k, 256 + 0.9 * k)], 22) for k in slices]),
    }


def drawn(truth: np.ndarray, step: int = 8) -> np.ndarray:
    """Return labels with every ``step``-th slice of a mask."""
    labels = np.zeros(truth.shape, np.uint8)
    labels[::step] = truth[::step]
    return labels
