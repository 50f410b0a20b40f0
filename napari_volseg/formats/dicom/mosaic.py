"""Siemens mosaics: the slices of a volume tiled in one image, row by row, told apart by the private headers.

Image Position (Patient) of a mosaic is that of an image as large as the mosaic about the centre of the first slice,
so that the first tile lies half the difference of their sizes further along rows and columns. In which direction the
slices follow each other stands in private headers alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from napari_volseg.core import RefusedError
from napari_volseg.formats.dicom.csa import read_csa, slice_places
from napari_volseg.formats.dicom.marks import KEYWORDS as MARK_KEYWORDS
from napari_volseg.formats.dicom.private import private_tags, private_value

if TYPE_CHECKING:
    from napari_volseg.formats.dicom.instances import Instance

#: What is read of private headers.
_CREATORS = {
    "SIEMENS CSA HEADER": (0x0029, (0x10, 0x20)),
    "SIEMENS MR HEADER": (0x0019, (0x0A,)),
    "SIEMENS MR SDS 01": (0x0021, (0x19,)),
}
#: More slices than a scanner tiles.
_MOST_SLICES = 1024
#: Share by which two statements of the distance between slices may differ, and direction cosines.
_TOLERANCE = 0.01
_NORMAL_TOLERANCE = 1e-3
_B_VALUE = MARK_KEYWORDS.index("DiffusionBValue")


@dataclass(frozen=True, slots=True)
class Tile:
    """A slice's place in a mosaic.

    Parameters
    ----------
    number
        Row by row, from 0.
    count, side
        Slices in the mosaic, and tiles along each of its edges.
    """

    number: int
    count: int
    side: int


@dataclass(frozen=True, slots=True)
class _Private:
    """What private headers say of a mosaic.

    Parameters
    ----------
    count
        Number of slices; 0 where nothing says it.
    normal
        Direction in which slices follow each other, (x, y, z), LPS; None where nothing says it.
    places
        (n, 3) planned centres of the slices, mm, LPS; n is 0 where nothing says them.
    b_value
        Diffusion weighting, s/mm².
    """

    count: int
    normal: tuple[float, ...] | None
    places: NDArray[np.float64]
    b_value: float | None


def without_mosaics(images: tuple[Instance, ...]) -> tuple[Instance, ...]:
    """Return the images of a file, those of its slices in place of a mosaic.

    Raises
    ------
    RefusedError
        Where private headers don't tell the slices of a mosaic apart, or contradict each other or the image.
    """
    if not images or "MOSAIC" not in images[0].image_type:
        return images
    mosaic = images[0]
    if len(images) > 1 or mosaic.missing:
        raise _refusal(mosaic.path, "its public header gives no single place for it")
    private = _read_private(mosaic.path)
    side = isqrt(private.count - 1) + 1 if private.count else 0
    if not side:
        raise _refusal(mosaic.path, "no private header says how many")
    if mosaic.rows % side or mosaic.columns % side:
        size = f"{mosaic.rows} × {mosaic.columns}"
        raise _refusal(mosaic.path, f"{private.count} slices don't fill an image of {size} pixels")
    rows, columns = mosaic.rows // side, mosaic.columns // side
    first = _first_position(mosaic, rows, columns)
    step = _step(mosaic, private, first)
    marks = list(mosaic.marks)
    if marks[_B_VALUE] is None and private.b_value is not None:
        marks[_B_VALUE] = (private.b_value,)
    return tuple(
        replace(mosaic, rows=rows, columns=columns, position=tuple((first + number * step).tolist()), frame=number,
                marks=tuple(marks), tile=Tile(number, private.count, side))
        for number in range(private.count)
    )  # fmt: skip


def _refusal(path: Path, why: str) -> RefusedError:
    return RefusedError(
        f"{path.name} is a Siemens mosaic (many slices tiled in one image), and {why}: "
        "export it from the scanner again with its private tags, or convert it to NIfTI there",
        "dicom.mosaic",
    )


def _first_position(mosaic: Instance, rows: int, columns: int) -> NDArray[np.float64]:
    """Return the centre of the first pixel of the first tile, (x, y, z), mm, LPS."""
    along_row, along_column = np.asarray(mosaic.orientation).reshape(2, 3)
    down, right = (mosaic.rows - rows) / 2, (mosaic.columns - columns) / 2
    spacing = mosaic.pixel_spacing
    return np.asarray(mosaic.position + along_column * spacing[0] * down + along_row * spacing[1] * right)


def _step(mosaic: Instance, private: _Private, first: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the way from slice to slice, (x, y, z), mm, LPS.

    It is along the normal of the rows and columns; its sign is that of the private normal and of the planned centres,
    which must agree where both are there.
    """
    normal = np.cross(*np.asarray(mosaic.orientation).reshape(2, 3))
    if private.count == 1:
        return normal
    along = private.places @ normal
    signs = {_sign_of_normal(mosaic, private.normal, normal), _sign_of_places(along, float(first @ normal))} - {0}
    if len(signs) != 1:
        why = "private headers contradict each other about" if signs else "no private header says"
        raise _refusal(mosaic.path, f"{why} the direction in which they follow each other")
    return normal * signs.pop() * _distance(mosaic, private, along)


