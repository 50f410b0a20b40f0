"""Where a NIfTI file lies in the patient: sform, qform, units, and the questions that only a user can answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nibabel.quaternions import quat2mat
from numpy.typing import NDArray

from napari_volseg.core import Decision, Finding, Geometry, RefusedError
from napari_volseg.formats.placement import Placement, grid_of, without_orientation

#: Largest corner distance, mm, at which sform and qform are taken to say the same.
_SAME_FORM_MM = 0.1
#: Rounding of a quaternion component as writers store it: a few steps of float32 near 1.
_QUATERNION_ROUNDING = 5e-7
#: Relative difference at which pixdim and the columns of the sform are told apart.
_SAME_SPACING = 1e-3
_UNIT_MM = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}

#: Meaning of the codes of sform and qform (nifti1.h).
_SPACES = {1: "scanner", 2: "aligned to another file", 3: "Talairach", 4: "MNI 152", 5: "template"}


def place(path: Path, header: Any, shape: tuple[int, int, int], findings: list[Finding]) -> Placement:
    """Return where an image of (i, j, k) voxels lies, and note what was repaired or assumed.

    Raises
    ------
    RefusedError
        Where the form in use is no rotation, not finite or singular.
    """
    header = header.copy()
    scale = _millimetres(path, header, findings)
    _repair_spacing(path, header, findings)
    _tell_unknown_codes(path, header, findings)
    sform = grid_of(path, scale @ header.get_sform(), shape) if int(header["sform_code"]) > 0 else None
    if sform is not None:
        _compare_spacing(path, header, sform, scale[0, 0], findings)
    qform = _qform(path, header, scale, shape, findings, sform is not None)
    if sform is None and qform is None:
        message = f"{path.name} has neither a qform nor an sform: its orientation is unknown"
        unknown = Finding("nifti.orientation_unknown", message)
        findings.append(unknown)
        return without_orientation(path, shape, header["pixdim"][1:4].astype(float) * scale[0, 0], unknown)
    if sform is None or qform is None or not _contradict(sform, qform, header):
        return Placement(next(form for form in (sform, qform) if form is not None))
    return _contradiction(path, header, sform, qform, findings)


def units(header: Any) -> tuple[str, str]:
    """Return the units of length and of time in nibabel's words."""
    try:
        space, time = header.get_xyzt_units()
    except KeyError:
        return "unknown", "unknown"
    return space, time


def _millimetres(path: Path, header: Any, findings: list[Finding]) -> NDArray[np.float64]:
    unit = units(header)[0]
    if unit == "unknown":
        findings.append(
            Finding("nifti.unit_unknown", f"{path.name} doesn't name its unit of length; mm is taken", "note")
        )
    elif unit != "mm":
        findings.append(Finding("nifti.unit_converted", f"{path.name} is measured in {unit}s; converted to mm"))
    factor = _UNIT_MM.get(unit, 1.0)
    return np.diag([factor, factor, factor, 1.0])


def _repair_spacing(path: Path, header: Any, findings: list[Finding]) -> None:
    """Make spacings positive, and 1 along axes that a flat image doesn't have."""
    pixdim = header["pixdim"]
    if (pixdim[1:4] < 0).any():
        findings.append(
            Finding("nifti.negative_spacing", f"{path.name} has negative spacings in pixdim; their size is used")
        )
        pixdim[1:4] = np.abs(pixdim[1:4])
    absent = np.arange(1, 4) > int(header["dim"][0])
    pixdim[1:4][absent & (pixdim[1:4] == 0)] = 1


def _tell_unknown_codes(path: Path, header: Any, findings: list[Finding]) -> None:
    for form in ("sform", "qform"):
        code = int(header[f"{form}_code"])
        if code and code not in _SPACES:
            message = f"{path.name} has the {form} code {code}, which means nothing in NIfTI"
            cure = "its place is believed all the same" if code > 0 else f"its {form} is left aside"
            findings.append(Finding("nifti.form_code", f"{message}; {cure}"))


def _compare_spacing(path: Path, header: Any, sform: Geometry, unit: float, findings: list[Finding]) -> None:
    claimed = header["pixdim"][1:4].astype(float) * unit
    if np.allclose(claimed, sform.spacing[::-1], rtol=_SAME_SPACING, atol=0):
        return
    findings.append(
        Finding(
            "nifti.spacing_differs",
            f"{path.name} has spacings {_numbers(claimed)} mm in pixdim and {_numbers(sform.spacing[::-1])} mm in "
            "its sform; those of the sform are used",
        )
    )


