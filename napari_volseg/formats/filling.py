"""Filling the display-ordered array of a volume slice by slice in stored order, without a second copy."""

from __future__ import annotations

import math
import mmap
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_volseg.core import Geometry, RefusedError, Reorientation
from napari_volseg.spatial import apply_reorientation, invert_reorientation, reorient_geometry

#: Bytes from which on NumPy asks for huge pages.
_LARGE = 1 << 22
#: Memory of this process alone; Windows has no other.
_OWN = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)


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
        shown = _untouched(shape, np.dtype(dtype))
    except (MemoryError, OSError) as error:
        needed = float(np.prod(shape, dtype=float)) * np.dtype(dtype).itemsize / 2**30
        raise RefusedError(
            f"a volume of {shape} voxels needs {needed:.1f} GiB, more than this machine can give: "
            "close other programs or crop the image",
            "memory",
        ) from error
    return shown, apply_reorientation(shown, invert_reorientation(reorientation))


def _untouched(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array of no particular content.

    For large ones NumPy asks for huge pages, and where memory is fragmented the kernel takes longer to find them
    than the file takes to be read; pages of the usual size always come at the same price.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < _LARGE:
        return np.empty(shape, dtype)
    memory = mmap.mmap(-1, size, **({"flags": _OWN} if _OWN else {}))
    return np.frombuffer(memory, dtype).reshape(shape)
