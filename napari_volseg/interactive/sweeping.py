"""From slice to slice by a network that sees one at a time; a cut without weights has a say in where to stop.

On the first slice a person has drawn a box. The box around what was found there, a little wider, asks for the next
slice, and so on, for as long as four witnesses agree that it is still the same object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_volseg.core import Box, CancelToken
from napari_volseg.interactive.appearance import Look
from napari_volseg.interactive.cut import edge_weights, relaxed_cut
from napari_volseg.interactive.neighbours import BoolArray, FloatArray

#: From one slice to the next an area that is sure shrinks and grows no more than this.
_SHRINKS, _GROWS = 0.5, 1.5
#: Below this predicted overlap the network does not believe itself.
_LEAST_QUALITY = 0.5
#: Below this Dice coefficient the cut has found something else.
_LEAST_AGREEMENT = 0.6
#: How much wider than the outline before the box for the next slice is: a share of its size, and so many mm at least.
_WIDER, _WIDER_MM = 0.05, 2.0
#: What the cut sees around a box, mm, and where its surroundings begin, voxels.
_AROUND_MM = 12.0
_GAP = 2
#: Weight of the cut's surface, and contrast at which it costs half, in noise units.
_STIFFNESS, _CONTRAST = 1.5, 2.0
#: Distance from the outline before at which likeness to it counts for less, mm.
_SPREAD_MM = 4.0
_HARD = np.float32(1e3)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a network sees on a slice.

    Parameters
    ----------
    mask
        Boolean (rows, columns) of the whole slice.
    quality
        Overlap with the truth that it expects, 0 to 1.
    """

    mask: BoolArray
    quality: float


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """A volume as slices of one plane, all in (slice, row, column).

    Parameters
    ----------
    shape
        Number of slices, rows and columns.
    spacing
        Distance between slices, rows and columns, mm.
    look
        Asks the network what a box on one slice holds.
    shades
        Returns the grey values of a box, in the same noise units for all.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    look: Callable[[Box], Seen]
    shades: Callable[[Box], FloatArray]


def _nobody(_: dict[int, BoolArray]) -> None:
    """Tell nobody."""


def swept(
    stack: Stack, box: Box, reach: range, cancel: CancelToken, told: Callable[[dict[int, BoolArray]], None] = _nobody
) -> dict[int, BoolArray]:
    """Return what a box holds on its slice and on those around it, a mask (rows, columns) for each slice.

    Parameters
    ----------
    stack
        The slices.
    box
        The box that was drawn, one slice thick.
    reach
        Slices that may be filled.
    cancel
        Looked at before every slice.
    told
        Given each slice with its mask once it is found.
    """
    key = box.start[0]
    found = {key: _within(stack.look(box).mask, box)}
    told(dict(found))
    if not found[key].any():
        return found
    tissue = stack.shades(box)[0][found[key][box.slices[1:]]]
    for way in (1, -1):
        index = key + way
        while index in reach:
            cancel.check()
            now = _next(stack, tissue, found[index - way], index, way, cancel)
            if now is None:
                break
            found[index] = now
            told({index: now})
            index += way
    return found


def _next(
    stack: Stack, tissue: FloatArray, before: BoolArray, index: int, way: int, cancel: CancelToken
) -> BoolArray | None:
    """Return the outline on a slice, given that on the slice before it; None where it is not sure."""
    box = wider(before, index, stack)
    seen = stack.look(box)
    now = _touching(_within(seen.mask, box), before)
    if seen.quality < _LEAST_QUALITY or not _SHRINKS <= now.sum() / before.sum() <= _GROWS:
        return None
    cut = _word_of_cut(stack, tissue, before, box, way, cancel)
    return now if agreement(now, cut) >= _LEAST_AGREEMENT else None


def _word_of_cut(
    stack: Stack, tissue: FloatArray, before: BoolArray, box: Box, way: int, cancel: CancelToken
) -> BoolArray:
    """Return what the cut finds in a box, a mask (rows, columns) of the slice."""
    around = box.pad([0, *(int(np.ceil(_AROUND_MM / s)) for s in stack.spacing[1:])]).clip(stack.shape)
    both = around.union(around.shift((-way, 0, 0)))
    part = around.slices[1:]
    out = np.zeros(before.shape, bool)
    out[part] = continued(stack.shades(both)[::way], before[part], tissue, stack.spacing, cancel)
    return _within(out, box)


def continued(
    shades: FloatArray,
    before: BoolArray,
    tissue: FloatArray,
    spacing: tuple[float, float, float],
    cancel: CancelToken | None = None,
) -> BoolArray:
    """Return how a cut without weights continues an outline from a slice to the next one.

    Parameters
    ----------
    shades
        Grey values (2, rows, columns) of both slices, in noise units, the known one first.
    before
        The outline (rows, columns) on the known slice, not empty.
    tissue
        Grey values (n,) of the object where a person has pointed at it, so that it can't become another one in
        small steps.
    spacing
        Distance between slices, rows and columns, mm.
    """
    outside = ~ndimage.binary_dilation(before, iterations=_GAP)
    look = Look.of(tissue).against(shades[0][outside])
    away = ndimage.distance_transform_edt(~before, sampling=spacing[1:]).astype(np.float32)
    odds = look.odds(shades, np.broadcast_to(away, shades.shape), _SPREAD_MM)
    odds[0] = np.where(before, _HARD, -_HARD)
    weights = [np.float32(_STIFFNESS) * w for w in edge_weights(shades, spacing, _CONTRAST)]
    return np.asarray(relaxed_cut(odds, weights, cancel=cancel)[1] > 0.5)


def agreement(one: BoolArray, other: BoolArray) -> float:
    """Return the Dice coefficient of two masks, 0 where both are empty."""
    return 2 * float((one & other).sum()) / max(float(one.sum() + other.sum()), 1.0)


def wider(outline: BoolArray, index: int, stack: Stack) -> Box:
    """Return the box around an outline (rows, columns), a little wider, on slice ``index``."""
    tight = Box.of_mask(outline[None])
    assert tight is not None, "an empty outline leads nowhere"
    margins = (max(_WIDER * n, _WIDER_MM / s) for n, s in zip(tight.shape[1:], stack.spacing[1:], strict=True))
    return tight.pad([0, *(int(np.ceil(m)) for m in margins)]).shift((index, 0, 0)).clip(stack.shape)


def _within(mask: BoolArray, box: Box) -> BoolArray:
    """Return the part of a mask (rows, columns) that lies in a box."""
    out = np.zeros(mask.shape, bool)
    out[box.slices[1:]] = mask[box.slices[1:]]
    return out


def _touching(mask: BoolArray, before: BoolArray) -> BoolArray:
    """Return the parts of a mask (rows, columns) that overlap with the outline before."""
    labels, count = ndimage.label(mask)
    kept = np.zeros(count + 1, bool)
    kept[labels[before]] = True
    kept[0] = False
    return np.asarray(kept[labels])
