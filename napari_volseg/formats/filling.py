"""Filling the display-ordered array of a volume slice by slice in stored order, without a second copy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_volseg.core import Geometry, RefusedError, Reorientation
from napari_volseg.spatial import apply_reorientation, invert_reorientation, reorient_geometry


def allocate(
    stored: Geometry, reorientation: Reorientation, dtype: DTypeLike, lead: tuple[int, ...] = ()
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a new array on the display grid and a view of it in stored order.

    Parameters
    ----------
    stored
        The grid as stored (z, y, x).
    reorientation
        From the stored to the display grid.
    dtype
        Type of both.
    lead
        Sizes of axes before (z, y, x), such as time.

    Raises
    ------
    RefusedError
        Where the machine hasn't the memory.
    """
    shape = (*lead, *reorient_geometry(stored, reorientation).shape)
    try:
        shown = np.empty(shape, dtype)
    except MemoryError as error:
        needed = float(np.prod(shape, dtype=float)) * np.dtype(dtype).itemsize / 2**30
        raise RefusedError(
            f"a volume of {shape} voxels needs {needed:.1f} GiB, more than this machine can give: "
            "close other programs or crop the image",
            "memory",
        ) from error
    return shown, apply_reorientation(shown, invert_reorientation(reorientation))
