"""Torso phantoms as food for a network: kept on disk, cut into patches, varied in intensity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.training.phantoms import LESIONS, ORGANS, torso

Spacing = tuple[float, float, float]
Batch = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One phantom on the network's grid: HU int16 and organ labels uint8, both (z, y, x)."""

    image: NDArray[np.int16]
    labels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Intensities:
    """Statistics of foreground HU over the training cases, as nnU-Net's fingerprint has them."""

    mean: float
    std: float
    low: float
    high: float

    @classmethod
    def of(cls, cases: Sequence[Case]) -> Intensities:
        """Measure all voxels with a label."""
        values = np.concatenate([case.image[case.labels > 0] for case in cases]).astype(np.float64)
        low, high = np.percentile(values, (0.5, 99.5))
        return cls(float(values.mean()), float(values.std()), float(low), float(high))

    def normalize(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Clip to the percentiles and scale to zero mean and unit deviation."""
        return np.asarray((np.clip(image, self.low, self.high) - self.mean) / self.std, np.float32)


def organ_labels(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a torso's labels (z, y, x) with each lesion given to the organ around it."""
    out = labels.copy()
    for value in LESIONS:
        lesion = labels == value
        around = labels[ndimage.binary_dilation(lesion, iterations=2) & np.isin(labels, ORGANS)]
        out[lesion] = np.bincount(around).argmax() if around.size else 0
    return out


def make_case(seed: int, spacing: Spacing) -> Case:
    """Return the phantom of a seed on a grid of ``spacing`` (z, y, x), mm, with a noise level of its own."""
    noise = np.random.default_rng([seed, 2]).uniform(4, 22)
    case = torso(seed, spacing=spacing, noise=float(noise))
    return Case(np.asarray(case.volume.voxels, np.int16), organ_labels(case.segmentation.labels))


def _stored_case(folder: Path, seed: int, spacing: Spacing) -> Case:
    path = folder / f"torso-{seed}.npz"
    if not path.exists():
        case = make_case(seed, spacing)
        np.savez(path.with_suffix(".part.npz"), image=case.image, labels=case.labels)
        path.with_suffix(".part.npz").replace(path)
    with np.load(path) as stored:
        return Case(stored["image"], stored["labels"])


def stored_cases(folder: Path, seeds: Sequence[int], spacing: Spacing, workers: int) -> list[Case]:
    """Return the phantoms of ``seeds``, made by ``workers`` processes and kept in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(_stored_case, repeat(folder), seeds, repeat(spacing)))


def patches(
    cases: Sequence[Case], intensities: Intensities, size: Sequence[int], batch: int, rng: np.random.Generator
) -> Iterator[Batch]:
    """Yield without end images (``batch``, 1, z, y, x), normalized, and labels (``batch``, z, y, x) of a ``size``."""
    while True:
        drawn = [_patch(cases[int(rng.integers(len(cases)))], size, rng) for _ in range(batch)]
        images = [intensities.normalize(_vary(image, rng)) for image, _ in drawn]
        yield np.stack(images)[:, None], np.stack([labels for _, labels in drawn]).astype(np.int64)


def _patch(
    case: Case, size: Sequence[int], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    start = [int(rng.integers(max(0, n - s) + 1)) for n, s in zip(case.image.shape, size, strict=True)]
    box = tuple(slice(a, a + s) for a, s in zip(start, size, strict=True))
    return case.image[box].astype(np.float32), case.labels[box]


def _vary(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a patch (z, y, x), HU, with other calibration, sharpness and noise."""
    image = (image + 1000) * rng.uniform(0.96, 1.04) - 1000 + rng.uniform(-15, 15)
    if rng.random() < 0.3:
        image = ndimage.gaussian_filter(image, rng.uniform(0.2, 0.8))
    noise = rng.uniform(0, 20) * rng.standard_normal(image.shape, np.float32)
    return np.asarray(image + noise, np.float32)
