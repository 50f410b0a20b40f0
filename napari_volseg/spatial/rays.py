"""The voxels along a straight line through a volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_volseg.core import Geometry

#: Samples per voxel along the axis that the line runs along most.
_DENSE = 2


def voxels_along(geometry: Geometry, point: ArrayLike, direction: ArrayLike) -> NDArray[np.int64]:
    """Return the voxels (n, 3) of a grid that a line meets, in its direction; none where it misses the grid.

    Parameters
    ----------
    geometry
        The grid.
    point, direction
        Patient (x, y, z), mm, LPS, of a point on the line, and where the line leads to, of any length but 0.
    """
    start = geometry.to_index(point)
    step = geometry.inverse[:3, :3] @ np.asarray(direction, float)
    step /= np.abs(step).max()
    enter, leave = _within(start, step, np.asarray(geometry.shape))
    if not enter < leave:
        return np.empty((0, 3), np.int64)
    samples = np.linspace(enter, leave, int(np.ceil((leave - enter) * _DENSE)) + 1)
    places = np.round(start + samples[:, None] * step).astype(np.int64)
    places = places[((places >= 0) & (places < geometry.shape)).all(1)]
    new = np.r_[True, (np.diff(places, axis=0) != 0).any(1)] if len(places) else np.empty(0, bool)
    return places[new]


def _within(start: NDArray[np.float64], step: NDArray[np.float64], shape: NDArray[np.int64]) -> tuple[float, float]:
    """Return from where to where, in steps, a line is within the grid; the first is not below the second outside."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(-0.5 - start) / step, (shape - 0.5 - start) / step])
    inside = (start >= -0.5) & (start <= shape - 0.5)
    still = step == 0
    ends = np.where(still, np.where(inside, [[-np.inf], [np.inf]], [[np.inf], [-np.inf]]), np.sort(ends, axis=0))
    return float(ends[0].max()), float(ends[1].min())
