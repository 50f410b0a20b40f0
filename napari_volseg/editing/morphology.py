"""Growing, shrinking and hollowing a segment by millimetres, and opening and closing it.

A segment is grown by all voxels whose centre lies within a distance of one of its voxels, and shrunk by all that lie
within that distance of a voxel outside of it; distances are those in the patient. What lies beyond the volume is
unknown and takes no part, so that a segment that is cut off by the field of view keeps its cut surface.

All functions take labels (z, y, x) and, as ``box``, a box that is known to hold the segment, where the caller keeps
one. They look at no voxel farther from it than the distance. ``cancel`` is looked at between their steps.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import NEVER, Box, BoxMask, CancelToken, Geometry, UsageError
from napari_volseg.editing.brushes import sphere
from napari_volseg.editing.fast import distance_inside
from napari_volseg.editing.shapes import find_box, shape_of, tightened

Side = Literal["inside", "outside", "both"]

#: Distances in single precision that differ by less, as a share of the radius, are equal.
_ROUNDING = 1e-5


def margin(
    labels: NDArray[Any],
    value: int,
    geometry: Geometry,
    mm: float,
    *,
    box: Box | None = None,
    cancel: CancelToken = NEVER,
) -> BoxMask:
    """Return a segment grown by ``mm`` on all sides, or shrunk where ``mm`` is negative.

    Raises
    ------
    UsageError
        For a distance that is not a finite number.
    """
    if not np.isfinite(mm):
        raise UsageError(f"a margin of {mm} mm can't be drawn: choose a finite distance")
    shape = shape_of(labels, value, box)
    cancel.check()
    return grown(shape, geometry, mm) if mm > 0 else shrunk(shape, geometry, -mm)


def hollow(
    labels: NDArray[Any],
    value: int,
    geometry: Geometry,
    thickness_mm: float,
    side: Side,
    *,
    box: Box | None = None,
    cancel: CancelToken = NEVER,
) -> BoxMask:
    """Return the shell of a segment.

    Parameters
    ----------
    thickness_mm
        How thick the shell is.
    side
        Whether it lies within the segment (``"inside"``), around it (``"outside"``), or half and half.

    Raises
    ------
    UsageError
        For a thickness that is not a positive number.
    """
    refuse_distance(thickness_mm, "a shell")
    shape = shape_of(labels, value, box)
    outer = {"inside": 0.0, "outside": thickness_mm, "both": thickness_mm / 2}[side]
    cancel.check()
    outside = grown(shape, geometry, outer)
    cancel.check()
    core = shrunk(shape, geometry, thickness_mm - outer)
    return tightened(outside.box, outside.mask & ~core.within(outside.box))


def opening(
    labels: NDArray[Any],
    value: int,
    geometry: Geometry,
    radius_mm: float,
    *,
    box: Box | None = None,
    cancel: CancelToken = NEVER,
) -> BoxMask:
    """Return a segment without what a ball of ``radius_mm`` does not fit into: bridges, spikes, specks.

    Raises
    ------
    UsageError
        For a radius that is not a positive number.
    """
    refuse_distance(radius_mm, "an opening")
    return opened(shape_of(labels, value, box), geometry, radius_mm, cancel)


def closing(
    labels: NDArray[Any],
    value: int,
    geometry: Geometry,
    radius_mm: float,
    *,
    box: Box | None = None,
    cancel: CancelToken = NEVER,
) -> BoxMask:
    """Return a segment with the clefts and gaps that a ball of ``radius_mm`` outside of it can't enter.

    Raises
    ------
    UsageError
        For a radius that is not a positive number.
    """
    refuse_distance(radius_mm, "a closing")
    shape = shape_of(labels, value, box)
    cancel.check()
    larger = grown(shape, geometry, radius_mm)
    cancel.check()
    return shrunk(larger, geometry, radius_mm)


def opened(shape: BoxMask, geometry: Geometry, mm: float, cancel: CancelToken = NEVER) -> BoxMask:
    """Return a shape, shrunk and grown again."""
    cancel.check()
    smaller = shrunk(shape, geometry, mm)
    cancel.check()
    return grown(smaller, geometry, mm)


def grown(shape: BoxMask, geometry: Geometry, mm: float) -> BoxMask:
    """Return all voxels of the volume within ``mm`` of a shape."""
    if mm <= 0 or not shape.mask.size:
        return shape
    area = shape.box.pad(reach(geometry, mm)).clip(geometry.shape)
    return tightened(area, _near(shape.within(area), geometry, mm))


def shrunk(shape: BoxMask, geometry: Geometry, mm: float) -> BoxMask:
    """Return the voxels of a shape that are farther than ``mm`` from every voxel of the volume outside of it."""
    if mm <= 0 or not shape.mask.size:
        return shape
    area = shape.box.pad(1).clip(geometry.shape)
    inside = shape.within(area)
    return tightened(area, inside & ~_near(~inside, geometry, mm))


def reach(geometry: Geometry, mm: float) -> tuple[int, ...]:
    """Return how many voxels along (z, y, x) a ball of radius ``mm`` reaches."""
    per_mm = np.linalg.norm(geometry.inverse[:3, :3], axis=1)
    return tuple(int(n) for n in np.ceil(mm * per_mm * (1 + _ROUNDING)))


def refuse_distance(mm: float, what: str) -> None:
    """Refuse a distance that is not a positive number."""
    if not (np.isfinite(mm) and mm > 0):
        raise UsageError(f"{what} of {mm} mm changes nothing: choose a positive distance")


def shape_box(labels: NDArray[Any], value: int, box: Box | None, pad: tuple[int, ...]) -> Box | None:
    """Return the tight box of a segment with ``pad`` voxels (z, y, x) around it, within the volume."""
    tight = find_box(labels, value, box)
    return None if tight is None else tight.pad(pad).clip(labels.shape)


def _near(mask: NDArray[np.bool_], geometry: Geometry, mm: float) -> NDArray[np.bool_]:
    """Return which voxels of an array are within ``mm`` of a true one."""
    if geometry.is_sheared:
        return _touched_by_ball(mask, geometry, mm)
    spacing = tuple(float(s) for s in geometry.spacing)
    return np.asarray(distance_inside(~mask, spacing) <= mm * (1 + _ROUNDING))


def _touched_by_ball(mask: NDArray[np.bool_], geometry: Geometry, mm: float) -> NDArray[np.bool_]:
    """Return what a ball covers whose centre visits each true voxel.

    The distance transform works axis by axis, which a shear does not allow; counting the true voxels of the ball
    around each voxel, as a convolution, needs no right angles.
    """
    from scipy import signal  # takes longer to import than all else that the tools need

    size = tuple(2 * n + 1 for n in reach(geometry, mm))
    center = np.subtract(size, 1) // 2
    ball = sphere(Geometry((size[0], size[1], size[2]), geometry.matrix), center, mm * (1 + _ROUNDING)).expand(size)
    return np.asarray(signal.fftconvolve(mask.astype(float), ball.astype(float), "same") > 0.5)
