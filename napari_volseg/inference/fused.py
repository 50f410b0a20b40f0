"""The way from logits to labels as one compiled loop, where numba is installed; it never holds a resized channel."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

#: Fills labels (y, x) from two planes of logits (c, y, x); see `compiled_winners`.
Winners = Callable[..., None]


#: One signature for all strides: compiling takes seconds, and is kept on disk.
_TAPS = "uint32[:], uint32[:], float32[:]"
_SIGNATURE = f"void(float32[:,:,:], float32[:,:,:], float32, {_TAPS}, {_TAPS}, int32[:], boolean, uint16[:,:])"


@cache
def compiled_winners() -> Winners | None:
    """Return the compiled loop, or None without numba.

    The loop takes ``(low, high, share, *rows, *columns, values, exclusive, out)``: two planes of logits (c, y, x) and
    the share of the second, the taps of both axes (see `stitching.Taps`), label values by channel, whether the
    largest logit wins or every positive one paints, and the labels (y, x) to fill.
    """
    if importlib.util.find_spec("numba") is None:
        return None
    from numba import njit

    try:
        return njit(_SIGNATURE, nogil=True, error_model="numpy", cache=True)(_winners)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written to
        return njit(_SIGNATURE, nogil=True, error_model="numpy")(_winners)


def _winners(
    low: Any,
    high: Any,
    share: Any,
    row_low: Any,
    row_high: Any,
    row_share: Any,
    column_low: Any,
    column_high: Any,
    column_share: Any,
    values: Any,
    exclusive: bool,
    out: Any,
) -> None:
    best, found = np.empty(out.shape[1], np.float32), np.empty(out.shape[1], np.int32)
    mixed = np.empty(low.shape[2], np.float32)
    for y in range(out.shape[0]):
        a, b, t = row_low[y], row_high[y], row_share[y]
        best[:], found[:] = (-np.inf if exclusive else 0.0), 0
        for c in range(low.shape[0]):
            for x in range(low.shape[2]):
                first = low[c, a, x] + share * (high[c, a, x] - low[c, a, x])
                second = low[c, b, x] + share * (high[c, b, x] - low[c, b, x])
                mixed[x] = first + t * (second - first)
            for x in range(out.shape[1]):  # selects instead of branches: the compiler makes vectors of them
                left = mixed[column_low[x]]
                logit = left + column_share[x] * (mixed[column_high[x]] - left)
                better = logit > best[x]
                found[x] = values[c] if better else found[x]
                best[x] = logit if better and exclusive else best[x]
        out[y] = found
