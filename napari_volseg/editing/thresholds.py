"""Voxels by intensity: within a range, on a slice, in a slab or in the volume, inside of a segment or anywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import NEVER, Box, BoxMask, CancelToken, GeometryError, UsageError
from napari_volseg.editing.scopes import InVolume, Scope, scope_box
from napari_volseg.editing.shapes import tightened

EVERYWHERE = InVolume()
#: Otsu's threshold needs a histogram, not every voxel.
_SAMPLES = 2_000_000
_BINS = 1024


def threshold(
    voxels: NDArray[Any],
    low: float,
    high: float,
    *,
    scope: Scope = EVERYWHERE,
    inside: BoxMask | None = None,
    cancel: CancelToken = NEVER,
) -> BoxMask:
    """Return the voxels whose intensity lies between two values, both included; never those that are NaN.

    Parameters
    ----------
    voxels
        (z, y, x).
    low, high
        In the unit of the volume, such as HU.
    scope
        Which slices are looked at.
    inside
        The shape of a segment that limits the search; None for none.
    cancel
        Looked at between slices.

    Raises
    ------
    UsageError
        Where ``low`` is above ``high`` or one of them is NaN, or the scope lies outside the volume.
    GeometryError
        Where ``inside`` reaches beyond the volume.
    """
    if not low <= high:
        raise UsageError(f"no intensity lies between {low} and {high}: give the lower bound first")
    area = _area(voxels, scope, inside)
    grey = voxels[area.slices]
    hit = np.empty(grey.shape, bool)
    for plane, found in zip(grey, hit, strict=True):
        cancel.check()
        np.greater_equal(plane, low, out=found)
        found &= plane <= high
    if inside is not None:
        hit &= inside.within(area)
    return tightened(area, hit)


def suggest_range(
    voxels: NDArray[Any], *, scope: Scope = EVERYWHERE, inside: BoxMask | None = None
) -> tuple[float, float]:
    """Return a range that separates bright from dark: from Otsu's threshold to the largest intensity.

    Parameters as in ``threshold``. Of large regions a regular sample is looked at.

    Raises
    ------
    UsageError
        Where the region holds fewer than two different intensities.

    References
    ----------
    Otsu, IEEE Transactions on Systems, Man and Cybernetics 9(1), 1979.
    """
    area = _area(voxels, scope, inside)
    grey = voxels[area.slices]
    values = np.asarray(grey[inside.within(area)] if inside is not None else grey).ravel()
    sample = values[:: max(1, values.size // _SAMPLES)].astype(np.float32)
    sample = sample[np.isfinite(sample)]
    if not sample.size or sample.min() == sample.max():
        raise UsageError("this region has a single intensity, which no threshold divides: choose a larger region")
    return _between_classes(sample), float(values[np.isfinite(values)].max())


def _between_classes(sample: NDArray[np.float32]) -> float:
    """Return the middle of the gap between the two classes that Otsu's threshold finds.

    The threshold itself is the centre of the last bin of the dark class, whose brightest values lie above it.
    """
    from skimage.filters import threshold_otsu

    half_bin = float(sample.max() - sample.min()) / _BINS / 2
    edge = float(threshold_otsu(sample, nbins=_BINS)) + half_bin
    dark, bright = sample[sample <= edge], sample[sample > edge]
    return (float(dark.max()) + float(bright.min())) / 2


def _area(voxels: NDArray[Any], scope: Scope, inside: BoxMask | None) -> Box:
    area = scope_box(scope, voxels.shape)
    if inside is None:
        return area
    if inside.box.clip(voxels.shape) != inside.box:
        raise GeometryError(
            f"a segment from {inside.box.start} to {inside.box.stop} leaves a volume of shape {voxels.shape}: "
            "use the volume that is being segmented"
        )
    return area.intersect(inside.box)
