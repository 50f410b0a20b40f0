"""What a mask must satisfy before it is shown: prompts honoured, one object, no holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import Box
from napari_volseg.interactive.seeds import IndexArray

BoolArray = NDArray[np.bool_]


def connected_to(mask: BoolArray, voxels: IndexArray) -> BoolArray:
    """Return the face-connected components of ``mask`` (z, y, x) that hold one of ``voxels`` (n, 3)."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return np.zeros(mask.shape, bool)
    kept = np.zeros(count + 1, bool)
    kept[labels[tuple(voxels.T)]] = True
    kept[0] = False
    return np.asarray(kept[labels])


def fill_holes(mask: BoolArray, open_voxels: IndexArray) -> BoolArray:
    """Return ``mask`` with its cavities filled, save those that hold one of ``open_voxels`` (n, 3)."""
    box = Box.of_mask(mask)
    if box is None:
        return mask
    out = mask.copy()
    inner = out[box.slices]
    holes = ndimage.binary_fill_holes(inner) & ~inner
    local = open_voxels - np.asarray(box.start)
    local = local[((local >= 0) & (local < np.asarray(box.shape))).all(1)]
    inner |= holes & ~connected_to(holes, local)
    return out
