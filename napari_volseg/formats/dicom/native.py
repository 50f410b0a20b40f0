"""Uncompressed pixels, read from where a scan saw them; whatever is unusual about them is left to pydicom."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_TYPES = {(8, 0): "u1", (8, 1): "i1", (16, 0): "<u2", (16, 1): "<i2"}


@dataclass(frozen=True, slots=True)
class NativePixels:
    """Where the pixels of a file stand.

    Parameters
    ----------
    start
        Offset of the first pixel, bytes.
    dtype
        Of a stored pixel.
    shape
        Rows and columns.
    unused_bits
        Bits of a stored pixel above its value (PS3.5 8.1.1), which may hold anything.
    version
        Size and time (ns) of the file.
    """

    start: int
    dtype: str
    shape: tuple[int, int]
    unused_bits: int
    version: tuple[int, int]

    def read(self, path: Path) -> NDArray[Any] | None:
        """Return the stored values (y, x); None where the file is not the one that was seen.

        Raises
        ------
        OSError
            Where it can't be read.
        """
        if _version(path) != self.version:
            return None
        pixels = np.fromfile(path, self.dtype, self.shape[0] * self.shape[1], offset=self.start).reshape(self.shape)
        if self.unused_bits:
            pixels <<= self.unused_bits
            pixels >>= self.unused_bits  # with the sign, where there is one
        return pixels


def find_native_pixels(path: Path, header: Dataset, stream: BinaryIO, at: int, syntax: str) -> NativePixels | None:
    """Return where the pixels of a single grey image stand; None where they are not plain little endian integers.

    Pixels that something follows are left to pydicom, too: of an element that stands twice it takes the last.

    Parameters
    ----------
    path, header
        The file and its header.
    stream, at
        The file, and where its pixel data element begins, bytes.
    syntax
        Its transfer syntax UID.
    """
    if syntax not in (ImplicitVRLittleEndian, ExplicitVRLittleEndian) or not _is_single_grey(header):
        return None
    allocated, stored = header.get("BitsAllocated"), header.get("BitsStored")
    dtype = _TYPES.get((allocated, header.get("PixelRepresentation")))
    if dtype is None or not isinstance(stored, int) or not 1 <= stored <= allocated:
        return None
    shape = (int(header.Rows), int(header.Columns))
    pixel_bytes, version = shape[0] * shape[1] * allocated // 8, _version(path)
    head = _head_bytes(stream, at, pixel_bytes, syntax)
    if head is None or at + head + pixel_bytes + pixel_bytes % 2 != version[0]:
        return None
    return NativePixels(at + head, dtype, shape, allocated - stored, version)


def _is_single_grey(header: Dataset) -> bool:
    return (
        header.get("SamplesPerPixel") == 1
        and header.get("PhotometricInterpretation") in ("MONOCHROME1", "MONOCHROME2")
        and header.get("NumberOfFrames") in (None, 1)
        and "ModalityLUTSequence" not in header
    )


def _head_bytes(stream: BinaryIO, at: int, pixel_bytes: int, syntax: str) -> int | None:
    """Return the size of the head of a pixel data element of the expected length, None where it has another."""
    length = struct.pack("<I", pixel_bytes + pixel_bytes % 2)
    heads = (
        [_PIXEL_DATA + length]
        if syntax == ImplicitVRLittleEndian
        else [_PIXEL_DATA + vr + b"\x00\x00" + length for vr in (b"OW", b"OB")]
    )
    stream.seek(at)
    found = stream.read(len(heads[0]))
    return len(found) if found in heads else None


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
