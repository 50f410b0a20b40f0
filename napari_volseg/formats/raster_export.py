"""NRRD and MetaImage out: text headers with the grid in full precision, data deflated, read back and compared."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import RefusedError, Segmentation, UsageError, Volume
from napari_volseg.formats import metaimage, nrrd
from napari_volseg.formats.files import PathLike
from napari_volseg.formats.labels import require_same_grid, table_for
from napari_volseg.formats.publishing import (
    Draft,
    publish,
    require_no_source,
    require_same_place,
    require_same_voxels,
)
from napari_volseg.formats.raster import Raster, read_raster
from napari_volseg.formats.sidecar import read_table, sidecar_path, write_table
from napari_volseg.formats.streams import deflated, planes_of
from napari_volseg.spatial import apply_reorientation, invert_reorientation

_NRRD_TYPES = {
    "i1": "int8",
    "u1": "uint8",
    "i2": "int16",
    "u2": "uint16",
    "i4": "int32",
    "u4": "uint32",
    "i8": "int64",
    "u8": "uint64",
    "f4": "float",
    "f8": "double",
}
#: MET_LONG has four bytes for some readers and eight for others; it isn't written.
_META_TYPES = {code: word for word, code in metaimage.TYPES.items() if word not in ("MET_LONG", "MET_ULONG")}


def save_volume_nrrd(path: PathLike, volume: Volume) -> Path:
    """Save a volume, 3D or 4D, as NRRD on the grid that it was stored on.

    Parameters
    ----------
    path
        Ends in .nrrd.
    volume
        What to save.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UsageError
        For another ending.
    RefusedError
        Where the file can't be written or reads back differently; a file that was there before is then untouched.
    """
    target = _with_ending(path, ".nrrd")
    if target.name.lower().endswith(".seg.nrrd"):
        raise UsageError(f"{target.name} would be taken for a segmentation: give a name that ends in .nrrd alone")
    publish([nrrd_draft(target, volume.voxels, volume)])
    return target


def save_volume_metaimage(path: PathLike, volume: Volume) -> Path:
    """Save a volume, 3D or 4D, as MetaImage: .mha, or .mhd with its voxels beside it in .zraw.

    Everything else as in ``save_volume_nrrd``.
    """
    target = _with_ending(path, *metaimage.ENDINGS)
    publish(_metaimage_drafts(target, volume.voxels, volume))
    return target


def save_labels_metaimage(path: PathLike, segmentation: Segmentation, volume: Volume) -> Path:
    """Save labels as MetaImage on the stored grid of their volume, and their table beside it as JSON.

    Errors as in ``save_volume_nrrd``, and GeometryError where labels and volume don't match.
    """
    target = _with_ending(path, *metaimage.ENDINGS)
    require_same_grid(segmentation.geometry, volume)
    table = table_for(segmentation)

    def verify_table(written: Path) -> None:
        require_same_voxels(read_table(written) == table, sidecar_path(target).name)

    publish(
        [
            *_metaimage_drafts(target, smallest(segmentation.labels), volume),
            Draft(sidecar_path(target), lambda temporary: write_table(temporary, table), verify_table),
        ]
    )
    return target


def smallest(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels in the smallest unsigned type that holds them."""
    return labels.astype(np.min_scalar_type(int(labels.max(initial=0))), copy=False)


def nrrd_draft(target: Path, voxels: NDArray[Any], volume: Volume, keys: Mapping[str, str] | None = None) -> Draft:
    """Return the draft of an NRRD file with voxels (z, y, x) or (t, z, y, x) on the display grid of a volume."""
    stored = _stored(voxels, volume, target)

    def write(temporary: Path) -> None:
        header = "\n".join([*_nrrd_lines(stored, volume), *_key_lines(keys or {}), "", ""])
        with temporary.open("wb") as stream:
            stream.write(header.encode())
            stream.writelines(deflated(planes_of(stored), zlib.MAX_WBITS | 16))

    return Draft(target, write, _verifier(target, voxels, volume, nrrd.read_header))


def _metaimage_drafts(target: Path, voxels: NDArray[Any], volume: Volume) -> tuple[Draft, ...]:
    """Return the draft of a .mha, or those of the data file and the header of a .mhd."""
    stored = _stored(voxels, volume, target)
    content = list(deflated(planes_of(stored), zlib.MAX_WBITS))
    detached = target.name.lower().endswith(".mhd")
    data = target.with_suffix(".zraw")
    lines = _metaimage_lines(stored, volume, sum(map(len, content)), data.name if detached else "LOCAL")
    header = ("\n".join(lines) + "\n").encode()
    if not detached:
        whole = [header, *content]
        return (_bytes_draft(target, whole, _verifier(target, voxels, volume, metaimage.read_header)),)
    places: list[Path] = []  # the data file has no name yet when its header is read back

    def read_header(written: Path) -> Raster:
        return metaimage.read_header(written, places[0])

    return (
        _bytes_draft(data, content, places.append),
        _bytes_draft(target, [header], _verifier(target, voxels, volume, read_header)),
    )


