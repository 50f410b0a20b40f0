"""What readers of a volume have to agree in: its corners in the patient and its voxels, however they order them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray


def corners(shape: Sequence[int], matrix: NDArray[np.float64]) -> list[list[float]]:
    """Return the patient places (x, y, z), mm, LPS, of the eight corner voxels, sorted.

    Parameters
    ----------
    shape
        Of the array.
    matrix
        4×4 from its index to the patient, mm, LPS.
    """
    ends = np.array([[*corner, 1] for corner in product(*((0, n - 1) for n in shape))])
    return sorted(np.round((ends @ matrix.T)[:, :3], 6).tolist())


def fingerprint(array: NDArray[Any], matrix: NDArray[np.float64]) -> str:
    """Return a digest of the voxels in the order (S, P, L); "not int16" where values are no such integers."""
    digest = hashlib.blake2b(digest_size=16)
    for plane in _upright(array, matrix):
        whole = plane.astype(np.int16)
        if not np.array_equal(whole, plane):
            return "not int16"
        digest.update(np.ascontiguousarray(whole))
    return digest.hexdigest()


def _upright(array: NDArray[Any], matrix: NDArray[np.float64]) -> NDArray[Any]:
    rows = matrix[[2, 1, 0], :3]
    axes = [int(np.abs(row).argmax()) for row in rows]
    flips = [slice(None, None, -1 if row[axis] < 0 else 1) for row, axis in zip(rows, axes, strict=True)]
    return array.transpose(axes)[tuple(flips)]
