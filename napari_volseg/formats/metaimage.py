"""MetaImage (.mha, .mhd) in: ITK's own format; directions and offset are in LPS, mm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import (
    CancelToken,
    Finding,
    PreviewCallback,
    ProgressCallback,
    RefusedError,
    TimeAxis,
    Volume,
    no_progress,
)
from napari_volseg.formats.catalog import FoundVolume, Scan
from napari_volseg.formats.placement import Placement, grid_of
from napari_volseg.formats.raster import (
    AT_THE_END,
    MAX_HEADER,
    Raster,
    beside,
    check_promises,
    read_raster,
    scan_raster,
)

NAME = "MetaImage"
ENDINGS = (".mha", ".mhd")
#: MetaIO's names of types.
TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_BEGINNING = re.compile(rb"\s*(ObjectType|NDims|Comment|ObjectSubType)\s*=")
_MODALITIES = {"MET_MOD_CT": "CT", "MET_MOD_MR": "MR", "MET_MOD_NM": "NM", "MET_MOD_US": "US"}
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def is_metaimage(path: Path) -> bool:
    """Whether a file is a MetaImage by its content or claims to be by its name."""
    if path.name.lower().endswith(ENDINGS):
        return True
    try:
        with path.open("rb") as stream:
            return _BEGINNING.match(stream.read(64)) is not None
    except OSError:
        return False


def scan_file(path: Path) -> Scan:
    """Look at the header of one MetaImage."""
    return scan_raster(path, read_header)


def load(
    found: FoundVolume,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
    orientation: str | None = None,
    preview: PreviewCallback | None = None,
) -> Volume:
    """Read the voxels of a file that was scanned; parameters and errors as in ``read_raster``."""
    return read_raster(read_header(found.paths[0]), progress, cancel, orientation, preview)


def read_header(path: Path, data: Path | None = None) -> Raster:
    """Read and check the header of a MetaImage; ``data`` is its data file where that doesn't yet have its name.

    Raises
    ------
    RefusedError
        Where it is no MetaImage, promises more than its data file holds, or has no usable grid.
    """
    fields, end = _take_apart(path)
    findings: list[Finding] = []
    _refuse_unsupported(path, fields)
    sizes = _integers(path, fields, "DimSize")
    dimensions = _integers(path, fields, "NDims")
    if dimensions not in ([3], [4]) or len(sizes) != dimensions[0] or min(sizes) < 1:
        raise _bad(path, "DimSize", fields["DimSize"], "three or four positive sizes are needed")
    data_path, offset = _data(path, fields, end) if data is None else (data, 0)
    volumes = sizes[3] if len(sizes) == 4 else 1
    affine, step = _affine(path, fields, len(sizes), findings)
    return check_promises(
        Raster(
            format=NAME,
            path=path,
            data_path=data_path,
            placement=Placement(grid_of(path, _LPS_TO_RAS @ affine, (sizes[0], sizes[1], sizes[2]))),
            dtype=_dtype(path, fields, findings),
            offset=offset,
            deflated=_flag(fields, "CompressedData"),
            volumes=volumes,
            time=TimeAxis("time", "s", tuple(step * n for n in range(volumes))) if volumes > 1 else None,
            modality=_MODALITIES.get(fields.get("Modality", ""), "OT"),
            findings=tuple(findings),
        )
    )


def _take_apart(path: Path) -> tuple[Mapping[str, str], int]:
    """Return the fields, and the byte behind the last one, which by definition is ElementDataFile."""
    with path.open("rb") as stream:
        head = stream.read(MAX_HEADER)
    last = re.search(rb"^ElementDataFile\s*=[^\n]*(\n|\Z)", head, re.MULTILINE)
    if _BEGINNING.match(head) is None or last is None:
        raise RefusedError(
            f"{path.name} is not a MetaImage (its first bytes are {head[:8]!r}): open another image",
            "metaimage.not_metaimage",
        )
    lines = head[: last.end()].decode("utf-8", "replace").split("\n")
    pairs = [line.split("=", 1) for line in lines if "=" in line]
    names = [name.strip() for name, _ in pairs]
    if len(set(names)) < len(names):
        raise RefusedError(f"{path.name} gives a field of its header twice: export it again", "metaimage.header")
    return {name: value.strip() for name, (_, value) in zip(names, pairs, strict=True)}, last.end()


def _bad(path: Path, name: str, value: str, expectation: str) -> RefusedError:
    return RefusedError(f"{path.name} says {name} = {value[:80]!r}; {expectation}", f"metaimage.{name}")


def _flag(fields: Mapping[str, str], *names: str) -> bool:
    return any(fields.get(name, "").lower() in ("true", "1", "t", "yes") for name in names)


def _refuse_unsupported(path: Path, fields: Mapping[str, str]) -> None:
    if fields.get("ObjectType", "Image").lower() != "image":
        raise _bad(path, "ObjectType", fields["ObjectType"], "an Image is needed")
    if "BinaryData" in fields and not _flag(fields, "BinaryData"):
        raise _bad(path, "BinaryData", fields["BinaryData"], "binary data is needed")
    if fields.get("ElementNumberOfChannels", "1") != "1":
        raise RefusedError(
            f"{path.name} holds {fields['ElementNumberOfChannels']} values per voxel: extract one first",
            "metaimage.vector",
        )
    scaling = [
        fields.get("ElementToIntensityFunctionSlope", "1"),
        fields.get("ElementToIntensityFunctionOffset", "0"),
    ]
    if [_number(path, "ElementToIntensityFunction", word) for word in scaling] != [1, 0]:
        raise _bad(path, "ElementToIntensityFunctionSlope", " ".join(scaling), "values as they are meant are needed")


def _number(path: Path, name: str, word: str) -> float:
    try:
        return float(word)
    except ValueError as error:
        raise _bad(path, name, word, "a number is needed") from error


def _numbers(path: Path, fields: Mapping[str, str], *names: str) -> NDArray[np.float64] | None:
    """Return the numbers of the first of several fields that mean the same; None where there is none."""
    for name in names:
        if name in fields:
            return np.array([_number(path, name, word) for word in fields[name].split()])
    return None


def _integers(path: Path, fields: Mapping[str, str], name: str) -> list[int]:
    numbers = _numbers(path, fields, name)
    if numbers is None or not np.isfinite(numbers).all() or not (numbers == np.rint(numbers)).all():
        raise _bad(path, name, fields.get(name, ""), "integers are needed")
    return [int(number) for number in numbers]


def _dtype(path: Path, fields: Mapping[str, str], findings: list[Finding]) -> np.dtype[Any]:
    word = fields.get("ElementType", "")
    if word not in TYPES:
        raise _bad(path, "ElementType", word, f"one of {', '.join(TYPES)} is needed")
    names = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
    dtype = np.dtype(TYPES[word])
    if dtype.itemsize > 1 and not any(name in fields for name in names):
        message = f"{path.name} doesn't name its byte order; little endian is taken"
        findings.append(Finding("metaimage.byte_order", message))
    return dtype.newbyteorder(">" if _flag(fields, *names) else "<")


def _data(path: Path, fields: Mapping[str, str], end: int) -> tuple[Path, int]:
    """Return the data file and its first byte."""
    name = fields["ElementDataFile"]
    if name.upper() == "LOCAL":
        return path, end
    if name.upper().startswith("LIST") or "%" in name:
        raise _bad(path, "ElementDataFile", name, "one data file is needed: export it as one")
    start = _integers(path, fields, "HeaderSize")[0] if "HeaderSize" in fields else 0
    if start < AT_THE_END or (start == AT_THE_END and _flag(fields, "CompressedData")):
        raise _bad(path, "HeaderSize", str(start), "0 or more is needed, or -1 for raw data")
    return beside(path, name, "metaimage.ElementDataFile"), start


def _affine(
    path: Path, fields: Mapping[str, str], count: int, findings: list[Finding]
) -> tuple[NDArray[np.float64], float]:
    """Return the affine (index (i, j, k) → LPS mm) and the step along a fourth axis."""
    directions = _numbers(path, fields, "TransformMatrix", "Orientation", "Rotation")
    offset = _numbers(path, fields, "Offset", "Position", "Origin")
    spacing = _numbers(path, fields, "ElementSpacing", "ElementSize")
    missing = [
        words
        for words, value in (("directions", directions), ("offset", offset), ("spacing", spacing))
        if value is None
    ]
    if missing:
        message = f"{path.name} gives no {' and no '.join(missing)}; MetaImage's defaults are taken"
        findings.append(Finding("metaimage.assumed_place", message))
    directions = np.eye(count).reshape(-1) if directions is None else directions
    offset = np.zeros(count) if offset is None else offset
    spacing = np.ones(count) if spacing is None else spacing
    if directions.size != count * count or offset.size != count or spacing.size != count:
        raise RefusedError(
            f"{path.name} gives {directions.size} numbers of directions, {offset.size} of its offset and "
            f"{spacing.size} spacings; {count} dimensions need {count * count}, {count} and {count}",
            "metaimage.TransformMatrix",
        )
    axes = directions.reshape(count, count)
    if count == 4 and (axes[3, :3].any() or axes[:3, 3].any()):
        raise _bad(path, "TransformMatrix", "of four dimensions", "a fourth axis apart from the others is needed")
    affine = np.eye(4)
    affine[:3, :3] = axes[:3, :3].T * spacing[:3]
    affine[:3, 3] = offset[:3]
    return affine, float(spacing[3]) if count == 4 else 1.0
