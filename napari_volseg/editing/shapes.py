"""Where segments lie, and how a new shape of a segment becomes labels.

The operations that change one segment return its new shape, a ``BoxMask``. ``EditSession.apply`` adds such a shape
to a segment; ``reshaped`` turns it into a box of labels in which the segment also loses what the shape leaves out,
for ``EditSession.plan_replace``.

Operations take the box of the segment where the caller keeps one, and then never look at the rest of the volume.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import NEVER, Box, BoxMask, CancelToken
from napari_volseg.editing.delta import NO_BOX
from napari_volseg.editing.rules import Everywhere, OverwriteRule, either_in, narrow

#: Slices that are looked at before it is asked whether to go on.
_AT_ONCE = 16

#: The shape of a segment without voxels.
NOTHING = BoxMask(NO_BOX, np.zeros((0, 0, 0), bool))


class Relabelled(NamedTuple):
    """New labels of a box, as ``EditSession.plan_replace`` takes them.

    Parameters
    ----------
    box
        Where, voxels (z, y, x).
    labels
        Label values of the box's shape.
    """

    box: Box
    labels: NDArray[Any]


def find_box(labels: NDArray[Any], value: int, within: Box | None = None) -> Box | None:
    """Return the tight box of a label value, None where no voxel carries it.

    The array is read once, a slice at a time, and never copied.

    Parameters
    ----------
    labels
        (z, y, x).
    within
        A box that is known to hold all its voxels; None looks everywhere.
    """
    area = Box.whole(labels.shape) if within is None else within.clip(labels.shape)
    view = labels[area.slices]
    planes = np.zeros(view.shape[0], bool)
    rows, columns = np.zeros(view.shape[1], bool), np.zeros(view.shape[2], bool)
    equal = np.empty(view.shape[1:], bool)
    for z, plane in enumerate(view):
        np.equal(plane, value, out=equal)
        if equal.any():
            planes[z] = True
            rows |= equal.any(axis=1)
            columns |= equal.any(axis=0)
    if not planes.any():
        return None
    spans = [np.flatnonzero(hits)[[0, -1]] for hits in (planes, rows, columns)]
    return Box.of([s[0] for s in spans], [s[1] + 1 for s in spans]).shift(area.start)


def find_boxes(labels: NDArray[Any], within: Box | None = None) -> dict[int, Box]:
    """Return the tight box of every label value but 0 in labels (z, y, x), in the order of the values."""
    area = Box.whole(labels.shape) if within is None else within.clip(labels.shape)
    boxes: dict[int, Box] = {}
    for z, plane in enumerate(labels[area.slices], area.start[0]):
        for value, rows, columns in _on_plane(plane):
            box = Box((z, rows.start, columns.start), (z + 1, rows.stop, columns.stop))
            box = box.shift((0, area.start[1], area.start[2]))
            boxes[value] = boxes[value].union(box) if value in boxes else box
    return dict(sorted(boxes.items()))


def _on_plane(plane: NDArray[Any]) -> Iterator[tuple[int, slice, slice]]:
    """Yield the label values of a slice but 0, with the rows and columns of each; empty ones cost next to nothing."""
    used = np.flatnonzero(plane.max(axis=1, initial=0))
    if used.size:
        top = int(used[0])
        for value, spans in enumerate(ndimage.find_objects(plane[top : used[-1] + 1]), 1):
            if spans is not None:
                rows, columns = spans
                yield value, slice(rows.start + top, rows.stop + top), columns


def shape_of(labels: NDArray[Any], value: int, box: Box | None = None) -> BoxMask:
    """Return the shape of a segment in its tight box; of size 0 where no voxel carries the value.

    Parameters
    ----------
    labels
        (z, y, x).
    box
        A box that is known to hold the segment; None finds it.
    """
    tight = find_box(labels, value, box) or NO_BOX
    return BoxMask(tight, labels[tight.slices] == value)


def tightened(box: Box, mask: NDArray[np.bool_]) -> BoxMask:
    """Return a mask of a box's shape cut to the tight box of its true voxels."""
    tight = Box.of_mask(mask)
    if tight is None:
        return NOTHING
    return BoxMask(tight.shift(box.start), np.ascontiguousarray(mask[tight.slices]))


def reshaped(
    labels: NDArray[Any],
    value: int,
    shape: BoxMask,
    *,
    rule: OverwriteRule | None = None,
    box: Box | None = None,
) -> Relabelled:
    """Return labels in which a segment has a new shape.

    Parameters
    ----------
    labels
        (z, y, x).
    value
        Label value of the segment; what it loses becomes background.
    shape
        Its new shape; what lies outside the volume is left out.
    rule
        Which voxels it may gain; None lets it overwrite every other segment.
    box
        A box that is known to hold the segment as it is; None finds it.
    """
    old = find_box(labels, value, box)
    area = shape.box.clip(labels.shape)
    if old is not None:
        area = area.union(old) if area.size else old
    current = labels[area.slices]
    wanted = shape.within(area)
    gained = narrow(wanted & (current != value), rule or Everywhere(), current, area)
    new = current.copy()
    new[(current == value) & ~wanted] = 0
    new[gained] = value
    return Relabelled(area, new)


def restrained(
    labels: NDArray[Any],
    wanted: Relabelled,
    *,
    gain: OverwriteRule,
    lose: OverwriteRule,
    locked: tuple[int, ...] = (),
    cancel: CancelToken = NEVER,
) -> Relabelled:
    """Return those changes of a box that rules and locks allow, in their tight box; of size 0 where there are none.

    Parameters
    ----------
    labels
        (z, y, x), as they are.
    wanted
        As they are to become.
    gain
        Which voxels a segment may get.
    lose
        Which voxels may become background.
    locked
        Label values that neither lose nor gain voxels.
    cancel
        Looked at between slices.
    """
    box, old = wanted.box, labels[wanted.box.slices]
    allowed = np.zeros(box.shape, bool)
    for part, here in _in_pieces(box):
        cancel.check()
        before, after = old[part], wanted.labels[part]
        changed = before != after
        if locked:
            changed &= ~either_in(locked, before, after)
        gained = after != 0
        allowed[part] = narrow(changed & gained, gain, before, here) | narrow(changed & ~gained, lose, before, here)
    hit = tightened(box, allowed)
    inner = hit.box.relative_to(box) if hit.mask.size else NO_BOX
    return Relabelled(hit.box, np.where(hit.mask, wanted.labels[inner.slices], old[inner.slices]))


def _in_pieces(box: Box) -> Iterator[tuple[slice, Box]]:
    """Yield a few slices of a box at a time: their place in it, and their own box."""
    for k in range(0, box.shape[0], _AT_ONCE):
        stop = min(k + _AT_ONCE, box.shape[0])
        first = box.start[0]
        yield slice(k, stop), Box.of((first + k, *box.start[1:]), (first + stop, *box.stop[1:]))


def kept_boxes(labels: NDArray[Any], values: Iterable[int] | None, boxes: Mapping[int, Box] | None) -> dict[int, Box]:
    """Return the boxes of several segments: those that the caller keeps, else found in one pass."""
    known = find_boxes(labels) if boxes is None else boxes
    chosen = sorted(known) if values is None else sorted(set(values))
    tight = {value: find_box(labels, value, known[value]) for value in chosen if value in known}
    return {value: box for value, box in tight.items() if box is not None}


def union_of(boxes: Iterable[Box]) -> Box:
    """Return the smallest box that holds all of some boxes; ``NO_BOX`` where there are none."""
    whole: Box | None = None
    for box in boxes:
        whole = box if whole is None else whole.union(box)
    return whole or NO_BOX
