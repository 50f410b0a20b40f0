"""From stored values to values with a unit, in the smallest type that holds them exactly; guessing HU."""

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


def looks_like_ct(voxels: NDArray[Any]) -> bool:
    """Whether values reach from air or padding to dense tissue as HU do, with a visible share near air.

    MR has no values near -1000, and phase images reach further down than any CT padding.
    """
    if voxels.dtype.kind == "u":
        return False
    sample = voxels.reshape(-1)[:: max(1, voxels.size // 1_000_000)]
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return False
    low, high = float(sample.min()), float(sample.max())
    if not (-3100 <= low <= -900 and 200 <= high <= 32767):
        return False
    return float(np.mean(sample < -850)) > 0.05
