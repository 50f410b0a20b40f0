"""Siemens' private headers: named texts of the CSA header, and slice positions of the protocol that it holds.

The layout ("SV10") is not published by the vendor; it is as other programs found it. It is read forward only, within
the bytes that are there, so that no length in it can lead astray.
"""

from __future__ import annotations

import re
import struct

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"SV10"
#: "SV10", four bytes of unknown use, number of tags, and 77.
_HEAD = struct.Struct("<4s4sII")
#: Name, multiplicity, value representation, type, number of items, and 77 or 205.
_TAG = struct.Struct("<64si4s3i")
#: The second number is the length of the item that follows.
_ITEM = struct.Struct("<4i")
_MOST_TAGS = 1000

_PROTOCOL_BEGIN = "### ASCCONV BEGIN"
_SLICE_COUNT = re.compile(r"sSliceArray\.lSize\s*=\s*(\d{1,5})\b")
_SLICE_PLACE = re.compile(
    r"sSliceArray\.asSlice\[(\d{1,4})\]\.sPosition\.d(Sag|Cor|Tra)\s*=\s*([-+]?[\d.]{1,24}(?:e[-+]?\d{1,2})?)", re.I
)
_AXES = ("sag", "cor", "tra")


def read_csa(content: bytes) -> dict[str, tuple[str, ...]]:
    """Return the texts of a CSA header by name, empty items left out.

    Parameters
    ----------
    content
        Value of the private element.

    Raises
    ------
    ValueError
        Where it is no such header, or a length in it leads outside.
    """
    if len(content) < _HEAD.size or not content.startswith(_MAGIC):
        raise ValueError("it doesn't begin as a CSA header")
    count, at = _HEAD.unpack_from(content)[2], _HEAD.size
    if not 0 < count <= _MOST_TAGS:
        raise ValueError(f"it claims {count} entries")
    found: dict[str, tuple[str, ...]] = {}
    for _ in range(count):
        name, items, at = _read_tag(content, at)
        found[name] = items
    return found


def _read_tag(content: bytes, at: int) -> tuple[str, tuple[str, ...], int]:
    """Return name, texts and end of the entry at an offset."""
    _require(content, at, _TAG.size)
    name, _, _, _, count, _ = _TAG.unpack_from(content, at)
    at += _TAG.size
    texts = []
    for _ in range(count):
        _require(content, at, _ITEM.size)
        length = _ITEM.unpack_from(content, at)[1]
        at += _ITEM.size
        _require(content, at, length)
        texts.append(_text(content[at : at + length]))
        at += length + -length % 4
    return _text(name), tuple(text for text in texts if text), at


def _require(content: bytes, at: int, length: int) -> None:
    if length < 0 or at + length > len(content):
        raise ValueError("it is cut off or damaged")


def _text(content: bytes) -> str:
    return content.partition(b"\0")[0].decode("latin-1").strip()


def slice_places(protocol: str) -> tuple[int, NDArray[np.float64]]:
    """Return the number of slices that a protocol plans, and where.

    Parameters
    ----------
    protocol
        Siemens' text of "name = value" lines, or anything.

    Returns
    -------
    int, ndarray
        The number, 0 where the protocol names none; (n, 3) centres of the slices in their order, (x, y, z), mm, LPS,
        where each of them has a place, else (0, 3). A coordinate that is left out is zero.
    """
    lines = protocol.partition(_PROTOCOL_BEGIN)[2]
    stated = _SLICE_COUNT.search(lines)
    count = int(stated[1]) if stated else 0
    places: dict[int, list[float]] = {}
    for number, axis, value in _SLICE_PLACE.findall(lines):
        places.setdefault(int(number), [0.0, 0.0, 0.0])[_AXES.index(axis.lower())] = float(value)
    if count == 0 or sorted(places) != list(range(count)):
        return count, np.zeros((0, 3))
    return count, np.array([places[number] for number in range(count)])
