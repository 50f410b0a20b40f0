"""Lossless changes of axes: permutations and flips of a grid, each with its inverse."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Geometry, Reorientation, UsageError

#: Index (z, y, x) towards Superior, Posterior, Left: an axial slice then shows in radiological convention.
DISPLAY_CODES = "SPL"

_PATIENT_AXIS = {"L": 0, "R": 0, "P": 1, "A": 1, "S": 2, "I": 2}


def display_reorientation(geometry: Geometry) -> Reorientation:
    """Return the change of axes after which index (z, y, x) runs towards (S, P, L) as nearly as possible."""
    return reorientation_to(geometry, DISPLAY_CODES)


def reorientation_to(geometry: Geometry, codes: str) -> Reorientation:
    """Return the change of axes after which a grid has the given axis codes.

    Parameters
    ----------
    geometry
        The grid to start from.
    codes
        Letters towards which index (z, y, x) shall run, such as ``"SPL"`` or ``"IAR"``.

    Raises
    ------
    UsageError
        Where the codes do not name each patient axis once.
    """
    wanted = [_PATIENT_AXIS.get(letter) for letter in codes]
    if len(codes) != 3 or set(wanted) != {0, 1, 2}:
        raise UsageError(f"axis codes {codes!r} do not name each of L/R, P/A and S/I once: use codes such as 'SPL'")
    followed = [patient for patient, _ in geometry.closest_axes]
    a, b, c = (followed.index(patient) for patient in wanted if patient is not None)
    present = geometry.axis_codes
    return Reorientation((a, b, c), (present[a] != codes[0], present[b] != codes[1], present[c] != codes[2]))


def apply_reorientation(array: NDArray[Any], reorientation: Reorientation) -> NDArray[Any]:
    """Return a view of ``array`` with its last three axes (z, y, x) reoriented; no voxel is copied."""
    lead = array.ndim - 3
    order = (*range(lead), *(lead + axis for axis in reorientation.axes))
    steps: list[Any] = [slice(None, None, -1 if flip else 1) for flip in reorientation.flipped]
    return array.transpose(order)[(..., *steps)]


def invert_reorientation(reorientation: Reorientation) -> Reorientation:
    """Return the change of axes that undoes this one."""
    a, b, c = (reorientation.axes.index(axis) for axis in range(3))
    flips = reorientation.flipped
    return Reorientation((a, b, c), (flips[a], flips[b], flips[c]))


def reorient_geometry(geometry: Geometry, reorientation: Reorientation) -> Geometry:
    """Return the grid of the reoriented array: every voxel keeps its place in the patient."""
    to_source = np.zeros((4, 4))
    to_source[3, 3] = 1.0
    for axis, (source, flip) in enumerate(zip(reorientation.axes, reorientation.flipped, strict=True)):
        to_source[source, axis] = -1.0 if flip else 1.0
        to_source[source, 3] = geometry.shape[source] - 1 if flip else 0.0
    a, b, c = (geometry.shape[axis] for axis in reorientation.axes)
    return Geometry((a, b, c), geometry.matrix @ to_source, geometry.frame_of_reference_uid)
