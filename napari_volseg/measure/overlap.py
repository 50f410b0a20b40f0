"""How much two segmentations have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import GeometryError


def dice(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return the Dice similarity coefficient of two masks of equal shape, 0 to 1; 1 where both are empty.

    Source: Dice, Ecology 26(3), 1945.
    """
    _refuse_different_shapes(a, b)
    first, second = a.astype(bool, copy=False), b.astype(bool, copy=False)
    total = int(np.count_nonzero(first) + np.count_nonzero(second))
    return 2.0 * int(np.count_nonzero(first & second)) / total if total else 1.0


def dice_per_label(a: NDArray[Any], b: NDArray[Any], values: Iterable[int] | None = None) -> dict[int, float]:
    """Return the Dice coefficient of each label value of two label arrays of equal shape.

    ``values`` limits the comparison; None takes every value but 0 that either array holds. A value that neither
    holds has 1.
    """
    _refuse_different_shapes(a, b)
    if values is None:
        values = np.union1d(np.unique(a), np.unique(b)).tolist()
        values = [value for value in values if value != 0]
    return {int(value): dice(a == value, b == value) for value in values}


def _refuse_different_shapes(a: NDArray[Any], b: NDArray[Any]) -> None:
    if a.shape != b.shape:
        raise GeometryError(f"arrays of shapes {a.shape} and {b.shape} can't be compared: put them on one grid first")
