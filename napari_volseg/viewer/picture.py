"""A slice as it lies on the canvas, without napari: what can be painted before a layer is there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_volseg.app.wishes import Plane
from napari_volseg.core import Volume, Window
from napari_volseg.viewer.planes import LAYOUTS


def picture(volume: Volume, plane: Plane, index: int, window: Window) -> NDArray[np.uint8]:
    """Return the grey levels of a slice of a volume on its display grid.

    Parameters
    ----------
    volume
        (z, y, x).
    plane
        Which way the slice lies.
    index
        Its number along the plane's normal.
    window
        Values shown as black and white.

    Returns
    -------
    NDArray
        (rows, columns), the first one at the top left of the canvas.
    """
    layout = LAYOUTS[plane]
    seen = np.take(volume.voxels, index, layout.normal)
    low, high = window.limits
    grey = np.clip((seen.astype(np.float32) - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    upright = grey[::-1] if layout.vertical == "up" else grey
    return np.ascontiguousarray(upright if layout.horizontal == "right" else upright[:, ::-1])


def picture_size(volume: Volume, plane: Plane) -> tuple[float, float]:
    """Return height and width of a plane's slices, mm."""
    _, down, across = LAYOUTS[plane].order
    shape, spacing = volume.geometry.shape, volume.geometry.spacing
    return shape[down] * spacing[down], shape[across] * spacing[across]
