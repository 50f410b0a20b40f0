"""The header of a NIfTI file: what it promises, checked before a voxel is read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from napari_volseg.core import Finding, Geometry, RefusedError
from napari_volseg.formats.analyze import as_nifti, looks_like_analyze
from napari_volseg.formats.nifti_place import place, units
from napari_volseg.formats.placement import Placement
from napari_volseg.formats.streams import DAMAGE, is_deflated, open_inflated, refuse_promises

#: Enough of a file for its header and, as a rule, its header extensions.
_HEAD = 1 << 16
_DICOM_EXTENSION = 2
_SIZES = (nib.Nifti1Header.sizeof_hdr, nib.Nifti2Header.sizeof_hdr)
_UNIT_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
_PAIR_HEADERS = {".img": ".hdr", ".img.gz": ".hdr.gz"}
_PAIR_IMAGES = {".hdr": ".img", ".hdr.gz": ".img.gz"}


@dataclass(frozen=True, slots=True)
class NiftiHeader:
    """What is needed to read the voxels of a NIfTI file.

    Parameters
    ----------
    path, image_path
        The file with the header and the file with the voxels, the same but for .hdr/.img pairs.
    placement
        Grid of the array (k, j, i), which is (z, y, x) as stored, or the grids that the file may mean.
    dtype
        Type of the stored values, with their byte order; structured for RGB and RGBA.
    offset
        First byte of the voxels, counted in the inflated file.
    volumes
        Size of the time axis, 1 for a 3D image.
    time_step, time_offset
        Seconds.
    slope, intercept
        Stored values to values; (1, 0) where the file has no scaling.
    window
        Lowest and highest value to show, None where the file doesn't say.
    is_labels
        Whether the intent code says that the values are labels.
    findings
        What was found, repaired or assumed.
    """

    path: Path
    image_path: Path
    placement: Placement
    dtype: np.dtype[Any]
    offset: int
    volumes: int
    time_step: float
    time_offset: float
    slope: float
    intercept: float
    window: tuple[float, float] | None
    is_labels: bool
    findings: tuple[Finding, ...]

    @property
    def geometry(self) -> Geometry:
        """The stored grid (k, j, i); where only the user can tell, the first of its readings."""
        return self.placement.geometry

    @property
    def view_only(self) -> bool:
        """Whether values are colours or complex numbers, which are shown and neither measured nor segmented."""
        return self.dtype.kind in "cV"

    @property
    def voxel_bytes(self) -> int:
        """Bytes of all voxels as stored."""
        return int(np.prod(self.geometry.shape)) * self.volumes * self.dtype.itemsize

    @property
    def has_scaling(self) -> bool:
        """Whether stored values must be scaled."""
        return (self.slope, self.intercept) != (1.0, 0.0)


def looks_like_nifti(path: Path) -> bool:
    """Whether a file is by its first bytes NIfTI, gzipped or not, or the header of an Analyze or damaged pair."""
    try:
        raw = _first_bytes(path, nib.Nifti2Header.sizeof_hdr)
    except DAMAGE:
        return False
    return _header_class(raw) is not None or (_is_pair_name(path) and _size_of_header(raw) in _SIZES)


def read_header(path: Path) -> NiftiHeader:
    """Read and check the header of a NIfTI-1 or NIfTI-2 file, single or pair, or of an Analyze pair.

    Raises
    ------
    RefusedError
        Where the file is none of these, promises more than it holds, or has no usable grid.
    """
    header_path = _partner(path, _PAIR_HEADERS) or path
    try:
        raw = _first_bytes(header_path, _HEAD)
    except DAMAGE as error:
        raise incomplete(header_path, error) from error
    findings: list[Finding] = []
    header = _parse(header_path, raw, findings)
    is_pair = bytes(header["magic"])[:2] == b"ni"
    image_path = (_partner(header_path, _PAIR_IMAGES) if is_pair else header_path) or header_path
    return _interpret(header_path, image_path, header, is_pair, findings)


def _parse(path: Path, raw: bytes, findings: list[Finding]) -> Any:
    kind = _header_class(raw)
    if kind is not None:
        header = kind(raw[: kind.sizeof_hdr], check=False)
        _note_extensions(path, header, raw, findings)
        return header
    if _is_pair_name(path) and looks_like_analyze(raw):
        findings.append(Finding("nifti.analyze", f"{path.name} is Analyze 7.5, which has no place in the patient"))
        return as_nifti(raw)
    raise RefusedError(
        f"{path.name} is not a NIfTI file (its first bytes are {raw[:8]!r}, its magic {raw[344:348]!r}): open a .nii "
        "or .nii.gz image",
        "nifti.not_nifti",
    )


def _size_of_header(raw: bytes) -> int:
    """Return the size that a header begins with, in the byte order in which it makes sense; 0 where in neither."""
    sizes = [int.from_bytes(raw[:4], order) for order in ("little", "big")]
    return next((size for size in sizes if size in _SIZES), 0)


def _is_pair_name(path: Path) -> bool:
    return path.name.lower().endswith(tuple(_PAIR_IMAGES))


def header_of_pair(path: Path) -> Path | None:
    """Return the .hdr that would go with an .img, None for other names."""
    return _renamed(path, _PAIR_HEADERS)


def _renamed(path: Path, endings: dict[str, str]) -> Path | None:
    for ending, other in endings.items():
        if path.name.lower().endswith(ending):
            return path.with_name(path.name[: -len(ending)] + other)
    return None


def _partner(path: Path, endings: dict[str, str]) -> Path | None:
    partner = _renamed(path, endings)
    if partner is not None and not partner.exists():
        raise RefusedError(
            f"{path.name} has no {partner.name} beside it: a NIfTI pair needs both files", "nifti.missing_partner"
        )
    return partner


def _first_bytes(path: Path, count: int) -> bytes:
    with open_inflated(path) as stream:
        return stream.read(count)


def _header_class(raw: bytes) -> type[nib.Nifti1Header] | type[nib.Nifti2Header] | None:
    if len(raw) >= 348 and raw[344:347] in (b"n+1", b"ni1"):
        return nib.Nifti1Header
    if len(raw) >= 540 and raw[4:7] in (b"n+2", b"ni2"):
        return nib.Nifti2Header
    return None


def incomplete(path: Path, error: Exception | None = None) -> RefusedError:
    """Return the error for a file that ends too early or whose compressed data is damaged."""
    detail = f" ({error})" if error else ""
    return RefusedError(
        f"{path.name} is damaged or incomplete{detail}: copy or download it again", "nifti.incomplete"
    )


def _interpret(path: Path, image_path: Path, header: Any, is_pair: bool, findings: list[Finding]) -> NiftiHeader:
    shape, volumes = _dimensions(path, header)
    dtype = _stored_type(path, header, findings)
    offset = _voxel_offset(path, header, is_pair, findings)
    promised = offset + int(np.prod(shape, dtype=object)) * volumes * dtype.itemsize
    refuse_promises(image_path, promised, is_deflated(image_path), "nifti.incomplete")
    placement = place(path, header, shape, findings)
    slope, intercept = _scaling(path, header, findings) if dtype.kind in "uif" else (1.0, 0.0)
    time_unit = _UNIT_SECONDS.get(units(header)[1], 1.0)
    low, high = float(header["cal_min"]), float(header["cal_max"])
    return NiftiHeader(
        path=path,
        image_path=image_path,
        placement=placement,
        dtype=dtype,
        offset=offset,
        volumes=volumes,
        time_step=float(header["pixdim"][4]) * time_unit,
        time_offset=float(header["toffset"]) * time_unit,
        slope=slope,
        intercept=intercept,
        window=(low, high) if np.isfinite([low, high]).all() and high > low else None,
        is_labels=int(header["intent_code"]) == 1002,
        findings=tuple(findings),
    )


def _dimensions(path: Path, header: Any) -> tuple[tuple[int, int, int], int]:
    """Return (i, j, k) sizes and the number of volumes."""
    count = int(header["dim"][0])
    sizes = [int(n) for n in header["dim"][1 : count + 1]] if 1 <= count <= 7 else []
    if len(sizes) < 2 or min(sizes) < 1:
        raise RefusedError(
            f"{path.name} says its dimensions are {header['dim'].tolist()}: two to seven positive sizes are needed",
            "nifti.dimensions",
        )
    i, j, k, volumes, *rest = [*sizes, *[1] * (4 - len(sizes))]
    if any(n > 1 for n in rest):
        raise RefusedError(
            f"{path.name} holds a vector or matrix per voxel (dimensions {sizes}): extract one component first",
            "nifti.vector",
        )
    return (i, j, k), volumes


def _stored_type(path: Path, header: Any, findings: list[Finding]) -> np.dtype[Any]:
    try:
        dtype = np.dtype(header.get_data_dtype())
    except (HeaderDataError, KeyError):
        dtype = np.dtype(object)
    if dtype.kind not in "uifcV" or dtype.itemsize > 8 or dtype.itemsize == 0:
        raise RefusedError(
            f"{path.name} stores values of NIfTI datatype {int(header['datatype'])}: convert it to integers, "
            "float32 or float64",
            "nifti.datatype",
        )
    if dtype.kind in "cV":
        shown = "their magnitude" if dtype.kind == "c" else "their brightness"
        kind = "complex numbers" if dtype.kind == "c" else "colours"
        findings.append(Finding("nifti.view_only", f"{path.name} holds {kind}; {shown} is shown, for viewing only"))
    if int(header["bitpix"]) != 8 * dtype.itemsize:
        message = f"{path.name} says {int(header['bitpix'])} bits a voxel where its datatype has {8 * dtype.itemsize}"
        findings.append(Finding("nifti.bitpix", f"{message}; the datatype is believed", "note"))
    return dtype.newbyteorder(header.endianness)


def _voxel_offset(path: Path, header: Any, is_pair: bool, findings: list[Finding]) -> int:
    claimed = float(header["vox_offset"])
    if not np.isfinite(claimed) or claimed < 0:
        raise RefusedError(f"{path.name} says its voxels begin at byte {claimed:g}: re-export it", "nifti.offset")
    offset, first = int(header["vox_offset"]), 0 if is_pair else header.single_vox_offset
    if offset < first:
        findings.append(
            Finding(
                "nifti.offset",
                f"{path.name} says its voxels begin at byte {offset}, inside its header; {first} is used",
            )
        )
    return max(offset, first)


def _scaling(path: Path, header: Any, findings: list[Finding]) -> tuple[float, float]:
    """Return slope and intercept; a slope of 0 or NaN means unscaled (NIfTI-1 standard, scl_slope)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if np.isnan(slope) or slope == 0:
        return 1.0, 0.0
    if not np.isfinite([slope, intercept]).all():
        findings.append(
            Finding(
                "nifti.scaling", f"{path.name} has scaling {slope:g}, {intercept:g}; its values are left unscaled"
            )
        )
        return 1.0, 0.0
    return slope, intercept


def _note_extensions(path: Path, header: Any, raw: bytes, findings: list[Finding]) -> None:
    codes = set(_extension_codes(header, raw))
    if not codes:
        return
    content = "a DICOM header" if _DICOM_EXTENSION in codes else "a header extension"
    findings.append(
        Finding(
            "nifti.extension",
            f"{path.name} carries {content} that may identify a patient; exports don't copy it",
            "warning" if _DICOM_EXTENSION in codes else "note",
        )
    )


def _extension_codes(header: Any, raw: bytes) -> Iterator[int]:
    """Yield the codes of the extensions behind a header (nifti1.h, "extended header")."""
    position = header.sizeof_hdr + 4
    single = not bytes(header["magic"]).startswith(b"ni")
    end = min(len(raw), int(np.nan_to_num(float(header["vox_offset"]), posinf=_HEAD)) if single else _HEAD)
    if len(raw) < position or not raw[header.sizeof_hdr]:
        return
    while position + 8 <= end:
        size, code = struct.unpack_from(f"{header.endianness}ii", raw, position)
        if size < 8:
            return
        yield code
        position += size
