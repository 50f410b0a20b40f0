"""A simulated user who clicks where the segment is most wrong.

The rule is that of the CVPR 2025 challenge "Foundation models for interactive 3D biomedical image segmentation", with
distances in mm instead of voxels: of the voxels where prediction and reference differ, take the largest 26-connected
component and click at its deepest point.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import Box, Geometry, PointPrompt

_CORNERS_TOO = np.ones((3, 3, 3), bool)


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the 26-connected component (z, y, x) with the most voxels; the first in scan order among equals."""
    labels, count = ndimage.label(mask, structure=_CORNERS_TOO)
    if count == 0:
        return np.zeros(mask.shape, bool)
    return np.asarray(labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])))


def deepest_voxel(
    component: NDArray[np.bool_], spacing: tuple[float, float, float], random: np.random.Generator
) -> tuple[int, int, int]:
    """Return a voxel (z, y, x) of a non-empty mask at the largest distance (mm) from outside.

    What lies beyond the array counts as outside. Ties are drawn from ``random``: for a component without interior
    that is a uniform choice among its voxels.
    """
    depth = ndimage.distance_transform_edt(np.pad(component, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    candidates = np.argwhere(depth >= depth.max() - 1e-6)
    z, y, x = candidates[random.integers(len(candidates))]
    return int(z), int(y), int(x)


def next_click(
    prediction: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    geometry: Geometry,
    random: np.random.Generator,
) -> PointPrompt | None:
    """Return the next click of the simulated user, or None where prediction and reference agree everywhere.

    Parameters
    ----------
    prediction, reference
        Boolean (z, y, x) on ``geometry``.
    random
        Breaks ties; seed it for a reproducible user.
    """
    error = prediction ^ reference
    extent = Box.of_mask(error)
    if extent is None:
        return None
    local = deepest_voxel(largest_component(error[extent.slices]), geometry.spacing, random)
    index = tuple(int(i + o) for i, o in zip(local, extent.start, strict=True))
    x, y, z = geometry.to_patient(index)
    return PointPrompt((float(x), float(y), float(z)), bool(reference[index]))
