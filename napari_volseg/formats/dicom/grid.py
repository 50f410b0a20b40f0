"""From the positions of slices to the affine of a grid, or to the reason why there is none.

Slices are ordered by Image Position (Patient) along the normal of Image Orientation (Patient) (DICOM PS3.3
C.7.6.2.1.1), never by Slice Location, Instance Number or file name. The affine is fitted by least squares over
all positions; a step that is not along the normal (gantry tilt) stays in it as shear.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Finding, Geometry, GeometryError
from napari_volseg.formats.dicom.instances import Instance

#: Distance of a slice from the fitted grid, mm, from which it is told, and from which the series is refused.
JITTER_TOLD_MM = 0.01
JITTER_REFUSED_MM = 0.1
#: The same as a share of the step, for finely sliced images.
_JITTER_REFUSED_SHARE = 0.2
#: Slices nearer than this share of the usual step lie at the same position.
_SAME_POSITION_SHARE = 0.01


def mean_orientation(instances: Sequence[Instance]) -> NDArray[np.float64]:
    """Return the mean (2, 3) unit vectors of increasing column and row index, (x, y, z), LPS."""
    mean = np.mean([instance.orientation for instance in instances], axis=0).reshape(2, 3)
    return np.asarray(mean / np.linalg.norm(mean, axis=1)[:, None])


def along_normal(instances: Sequence[Instance]) -> NDArray[np.float64]:
    """Return how far along the common normal each slice lies, mm."""
    positions = np.array([instance.position for instance in instances])
    return np.asarray(positions @ np.cross(*mean_orientation(instances)))


@dataclass(frozen=True, slots=True)
class Spread:
    """How slices are spread along their normal.

    Parameters
    ----------
    slots
        (n,) place of each slice on an even grid, in steps from the first: whole numbers where they fit one, with
        gaps where slices are missing.
    step
        The usual way from slice to slice, mm.
    shortest, longest
        The extremes of it, mm.
    """

    slots: NDArray[np.float64]
    step: float
    shortest: float
    longest: float

    @property
    def is_even(self) -> bool:
        """Whether every slice has a place on an even grid, be it one with gaps."""
        return bool((self.slots == np.round(self.slots)).all())

    @property
    def missing(self) -> int:
        """Number of places without a slice."""
        return int(self.slots[-1]) + 1 - len(self.slots) if self.is_even else 0


def spread_of(places: NDArray[np.float64]) -> Spread:
    """Return how slices at ``places`` (n,) mm, increasing and distinct, are spread."""
    steps = np.diff(places)
    if len(steps) == 0:
        return Spread(np.zeros(1), 0.0, 0.0, 0.0)
    usual = _usual_step(steps)
    counts = np.round(steps / usual)
    with_gaps = bool((counts > 1).any())
    loose, strict = 2 * JITTER_REFUSED_MM, _JITTER_REFUSED_SHARE * usual
    tolerance = max(loose, strict) if with_gaps else min(loose, strict)
    on_grid = float(np.abs(steps - counts * usual).max()) <= tolerance and counts.min() >= 1
    slots = np.concatenate([[0.0], np.cumsum(counts) if on_grid else (places[1:] - places[0]) / usual])
    return Spread(slots, usual, float(steps.min()), float(steps.max()))


def even_runs(places: NDArray[np.float64]) -> list[slice]:
    """Return the runs of evenly spaced slices, each as long as it can be, from the first slice on."""
    slots = spread_of(places).slots
    if spread_of(places).is_even:
        cuts = [0, *(np.flatnonzero(np.diff(slots) > 1) + 1), len(places)]
        return [slice(int(start), int(end)) for start, end in itertools.pairwise(cuts)]
    runs: list[slice] = []
    start = 0
    for end in range(1, len(places) + 1):
        spread = spread_of(places[start:end])
        if not spread.is_even or spread.missing:
            runs.append(slice(start, end - 1))
            start = end - 1
    return [*runs, slice(start, len(places))]


def together(places: NDArray[np.float64]) -> list[NDArray[np.int_]]:
    """Return the indices of slices by position, for ``places`` (n,) mm that don't decrease."""
    steps = np.diff(places)
    same = steps <= _SAME_POSITION_SHARE * _usual_step(steps) + 1e-9
    return np.split(np.arange(len(places)), np.flatnonzero(~same) + 1)


def fit_grid(
    instances: Sequence[Instance], slots: NDArray[np.float64], count: int
) -> tuple[Geometry, tuple[Finding, ...]]:
    """Return the grid of slices, and what is to be told about it.

    Parameters
    ----------
    instances
        In any order; several may share a place.
    slots
        (n,) index of each along axis 0 of the grid.
    count
        Size of axis 0.

    Raises
    ------
    GeometryError
        Where slices lie off the grid.
    """
    findings: list[Finding] = []
    positions = np.array([instance.position for instance in instances])
    origin, step = _fit_line(positions, slots) if np.ptp(slots) > 0 else (positions[0], _lone_step(instances[0]))
    residual = positions - (origin + np.outer(slots, step))
    _judge_jitter(float(np.linalg.norm(residual, axis=1).max()), float(np.linalg.norm(step)), findings)
    rows, columns = mean_orientation(instances)[::-1]
    first = instances[0]
    matrix = np.eye(4)
    matrix[:3, 0] = step
    matrix[:3, 1] = rows * first.pixel_spacing[0]
    matrix[:3, 2] = columns * first.pixel_spacing[1]
    matrix[:3, 3] = origin
    frames = {instance.frame_of_reference_uid for instance in instances}
    geometry = Geometry((count, first.rows, first.columns), matrix, frames.pop() if len(frames) == 1 else "")
    _tell_corners(instances, slots, geometry, findings)
    if count == 1:
        _tell_unknown_thickness(first, findings)
    else:
        _tell_tilt(geometry, findings)
        _tell_wrong_tags(first, geometry, findings)
    return geometry, tuple(findings)


