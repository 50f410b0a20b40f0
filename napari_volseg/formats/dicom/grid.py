"""From the positions of slices to the affine of a grid, or to the reason why there is none.

Slices are ordered by Image Position (Patient) along the normal of Image Orientation (Patient) (DICOM PS3.3
C.7.6.2.1.1), never by Slice Location, Instance Number or file name. The affine is fitted by least squares over
all positions; a step that is not along the normal (gantry tilt) stays in it as shear.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def fit_grid(instances: Sequence[Instance]) -> tuple[Geometry, tuple[Finding, ...]]:
    """Return the grid of slices that are sorted along their normal, and what is to be told about it.

    Raises
    ------
    GeometryError
        Where slices are missing, share a position, or are unevenly spaced.
    """
    findings: list[Finding] = []
    positions = np.array([instance.position for instance in instances])
    _refuse_uneven(instances, along_normal(instances))
    origin, step = _fit_line(positions) if len(instances) > 1 else (positions[0], _lone_step(instances[0], findings))
    residual = positions - (origin + np.outer(np.arange(len(positions)), step))
    _judge_jitter(instances, float(np.linalg.norm(residual, axis=1).max()), float(np.linalg.norm(step)), findings)
    rows, columns = mean_orientation(instances)[::-1]
    first = instances[0]
    matrix = np.eye(4)
    matrix[:3, 0] = step
    matrix[:3, 1] = rows * first.pixel_spacing[0]
    matrix[:3, 2] = columns * first.pixel_spacing[1]
    matrix[:3, 3] = origin
    frames = {instance.frame_of_reference_uid for instance in instances}
    geometry = Geometry((len(instances), first.rows, first.columns), matrix, frames.pop() if len(frames) == 1 else "")
    _tell_tilt(geometry, findings)
    _tell_wrong_tags(first, geometry, findings)
    return geometry, tuple(findings)


def _fit_line(positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return origin and step of the evenly spaced points that fit ``positions`` (n, 3) best in least squares."""
    index = np.arange(len(positions)) - (len(positions) - 1) / 2
    step = index @ positions / (index @ index)
    return positions.mean(0) + index[0] * step, step


def _lone_step(instance: Instance, findings: list[Finding]) -> NDArray[np.float64]:
    """Return the step of a single slice: its thickness along the normal, 1 mm where that is unknown."""
    length = abs(instance.spacing_between or instance.thickness or 0.0)
    if length == 0:
        length = 1.0
        findings.append(
            Finding(
                "dicom.thickness_unknown",
                "a single slice without Slice Thickness: 1 mm is taken, volumes are a guess",
            )
        )
    column, row = np.asarray(instance.orientation).reshape(2, 3)
    return np.asarray(np.cross(column, row) * length)


def _refuse_uneven(instances: Sequence[Instance], places: NDArray[np.float64]) -> None:
    steps = np.diff(places)
    if len(steps) == 0:
        return
    usual = _usual_step(steps)
    same = steps <= _SAME_POSITION_SHARE * usual + 1e-9
    if same.any():
        raise _shared_positions(instances, places, same)
    counts = np.round(steps / usual)
    missing = counts > 1
    off = np.abs(steps - counts * usual) > max(2 * JITTER_REFUSED_MM, _JITTER_REFUSED_SHARE * usual)
    if missing.any() and not off.any():
        at = int(np.flatnonzero(missing)[0])
        raise GeometryError(
            f"{_slices(int((counts[missing] - 1).sum()))} missing, the first after "
            f"{instances[at].path.name} (a gap of {steps[at]:.4g} mm where {usual:.4g} mm is usual): "
            "copy the whole series again",
            "dicom.missing_slices",
        )
    tolerance = min(2 * JITTER_REFUSED_MM, _JITTER_REFUSED_SHARE * usual)
    if float(np.abs(steps - usual).max()) > tolerance:
        raise GeometryError(
            f"slices are unevenly spaced, from {steps.min():.4g} to {steps.max():.4g} mm apart, and form no grid: "
            "open a reconstruction with even spacing",
            "dicom.uneven_spacing",
        )


def _slices(count: int) -> str:
    return f"{count} slices are" if count > 1 else "1 slice is"


def _usual_step(steps: NDArray[np.float64]) -> float:
    """Return a low quantile of the steps between different positions: missing slices only lengthen them."""
    real = steps[steps > 1e-6]
    return float(np.quantile(real, 0.25, method="lower")) if len(real) else 0.0


def _shared_positions(
    instances: Sequence[Instance], places: NDArray[np.float64], same: NDArray[np.bool_]
) -> GeometryError:
    groups = np.split(np.arange(len(places)), np.flatnonzero(~same) + 1)
    sizes = {len(group) for group in groups}
    if len(groups) == 1:
        return GeometryError(
            f"its {len(places)} images all lie at the same position and form no volume: open another series",
            "dicom.several_per_position",
        )
    if len(sizes) == 1:
        return GeometryError(
            f"{sizes.pop()} images lie at each of {len(groups)} slice positions, as in a time or diffusion series, "
            "which can't be opened yet: export one volume of it",
            "dicom.several_per_position",
        )
    pair = next(group for group in groups if len(group) > 1)
    return GeometryError(
        f"{instances[pair[0]].path.name} and {instances[pair[1]].path.name} lie at the same position "
        f"but differ: remove the one that doesn't belong to the volume",
        "dicom.duplicate_position",
    )


def _judge_jitter(instances: Sequence[Instance], distance: float, step: float, findings: list[Finding]) -> None:
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
    if geometry.shape[0] == 1:
        return
    step = abs(float(geometry.matrix[:3, 0] @ _normal(geometry)))
    for value, code, name in (
        (first.thickness, "dicom.thickness_differs", "Slice Thickness"),
        (first.spacing_between, "dicom.spacing_differs", "Spacing Between Slices"),
    ):
        if value is not None and abs(abs(value) - step) > 0.01 * step:
            findings.append(
                Finding(code, f"{name} says {value:g} mm, but slices are {step:.4g} mm apart; positions are used")
            )
