"""What a segment tool would do, drawn over the case: bright what it would add, striped what it would take away."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_volseg.app.tool_drafts import Draft
from napari_volseg.core import Segmentation, SegmentTable
from napari_volseg.viewer.computed import ComputedVoxels
from napari_volseg.viewer.layers import Rgba, keep_untouched, placement, segment_colormap

PREVIEW = "Preview"

#: Stripes are so many voxels wide.
STRIPE = 2
#: How much of its colour a segment gives up for white where it would gain voxels.
BRIGHTER = 0.55
#: Colour of the stripes over what would be lost.
LOST: Rgba = (0.05, 0.05, 0.05, 1.0)
LOST_CODE = 255
DRAFT_TYPE = np.uint8


def bright(color: tuple[int, int, int]) -> Rgba:
    """Return the colour of what a segment of an RGB colour (0-255) would gain."""
    red, green, blue = (c / 255 + BRIGHTER * (1 - c / 255) for c in color)
    return red, green, blue, 1.0


def codes_of(table: SegmentTable) -> dict[int, int]:
    """Return a code of one byte for each label value; more than 254 segments share them."""
    return {value: place % (LOST_CODE - 1) + 1 for place, value in enumerate(table.values)}


def free_values(taken: Iterable[int], count: int, dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return the largest label values of a type that are not taken."""
    used, largest = set(taken), int(np.iinfo(dtype).max)
    return tuple(islice((value for value in range(largest, 0, -1) if value not in used), count))


class DraftVoxels(ComputedVoxels):
    """An array (z, y, x) of what a draft changes, computed where it is looked at.

    Voxels that would be gained carry the code of their segment; of those that would be lost, stripes carry
    ``LOST_CODE``. All others are 0. One byte a voxel: napari needs a quarter of a second for new colours of two.

    Parameters
    ----------
    labels
        The labels (z, y, x) as they are.
    """

    def __init__(self, labels: NDArray[Any]) -> None:
        super().__init__(labels.shape, DRAFT_TYPE)
        self._labels = labels
        self._draft: Draft | None = None
        self._codes = np.zeros(1, np.uint8)

    def show(self, draft: Draft | None) -> None:
        """Hold another draft, or none."""
        self._draft = draft
        codes = codes_of(draft.table) if draft is not None else {}
        self._codes = np.zeros(max(codes, default=0) + 1, np.uint8)
        self._codes[list(codes)] = list(codes.values())

    def part(self, places: list[NDArray[np.intp]]) -> NDArray[Any]:
        """Return the voxels at the given indices along each axis."""
        out = np.zeros([len(place) for place in places], self.dtype)
        if self._draft is None or self._draft.new is None:
            return out
        box, new = self._draft.new
        inside = [(p >= a) & (p < b) for p, a, b in zip(places, box.start, box.stop, strict=True)]
        places = [place[hit] for place, hit in zip(places, inside, strict=True)]
        new = new[np.ix_(*(place - a for place, a in zip(places, box.start, strict=True)))]
        changed = new != self._labels[np.ix_(*places)]
        z, y, x = np.ix_(*places)
        striped = (z + y + x) // STRIPE % 2 == 0
        lost = np.where(striped, np.uint8(LOST_CODE), np.uint8(0))
        out[np.ix_(*inside)] = np.where(changed, np.where(new == 0, lost, self._codes[new]), 0)
        return out


class DraftLayer:
    """The layer of the 2D view that shows drafts; it holds no array of its own.

    Parameters
    ----------
    segmentation
        What drafts are of.
    """

    def __init__(self, segmentation: Segmentation) -> None:
        self._voxels = DraftVoxels(segmentation.labels)
        self._table: SegmentTable | None = None
        self.layer = Labels(
            self._voxels,
            name=PREVIEW,
            opacity=0.8,
            visible=False,
            colormap=segment_colormap(SegmentTable()),
            **placement(segmentation.geometry.spacing),
        )
        keep_untouched(self.layer)

    def show(self, draft: Draft | None) -> None:
        """Show a draft, or nothing; the layer stays, hidden, for adding one takes longer than showing it."""
        self._voxels.show(draft)
        if draft is not None and draft.table != self._table:
            self._table = draft.table
            gained = {code: bright(draft.table[value].color) for value, code in codes_of(draft.table).items()}
            self.layer.colormap = segment_colormap(SegmentTable(), {**gained, LOST_CODE: LOST})
        if self.layer.visible != (draft is not None):
            self.layer.visible = draft is not None
        else:
            self.layer.refresh(thumbnail=False, highlight=False, extent=False)
