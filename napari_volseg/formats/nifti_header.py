"""The header of a NIfTI file: what it promises, checked before a voxel is read."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from napari_volseg.core import Finding, Geometry, GeometryError, RefusedError

GZIP_MAGIC = b"\x1f\x8b"
#: Deflate can't shrink data further than this.
_MAX_INFLATION = 1032
#: Largest corner distance, mm, at which sform and qform are taken to say the same.
_SAME_FORM_MM = 0.1
_UNIT_MM = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
_UNIT_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
_PAIR_HEADERS = {".img": ".hdr", ".img.gz": ".hdr.gz"}
_PAIR_IMAGES = {".hdr": ".img", ".hdr.gz": ".img.gz"}

#: Affines (index (i, j, k) → RAS) that a file without orientation may have meant.
ORIENTATIONS = {
    "RAS": "index (i, j, k) runs towards Right, Anterior, Superior",
    "LAS": "index (i, j, k) runs towards Left, Anterior, Superior (Analyze, radiological)",
    "LPS": "index (i, j, k) runs towards Left, Posterior, Superior (as ITK assumes)",
}


@dataclass(frozen=True, slots=True)
class NiftiHeader:
    """What is needed to read the voxels of a NIfTI file.

    Parameters
    ----------
    path, image_path
        The file with the header and the file with the voxels, the same but for .hdr/.img pairs.
    geometry
        Grid of the array (k, j, i), which is (z, y, x) as stored.
    oriented
        False where the file says nothing about its place in the patient.
    dtype
        Type of the stored values, with their byte order.
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
    geometry: Geometry
    oriented: bool
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
    def voxel_bytes(self) -> int:
        """Bytes of all voxels as stored."""
        return int(np.prod(self.geometry.shape)) * self.volumes * self.dtype.itemsize

    @property
    def has_scaling(self) -> bool:
        """Whether stored values must be scaled."""
        return (self.slope, self.intercept) != (1.0, 0.0)


def open_inflated(path: Path) -> IO[bytes]:
    """Open a file for reading, through gzip where its content (not its name) is gzip."""
    with path.open("rb") as raw:
        compressed = raw.read(2) == GZIP_MAGIC
    return cast(IO[bytes], gzip.open(path, "rb")) if compressed else path.open("rb")


def looks_like_nifti(path: Path) -> bool:
    """Whether a file's first bytes are a NIfTI header, gzipped or not; unreadable files are not."""
    try:
        return _header_class(_first_bytes(path)) is not None
    except (OSError, EOFError, zlib.error):
        return False


def read_header(path: Path) -> NiftiHeader:
    """Read and check the header of a NIfTI-1 or NIfTI-2 file, single or pair.

    Raises
    ------
    RefusedError
        Where the file is no NIfTI, promises more than it holds, or has no usable grid.
    """
    header_path = _partner(path, _PAIR_HEADERS) or path
    try:
        raw = _first_bytes(header_path)
    except (OSError, EOFError, zlib.error) as error:
        raise incomplete(header_path, error) from error
    kind = _header_class(raw)
    if kind is None:
        raise RefusedError(
            f"{header_path.name} is not a NIfTI file (its first bytes are {raw[:8]!r}): open a .nii or .nii.gz image",
            "nifti.not_nifti",
        )
    header = kind(raw[: kind.sizeof_hdr], check=False)
    is_pair = bytes(header["magic"])[:2] == b"ni"
    image_path = (_partner(header_path, _PAIR_IMAGES) if is_pair else header_path) or header_path
    return _interpret(header_path, image_path, header, is_pair)


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


def _first_bytes(path: Path) -> bytes:
    with open_inflated(path) as stream:
        return stream.read(nib.Nifti2Header.sizeof_hdr)


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