def _sign_of_normal(mosaic: Instance, stated: tuple[float, ...] | None, normal: NDArray[np.float64]) -> int:
    if stated is None:
        return 0
    for sign in (1, -1):
        if np.abs(np.multiply(sign, stated) - normal).max() <= _NORMAL_TOLERANCE:
            return sign
    raise _refusal(mosaic.path, "its private normal is not at right angles to its rows and columns")


def _sign_of_places(along: NDArray[np.float64], first: float) -> int:
    """Return the sign of the way from the end of the planned slices where the first one lies; 0 where it lies off."""
    if len(along) < 2:
        return 0
    tolerance = 0.25 * abs(float(along[-1] - along[0])) / (len(along) - 1)
    for start, end in ((along[0], along[-1]), (along[-1], along[0])):
        if abs(start - first) < tolerance:
            return int(np.sign(end - start))
    return 0


def _distance(mosaic: Instance, private: _Private, along: NDArray[np.float64]) -> float:
    """Return the distance from slice to slice, mm."""
    stated = abs(mosaic.spacing_between or 0.0)
    planned = abs(float(along[-1] - along[0])) / (len(along) - 1) if len(along) > 1 else 0.0
    if len(along) > 1 and len(along) != private.count:
        raise _refusal(mosaic.path, f"private headers contradict each other: {private.count} or {len(along)} slices")
    if stated and planned and abs(stated - planned) > _TOLERANCE * planned:
        raise _refusal(mosaic.path, f"it says that they are {stated:.4g} mm and {planned:.4g} mm apart")
    if not stated and not planned:
        raise _refusal(mosaic.path, "nothing says how far apart they are")
    return stated or planned


def _read_private(path: Path) -> _Private:
    header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=[*private_tags(_CREATORS)])
    image = _csa(path, private_value(header, _CREATORS, "SIEMENS CSA HEADER", 0x10))
    series = _csa(path, private_value(header, _CREATORS, "SIEMENS CSA HEADER", 0x20))
    protocol = (*series.get("MrPhoenixProtocol", ()), *series.get("MrProtocol", ()))
    planned, places = slice_places(protocol[0] if protocol else _protocol_of_xa(header))
    counts = image.get("NumberOfImagesInMosaic", ()) or (private_value(header, _CREATORS, "SIEMENS MR HEADER", 0x0A),)
    normal = _numbers(path, image.get("SliceNormalVector", ()))
    if normal and len(normal) != 3:
        raise _refusal(path, "its private normal has not three numbers")
    b_values = _numbers(path, image.get("B_value", ()))
    return _Private(
        count=_count(path, counts[0]) or (planned if len(places) > 1 else 0),
        normal=normal or None,
        places=places,
        b_value=b_values[0] if b_values else None,
    )


def _protocol_of_xa(header: Dataset) -> str:
    """Return the protocol where software XA puts it."""
    value = private_value(header, _CREATORS, "SIEMENS MR SDS 01", 0x19)
    return value.decode("latin-1") if isinstance(value, bytes) else str(value or "")


def _csa(path: Path, content: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(content, bytes) or not content:
        return {}
    try:
        return read_csa(content)
    except ValueError as error:
        raise _refusal(path, f"its private header can't be read ({error})") from error


def _count(path: Path, stated: Any) -> int:
    """Return a number of slices as a private header writes it."""
    if stated is None or stated == "":
        return 0
    text = str(int.from_bytes(stated[:2], "little") if isinstance(stated, bytes) else stated)
    (number,) = _numbers(path, (text,))
    if not (number.is_integer() and 0 <= number <= _MOST_SLICES):
        raise _refusal(path, f"its private header says that they are {number:g}")
    return int(number)


def _numbers(path: Path, texts: Sequence[str]) -> tuple[float, ...]:
    try:
        numbers = tuple(map(float, texts))
    except ValueError as error:
        raise _refusal(path, f"its private header has '{texts[0][:20]}' where a number is needed") from error
    if not np.isfinite(numbers).all():
        raise _refusal(path, "its private header has a number that is not finite")
    return numbers


def mosaic_of(tile: Instance) -> Instance:
    """Return the image that a tile is cut from."""
    assert tile.tile is not None
    side = tile.tile.side
    return replace(tile, rows=tile.rows * side, columns=tile.columns * side, frame=None, tile=None)


def cut_tiles(images: Sequence[Instance], mosaic: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield the pixels (y, x) of tiles of one mosaic.

    Raises
    ------
    RefusedError
        Where there is an image in tiles that should be spare.
    """
    first = images[0]
    assert first.tile is not None
    spare = (_cut(mosaic, first, number) for number in range(first.tile.count, first.tile.side**2))
    if not first.lossy and any(np.ptp(tile) > 0 for tile in spare):
        raise _refusal(first.path, f"it holds more than the {first.tile.count} slices of its private header")
    for image in images:
        assert image.tile is not None
        yield _cut(mosaic, image, image.tile.number)


def _cut(mosaic: NDArray[Any], image: Instance, number: int) -> NDArray[Any]:
    assert image.tile is not None
    row, column = divmod(number, image.tile.side)
    return mosaic[
        row * image.rows : (row + 1) * image.rows,
        column * image.columns : (column + 1) * image.columns,
    ]
