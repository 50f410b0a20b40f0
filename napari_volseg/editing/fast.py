"""Connected components and distances by the fastest library that is installed, with the same result by SciPy."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Connectivity = Literal[6, 26]


def components(mask: NDArray[np.bool_], connectivity: Connectivity = 6) -> tuple[NDArray[Any], int]:
    """Return the connected components of a mask (z, y, x) and how many there are.

    Voxels of component i carry i; in which order they are numbered is not defined. ``connectivity`` is 6 where
    voxels belong together by a common face, 26 where an edge or corner is enough.
    """
    if mask.size and find_spec("cc3d") is not None:
        import cc3d

        found, count = cc3d.connected_components(mask, connectivity=connectivity, return_N=True, binary_image=True)
        return found, int(count)
    found, count = ndimage.label(mask, ndimage.generate_binary_structure(3, 1 if connectivity == 6 else 3))
    return found, int(count)


def plane_components(mask: NDArray[np.bool_]) -> tuple[NDArray[Any], int]:
    """Return the components of a mask of one slice (rows, columns) that are connected through edges, and how many."""
    if mask.size and find_spec("cc3d") is not None:
        import cc3d

        found, count = cc3d.connected_components(mask, connectivity=4, return_N=True, binary_image=True)
        return found, int(count)
    found, count = ndimage.label(mask)
    return found, int(count)


def distance_inside(mask: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.floating[Any]]:
    """Return how far each voxel of a mask is from the nearest voxel outside of it, centre to centre, mm.

    What lies beyond the array is not looked at. 0 outside of the mask; infinite where all voxels are inside.

    Parameters
    ----------
    mask
        Of two or three axes.
    spacing
        Distance of neighbouring voxels along each axis, mm.
    """
    if mask.all():
        return np.full(mask.shape, np.inf, np.float32)
    if find_spec("edt") is not None:
        import edt

        return edt.edt(np.ascontiguousarray(mask), anisotropy=spacing, black_border=False, parallel=1)
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing), np.float32)


def signed_distance(mask: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.float32]:
    """Return the distance to the nearest voxel of the other kind, mm: positive inside a mask, negative outside.

    What lies beyond the array is outside; where nothing is inside, the distance is endless. Parameters as in
    ``distance_inside``.
    """
    padded = np.pad(mask, 1)
    inner = (slice(1, -1),) * mask.ndim
    if find_spec("edt") is not None and mask.any():
        import edt

        # Of two labels, each is as far from the other as it would be from background.
        both = edt.edt(padded.view(np.uint8) + np.uint8(1), anisotropy=spacing, black_border=False, parallel=1)[inner]
        return np.where(mask, both, -both)
    return np.asarray(distance_inside(padded, spacing) - distance_inside(~padded, spacing), np.float32)[inner]