def _interpret(path: Path, image_path: Path, header: Any, is_pair: bool) -> NiftiHeader:
    findings: list[Finding] = []
    shape, volumes = _dimensions(path, header)
    dtype = _stored_type(path, header)
    offset = _voxel_offset(path, header, is_pair, findings)
    _refuse_promises(image_path, offset + int(np.prod(shape, dtype=object)) * volumes * dtype.itemsize)
    affine, oriented = _affine(path, header, shape, findings)
    slope, intercept = _scaling(path, header, findings)
    _note_extensions(path, header, offset, is_pair, findings)
    time_unit = _UNIT_SECONDS.get(_units(header)[1], 1.0)
    low, high = float(header["cal_min"]), float(header["cal_max"])
    return NiftiHeader(
        path=path,
        image_path=image_path,
        geometry=_grid(path, affine, shape),
        oriented=oriented,
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


def _grid(path: Path, affine: NDArray[np.float64], shape: tuple[int, int, int]) -> Geometry:
    try:
        return Geometry.from_ras_ijk(affine, shape)
    except GeometryError as error:
        raise GeometryError(f"{path.name}: {error}", error.code) from error


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


def _stored_type(path: Path, header: Any) -> np.dtype[Any]:
    try:
        dtype = np.dtype(header.get_data_dtype())
    except (HeaderDataError, KeyError):
        dtype = np.dtype(object)
    if dtype.kind not in "uif" or dtype.itemsize > 8:
        raise RefusedError(
            f"{path.name} stores values of NIfTI datatype {int(header['datatype'])}: convert it to integers, "
            "float32 or float64",
            "nifti.datatype",
        )
    return dtype.newbyteorder(header.endianness)


def _voxel_offset(path: Path, header: Any, is_pair: bool, findings: list[Finding]) -> int:
    offset = int(header["vox_offset"])
    first = 0 if is_pair else header.single_vox_offset
    if 0 <= offset < first:
        findings.append(
            Finding(
                "nifti.offset",
                f"{path.name} says its voxels begin at byte {offset}, inside its header; {first} is used",
            )
        )
    if offset < 0:
        raise RefusedError(f"{path.name} says its voxels begin at byte {offset}: re-export it", "nifti.offset")
    return max(offset, first)


def _refuse_promises(path: Path, promised: int) -> None:
    """Refuse a file that can't hold what its header promises, before memory is asked for."""
    held = path.stat().st_size
    with path.open("rb") as raw:
        if raw.read(2) == GZIP_MAGIC:
            held *= _MAX_INFLATION
    if promised > held:
        raise RefusedError(
            f"{path.name} promises {promised} bytes and can hold at most {held}: it is incomplete, copy it again",
            "nifti.incomplete",
        )


def _units(header: Any) -> tuple[str, str]:
    try:
        space, time = header.get_xyzt_units()
    except KeyError:
        return "unknown", "unknown"
    return space, time


def _affine(
    path: Path, header: Any, shape: tuple[int, int, int], findings: list[Finding]
) -> tuple[NDArray[np.float64], bool]:
    """Return the affine (index (i, j, k) → RAS mm) and whether the file itself gave it."""
    scale = _millimetres(path, header, findings)
    sform = header.get_sform() if int(header["sform_code"]) > 0 else None
    qform = _qform(path, header, findings) if int(header["qform_code"]) > 0 else None
    if sform is not None:
        if qform is not None:
            _note_disagreement(path, scale @ sform, scale @ qform, shape, findings)
        return scale @ sform, True
    if qform is not None:
        return scale @ qform, True
    findings.append(
        Finding(
            "nifti.orientation_unknown", f"{path.name} has neither a qform nor an sform: its orientation is unknown"
        )
    )
    return scale @ orientation_affine("LAS", shape, np.abs(header["pixdim"][1:4].astype(float))), False


def orientation_affine(codes: str, shape_ijk: tuple[int, int, int], spacing_ijk: Any) -> NDArray[np.float64]:
    """Return the affine of a file whose index (i, j, k) runs as ``codes`` says, centred on the origin, RAS mm."""
    signs = [1.0 if letter == positive else -1.0 for letter, positive in zip(codes, "RAS", strict=True)]
    affine = np.diag([*(np.asarray(spacing_ijk, float) * signs), 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape_ijk) - 1) / 2)
    return affine


def _millimetres(path: Path, header: Any, findings: list[Finding]) -> NDArray[np.float64]:
    unit = _units(header)[0]
    if unit == "unknown":
        findings.append(
            Finding("nifti.unit_unknown", f"{path.name} doesn't name its unit of length; mm is taken", "note")
        )
    elif unit != "mm":
        findings.append(Finding("nifti.unit_converted", f"{path.name} is measured in {unit}s; converted to mm"))
    factor = _UNIT_MM.get(unit, 1.0)
    return np.diag([factor, factor, factor, 1.0])


def _qform(path: Path, header: Any, findings: list[Finding]) -> NDArray[np.float64]:
    header = header.copy()
    if (header["pixdim"][1:4] < 0).any():
        findings.append(
            Finding("nifti.negative_spacing", f"{path.name} has negative spacings in pixdim; their size is used")
        )
        header["pixdim"][1:4] = np.abs(header["pixdim"][1:4])
    if header["pixdim"][0] not in (-1, 1):
        if header["pixdim"][0] != 0:
            findings.append(Finding("nifti.qfac", f"{path.name} has a qfac of {header['pixdim'][0]:g}; 1 is taken"))
        header["pixdim"][0] = 1
    try:
        return np.asarray(header.get_qform(), float)
    except (HeaderDataError, ValueError) as error:
        raise RefusedError(
            f"{path.name} has a qform that is no rotation ({error}): re-export it with a valid orientation",
            "nifti.qform",
        ) from error


def _note_disagreement(
    path: Path,
    sform: NDArray[np.float64],
    qform: NDArray[np.float64],
    shape: tuple[int, int, int],
    findings: list[Finding],
) -> None:
    try:
        pair = [Geometry.from_ras_ijk(affine, shape).corners() for affine in (sform, qform)]
    except RefusedError:
        return
    distance = float(np.abs(pair[0] - pair[1]).max())
    if distance > _SAME_FORM_MM:
        findings.append(
            Finding(
                "nifti.forms_differ",
                f"sform and qform of {path.name} place its corners {distance:.3g} mm apart; the sform is used",
            )
        )


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


def _note_extensions(path: Path, header: Any, offset: int, is_pair: bool, findings: list[Finding]) -> None:
    if not is_pair and offset > header.single_vox_offset:
        findings.append(
            Finding(
                "nifti.extension",
                f"{path.name} carries a header extension that may identify a patient; exports don't copy it",
                "note",
            )
        )
