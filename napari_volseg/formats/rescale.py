"""From stored values to values with a unit, in the smallest type that holds them exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Types for integer values, in the order in which they are tried.
INTEGER_TYPES: tuple[type[np.generic], ...] = (np.int16, np.uint16, np.int32)


def keeps_integers(slope: float, intercept: float) -> bool:
    """Whether integers stay integers under value * slope + intercept."""
    return slope == 1 and float(intercept).is_integer()


def rescale_into(out: NDArray[Any], stored: NDArray[Any], slope: float, intercept: float) -> None:
    """Write stored * slope + intercept into ``out`` (same shape).

    Raises
    ------
    OverflowError
        Where ``out`` is an integer type that can't hold a value, or fractions.
    """
    if out.dtype.kind == "f":
        np.multiply(stored, np.float32(slope), out=out, dtype=np.float32, casting="unsafe")
        out += np.float32(intercept)
        return
    if stored.dtype.kind == "f":
        raise OverflowError(f"fractions do not fit {out.dtype}")
    limits = np.iinfo(out.dtype)
    low, high = int(stored.min()) + int(intercept), int(stored.max()) + int(intercept)
    if low < limits.min or high > limits.max:
        raise OverflowError(f"values from {low} to {high} do not fit {out.dtype}")
    # Wrapping addition in the result's own type is exact because both ends fit.
    np.add(stored.astype(out.dtype, copy=False), np.int64(int(intercept)).astype(out.dtype), out=out)
