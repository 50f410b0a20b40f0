"""What a compressed image says of itself, compared with its header before a decoder is asked to make it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.uid import JPEG2000, UID, JPEG2000Lossless

from napari_volseg.core import RefusedError
from napari_volseg.formats.dicom.elements import Header, size
from napari_volseg.formats.dicom.encoding import PixelElement
from napari_volseg.formats.dicom.native import is_single_grey, type_of_integers

#: Bytes of a codestream in which its size is looked for.
_LOOKED_AT = 1 << 12
#: Head of an encapsulated pixel data element, and of an item in it (PS3.5 A.4).
_ELEMENT_BYTES, _ITEM_BYTES = 12, 8
_ITEM = b"\xfe\xff\x00\xe0"
#: Compressed pixels: tag, VR, and no length (PS3.5 A.4).
_PIXELS = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
#: Begin of a JPEG 2000 codestream: SOC, then SIZ (ISO/IEC 15444-1 A.5.1).
_JPEG_2000 = b"\xff\x4f\xff\x51"
#: Where its number of components stands, and behind it the precision of the first.
_SAMPLES_AT = 40
#: Begin of a JPEG or JPEG-LS image: SOI, then the first byte of any marker.
_JPEG = b"\xff\xd8\xff"
#: Markers of frame headers (ISO/IEC 10918-1 B.1.1.3, ISO/IEC 14495-1 C.1.1); the others of this range are tables.
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
#: Markers without a length.
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class Fragment:
    """The first fragment of compressed pixels.

    Parameters
    ----------
    at
        Where it begins in its file, bytes.
    length
        As its item says, bytes.
    begin
        Its first bytes.
    """

    at: int
    length: int
    begin: bytes


@dataclass(frozen=True, slots=True)
class Codestream:
    """Where a whole JPEG 2000 image stands that needs nothing but to be decoded.

    Parameters
    ----------
    at, length
        Bytes.
    dtype
        Of a decoded pixel.
    version
        Size and time (ns) of the file.
    """

    at: int
    length: int
    dtype: str
    version: tuple[int, int]


def first_fragment(stream: BinaryIO, pixels: PixelElement, syntax: str) -> Fragment | None:
    """Return the fragment behind the offset table (PS3.5 A.4); None where there is none, or nothing is compressed."""
    if not UID(syntax).is_encapsulated:
        return None
    at = pixels.at + _ELEMENT_BYTES
    stream.seek(at)
    table = stream.read(_ITEM_BYTES)
    at += _ITEM_BYTES + int.from_bytes(table[4:], "little")
    stream.seek(at)
    start = stream.read(_ITEM_BYTES + _LOOKED_AT)
    if not table[:4] == start[:4] == _ITEM:
        return None
    return Fragment(at + _ITEM_BYTES, int.from_bytes(start[4:_ITEM_BYTES], "little"), start[_ITEM_BYTES:])


def refuse_other_size(path: Path, header: Header, fragment: Fragment | None) -> None:
    """Refuse a file whose first compressed image is of another size than its header says.

    Parameters
    ----------
    path, header
        The file and its header.
    fragment
        The begin of the image.

    Raises
    ------
    RefusedError
        With both sizes.
    """
    stated = stated_size(fragment.begin) if fragment is not None else None
    said = size(path, header, "Rows"), size(path, header, "Columns")
    if stated is not None and stated != said:
        raise RefusedError(
            f"{path.name} holds an image of {stated[0]} × {stated[1]} pixels where its header says "
            f"{said[0]} × {said[1]}: copy it again",
            "dicom.damaged",
        )


def find_codestream(
    header: Header, fragment: Fragment | None, pixels: PixelElement, syntax: str
) -> Codestream | None:
    """Return where a single grey JPEG 2000 image stands; None where a decoder needs to know more than that.

    It is one fragment at the end of the file, and says of its pixels what the header says.

    Parameters
    ----------
    header, fragment, pixels
        The header of the file, the first fragment of its pixels, and the element that holds them.
    syntax
        Its transfer syntax UID.
    """
    if fragment is None or syntax not in (JPEG2000Lossless, JPEG2000) or not is_single_grey(header):
        return None
    dtype = type_of_integers(header)
    is_last = fragment.at + fragment.length + _ITEM_BYTES == pixels.version[0]
    if dtype is None or not is_last or pixels.head != _PIXELS or not _states_its_pixels(fragment.begin, header):
        return None
    return Codestream(fragment.at, fragment.length, dtype, pixels.version)


def _states_its_pixels(codestream: bytes, header: Header) -> bool:
    """Whether a JPEG 2000 image states one sample of the header's type a pixel (ISO/IEC 15444-1 A.5.1)."""
    bits, signed = header.get("BitsStored"), header.get("PixelRepresentation")
    sample = bytes((0, 1, bits - 1 | signed << 7, 1, 1))
    as_allocated = (bits > 8) == (header.get("BitsAllocated") == 16)  # decoded pixels take no more bytes than needed
    return as_allocated and codestream.startswith(_JPEG_2000) and codestream[_SAMPLES_AT:].startswith(sample)


def stated_size(codestream: bytes) -> tuple[int, int] | None:
    """Return rows and columns as the begin of a codestream states them; None where it is of another kind."""
    if codestream.startswith(_JPEG_2000):
        fields = [int.from_bytes(codestream[at : at + 4], "big") for at in range(8, 24, 4)]
        return fields[1] - fields[3], fields[0] - fields[2]
    return _size_of_jpeg(codestream) if codestream.startswith(_JPEG) else None


def _size_of_jpeg(codestream: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(codestream) and codestream[at] == 0xFF:
        marker = codestream[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(codestream[at + 5 : at + 7], "big"), int.from_bytes(
                codestream[at + 7 : at + 9], "big"
            )
        if marker == 0xFF:
            at += 1
        else:
            at += 2 if marker in _BARE else 2 + int.from_bytes(codestream[at + 2 : at + 4], "big")
    return None
