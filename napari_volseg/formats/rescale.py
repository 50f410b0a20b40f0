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


def rescale_into(
    out: NDArray[Any], stored: NDArray[Any], slope: float, intercept: float, limits: tuple[int, int] | None = None
) -> None:
    """Write stored * slope + intercept into ``out`` (same shape), which may be the memory of ``stored``.

    Parameters
    ----------
    out, stored
        Both in the byte order of the machine.
    slope, intercept
        Stored values to values.
    limits
        The lowest and highest stored value that there can be, where they are known without looking.

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
    if limits is None or not _fit(limits, intercept, out.dtype):
        limits = int(stored.min()), int(stored.max())
    if not _fit(limits, intercept, out.dtype):
        low, high = (value + int(intercept) for value in limits)
        raise OverflowError(f"values from {low} to {high} do not fit {out.dtype}")
    # Wrapping addition in the result's own type is exact because both ends fit.
    same_size = stored.dtype.itemsize == out.dtype.itemsize and stored.dtype.isnative
    wrapped = stored.view(out.dtype) if same_size else stored.astype(out.dtype, copy=False)
    np.add(wrapped, np.int64(int(intercept)).astype(out.dtype), out=out)


def _fit(limits: tuple[int, int], intercept: float, dtype: np.dtype[Any]) -> bool:
    able = np.iinfo(dtype)
    return able.min <= limits[0] + int(intercept) and limits[1] + int(intercept) <= able.max


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
