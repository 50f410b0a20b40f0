"""Moving voxels from one grid to another through patient space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import Geometry, UsageError


def regrid(geometry: Geometry, spacing: Sequence[float]) -> Geometry:
    """Return a grid with exactly this spacing over the same field of view.

    Axes keep their directions, shear included, and the centre of the field of view stays where it is; the
    extent changes by less than half a new voxel at each end.

    Parameters
    ----------
    geometry
        The grid to cover.
    spacing
        Voxel spacing (z, y, x), mm, all positive.
    """
    new = np.asarray(spacing, float)
    if new.shape != (3,) or not np.isfinite(new).all() or new.min() <= 0:
        raise UsageError(f"spacing {tuple(spacing)} is not three positive numbers in mm: give (z, y, x)")
    old = np.asarray(geometry.spacing)
    sizes = np.maximum(1, np.round(np.asarray(geometry.shape) * old / new)).astype(int)
    matrix = geometry.matrix.copy()
    matrix[:3, :3] = geometry.matrix[:3, :3] * (new / old)
    center = geometry.to_patient((np.asarray(geometry.shape) - 1) / 2)
    matrix[:3, 3] = center - matrix[:3, :3] @ ((sizes - 1) / 2)
    return Geometry((int(sizes[0]), int(sizes[1]), int(sizes[2])), matrix, geometry.frame_of_reference_uid)


def resample(
    array: NDArray[Any], source: Geometry, target: Geometry, order: int = 1, cval: float | None = None
) -> NDArray[Any]:
    """Return ``array`` as seen on another grid.

    Parameters
    ----------
    array
        Voxels (z, y, x) on ``source``.
    source, target
        Grid of the array and grid of the result.
    order
        Degree of the spline; 0 (nearest voxel) for labels and masks.
    cval
        Value outside the source grid; None continues its border voxels.

    Returns
    -------
    NDArray
        (z, y, x) on ``target``: the type of ``array`` for order 0, float32 otherwise.

    Raises
    ------
    UsageError
        Where the array does not fill its source grid.
    """
    if array.shape != source.shape:
        raise UsageError(f"an array of shape {array.shape} does not fill a source grid of shape {source.shape}")
    mapping = source.inverse @ target.matrix
    out = np.empty(target.shape, array.dtype if order == 0 else np.float32)
    linear = _without_rounding_noise(mapping[:3, :3])
    # scipy takes its separable, much faster path for a vector of factors.
    diagonal = np.count_nonzero(linear) == 3 and np.all(np.diag(linear) != 0)
    ndimage.affine_transform(
        _contents(array),
        np.diag(linear) if diagonal else linear,
        offset=mapping[:3, 3],
        output=_contents(out),
        output_shape=target.shape,
        order=order,
        mode="nearest" if cval is None else "grid-constant",
        cval=0.0 if cval is None else cval,
    )
    return out


def covered(source: Geometry, target: Geometry) -> NDArray[np.bool_]:
    """Return which voxels (z, y, x) of ``target`` have their centre within a voxel of ``source``."""
    mapping = source.inverse @ target.matrix
    z, y, x = np.ogrid[tuple(slice(n) for n in target.shape)]
    inside = np.ones(target.shape, bool)
    for (dz, dy, dx, start), size in zip(mapping[:3], source.shape, strict=True):
        place = dz * z + dy * y + (dx * x + start)
        inside &= (place >= -0.5) & (place < size - 0.5)
    return inside


def _without_rounding_noise(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.abs(linear) < 1e-12 * np.abs(linear).max(), 0.0, linear)


def _contents(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that scipy accepts: it can't interpolate booleans."""
    return array.view(np.uint8) if array.dtype == np.bool_ else array
