"""NRRD in: attached and detached headers, raw and gzip data (teem's "Definition of NRRD File Format")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
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
from napari_volseg.formats.placement import Placement, grid_of, without_orientation
from napari_volseg.formats.raster import (
    AT_THE_END,
    MAX_HEADER,
    Raster,
    beside,
    check_promises,
    read_raster,
    scan_raster,
)

NAME = "NRRD"
ENDINGS = (".nrrd", ".nhdr")

#: Words for a type, and what it is in NumPy.
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_DTYPES = {word: np.dtype(code) for code, words in _TYPES.items() for word in words}
#: Signs that turn coordinates of a space into RAS.
_TO_RAS = {
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
}
_UNIT_MM = {"": 1.0, "mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001, "µm": 0.001, "micron": 0.001}
_SERIES_KINDS = ("list", "time")


@dataclass(frozen=True, slots=True)
class _Text:
    """A header taken apart: fields by their lower-case names, keys with values, and where the data begins."""

    fields: Mapping[str, str]
    keys: Mapping[str, str]
    end: int


def is_nrrd(path: Path) -> bool:
    """Whether a file is NRRD by its content or claims to be by its name."""
    if path.name.lower().endswith(ENDINGS):
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(7) == b"NRRD000"
    except OSError:
        return False


def scan_file(path: Path) -> Scan:
    """Look at the header of one NRRD file."""
    return scan_raster(path, _image_header)


def load(
    found: FoundVolume,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
    orientation: str | None = None,
    preview: PreviewCallback | None = None,
) -> Volume:
    """Read the voxels of a file that was scanned; parameters and errors as in ``read_raster``."""
    return read_raster(_image_header(found.paths[0]), progress, cancel, orientation, preview)


def _image_header(path: Path) -> Raster:
    raster = read_header(path)
    if is_segmentation(raster):
        raise RefusedError(
            f"{path.name} is a segmentation: open its image first, then load it as labels", "nrrd.segmentation"
        )
    return raster


def is_segmentation(raster: Raster) -> bool:
    """Whether a header names segments as 3D Slicer does."""
    return any(re.fullmatch(r"Segment\d+_ID", key) for key in raster.fields)


def read_header(path: Path) -> Raster:
    """Read and check the header of an NRRD file.

    Raises
    ------
    RefusedError
        Where it is no NRRD, promises more than its data file holds, or has no usable grid.
    """
    text = _take_apart(path)
    findings: list[Finding] = []
    sizes = [_integer(path, "sizes", word) for word in _field(path, text, "sizes").split()]
    if len(sizes) != _integer(path, "dimension", _field(path, text, "dimension")) or min(sizes) < 1:
        raise _bad(path, "sizes", text.fields["sizes"], "one positive size for each dimension is needed")
    directions, first = _spatial_axes(path, text, sizes)
    i, j, k = sizes[first : first + 3]
    series = first + 3 if len(sizes) > first + 3 else 0
    layers, volumes = _product(sizes[:first]), _product(sizes[first + 3 :])
    encoding = _field(path, text, "encoding").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise _bad(path, "encoding", encoding, "raw or gzip is needed")
    data_path, offset, surplus = _data(path, text, encoding != "raw")
    return check_promises(
        Raster(
            format=NAME,
            path=path,
            data_path=data_path,
            placement=_placement(path, text, directions, first, (i, j, k), findings),
            dtype=_dtype(path, text),
            offset=offset,
            surplus=surplus,
            deflated=encoding != "raw",
            layers=layers,
            volumes=volumes,
            time=_series(path, text, series, layers, volumes),
            fields=text.keys,
            findings=tuple(findings),
        )
    )


def _product(sizes: list[int]) -> int:
    return int(np.prod(sizes, dtype=object))


def _take_apart(path: Path) -> _Text:
    with path.open("rb") as stream:
        head = stream.read(MAX_HEADER)
    if not re.match(rb"NRRD000\d\r?\n", head):
        raise RefusedError(
            f"{path.name} is not an NRRD file (its first bytes are {head[:8]!r}): open another image", "nrrd.not_nrrd"
        )
    blank = re.search(rb"\r?\n\r?\n", head)
    if blank is None and len(head) == MAX_HEADER:
        raise RefusedError(f"{path.name} has a header of more than {MAX_HEADER} bytes", "nrrd.header")
    lines = head[: blank.start() if blank else len(head)].decode("utf-8", "replace").split("\n")[1:]
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    for line in lines:
        found = re.match(r"([^:#][^:]*):(=| ?)(.*)", line.rstrip("\r"))
        if found is None:
            continue
        name, kind, value = found.groups()
        if kind == "=":
            keys[name] = _unescaped(value)
        else:
            _put(path, fields, name.strip().lower(), value.strip())
    return _Text(fields, keys, blank.end() if blank else len(head))


def _unescaped(value: str) -> str:
    return re.sub(r"\\(n|\\)", lambda found: "\n" if found[1] == "n" else "\\", value)


def _put(path: Path, fields: dict[str, str], name: str, value: str) -> None:
    if name in fields:
        raise _bad(path, name, value, "it was given before; each field is needed once")
    fields[name] = value


def _bad(path: Path, name: str, value: str, expectation: str) -> RefusedError:
    return RefusedError(f"{path.name} says {name}: {value[:80]!r}; {expectation}", f"nrrd.{name.replace(' ', '_')}")


def _field(path: Path, text: _Text, name: str) -> str:
    if name not in text.fields:
        raise RefusedError(f"{path.name} has no {name} in its header: export it again", f"nrrd.{name}")
    return text.fields[name]


def _integer(path: Path, name: str, word: str) -> int:
    try:
        return int(word)
    except ValueError as error:
        raise _bad(path, name, word, "an integer is needed") from error


def _dtype(path: Path, text: _Text) -> np.dtype[Any]:
    word = _field(path, text, "type").lower()
    if word not in _DTYPES:
        raise _bad(path, "type", word, "integers, float or double are needed")
    dtype = _DTYPES[word]
    if dtype.itemsize == 1:
        return dtype
    endian = _field(path, text, "endian").lower()
    if endian not in ("little", "big"):
        raise _bad(path, "endian", endian, "little or big is needed")
    return dtype.newbyteorder("<" if endian == "little" else ">")


def _data(path: Path, text: _Text, deflated: bool) -> tuple[Path, int, int]:
    """Return the data file, its first byte, and how many bytes to pass over once it is inflated."""
    name = text.fields.get("data file", text.fields.get("datafile"))
    lines = text.fields.get("line skip", text.fields.get("lineskip", "0"))
    if _integer(path, "line skip", lines):
        raise _bad(path, "line skip", lines, "0 is needed")
    passed = _integer(path, "byte skip", text.fields.get("byte skip", text.fields.get("byteskip", "0")))
    if passed < AT_THE_END or (passed == AT_THE_END and deflated):
        raise _bad(path, "byte skip", str(passed), "0 or more is needed, or -1 for raw data")
    if name is None:
        data_path, start = path, text.end
    elif name.upper().startswith("LIST") or "%" in name:
        raise _bad(path, "data file", name, "one data file is needed: export it as one")
    else:
        data_path, start = beside(path, name, "nrrd.data_file"), 0
    if passed == AT_THE_END:
        return data_path, AT_THE_END, 0
    return (data_path, start, passed) if deflated else (data_path, start + passed, 0)


def _vectors(path: Path, name: str, value: str) -> list[NDArray[np.float64] | None]:
    """Return the vectors of a field such as ``(1,0,0) none (0,1,0)``."""
    vectors: list[NDArray[np.float64] | None] = []
    for word in re.findall(r"\([^)]*\)|[^\s()]+", value):
        try:
            vectors.append(None if word.lower() == "none" else np.array([float(n) for n in word[1:-1].split(",")]))
        except ValueError as error:
            raise _bad(path, name, word, "vectors of numbers are needed") from error
    return vectors


def _spatial_axes(path: Path, text: _Text, sizes: list[int]) -> tuple[list[NDArray[np.float64] | None] | None, int]:
    """Return the direction of each axis (None without directions) and the first of the three spatial axes."""
    given = text.fields.get("space directions")
    if given is None:
        kinds = text.fields.get("kinds", "").lower().split()
        spatial = [n for n, kind in enumerate(kinds) if kind in ("domain", "space")] or list(range(len(sizes)))
        directions = None
    else:
        directions = _vectors(path, "space directions", given)
        if len(directions) != len(sizes):
            raise _bad(path, "space directions", given, "one for each dimension is needed")
        spatial = [n for n, direction in enumerate(directions) if direction is not None]
    if len(spatial) != 3 or spatial[2] - spatial[0] != 2:
        raise RefusedError(
            f"{path.name} has {len(spatial)} spatial axes in {len(sizes)} dimensions: three in a row are needed",
            "nrrd.dimensions",
        )
    return directions, spatial[0]


def _placement(
    path: Path,
    text: _Text,
    directions: list[NDArray[np.float64] | None] | None,
    first: int,
    shape: tuple[int, int, int],
    findings: list[Finding],
) -> Placement:
    unit = _millimetres(path, text, findings)
    space = text.fields.get("space", "").lower()
    axes = directions[first : first + 3] if directions is not None else None
    vectors = [axis for axis in axes or () if axis is not None and axis.shape == (3,)]
    if axes is not None and len(vectors) != 3:
        raise _bad(path, "space directions", text.fields["space directions"], "vectors of three numbers are needed")
    if space not in _TO_RAS or axes is None:
        message = f"{path.name} gives no anatomical space (space: {space or 'none'}): its orientation is unknown"
        unknown = Finding("nrrd.orientation_unknown", message)
        findings.append(unknown)
        lengths = np.linalg.norm(vectors, axis=1) if vectors else _spacings(path, text, first)
        return without_orientation(path, shape, lengths * unit, unknown)
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack(vectors)
    affine[:3, 3] = _origin(path, text, findings)
    signs = np.diag([*_TO_RAS[space], 1.0])
    return Placement(grid_of(path, signs @ np.diag([unit, unit, unit, 1.0]) @ affine, shape))


def _origin(path: Path, text: _Text, findings: list[Finding]) -> NDArray[np.float64]:
    given = text.fields.get("space origin")
    if given is None:
        message = f"{path.name} has no space origin; its first voxel is put at (0, 0, 0)"
        findings.append(Finding("nrrd.no_origin", message))
        return np.zeros(3)
    vectors = _vectors(path, "space origin", given)
    if len(vectors) != 1 or vectors[0] is None or vectors[0].shape != (3,):
        raise _bad(path, "space origin", given, "a vector of three numbers is needed")
    return vectors[0]


def _millimetres(path: Path, text: _Text, findings: list[Finding]) -> float:
    units = set(re.findall(r'"([^"]*)"', text.fields.get("space units", ""))) or {""}
    if len(units) > 1 or not units <= set(_UNIT_MM):
        raise _bad(path, "space units", text.fields["space units"], "mm along each axis is needed")
    factor = _UNIT_MM[units.pop()]
    if factor != 1:
        findings.append(Finding("nrrd.unit_converted", f"{path.name} isn't measured in mm; converted"))
    return factor


def _spacings(path: Path, text: _Text, first: int) -> NDArray[np.float64]:
    given = text.fields.get("spacings", "").split()
    if len(given) < first + 3:
        raise RefusedError(f"{path.name} gives neither directions nor spacings: export it again", "nrrd.spacings")
    try:
        return np.abs([float(word) for word in given[first : first + 3]])
    except ValueError as error:
        raise _bad(path, "spacings", " ".join(given), "numbers are needed") from error


def _series(path: Path, text: _Text, series: int, layers: int, volumes: int) -> TimeAxis | None:
    """Return the meaning of the axis that is not spatial, where its kind says that it is a series."""
    if layers > 1 and volumes > 1:
        raise RefusedError(
            f"{path.name} has axes before and behind the spatial ones: extract one volume first", "nrrd.dimensions"
        )
    count = layers * volumes
    kinds = text.fields.get("kinds", "").lower().split()
    if count == 1 or (volumes == 1 and kinds[:1] not in ([kind] for kind in _SERIES_KINDS)):
        return None
    steps = text.fields.get("spacings", "").split()
    try:
        step = float(steps[series]) if series < len(steps) else np.nan
    except ValueError:
        step = np.nan
    if np.isfinite(step):
        return TimeAxis("time", "s", tuple(step * n for n in range(count)))
    return TimeAxis("volume", "", tuple(float(n) for n in range(count)))
