"""Paired structures: which islands carry the label of the other side."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import NEVER, BoxMask, CancelToken, Geometry
from napari_volseg.editing.fast import components
from napari_volseg.editing.shapes import NOTHING, shape_of, tightened


class Misplaced(NamedTuple):
    """Islands of a paired structure that lie on the other side.

    Parameters
    ----------
    left, right
        Of what is labelled left and right.
    crossed
        Whether the two structures themselves lie on each other's side; then no island is told.
    """

    left: BoxMask
    right: BoxMask
    crossed: bool = False


def misplaced_islands(
    labels: NDArray[Any], left: int, right: int, geometry: Geometry, *, cancel: CancelToken = NEVER
) -> Misplaced:
    """Return the islands of a paired structure that lie wholly beyond the plane between its two sides.

    The plane is sagittal and lies midway between the centroids of the largest islands of either label. Where one of
    them has no voxel there is no plane, and nothing is misplaced.

    Parameters
    ----------
    labels
        (z, y, x).
    left, right
        Label values of what should lie to the patient's left and right.
    geometry
        Of the labels.
    """
    sides = []
    for value in (left, right):
        cancel.check()
        sides.append(_Islands(shape_of(labels, value), geometry))
    first, second = sides
    if not first.count or not second.count:
        return Misplaced(NOTHING, NOTHING)
    plane = (first.centre + second.centre) / 2
    if first.centre <= second.centre:
        return Misplaced(NOTHING, NOTHING, crossed=True)
    return Misplaced(first.where(first.high < plane), second.where(second.low > plane))


class _Islands:
    """The islands of a shape and how far they reach along the patient's right-left axis, mm, growing to the left."""

    def __init__(self, shape: BoxMask, geometry: Geometry) -> None:
        self._box = shape.box
        self._found, self.count = components(shape.mask, 26)
        if not self.count:
            return
        place = np.nonzero(self._found)
        numbers = self._found[place].astype(np.intp) - 1
        at = geometry.to_patient(np.stack(place, -1) + np.array(shape.box.start))[:, 0]
        self.low, self.high = np.full(self.count, np.inf), np.full(self.count, -np.inf)
        np.minimum.at(self.low, numbers, at)
        np.maximum.at(self.high, numbers, at)
        sizes = np.bincount(numbers)
        self.centre = float(at[numbers == np.argmax(sizes)].mean())

    def where(self, chosen: NDArray[np.bool_]) -> BoxMask:
        """Return the chosen islands as one shape."""
        if not chosen.any():
            return NOTHING
        return tightened(self._box, np.concatenate(([False], chosen))[self._found])
