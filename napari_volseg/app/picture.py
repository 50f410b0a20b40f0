"""A picture of a segmented volume without a graphics card: three planes through the segments, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import Segmentation, Volume, Window
from napari_volseg.spatial import PLANES, plane_axis

#: Height of the picture, pixels.
HEIGHT = 420
#: Weight of a segment's colour over the grey value.
OPACITY = 0.45
_GAP = 6


def render_planes(volume: Volume, segmentation: Segmentation, window: Window) -> NDArray[np.uint8]:
    """Return an RGB picture (rows, columns, 3) of the axial, coronal and sagittal plane, side by side.

    The planes pass through the centre of all segments, or of the volume where there are none, with anterior
    or superior at the top and the patient's right on the left, each with square pixels in mm.
    """
    labels = segmentation.labels
    filled = np.argwhere(labels > 0) if labels.any() else np.array([[(n - 1) / 2 for n in labels.shape]])
    center = np.round(filled.mean(0)).astype(int)
    tiles = [_plane(volume, segmentation, window, plane, center) for plane in PLANES]
    gap = np.zeros((HEIGHT, _GAP, 3), np.uint8)
    return np.concatenate([tiles[0], gap, tiles[1], gap, tiles[2]], axis=1)


def save_picture(path: Path, volume: Volume, segmentation: Segmentation, window: Window) -> Path:
    """Write ``render_planes`` as a PNG and return its path."""
    from skimage.io import imsave

    imsave(path, render_planes(volume, segmentation, window), check_contrast=False)
    return path


def _plane(
    volume: Volume, segmentation: Segmentation, window: Window, plane: str, center: NDArray[np.int_]
) -> NDArray[np.uint8]:
    axis = plane_axis(volume.geometry, plane)
    grey = np.take(volume.voxels, center[axis], axis).astype(np.float32)
    labels = np.take(segmentation.labels, center[axis], axis)
    if plane != "axial":
        grey, labels = grey[::-1], labels[::-1]
    rows, columns = (s for i, s in enumerate(volume.geometry.spacing) if i != axis)
    factor = HEIGHT / (grey.shape[0] * rows)
    zoom = (HEIGHT / grey.shape[0], columns * factor)
    low, high = window.limits
    shown = np.clip((ndimage.zoom(grey, zoom, order=1) - low) / (high - low), 0, 1)
    return _blend(shown, ndimage.zoom(labels, zoom, order=0), segmentation)


def _blend(shown: NDArray[np.float32], labels: NDArray[np.uint16], segmentation: Segmentation) -> NDArray[np.uint8]:
    colors = np.zeros((int(labels.max(initial=0)) + 1, 3), np.float32)
    for segment in segmentation.table:
        if segment.value < len(colors):
            colors[segment.value] = segment.color
    picture = np.repeat(shown[..., None] * 255, 3, axis=2)
    inside = labels > 0
    picture[inside] = (1 - OPACITY) * picture[inside] + OPACITY * colors[labels[inside]]
    return np.round(picture).astype(np.uint8)
