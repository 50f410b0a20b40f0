"""How slices lie in the square pictures that networks see.

A slice lies at the top left of the picture, stretched so that a mm is as long along rows as along columns; what is
left over stays black. Pixels are squares: pixel i of n covers the same part of the slice as it does of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_volseg.core import Box


@dataclass(frozen=True, slots=True)
class Frame:
    """How a slice lies in the picture.

    Parameters
    ----------
    shape
        Rows and columns of the slice, voxels.
    inner
        Rows and columns of the picture that it fills, pixels.
    """

    shape: tuple[int, int]
    inner: tuple[int, int]

    @classmethod
    def of(cls, shape: tuple[int, int], spacing: tuple[float, float], edge: int) -> Frame:
        """Return the frame of a slice of voxels ``spacing`` (mm) apart; its longer side fills ``edge`` pixels."""
        longest = max(n * s for n, s in zip(shape, spacing, strict=True))
        rows, columns = (max(1, round(edge * n * s / longest)) for n, s in zip(shape, spacing, strict=True))
        return cls(shape, (rows, columns))

    def corners(self, box: Box) -> tuple[float, float, float, float]:
        """Return a box (slice, row, column) as the pixels (left, top, right, bottom) that it begins and ends with."""
        scale = np.divide(self.inner, self.shape)
        first = np.asarray(box.start[1:]) * scale
        top, left = first
        bottom, right = np.maximum(np.asarray(box.stop[1:]) * scale - 1, first)
        return float(left), float(top), float(right), float(bottom)
