"""Telling of a volume as soon as its first slice is there, for those who want to look at it while it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Arriving, PreviewCallback, Reorientation, Volume

#: From voxels on the display grid to the volume that they form, as far as it is known.
Describe = Callable[[NDArray[Any]], Volume]


class Arrivals:
    """Keeps account of the stored slices of a 3D volume and announces it.

    It is announced when the first slice is there, and once more when the middle one is, which tells more of values.

    Parameters
    ----------
    shown
        The array on the display grid that is being filled; one with further axes is not announced.
    stored
        The same memory in stored order (k, j, i).
    reorientation
        From the stored to the display grid.
    describe
        Called on the reading thread; None where nothing is announced.
    preview
        Who is told; None where nobody wants to know.

    Attributes
    ----------
    middle
        Stored slice with which a view begins.
    """

    def __init__(
        self,
        shown: NDArray[Any],
        stored: NDArray[Any],
        reorientation: Reorientation,
        describe: Describe | None,
        preview: PreviewCallback | None,
    ) -> None:
        self._shown, self._stored, self._describe = shown, stored, describe
        self._preview = preview if shown.ndim == 3 and describe is not None else None
        self._axis = reorientation.axes.index(0)
        self._arrived = np.zeros(stored.shape[-3], bool)
        self._in_shown_order = self._arrived[::-1] if reorientation.flipped[self._axis] else self._arrived
        self.middle = middle_slice(stored.shape[-3], reorientation)

    @property
    def wanted(self) -> bool:
        """Whether the volume will be announced."""
        return self._preview is not None

    def add(self, k: int) -> None:
        """Take note that stored slice ``k`` is there; nothing else may be writing as the first one is noted."""
        if self._preview is None:
            return
        first = not self._arrived.any()
        self._arrived[k] = True
        if first:
            lowest = np.fmin.reduce(self._stored[k], axis=None)  # of what is no NaN
            self._stored[:k] = lowest
            self._stored[k + 1 :] = lowest
        if first or k == self.middle:
            assert self._describe is not None
            self._preview(Arriving(self._describe(self._shown), self._axis, self._in_shown_order))


def middle_slice(slices: int, reorientation: Reorientation) -> int:
    """Return the stored slice that is in the middle of the display grid, where a view begins."""
    flipped = reorientation.flipped[reorientation.axes.index(0)]
    return slices - 1 - slices // 2 if flipped else slices // 2
