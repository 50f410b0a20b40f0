"""What a mask must satisfy before it is shown: prompts honoured, one object, no holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import Box, BoxMask
from napari_volseg.interactive.seeds import IndexArray, box_indices

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
    """Return ``mask`` (z, y, x) with its cavities filled, save those that hold one of ``open_voxels`` (n, 3)."""
    box = Box.of_mask(mask)
    if box is None:
        return mask
    box = box.pad(1).clip(mask.shape)
    outside = ~mask[box.slices]
    labels, count = ndimage.label(outside)
    is_hole = np.ones(count + 1, bool)
    is_hole[0] = False
    for axis in range(3):
        faces = np.moveaxis(labels, axis, 0)
        is_hole[faces[0]] = False
        is_hole[faces[-1]] = False
    local = box_indices(open_voxels, box)
    is_hole[labels[tuple(local.T)]] = False
    out = mask.copy()
    out[box.slices] |= is_hole[labels]
    return out


def placed(mask: BoolArray, box: Box) -> BoxMask:
    """Return a mask of the voxels of ``box`` cut to its true voxels, in voxels of the volume."""
    tight = BoxMask.of(mask)
    start, stop = np.add(tight.box.start, box.start), np.add(tight.box.stop, box.start)
    return BoxMask(Box.of(start.tolist(), stop.tolist()), tight.mask)
