"""What readers of a volume have to agree in: its corners in the patient and its voxels, however they order them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import permutations, product
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
    for plane in upright(array, matrix):
        whole = plane.astype(np.int16)
        if not np.array_equal(whole, plane):
            return "not int16"
        digest.update(np.ascontiguousarray(whole))
    return digest.hexdigest()


def upright(array: NDArray[Any], matrix: NDArray[np.float64]) -> NDArray[Any]:
    """Return a view of an array whose axes run as nearly as they can towards (S, P, L)."""
    axes, signs = _order(matrix)
    return array.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]


def upright_matrix(shape: Sequence[int], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the 4×4 of the view that ``upright`` gives of an array of this shape."""
    axes, signs = _order(matrix)
    turned = np.eye(4)
    turned[:3, :3] = matrix[:3, axes] * signs
    ends = [shape[axis] - 1 if sign < 0 else 0 for axis, sign in zip(axes, signs, strict=True)]
    turned[:3, 3] = matrix[:3, 3] + matrix[:3, axes] @ ends
    return turned


def _order(matrix: NDArray[np.float64]) -> tuple[list[int], list[int]]:
    """Return the axis that runs along S, P and L each, and 1 or -1 for the sense in which it does."""
    rows = (matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0))[[2, 1, 0]]
    axes = max(permutations(range(3)), key=lambda order: np.abs(rows[range(3), order]).sum())
    return list(axes), [-1 if row[axis] < 0 else 1 for row, axis in zip(rows, axes, strict=True)]
