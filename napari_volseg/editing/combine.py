"""Segments as sets: union, difference, intersection; relabelling and merging; copies to another slice.

A label array gives each voxel to one segment, so segments of one array have nothing in common. Shapes are worth
combining where they come from elsewhere: from another segmentation, a threshold, or a margin around a segment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, BoxMask, UsageError
from napari_volseg.editing.scopes import OnSlice, scope_box
from napari_volseg.editing.shapes import NOTHING, Relabelled, find_box, kept_boxes, tightened, union_of


def union(a: BoxMask, b: BoxMask) -> BoxMask:
    """Return the voxels of either shape."""
    if not a.mask.any() or not b.mask.any():
        return a if a.mask.any() else b
    box = a.box.union(b.box)
    return tightened(box, a.within(box) | b.within(box))


def subtract(a: BoxMask, b: BoxMask) -> BoxMask:
    """Return the voxels of a shape that are not in another one."""
    return tightened(a.box, a.mask & ~b.within(a.box))


def intersect(a: BoxMask, b: BoxMask) -> BoxMask:
    """Return the voxels that two shapes have in common."""
    box = a.box.intersect(b.box)
    return tightened(box, a.within(box) & b.within(box)) if box.size else NOTHING


def relabel(
    labels: NDArray[Any], new_values: Mapping[int, int], *, boxes: Mapping[int, Box] | None = None
) -> Relabelled:
    """Return labels in which segments carry other values.

    Parameters
    ----------
    labels
        (z, y, x).
    new_values
        Label value to its new one, all exchanged at once; 0 as the new one erases.
    boxes
        Boxes that are known to hold the segments, by label value; None finds them.

    Raises
    ------
    UsageError
        Where background is to get a label value.
    """
    if 0 in new_values:
        raise UsageError("background can't be relabelled: fill or paint it instead")
    whole = union_of(kept_boxes(labels, new_values, boxes).values())
    old = labels[whole.slices]
    new = old.copy()
    for value, other in new_values.items():
        new[old == value] = other
    return Relabelled(whole, new)


def merge(
    labels: NDArray[Any], values: Iterable[int], into: int, *, boxes: Mapping[int, Box] | None = None
) -> Relabelled:
    """Return labels in which all voxels of some segments carry the value ``into``."""
    return relabel(labels, dict.fromkeys(values, into), boxes=boxes)


def copy_slice(
    labels: NDArray[Any], value: int, source: OnSlice, to_index: int, *, box: Box | None = None
) -> BoxMask:
    """Return the outline that a segment has on one slice, laid upon another slice of the same axis.

    Parameters
    ----------
    labels
        (z, y, x).
    source
        The slice to copy from.
    to_index
        The slice to copy to.
    box
        A box that is known to hold the segment; None looks at the whole slice.

    Raises
    ------
    UsageError
        Where one of the slices lies outside the volume, or the segment is not on the first one.
    """
    area = scope_box(source, labels.shape)
    scope_box(OnSlice(source.axis, to_index), labels.shape)
    tight = find_box(labels, value, area if box is None else area.intersect(box))
    if tight is None:
        raise UsageError(
            f"label {value} has no voxel on slice {source.index} along axis {source.axis}: choose one that has"
        )
    by = [0, 0, 0]
    by[source.axis] = to_index - source.index
    return BoxMask(tight.shift(by), np.asarray(labels[tight.slices] == value))