def _fit_line(
    positions: NDArray[np.float64], slots: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return origin and step of the line through ``positions`` (n, 3) at ``slots`` (n,), best in least squares."""
    centered = slots - slots.mean()
    step = centered @ positions / (centered @ centered)
    return positions.mean(0) - slots.mean() * step, step


def _lone_step(instance: Instance) -> NDArray[np.float64]:
    """Return the step of a single slice: its thickness along the normal, 1 mm where that is unknown."""
    column, row = np.asarray(instance.orientation).reshape(2, 3)
    return np.asarray(np.cross(column, row) * (_stated_thickness(instance) or 1.0))


def _stated_thickness(instance: Instance) -> float:
    return abs(instance.spacing_between or instance.thickness or 0.0)


def _tell_unknown_thickness(instance: Instance, findings: list[Finding]) -> None:
    if not _stated_thickness(instance):
        text = "a single slice without Slice Thickness: 1 mm is taken, volumes are a guess"
        findings.append(Finding("dicom.thickness_unknown", text))


def _usual_step(steps: NDArray[np.float64]) -> float:
    """Return a low quantile of the steps between different positions: missing slices only lengthen them."""
    real = steps[steps > 1e-6]
    return float(np.quantile(real, 0.25, method="lower")) if len(real) else 0.0


def _judge_jitter(distance: float, step: float, findings: list[Finding]) -> None:
    if distance > min(JITTER_REFUSED_MM, _JITTER_REFUSED_SHARE * step):
        raise GeometryError(
            f"slices lie up to {distance:.3g} mm off an even grid where at most {JITTER_REFUSED_MM} mm is accepted: "
            "open a reconstruction with even spacing",
            "dicom.uneven_spacing",
        )
    if distance > JITTER_TOLD_MM:
        findings.append(
            Finding("dicom.jitter", f"slice positions lie up to {distance:.3g} mm off the even grid that is used")
        )


def _tell_corners(
    instances: Sequence[Instance], slots: NDArray[np.float64], geometry: Geometry, findings: list[Finding]
) -> None:
    """Tell where the grid puts a corner of an image elsewhere than the image's own tags do."""
    ends = np.array([(y, x) for y in (0, geometry.shape[1] - 1) for x in (0, geometry.shape[2] - 1)], float)
    index = np.column_stack([np.repeat(slots, len(ends)), np.tile(ends, (len(instances), 1))])
    axes = np.array([instance.orientation for instance in instances]).reshape(-1, 2, 3)[:, ::-1]
    spacing = np.array([instance.pixel_spacing for instance in instances])
    positions = np.array([instance.position for instance in instances])
    stated = positions[:, None] + ends @ (axes * spacing[..., None])
    distance = np.linalg.norm(geometry.to_patient(index).reshape(stated.shape) - stated, axis=-1).max(1)
    worst = int(distance.argmax())
    if distance[worst] > JITTER_TOLD_MM and not any(finding.code == "dicom.jitter" for finding in findings):
        text = (
            f"a corner of {instances[worst].path.name} lies {distance[worst]:.2g} mm from where its own tags put it"
        )
        findings.append(Finding("dicom.corners_differ", text))


def _tell_tilt(geometry: Geometry, findings: list[Finding]) -> None:
    """Tell where slices drift against each other by more than the jitter that is passed over in silence."""
    step, normal = geometry.matrix[:3, 0], _normal(geometry)
    drift = np.linalg.norm(step - normal * (step @ normal))
    if drift * (geometry.shape[0] - 1) > JITTER_TOLD_MM:
        angle = float(np.degrees(np.arcsin(drift / geometry.spacing[0])))
        findings.append(
            Finding(
                "dicom.tilted", f"slices are shifted against each other (gantry tilt of {angle:.3g}°); kept exactly"
            )
        )


def _normal(geometry: Geometry) -> NDArray[np.float64]:
    normal = np.cross(geometry.matrix[:3, 2], geometry.matrix[:3, 1])
    return np.asarray(normal / np.linalg.norm(normal))


def _tell_wrong_tags(first: Instance, geometry: Geometry, findings: list[Finding]) -> None:
    """Tell where Slice Thickness or Spacing Between Slices contradicts the real step by more than 1 %."""
    step = abs(float(geometry.matrix[:3, 0] @ _normal(geometry)))
    for value, code, name in (
        (first.thickness, "dicom.thickness_differs", "Slice Thickness"),
        (first.spacing_between, "dicom.spacing_differs", "Spacing Between Slices"),
    ):
        if value is not None and abs(abs(value) - step) > 0.01 * step:
            findings.append(
                Finding(code, f"{name} says {value:g} mm, but slices are {step:.4g} mm apart; positions are used")
            )
