"""Uncompressed pixels, read from where a scan saw them; whatever is unusual about them is left to pydicom."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from napari_volseg.formats.dicom.elements import Header
from napari_volseg.formats.dicom.encoding import PixelElement, version_of
from napari_volseg.formats.streams import fill

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

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest stored value that its bits can hold."""
        bits = 8 * np.dtype(self.dtype).itemsize - self.unused_bits
        return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if "i" in self.dtype else (0, (1 << bits) - 1)

    def read_into(self, path: Path, out: NDArray[Any]) -> bool:
        """Read the stored values; False, and nothing read, where the file is not the one that was seen.

        Parameters
        ----------
        path
            The file.
        out
            (y, x), contiguous, of ``dtype``.

        Raises
        ------
        OSError
            Where it can't be read.
        EOFError
            Where it ends early.
        """
        with path.open("rb", buffering=0) as stream:
            if version_of(os.fstat(stream.fileno())) != self.version:
                return False
            stream.seek(self.start)
            fill(stream, out.reshape(-1).view(np.uint8).data)
        self._clear_unused_bits(out)
        return True

    def _clear_unused_bits(self, pixels: NDArray[Any]) -> None:
        if not self.unused_bits:
            return
        if pixels.dtype.kind == "u":
            pixels &= self.limits[1]
            return
        pixels <<= self.unused_bits
        pixels >>= self.unused_bits  # with the sign


def find_native_pixels(header: Header, pixels: PixelElement, syntax: str) -> NativePixels | None:
    """Return where the pixels of a single grey image stand; None where they are not plain little endian integers.

    Pixels that something follows are left to pydicom, too: of an element that stands twice it takes the last.

    Parameters
    ----------
    header, pixels
        The header of the file and its pixel data element.
    syntax
        Its transfer syntax UID.
    """
    if syntax not in (ImplicitVRLittleEndian, ExplicitVRLittleEndian) or not is_single_grey(header):
        return None
    dtype = type_of_integers(header)
    if dtype is None:
        return None
    allocated, stored = header.get("BitsAllocated"), header.get("BitsStored")
    shape = (int(header.get("Rows")), int(header.get("Columns")))
    pixel_bytes = shape[0] * shape[1] * allocated // 8
    head = _head_bytes(pixels.head, pixel_bytes, syntax)
    if head is None or pixels.at + head + pixel_bytes + pixel_bytes % 2 != pixels.version[0]:
        return None
    return NativePixels(pixels.at + head, dtype, shape, allocated - stored, pixels.version)


def type_of_integers(header: Header) -> str | None:
    """Return the type of a stored pixel, None where it is no integer of 8 or 16 bits."""
    allocated, stored = header.get("BitsAllocated"), header.get("BitsStored")
    dtype = _TYPES.get((allocated, header.get("PixelRepresentation")))
    return dtype if dtype is not None and isinstance(stored, int) and 1 <= stored <= allocated else None


def is_single_grey(header: Header) -> bool:
    """Whether a file holds one image of one sample a pixel, whose values need no lookup table."""
    return (
        header.get("SamplesPerPixel") == 1
        and header.get("PhotometricInterpretation") in ("MONOCHROME1", "MONOCHROME2")
        and header.get("NumberOfFrames") in (None, 1)
        and "ModalityLUTSequence" not in header
    )


def _head_bytes(head: bytes, pixel_bytes: int, syntax: str) -> int | None:
    """Return the size of the head of a pixel data element of the expected length, None where it has another."""
    length = struct.pack("<I", pixel_bytes + pixel_bytes % 2)
    if syntax == ImplicitVRLittleEndian:
        return 8 if head[:8] == _PIXEL_DATA + length else None
    return 12 if head in [_PIXEL_DATA + vr + b"\x00\x00" + length for vr in (b"OW", b"OB")] else None
