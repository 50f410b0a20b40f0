"""Operations that take long stop between their steps when they are asked to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from tool_phantoms import chiral, grid

from napari_volseg.core import CancelledError, CancelToken
from napari_volseg.editing import (
    CutPlane,
    closing,
    fill_between,
    fill_holes,
    grow_from_seeds,
    hollow,
    keep_largest,
    margin,
    mirrored,
    opening,
    remove_small,
    smooth_gaussian,
    smooth_jointly,
    smooth_median,
    split_islands,
    threshold,
)

LABELS = chiral()
LABELS[7, 10:12, 2:4] = 2
GEOMETRY = grid(LABELS.shape)
GREY = LABELS.astype(np.int16) * 100

#: Each with how often it asks at least.
OPERATIONS: dict[str, tuple[int, Callable[..., object]]] = {
    "closing": (2, partial(closing, LABELS, 3, GEOMETRY, 2.0)),
    "fill between": (3, partial(fill_between, np.where(np.arange(9)[:, None, None] % 2, 0, LABELS), GEOMETRY, 0)),
    "fill holes": (1, partial(fill_holes, LABELS, 3)),
    "fill holes of slices": (5, partial(fill_holes, LABELS, 3, axis=0)),
    "grow from seeds": (2, partial(grow_from_seeds, GREY, LABELS, GEOMETRY, 5.0)),
    "hollow": (2, partial(hollow, LABELS, 3, GEOMETRY, 1.0, "both")),
    "largest": (2, partial(keep_largest, LABELS, 3)),
    "margin": (1, partial(margin, LABELS, 3, GEOMETRY, 2.0)),
    "mirror": (1, partial(mirrored, LABELS, 3, GEOMETRY, CutPlane.midline(GEOMETRY))),
    "opening": (2, partial(opening, LABELS, 3, GEOMETRY, 1.0)),
    "small": (2, partial(remove_small, LABELS, 3, GEOMETRY, 1.0)),
    "smooth": (3, partial(smooth_gaussian, LABELS, 3, GEOMETRY, 1.0)),
    "smooth jointly": (6, partial(smooth_jointly, LABELS, GEOMETRY, 1.0)),
    "smooth by median": (3, partial(smooth_median, LABELS, 3, GEOMETRY, 3.0)),
    "split": (2, partial(split_islands, LABELS, 3, (4,))),
    "threshold": (9, partial(threshold, GREY, 50, 400)),
}


class Patience(CancelToken):
    """Is cancelled when it is asked for the n-th time."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left = times

    def check(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.cancel()
        super().check()


@pytest.mark.parametrize(("times", "operation"), OPERATIONS.values(), ids=OPERATIONS)
def test_it_stops_when_it_is_asked_to(times: int, operation: Callable[..., object]) -> None:
    for n in range(1, times + 1):
        with pytest.raises(CancelledError):
            operation(cancel=Patience(n))
    operation(cancel=CancelToken())
