"""How often values occur in an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 192
#: Percentiles between which the values of interest lie; few voxels of metal shall not squeeze all others together.
ENDS = (0.02, 99.98)
#: How the count of a bin is shared with its neighbours for drawing.
SHARES = np.array([1, 3, 5, 7, 5, 3, 1]) / 25
#: Share of the range that is left free at both ends.
MARGIN = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Counts of values in bins of the same width.

    Parameters
    ----------
    low, high
        From where to where the bins reach, in the unit of the image.
    counts
        One number a bin; values beyond are counted in the first and the last.
    """

    low: float
    high: float
    counts: NDArray[np.int64]

    @property
    def heights(self) -> NDArray[np.float64]:
        """Heights from 0 to 1 for drawing, logarithmic: air would flatten everything else.

        Neighbouring bins share their counts, as values that come in steps would be a comb.
        """
        logs = np.log1p(np.convolve(np.pad(self.counts, len(SHARES) // 2, "edge"), SHARES, "valid"))
        return np.asarray(logs / max(float(logs.max(initial=0.0)), 1e-9))


def histogram_of(values: NDArray[Any], bins: int = BINS) -> Histogram:
    """Return the histogram of values of any shape; those that are not finite are left out.

    Where nothing is finite, or all values are the same, it reaches half a unit to each side.
    """
    finite = values[np.isfinite(values)].astype(np.float64).reshape(-1)
    if not finite.size:
        return Histogram(-0.5, 0.5, np.zeros(bins, np.int64))
    low, high = (float(end) for end in np.percentile(finite, ENDS))
    margin = MARGIN * (high - low) if high > low else 0.5
    low, high = low - margin, high + margin
    counts, _ = np.histogram(np.clip(finite, low, high), bins, (low, high))
    return Histogram(low, high, counts.astype(np.int64))
