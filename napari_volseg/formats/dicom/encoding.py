"""How a file is encoded, and whether it can hold what its header claims: asked before memory is spent on it."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from napari_volseg.core import RefusedError
from napari_volseg.formats.dicom.elements import Header, number, size

#: The preamble and "DICM" (PS3.10 7.1).
PREAMBLE_BYTES = 132
#: A deflated file that grows beyond this is refused: no single image needs it, a decompression bomb does.
MAX_INFLATED_BYTES = 256 * 2**20
#: The largest frame that a decoder is asked to make; the largest radiographs take a tenth of it.
MAX_FRAME_BYTES = 512 * 2**20

_PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
_LOSSLESS = (
    RLELossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless,
    UID("1.2.840.10008.1.2.4.90"), UID("1.2.840.10008.1.2.4.201"), UID("1.2.840.10008.1.2.4.202"),
)  # fmt: skip
#: What executables begin with on Windows, Linux and macOS (CVE-2019-11687).
_EXECUTABLE = (b"MZ", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!")
#: An encapsulated frame takes at least the header of its item (PS3.5 A.4).
_ITEM_BYTES = 8
#: Bytes that one byte of run lengths can stand for: two encode up to 128 (PS3.5 annex G).
_MAX_RUN = 64


@dataclass(frozen=True, slots=True)
class PixelElement:
    """The pixel data element of a file.

    Parameters
    ----------
    at
        Where it begins, bytes.
    head
        Its first twelve bytes; fewer where the file ends.
    version
        Size, bytes, and time, ns, of the file.
    """

    at: int
    head: bytes
    version: tuple[int, int]


def version_of(status: os.stat_result) -> tuple[int, int]:
    """Return size, bytes, and time, ns, of a file."""
    return status.st_size, status.st_mtime_ns


def starts_like_a_dataset(start: bytes) -> bool:
    """Whether bytes begin with an element of group 0002 or 0008, as a file without preamble does."""
    return len(start) >= 8 and start[:2] in (b"\x02\x00", b"\x08\x00") and start[3] == 0


def starts_like_a_program(start: bytes) -> bool:
    """Whether the preamble begins as an executable file does."""
    return start.startswith(_EXECUTABLE)


def transfer_syntax(header: Dataset) -> str:
    """Return the transfer syntax UID, that of the parsed encoding where there is no meta header."""
    stated = str(header.file_meta.get("TransferSyntaxUID", ""))
    if stated:
        return stated
    implicit, little = header.original_encoding
    if not little:
        return str(ExplicitVRBigEndian)
    return str(ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)


def is_lossy(syntax: str) -> bool:
    """Whether pixels of this transfer syntax may differ from those that were measured."""
    return UID(syntax).is_compressed and syntax not in (*_LOSSLESS, DeflatedExplicitVRLittleEndian)


def refuse_inflating_bomb(path: Path, stream: BinaryIO, start: int) -> None:
    """Inflate the data set of a deflated file through a counter, keeping nothing, and rewind the stream.

    Parameters
    ----------
    path, stream
        The file.
    start
        Where its meta information begins.

    Raises
    ------
    RefusedError
        Where it grows beyond ``MAX_INFLATED_BYTES``.
    """
    stream.seek(start)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        stream.seek(0)
        return
    inflater, grown = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while pending := inflater.unconsumed_tail or stream.read(2**16):
        grown += len(inflater.decompress(pending, 2**20))
        if grown > MAX_INFLATED_BYTES:
            raise RefusedError(
                f"{path.name} inflates beyond {MAX_INFLATED_BYTES >> 20} MiB, more than one image needs: "
                "export it again without deflation",
                "dicom.too_large",
            )
    stream.seek(0)


def _least_bytes(frame_bytes: int, syntax: str) -> int:
    """Return the fewest bytes that a frame can take in a file."""
    if syntax in _NATIVE:
        return frame_bytes
    return _ITEM_BYTES + (frame_bytes // _MAX_RUN if syntax == RLELossless else 0)


def refuse_missing_pixels(path: Path, header: Header, pixels: PixelElement, syntax: str) -> None:
    """Refuse a file that holds fewer pixel bytes than its header promises, before memory is asked for.

    Parameters
    ----------
    path, header
        The file and its header.
    pixels
        Where its pixels stand.
    syntax
        Its transfer syntax UID.
    """
    frames = int(number(path, header, "NumberOfFrames") or 1)
    bits = int(number(path, header, "BitsAllocated") or 0)
    samples = int(number(path, header, "SamplesPerPixel") or 1)
    frame_bytes = size(path, header, "Rows") * size(path, header, "Columns") * samples * bits // 8
    if frame_bytes > MAX_FRAME_BYTES:
        raise RefusedError(
            f"{path.name} claims an image of {header.get('Rows')} × {header.get('Columns')} pixels, more than any "
            "scanner makes: copy it again",
            "dicom.incomplete",
        )
    if syntax == DeflatedExplicitVRLittleEndian:
        return
    order: Literal["little", "big"] = "big" if syntax == ExplicitVRBigEndian else "little"
    tag = (int.from_bytes(pixels.head[:2], order) << 16) | int.from_bytes(pixels.head[2:4], order)
    if tag not in _PIXEL_TAGS:
        raise RefusedError(f"{path.name} holds no pixels: copy it again", "dicom.no_pixels")
    held = pixels.version[0] - pixels.at - (8 if syntax == ImplicitVRLittleEndian else 12)
    promised = frames * _least_bytes(frame_bytes, syntax)
    if held < promised:
        raise RefusedError(
            f"{path.name} is incomplete: it holds {max(held, 0)} of {promised} bytes of pixels; copy it again",
            "dicom.incomplete",
        )
