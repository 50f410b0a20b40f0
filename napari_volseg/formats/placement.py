"""The grid that a file describes, or the grids that it may mean and that only its user can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Decision, Finding, Geometry, GeometryError, UsageError, Volume

#: Farther from the origin, mm, there is no patient: one kilometre.
FARTHEST_MM = 1e6
#: Affines (index (i, j, k) → RAS) that a file without orientation may have meant.
ORIENTATIONS = {
    "RAS": "index (i, j, k) runs towards Right, Anterior, Superior",
    "LAS": "index (i, j, k) runs towards Left, Anterior, Superior (Analyze, radiological)",
    "LPS": "index (i, j, k) runs towards Left, Posterior, Superior (as ITK assumes)",
}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an image lies.

    Parameters
    ----------
    geometry
        The stored grid (k, j, i); where there are several readings, the first.
    decision
        What chooses a reading, by ``"orientation"`` or ``"form"``; None where the file is clear.
    readings
        Answer to grid, where there is a decision.
    """

    geometry: Geometry
    decision: Decision | None = None
    readings: Mapping[str, Geometry] = field(default_factory=dict)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What only the user can decide."""
        return () if self.decision is None else (self.decision,)


def decide(
    placement: Placement, orientation: str | None = None, form: str | None = None
) -> tuple[Placement, tuple[Finding, ...]]:
    """Return the placement that the user chose, and that they did; a clear one is itself.

    Raises
    ------
    DecisionNeededError
        Where the file is unclear and its question not answered.
    UsageError
        For an answer that is none of the choices.
    """
    decision = placement.decision
    if decision is None:
        return placement, ()
    answer = {"orientation": orientation, "form": form}[decision.keyword]
    if answer is None:
        raise decision.error()
    if answer not in decision.choices:
        raise UsageError(f"{decision.keyword} {answer!r} is unknown: choose one of {', '.join(decision.choices)}")
    chosen = Finding(f"place.{decision.keyword}_chosen", f"{decision.question}; {answer} was chosen")
    return Placement(placement.readings[answer]), (chosen,)


def as_image(placement: Placement, volume: Volume, name: str) -> Placement:
    """Return the placement of labels, of several readings the one that is the stored grid of their image.

    Stored grids are compared: on the display grid all orientations of a centred image look the same.

    Raises
    ------
    GeometryError
        Where no reading is.
    """
    if placement.decision is None:
        return placement
    for reading in placement.readings.values():
        if reading.same_grid(volume.origin_provenance.source_geometry):
            return Placement(reading)
    raise GeometryError(
        f"{name} doesn't say how it lies in the patient beyond doubt, and no reading of it (by "
        f"{', '.join(placement.readings)}) is the grid of {volume.name}: write the place of the image into it",
        "labels.mismatch",
    )


def without_orientation(path: Path, shape_ijk: tuple[int, int, int], spacing_ijk: Any, unknown: Finding) -> Placement:
    """Return the placement of a file that gives spacings, mm, and no directions, as the finding says."""
    readings = {
        codes: grid_of(path, orientation_affine(codes, shape_ijk, spacing_ijk), shape_ijk) for codes in ORIENTATIONS
    }
    decision = Decision("orientation", unknown.code, unknown.message, ORIENTATIONS)
    return Placement(next(iter(readings.values())), decision, readings)


def orientation_affine(codes: str, shape_ijk: tuple[int, int, int], spacing_ijk: Any) -> NDArray[np.float64]:
    """Return the affine of a file whose index (i, j, k) runs as ``codes`` says, centred on the origin, RAS mm."""
    signs = [1.0 if letter == positive else -1.0 for letter, positive in zip(codes, "RAS", strict=True)]
    affine = np.diag([*(np.asarray(spacing_ijk, float) * signs), 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape_ijk) - 1) / 2)
    return affine


def grid_of(path: Path, affine: NDArray[np.float64], shape_ijk: tuple[int, int, int]) -> Geometry:
    """Return the grid of an affine (index (i, j, k) → RAS mm); one that is none is refused with the file's name."""
    try:
        geometry = Geometry.from_ras_ijk(affine, shape_ijk)
    except GeometryError as error:
        raise GeometryError(f"{path.name}: {error}", error.code) from error
    largest = float(np.abs(geometry.matrix[:3]).max())
    if largest > FARTHEST_MM:
        raise GeometryError(
            f"{path.name} has steps or an offset of {largest:.3g} mm where no scanner reaches {FARTHEST_MM:g} mm: "
            "re-export it with a valid orientation",
            "geometry.far_away",
        )
    return geometry
