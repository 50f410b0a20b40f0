"""Palette colour: what a header must say of its tables for an image to be shown by brightness (PS3.3 C.7.9)."""

from __future__ import annotations

from pathlib import Path

from napari_volseg.core import RefusedError
from napari_volseg.formats.dicom.elements import Header, numbers, size
from napari_volseg.formats.dicom.encoding import MAX_FRAME_BYTES

PALETTE = "PALETTE COLOR"
#: What has to be read of the file for this.
KEYWORDS = tuple(f"{name}PaletteColorLookupTableDescriptor" for name in ("Red", "Green", "Blue"))
#: A pixel becomes three numbers of two bytes.
_BYTES_A_PIXEL = 6


def refuse_bad_palette(path: Path, header: Header) -> None:
    """Raise RefusedError where lookup tables are missing, differ in size, or make more of an image than is decoded.

    The tables themselves are read with the pixels, where damage to them is noticed.
    """
    described = {numbers(path, header, keyword) for keyword in KEYWORDS}
    first = described.pop()
    if described or first is None or len(first) != 3 or first[2] not in (8, 16):
        raise RefusedError(
            f"{path.name} is a colour image whose palette is missing or damaged ({PALETTE} needs three equal Palette "
            "Color Lookup Table Descriptors): export it again in grey or RGB",
            "dicom.color",
        )
    if size(path, header, "Rows") * size(path, header, "Columns") * _BYTES_A_PIXEL > MAX_FRAME_BYTES:
        raise RefusedError(
            f"{path.name} claims a colour image of {header.get('Rows')} × {header.get('Columns')} pixels, more than "
            "any scanner makes: copy it again",
            "dicom.incomplete",
        )