def _numbers(values: Any) -> str:
    return " × ".join(f"{value:.6g}" for value in values)


def _qform(
    path: Path,
    header: Any,
    scale: NDArray[np.float64],
    shape: tuple[int, int, int],
    findings: list[Finding],
    dispensable: bool,
) -> Geometry | None:
    """Return the grid of the qform; one that is no place is refused, or told where the sform gives the place."""
    if int(header["qform_code"]) <= 0:
        return None
    _repair_qfac(path, header, findings)
    try:
        return grid_of(path, scale @ _qform_affine(path, header), shape)
    except RefusedError as error:
        if not dispensable:
            raise
        findings.append(Finding("nifti.qform_unusable", f"{error}; the sform of the file is used"))
        return None


def _repair_qfac(path: Path, header: Any, findings: list[Finding]) -> None:
    qfac = float(header["pixdim"][0])
    if qfac in (-1, 1):
        return
    if qfac != 0:
        findings.append(Finding("nifti.qfac", f"{path.name} has a qfac of {qfac:g}; 1 is taken"))
    header["pixdim"][0] = 1


def _qform_affine(path: Path, header: Any) -> NDArray[np.float64]:
    """Return the affine of the qform (nifti1.h, method 2), the fourth component of its quaternion in full precision.

    nibabel takes a component below 6e-4 for 0, which moves the far corner of a large image by half a millimetre.
    """
    b, c, d = (float(header[f"quatern_{letter}"]) for letter in "bcd")
    rest = 1 - (b * b + c * c + d * d)
    if rest < -2 * _QUATERNION_ROUNDING:
        raise RefusedError(
            f"{path.name} has a qform that is no rotation (its quaternion {b:g}, {c:g}, {d:g} is longer than 1): "
            "re-export it with a valid orientation",
            "nifti.qform",
        )
    steps = header["pixdim"][1:4].astype(float) * (1, 1, float(header["pixdim"][0]))
    affine = np.eye(4)
    affine[:3, :3] = quat2mat((np.sqrt(max(0.0, rest)), b, c, d)) * steps
    affine[:3, 3] = [float(header[f"qoffset_{axis}"]) for axis in "xyz"]
    return affine


def _contradict(sform: Geometry, qform: Geometry, header: Any) -> bool:
    """Whether two forms differ by more than the rounding of the quaternion explains.

    The file stores three components of the quaternion; the fourth is sqrt(1 - b² - c² - d²), which near a turn of
    180 degrees magnifies the rounding of the others to up to half a millimetre at the far corner.
    """
    apart = np.abs(sform.corners() - qform.corners()).max(axis=1)
    b, c, d = (float(header[f"quatern_{letter}"]) for letter in "bcd")
    real = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    turn = 2 * min(_QUATERNION_ROUNDING / max(real, 1e-9), np.sqrt(2 * _QUATERNION_ROUNDING))
    diagonal = float(np.linalg.norm(np.asarray(sform.shape) * sform.spacing))
    mirrored = sform.handedness != qform.handedness
    return bool(mirrored or apart[0] > _SAME_FORM_MM or apart.max() > _SAME_FORM_MM + turn * diagonal)


def _contradiction(path: Path, header: Any, sform: Geometry, qform: Geometry, findings: list[Finding]) -> Placement:
    apart = float(np.linalg.norm(sform.corners() - qform.corners(), axis=1).max())
    mirrored = " and mirror each other" if sform.handedness != qform.handedness else ""
    message = f"sform and qform of {path.name} place its corners up to {apart:.3g} mm apart{mirrored}"
    findings.append(Finding("nifti.forms_differ", message))
    readings = {"sform": sform, "qform": qform}
    choices = {name: _form_in_words(name, int(header[f"{name}_code"]), grid) for name, grid in readings.items()}
    return Placement(sform, Decision("form", "nifti.forms_differ", message, choices), readings)


def _form_in_words(name: str, code: int, grid: Geometry) -> str:
    first = ", ".join(f"{value:.2f}" for value in grid.origin)
    return (
        f"{name} with code {code} ({_SPACES.get(code, 'unknown space')}): axes {grid.axis_codes} for (z, y, x), "
        f"first voxel at ({first}) mm LPS"
    )
