"""What a compressed image says of its own size, compared with its header before a decoder is asked to make it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from pydicom.uid import UID

from napari_volseg.core import RefusedError
from napari_volseg.formats.dicom.elements import Header, size
from napari_volseg.formats.dicom.encoding import PixelElement

#: Bytes of a codestream in which its size is looked for.
_LOOKED_AT = 1 << 12
#: Head of an encapsulated pixel data element, and of an item in it (PS3.5 A.4).
_ELEMENT_BYTES, _ITEM_BYTES = 12, 8
_ITEM = b"\xfe\xff\x00\xe0"
#: Begin of a JPEG 2000 codestream: SOC, then SIZ (ISO/IEC 15444-1 A.5.1).
_JPEG_2000 = b"\xff\x4f\xff\x51"
#: Begin of a JPEG or JPEG-LS image: SOI, then the first byte of any marker.
_JPEG = b"\xff\xd8\xff"
#: Markers of frame headers (ISO/IEC 10918-1 B.1.1.3, ISO/IEC 14495-1 C.1.1); the others of this range are tables.
_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
#: Markers without a length.
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


def refuse_other_size(path: Path, header: Header, stream: BinaryIO, pixels: PixelElement, syntax: str) -> None:
    """Refuse a file whose first compressed image is of another size than its header says.

    Parameters
    ----------
    path, header, stream
        The file, its header, and its bytes.
    pixels
        Where its pixels stand.
    syntax
        Its transfer syntax UID.

    Raises
    ------
    RefusedError
        With both sizes.
    """
    if not UID(syntax).is_encapsulated:
        return
    stated = stated_size(_first_fragment(stream, pixels.at + _ELEMENT_BYTES))
    said = size(path, header, "Rows"), size(path, header, "Columns")
    if stated is not None and stated != said:
        raise RefusedError(
            f"{path.name} holds an image of {stated[0]} × {stated[1]} pixels where its header says "
            f"{said[0]} × {said[1]}: copy it again",
            "dicom.damaged",
        )


def _first_fragment(stream: BinaryIO, at: int) -> bytes:
    """Return the begin of the first fragment behind the offset table at ``at``; empty where there is none."""
    stream.seek(at)
    table = stream.read(_ITEM_BYTES)
    stream.seek(at + _ITEM_BYTES + int.from_bytes(table[4:], "little"))
    start = stream.read(_ITEM_BYTES + _LOOKED_AT)
    return start[_ITEM_BYTES:] if table[:4] == start[:4] == _ITEM else b""


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
