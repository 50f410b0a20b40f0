"""From blocks to voxels: sharpen the boundary of a coarse mask along the image.

A guided filter (He, Sun and Tang, IEEE TPAMI 35(6), 2013) fitted on the working grid and evaluated in voxels, only in
the blocks that the boundary passes through.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.interactive.neighbours import BoolArray, FloatArray
from napari_volseg.interactive.views import View

_WINDOW = 5
#: Variance of the guide, in squared noise units, below which its differences are ignored.
_FLAT = 4.0


def guide_lines(image: FloatArray, inside: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return slope and offset (z, y, x) of the local line from grey value to membership."""
    membership = inside.astype(np.float32)
    mean, share = _mean(image), _mean(membership)
    variance = np.maximum(_mean(image * image) - mean * mean, 0)
    slope = (_mean(image * membership) - mean * share) / (variance + np.float32(_FLAT))
    return _mean(slope), _mean(share - slope * mean)


def refined(view: View, inside: BoolArray) -> BoolArray:
    """Return a mask (z, y, x) of the voxels of the view's box whose boundary follows the image.

    ``inside`` is a mask of the view's blocks.
    """
    grid = view.grid
    mask = grid.expand(inside).copy()
    band = ndimage.binary_dilation(inside) & ~ndimage.binary_erosion(inside, border_value=1)
    where = np.nonzero(grid.expand(band))
    slope, offset = guide_lines(view.image, inside)
    at = [(w + 0.5) / f - 0.5 for w, f in zip(where, grid.factors, strict=True)]
    rise, base = (ndimage.map_coordinates(c, at, order=1, mode="nearest") for c in (slope, offset))
    mask[where] = rise * view.scale.apply(view.volume.voxels[grid.box.slices][where]) + base > 0.5
    return mask


def _mean(array: NDArray[Any]) -> FloatArray:
    return np.asarray(ndimage.uniform_filter(array, _WINDOW, mode="nearest"))