def _bytes_draft(target: Path, content: Sequence[bytes], verify: Callable[[Path], None]) -> Draft:
    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            stream.writelines(content)

    return Draft(target, write, verify)


def _with_ending(path: PathLike, *endings: str) -> Path:
    target = Path(path)
    if not target.name.lower().endswith(endings):
        expected = " or ".join(endings)
        raise UsageError(f"{target.name} can't be written in this format: give a name that ends in {expected}")
    return target


def _stored(voxels: NDArray[Any], volume: Volume, target: Path) -> NDArray[Any]:
    """Return voxels in the order of the stored grid; a type that the formats don't know is refused.

    So is a target that the volume was read from.
    """
    require_no_source(target, volume)
    if voxels.dtype.str[1:] not in _NRRD_TYPES:
        raise RefusedError(
            f"{target.name} can't hold values of type {voxels.dtype}: integers, float32 or float64 are needed",
            "export.type",
        )
    return apply_reorientation(voxels, invert_reorientation(volume.origin_provenance.reorientation))


def _verifier(
    target: Path, voxels: NDArray[Any], volume: Volume, read_header: Callable[[Path], Raster]
) -> Callable[[Path], None]:
    def verify(written: Path) -> None:
        raster = read_header(written)
        require_same_place(raster.geometry, volume.origin_provenance.source_geometry, target.name)
        read = read_raster(raster).voxels
        same = read.dtype == voxels.dtype and np.array_equal(read, voxels, equal_nan=voxels.dtype.kind == "f")
        require_same_voxels(bool(same), target.name)

    return verify


def _step(volume: Volume) -> float:
    """Return the time between volumes, 1 where the axis isn't even or not time."""
    values = volume.time.values if volume.time is not None else ()
    steps = np.diff(values)
    return float(steps[0]) if len(steps) and steps[0] > 0 and np.allclose(steps, steps[0]) else 1.0


def _nrrd_lines(stored: NDArray[Any], volume: Volume) -> Iterator[str]:
    matrix = volume.origin_provenance.source_geometry.matrix
    is_series = stored.ndim == 4
    directions = [_vector(matrix[:3, axis]) for axis in (2, 1, 0)]
    yield "NRRD0005"
    yield f"type: {_NRRD_TYPES[stored.dtype.str[1:]]}"
    yield f"dimension: {stored.ndim}"
    yield "space: left-posterior-superior"
    yield f"sizes: {' '.join(str(size) for size in stored.shape[::-1])}"
    yield f"space directions: {' '.join(directions)}{' none' if is_series else ''}"
    yield f"kinds: domain domain domain{' list' if is_series else ''}"
    if is_series:
        yield f"spacings: NaN NaN NaN {_step(volume)!r}"
    yield "endian: little"
    yield "encoding: gzip"
    yield 'space units: "mm" "mm" "mm"'
    yield f"space origin: {_vector(matrix[:3, 3])}"


def _vector(numbers: NDArray[np.float64]) -> str:
    return f"({','.join(repr(float(number)) for number in numbers)})"


def _key_lines(keys: Mapping[str, str]) -> Iterator[str]:
    for key, value in keys.items():
        escaped = value.replace("\\", "\\\\").replace("\n", "\\n")
        yield f"{key}:={escaped}"


def _metaimage_lines(stored: NDArray[Any], volume: Volume, held: int, data: str) -> Iterator[str]:
    geometry = volume.origin_provenance.source_geometry
    count = stored.ndim
    axes, offset, spacing = np.eye(count), np.zeros(count), np.full(count, _step(volume))
    axes[:3, :3] = geometry.direction.T[::-1]
    offset[:3], spacing[:3] = geometry.origin, geometry.spacing[::-1]
    yield "ObjectType = Image"
    yield f"NDims = {count}"
    yield "BinaryData = True"
    yield "BinaryDataByteOrderMSB = False"
    yield "CompressedData = True"
    yield f"CompressedDataSize = {held}"
    yield f"TransformMatrix = {_words(axes.reshape(-1))}"
    yield f"Offset = {_words(offset)}"
    yield f"CenterOfRotation = {_words(np.zeros(count))}"
    yield f"ElementSpacing = {_words(spacing)}"
    yield f"DimSize = {' '.join(str(size) for size in stored.shape[::-1])}"
    yield f"ElementType = {_META_TYPES[stored.dtype.str[1:]]}"
    yield f"ElementDataFile = {data}"


def _words(numbers: NDArray[np.float64]) -> str:
    return " ".join(repr(float(number)) for number in numbers)
