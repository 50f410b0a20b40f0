"""Pairs of neighbouring voxels along the axes of a grid: where they lie and what it costs to part them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

#: Iterations of a solver between two looks at its cancel token.
CHECK_EVERY = 10


def sides(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the index of the lower and of the upper voxel of every pair along ``axis`` of (z, y, x)."""
    low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
    high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
    return low, high


def pair_weights(
    image: FloatArray, spacing: tuple[float, float, float], power: int, weigh: Callable[[FloatArray], FloatArray]
) -> list[FloatArray]:
    """Return a weight for every pair of neighbours, one array per axis (z, y, x), one shorter along its axis.

    Parameters
    ----------
    image
        Grey values (z, y, x).
    spacing
        Distance between neighbours (z, y, x), mm.
    power
        A pair that lies closer than the geometric mean of the spacings weighs more by this power of the ratio.
    weigh
        From the differences of grey values to weights.
    """
    mean = float(np.prod(spacing)) ** (1 / 3)
    scales = [np.float32((mean / step) ** power) for step in spacing]
    return [scales[axis] * weigh(np.diff(image, axis=axis)) for axis in range(3)]
