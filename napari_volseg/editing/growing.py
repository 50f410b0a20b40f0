"""Regions that grow by intensity: from one voxel, along a level, and from seeds of several segments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import NEVER, Box, BoxMask, CancelToken, Geometry, UsageError
from napari_volseg.editing.fast import Connectivity, components
from napari_volseg.editing.islands import filled_plane
from napari_volseg.editing.morphology import reach
from napari_volseg.editing.scopes import InVolume, OnSlice, Scope, scope_box
from napari_volseg.editing.shapes import Relabelled, kept_boxes, tightened, union_of

EVERYWHERE = InVolume()
#: A region is searched this many voxels around its seed first; where it reaches the border, farther.
_FIRST_REACH = 24

#: Of a normal distribution, the standard deviation as a multiple of the median deviation from the median.
_SIGMA_OF_MAD = 1.4826
#: So many standard deviations to either side belong to a tissue.
_SPREADS = 3.0

#: Which side of a level belongs to it.
Level = Literal["bright", "dark"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Intensities that differ from that of the seed by at most ``amount``, in the unit of the volume."""

    amount: float


@dataclass(frozen=True, slots=True)
class Between:
    """Intensities from ``low`` to ``high``, both included, in the unit of the volume."""

    low: float
    high: float


def grow_region(
    voxels: NDArray[Any],
    seed: tuple[int, int, int],
    intensities: Tolerance | Between,
    *,
    scope: Scope = EVERYWHERE,
    within: BoxMask | None = None,
    connectivity: Connectivity = 6,
) -> BoxMask:
    """Return the connected region of some intensities that holds a voxel.

    Only a box around the seed is looked at; it grows while the region reaches its border.

    Parameters
    ----------
    voxels
        (z, y, x).
    seed
        Voxel (z, y, x).
    intensities
        Which belong to the region.
    scope
        Slices that the region does not leave.
    within
        A shape that it does not leave either, such as a ball around the seed, and that holds the seed.

    Raises
    ------
    UsageError
        Where the seed lies outside the scope, or its own intensity does not belong to the region.
    """
    limits = scope_box(scope, voxels.shape)
    if within is not None:
        limits = limits.intersect(within.box)
    low, high = _range(voxels, seed, limits, intensities)
    area = Box.of(seed, [i + 1 for i in seed]).pad(_FIRST_REACH).intersect(limits)
    while True:
        grey = voxels[area.slices]
        belongs = np.asarray((grey >= low) & (grey <= high))
        if within is not None:
            belongs &= within.within(area)
        found, _ = components(belongs, connectivity)
        region = tightened(area, found == found[tuple(np.subtract(seed, area.start))])
        wider = _widened(area, region.box, limits)
        if wider == area:
            return region
        area = wider


def range_around(voxels: NDArray[Any], seed: tuple[int, int, int], neighbourhood: BoxMask) -> Between:
    """Return the intensities of the tissue that a voxel lies in, that of the voxel itself included.

    The middle and the spread are taken from around it, by medians, so that neither noise in the one voxel nor an
    edge nearby decides.

    Parameters
    ----------
    voxels
        (z, y, x).
    seed
        Voxel (z, y, x).
    neighbourhood
        The voxels that are looked at.
    """
    level = _intensity(voxels, seed, Box.whole(voxels.shape))
    grey = voxels[neighbourhood.box.slices][neighbourhood.mask].astype(np.float64)
    grey = grey[np.isfinite(grey)]
    middle = float(np.median(grey)) if grey.size else level
    spread = _SPREADS * _SIGMA_OF_MAD * float(np.median(np.abs(grey - middle))) if grey.size else 0.0
    return Between(min(level, middle - spread), max(level, middle + spread))


def trace_level(
    voxels: NDArray[Any],
    seed: tuple[int, int, int],
    axis: int,
    side: Level = "bright",
    scope: Scope | None = None,
) -> BoxMask:
    """Return what the contour line through a voxel encloses on its slice, or the surface through several.

    Holes are filled on each slice.

    Parameters
    ----------
    voxels
        (z, y, x).
    seed
        Voxel (z, y, x) on the contour line; its intensity is the level.
    axis
        Index axis that counts the slices: 0 z, 1 y, 2 x.
    side
        Whether the line encloses what is at least as bright as the level, or at most.
    scope
        The slices through which it is followed; None stays on that of the seed.

    Raises
    ------
    UsageError
        Where the seed lies outside the volume or has no intensity (NaN).
    """
    level = _intensity(voxels, seed, Box.whole(voxels.shape))
    span = Between(level, np.inf) if side == "bright" else Between(-np.inf, level)
    region = grow_region(voxels, seed, span, scope=scope or OnSlice(axis, seed[axis]))
    planes = [filled_plane(plane) for plane in np.moveaxis(region.mask, axis, 0)]
    return BoxMask(region.box, np.stack(planes, axis))


