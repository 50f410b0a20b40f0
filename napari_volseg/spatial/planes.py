"""Axial, coronal and sagittal: which index axis is normal to a plane and which letters stand at its edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Geometry, UsageError, opposite
from napari_volseg.spatial.reorient import display_reorientation, reorient_geometry

Plane = Literal["axial", "coronal", "sagittal"]

PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")

#: Patient axis (0 x, 1 y, 2 z) that a plane's normal follows.
_NORMAL = {"axial": 2, "coronal": 1, "sagittal": 0}
#: How a plane is drawn: display index axis and sign that point to the top, and the same to the right.
_UP_AND_RIGHT = {
    "axial": ((1, -1), (2, 1)),
    "coronal": ((0, 1), (2, 1)),
    "sagittal": ((0, 1), (1, 1)),
}
#: A second letter joins where its cosine shows that the direction is nearer to the diagonal than to the axis.
_SECOND_LETTER_COSINE = float(np.sin(np.radians(22.5)))


@dataclass(frozen=True, slots=True)
class Letters:
    """Anatomical directions at the edges of a drawn plane, such as ``"A"``, or ``"AR"`` where it is oblique."""

    top: str
    bottom: str
    left: str
    right: str


def plane_axis(geometry: Geometry, plane: str) -> int:
    """Return the index axis (0 z, 1 y, 2 x) normal to a plane; on a display grid axial 0, coronal 1, sagittal 2."""
    normal = _NORMAL[_known(plane)]
    return next(i for i, (patient, _) in enumerate(geometry.closest_axes) if patient == normal)


def edge_letters(geometry: Geometry, plane: str) -> Letters:
    """Return the letters at the edges of a plane as the app draws it.

    Axial: anterior on top, the patient's right on the viewer's left. Coronal: superior on top, right on the
    left. Sagittal: superior on top, anterior on the left. Each edge takes the letter of the patient axis that
    the drawn direction follows best, and a second one from 22.5 degrees of obliquity on.
    """
    (up_axis, up_sign), (right_axis, right_sign) = _UP_AND_RIGHT[_known(plane)]
    shown = reorient_geometry(geometry, display_reorientation(geometry))
    top = _direction_letters(up_sign * shown.direction[:, up_axis])
    right = _direction_letters(right_sign * shown.direction[:, right_axis])
    return Letters(top, _opposite(top), _opposite(right), right)


def letters_around(towards: NDArray[np.float64], up: NDArray[np.float64]) -> Letters:
    """Return the letters at the edges of a view of the patient.

    Parameters
    ----------
    towards, up
        Where one looks, and what is at the top: unit vectors (x, y, z), LPS, at right angles.
    """
    top, right = _direction_letters(up), _direction_letters(np.cross(towards, up))
    return Letters(top, _opposite(top), _opposite(right), right)


def _known(plane: str) -> str:
    if plane not in PLANES:
        raise UsageError(f"{plane!r} is not a plane: choose one of {', '.join(PLANES)}")
    return plane


def _direction_letters(direction: NDArray[np.float64]) -> str:
    letters = [positive if c >= 0 else opposite(positive) for positive, c in zip("LPS", direction, strict=True)]
    first, second, _ = np.argsort(-np.abs(direction))
    return letters[first] + (letters[second] if abs(direction[second]) > _SECOND_LETTER_COSINE else "")


def _opposite(letters: str) -> str:
    return "".join(opposite(letter) for letter in letters)
