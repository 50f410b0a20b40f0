"""How voxels look: grey values in units of noise, likeness to a click, features for the classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import Volume
from napari_volseg.interactive.neighbours import FloatArray

#: Tissue between fat and contrast-filled vessels keeps its contrast; air and dense bone are compressed (HU).
_HU_FROM = (-1100.0, -200.0, 300.0, 2000.0)
_HU_TO = (-290.0, -200.0, 300.0, 555.0)
#: Differences below this are never taken for contrast (HU).
_LEAST_NOISE_HU = 6.0
_NOISE_SHARE_OF_RANGE = 0.01
#: Share of neighbours that differ at all, below which an image has no noise.
_LEAST_NOISY = 0.1

#: Radius around a click whose grey values stand for its side at least, mm.
WINDOW_MM = 3.5
#: Deviations from the typical value within which a voxel still looks alike.
_TOLERANCE = 2.8
#: Fewer voxels than this say nothing about the surroundings.
_FEW = 10
#: Grey value, in noise units, above which the classifier's features are compressed.
_SQUASH = 30.0


@dataclass(frozen=True, slots=True)
class GreyScale:
    """From stored values to units of the image's own noise.

    Parameters
    ----------
    is_hu
        Whether values are HU, of which air and dense bone are compressed.
    noise
        Value that becomes 1.
    """

    is_hu: bool
    noise: float

    @classmethod
    def of(cls, volume: Volume, raw: FloatArray) -> GreyScale:
        """Return the scale for a part ``raw`` (z, y, x) of a volume."""
        is_hu = volume.quantity == "HU" or volume.modality == "CT"
        if is_hu:
            return cls(True, max(_noise(_compressed(raw)), _LEAST_NOISE_HU))
        low, high = np.percentile(raw, (1, 99))
        return cls(False, max(_noise(raw), _NOISE_SHARE_OF_RANGE * float(high - low), 1e-6))

    def apply(self, raw: NDArray[Any]) -> FloatArray:
        """Return values of any shape in noise units; what is not a number becomes 0."""
        values = np.nan_to_num(np.asarray(raw, np.float32))
        return (_compressed(values) if self.is_hu else values) / np.float32(self.noise)


@dataclass(frozen=True, slots=True)
class Look:
    """Grey values of one side of a boundary, in noise units.

    Parameters
    ----------
    centre
        The most typical value.
    below, above
        How far a value may lie on either side of it before it rather belongs elsewhere.
    """

    centre: float
    below: float
    above: float

    @classmethod
    def of(cls, sample: FloatArray) -> Look:
        """Return the look of a sample of voxels; at least one."""
        centre = float(np.median(sample))
        tolerance = _TOLERANCE * max(1.0, 1.48 * float(np.median(np.abs(sample - centre))))
        return cls(centre, tolerance, tolerance)

    def against(self, others: FloatArray) -> Look:
        """Return the look with tolerances of at least half of the way to those of ``others`` that come closest."""
        darker = others[others < self.centre - self.below]
        brighter = others[others > self.centre + self.above]
        below = 0.5 * (self.centre - float(np.percentile(darker, 75))) if darker.size > _FEW else 0.0
        above = 0.5 * (float(np.percentile(brighter, 25)) - self.centre) if brighter.size > _FEW else 0.0
        return Look(self.centre, max(self.below, below), max(self.above, above))

    def odds(self, image: FloatArray, distance: FloatArray, spread: float) -> FloatArray:
        """Return log-odds (z, y, x), -2 to 2, of having this look, less 1 for every ``spread`` mm of distance."""
        step = image - np.float32(self.centre)
        step /= np.where(step < 0, np.float32(self.below), np.float32(self.above))
        odds = 2 - 2 * np.square(step) - distance / np.float32(spread)
        return np.clip(odds, -2, 2).astype(np.float32)


def even_radius(
    image: FloatArray, distance: FloatArray, step: float, outliers: float = 0.15, limit: float = 25.0
) -> float:
    """Return how far (mm) the surroundings of a click look like its core.

    Shells of thickness ``step`` are added while at most a share ``outliers`` of the next shell differs by more
    than 2.5 deviations from what was found so far.
    """
    near = distance <= limit + step
    values, d = image[near], distance[near]
    radius = 1.5 * step
    while radius + step <= limit:
        core = values[d <= radius]
        centre = np.median(core)
        scale = max(0.7, 1.48 * float(np.median(np.abs(core - centre))))
        shell = values[(d > radius) & (d <= radius + step)]
        if shell.size < 6 or float((np.abs(shell - centre) > 2.5 * scale).mean()) > outliers:
            break
        radius += step
    return radius


def features(image: FloatArray, spacing: tuple[float, float, float]) -> list[FloatArray]:
    """Return what the classifier sees, one flat array each: grey values, edges, texture and position."""
    image = np.arcsinh(image / np.float32(_SQUASH)) * np.float32(_SQUASH)
    fine, middle, coarse = (ndimage.gaussian_filter(image, s) for s in (0.7, 1.5, 3.0))
    variance = ndimage.gaussian_filter(image * image, 1.5) - middle * middle
    edges = [ndimage.gaussian_gradient_magnitude(image, s) for s in (0.7, 1.5, 3.0)]
    bands = [middle - coarse, ndimage.gaussian_laplace(image, 1.5), np.sqrt(np.maximum(variance, 0))]
    axes = np.meshgrid(*(np.arange(n) * s for n, s in zip(image.shape, spacing, strict=True)), indexing="ij")
    return [_flat(f) for f in (image, fine, middle, coarse, *edges, *bands, *axes)]


def _compressed(hu: FloatArray) -> FloatArray:
    return np.interp(hu, _HU_FROM, _HU_TO).astype(np.float32)


def _noise(image: FloatArray) -> float:
    jumps: NDArray[Any] = np.abs(np.diff(image, axis=2))
    real = jumps[jumps > 0]
    return float(1.48 * np.median(real) / np.sqrt(2)) if real.size > _LEAST_NOISY * jumps.size else 0.0


def _flat(array: NDArray[Any]) -> FloatArray:
    return np.ascontiguousarray(array, np.float32).ravel()
