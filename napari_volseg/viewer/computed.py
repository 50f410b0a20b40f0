"""Arrays for napari that hold nothing: what is looked at is computed then."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class ComputedVoxels(ABC):
    """An array (z, y, x) of which napari asks for the shown slice alone.

    Parameters
    ----------
    shape
        (z, y, x).
    dtype
        Of its values.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.shape, self.dtype, self.ndim = shape, np.dtype(dtype), len(shape)
        self.size = int(np.prod(shape))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Return a part of the array, for an index of slices and integers."""
        keys = index if isinstance(index, tuple) else (index,)
        keys = (*keys, *(slice(None),) * (3 - len(keys)))
        places = [np.arange(n)[key] for n, key in zip(self.shape, keys, strict=True)]
        part = self.part([np.atleast_1d(place) for place in places])
        return part[tuple(0 if place.ndim == 0 else slice(None) for place in places)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the whole array."""
        return np.asarray(self[()], dtype)

    @abstractmethod
    def part(self, places: list[NDArray[np.intp]]) -> NDArray[Any]:
        """Return the voxels at the given indices along each axis."""