def grow_from_seeds(
    voxels: NDArray[Any],
    labels: NDArray[Any],
    geometry: Geometry,
    margin_mm: float,
    *,
    values: Iterable[int] | None = None,
    background: int | None = None,
    smooth_mm: float = 0.0,
    boxes: Mapping[int, Box] | None = None,
    cancel: CancelToken = NEVER,
) -> Relabelled:
    """Return labels in which segments have grown from what is drawn of them until they meet along edges of the image.

    A watershed of the gradient's magnitude: where two segments meet, the steepest edge between them divides them.

    Parameters
    ----------
    voxels
        (z, y, x).
    labels
        (z, y, x), roughly drawn.
    margin_mm
        How far around the box of all seeds they may grow, mm.
    values
        Label values that grow; None takes all. Others stay as they are.
    background
        The label value, if any, that was drawn on what belongs to no segment. It keeps what was drawn, and what it
        would gain becomes background.
    smooth_mm
        Standard deviation of a Gaussian that takes noise from the image first, mm.
    boxes
        Boxes that are known to hold the segments, by label value; None finds them.
    cancel
        Looked at between steps; the watershed itself is one of them.

    Raises
    ------
    UsageError
        Where fewer than two segments have seeds: one alone would fill the box.

    References
    ----------
    Beucher and Meyer, in Mathematical Morphology in Image Processing, 1993.
    """
    from skimage.segmentation import watershed

    found = kept_boxes(labels, values, boxes)
    if len(found) < 2:
        raise UsageError(
            f"seeds of {len(found)} segment{'s' * (len(found) != 1)} can't compete: draw on at least two, such as an "
            "organ and what surrounds it"
        )
    area = union_of(found.values()).pad(reach(geometry, margin_mm)).clip(labels.shape)
    old = labels[area.slices]
    seeds = np.where(np.isin(old, list(found)), old, 0).astype(np.int32)
    cancel.check()
    edges = edge_strength(voxels[area.slices], geometry.spacing, smooth_mm)
    cancel.check()
    grown = watershed(edges, seeds, mask=(old == 0) | (seeds != 0)).astype(labels.dtype)
    if background is not None:
        grown[grown == background] = 0
    return Relabelled(area, np.where(old != 0, old, grown))


def edge_strength(grey: NDArray[Any], spacing: Iterable[float], smooth_mm: float = 0.0) -> NDArray[np.float32]:
    """Return the magnitude of the gradient, intensity per mm along the axes of the grid.

    Parameters
    ----------
    grey
        Of two or three axes. NaN counts as the smallest intensity.
    spacing
        Distance of neighbouring voxels along each axis, mm.
    smooth_mm
        Standard deviation of a Gaussian that is applied first, mm.
    """
    image = np.array(grey, np.float32)
    steps = tuple(spacing)
    missing = ~np.isfinite(image)
    if missing.any():
        image[missing] = 0 if missing.all() else image[~missing].min()
    if smooth_mm > 0:
        image = ndimage.gaussian_filter(image, [smooth_mm / step for step in steps], mode="nearest")
    total = np.zeros(image.shape, np.float32)
    for axis, step in enumerate(steps):
        if image.shape[axis] > 1:
            total += np.gradient(image, np.float32(step), axis=axis) ** 2
    return np.sqrt(total)


def _range(
    voxels: NDArray[Any], seed: tuple[int, int, int], limits: Box, intensities: Tolerance | Between
) -> tuple[float, float]:
    level = _intensity(voxels, seed, limits)
    match intensities:
        case Tolerance(amount=amount):
            low, high = level - amount, level + amount
        case Between(low=low, high=high):
            pass
    if not low <= level <= high:
        raise UsageError(
            f"the intensity {level:g} of voxel {seed} does not lie between {low:g} and {high:g}: "
            "click on a voxel that does, or widen the range"
        )
    return low, high


def _intensity(voxels: NDArray[Any], seed: tuple[int, int, int], limits: Box) -> float:
    if not all(a <= i < b for a, i, b in zip(limits.start, seed, limits.stop, strict=True)):
        raise UsageError(f"voxel {seed} lies outside of the slices that are searched: click on the image")
    level = float(voxels[seed])
    if np.isnan(level):
        raise UsageError(f"voxel {seed} has no intensity: click on another one")
    return level


def _widened(area: Box, region: Box, limits: Box) -> Box:
    """Return a box that is twice as wide on the sides that a region reaches, within limits."""
    low = [a - (b - a) * (r == a) for a, b, r in zip(area.start, area.stop, region.start, strict=True)]
    high = [b + (b - a) * (r == b) for a, b, r in zip(area.start, area.stop, region.stop, strict=True)]
    return Box.of(low, high).intersect(limits)
