"""The header of a plainly encoded DICOM file, delimited element by element without building a data set.

Elements are found here (PS3.5 7.1); what they hold is converted by pydicom, once for all files in which the same
bytes stand. Whatever is unusual about a file is left to pydicom altogether: ``walk`` returns None.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO

from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement, convert_raw_data_element, empty_value_for_VR
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

#: Bytes that are read of a file at first; most headers are shorter.
START_BYTES = 1 << 13
#: Longer headers are left to pydicom.
_MAX_HEADER = 1 << 24
#: Longer values of what is read are left to pydicom; those of sound files take a few dozen bytes.
_MAX_VALUE = 1 << 10
#: Sequences of undefined length that lie deeper in each other are left to pydicom.
_MAX_DEPTH = 8

_UNDEFINED = 0xFFFFFFFF
#: Longest head of an element.
_HEAD_BYTES = 12
#: Syntaxes in which the elements themselves look otherwise.
_OTHER_STREAMS = (DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
_PREAMBLE = 132
_VRS = {vr.value.encode(): vr.value for vr in VR if len(vr.value) == 2}
_LONG = {vr for vr, name in _VRS.items() if name in EXPLICIT_VR_LENGTH_32}
_ITEM, _ITEM_END, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_SYNTAX, _STORAGE = b"\x02\x00\x10\x00", b"\x02\x00\x02\x00"
_CHARACTER_SET, _PADDING, _SIGN = 0x00080005, 0x00280120, 0x00280103

_explicit_head = struct.Struct("<4s2sH").unpack_from
_implicit_head = struct.Struct("<4sI").unpack_from
_long_length = struct.Struct("<I").unpack_from

#: An element: tag, VR (None where the file doesn't say it), its bytes.
Raw = tuple[int, str | None, bytes]


class _Unusual(Exception):
    """Something that is left to pydicom."""


class WalkedHeader:
    """Elements of one file by keyword; reads as a ``pydicom.Dataset`` does.

    Parameters
    ----------
    elements
        By tag.
    """

    __slots__ = ("_elements", "_encodings")

    def __init__(self, elements: Mapping[int, Raw]) -> None:
        self._elements = elements
        self._encodings: tuple[str, ...] = (default_encoding,)
        stated = self.get("SpecificCharacterSet")
        if stated:
            self._encodings = tuple(convert_encodings(stated))

    def __contains__(self, key: str | int) -> bool:
        return _tag_of(key) in self._elements

    def get(self, keyword: str, default: Any = None) -> Any:
        """Return the value of an element, converted by pydicom; errors as it raises them."""
        raw = self._elements.get(_tag_of(keyword))
        return default if raw is None else _value(raw, self._encodings)

    def get_item(self, key: str | int) -> RawDataElement | None:
        """Return an element as it stands in the file."""
        raw = self._elements.get(_tag_of(key))
        return None if raw is None else _element(raw)


@dataclass(frozen=True, slots=True)
class Walked:
    """What a walk found.

    Parameters
    ----------
    header
        The wanted elements.
    syntax
        Transfer syntax UID.
    pixels_at
        Where the pixel data element begins, bytes.
    head
        The first twelve bytes there.
    """

    header: WalkedHeader
    syntax: str
    pixels_at: int
    head: bytes


#: Tags by their bytes in a little endian file, and the VRs that they may have there: none for sequences.
Wanted = Mapping[bytes, tuple[int, frozenset[bytes]]]


def packed(tags: Iterable[int]) -> Wanted:
    """Return tags, and those of pixels, in the way in which they are looked for."""
    return {struct.pack("<HH", tag >> 16, tag & 0xFFFF): (int(tag), _vrs_of(tag)) for tag in (*tags, *_PIXELS)}


def _vrs_of(tag: int) -> frozenset[bytes]:
    return frozenset(vr.encode() for vr in dictionary_VR(tag).split(" or ") if vr != "SQ")


def walk(stream: BinaryIO, start: bytes, wanted: Wanted) -> Walked | None:
    """Read the header of a file up to its pixels.

    Parameters
    ----------
    stream
        The file, read as far as ``start``.
    start
        Its first bytes.
    wanted
        Tags of the elements to keep, as ``packed`` returns them.

    Returns
    -------
    Walked or None
        None for whatever is not a preamble, meta information, and little endian elements up to the pixels, of which
        those that are wanted are short, have the VR of the data dictionary and are no sequences.
    """
    walker = _Walker(stream, start)
    try:
        if start[128:_PREAMBLE] != b"DICM":
            return None
        syntax = walker.read_meta()
        read = walker.read_implicit if syntax == ImplicitVRLittleEndian else walker.read_explicit
        header = WalkedHeader(read(wanted))
        return Walked(header, syntax, walker.at, walker.buffer[walker.at : walker.at + _HEAD_BYTES])
    except (_Unusual, struct.error):
        return None


class _Walker:
    """A place in a file that moves on from element to element."""

    def __init__(self, stream: BinaryIO, start: bytes) -> None:
        self.stream = stream
        self.buffer = start
        self.at = _PREAMBLE

    def reach(self, end: int) -> None:
        """Read on as far as ``end``, where the next element stands in the buffer, too."""
        lacking = end - len(self.buffer)
        if lacking <= 0:
            return
        if end > _MAX_HEADER:
            raise _Unusual
        self.buffer += self.stream.read(lacking + START_BYTES)
        if end > len(self.buffer):
            raise _Unusual

    def read_meta(self) -> str:
        """Read the meta information; return the transfer syntax."""
        elements: dict[bytes, bytes] = {}
        while self.buffer[self.at : self.at + 2] == b"\x02\x00":
            tag, _, start, end = self.explicit()
            self.reach(end + _HEAD_BYTES)
            elements[tag] = self.buffer[start:end].rstrip(b"\x00 ")
            self.at = end
        syntax = UID(elements.get(_SYNTAX, b"").decode("ascii", "replace"))
        if syntax.is_private or not syntax.is_transfer_syntax or syntax in _OTHER_STREAMS:
            raise _Unusual
        if elements.get(_STORAGE) == MediaStorageDirectoryStorage.encode():
            raise _Unusual
        return syntax

    def explicit(self) -> tuple[bytes, bytes, int, int]:
        """Return tag and VR of the explicit element here and where its value begins and ends."""
        tag, vr, length = _explicit_head(self.buffer, self.at)
        if vr not in _VRS:
            raise _Unusual
        start = self.at + 8
        if vr in _LONG:
            (length,) = _long_length(self.buffer, start)
            start += 4
        return tag, vr, start, start + length

    def read_explicit(self, wanted: Wanted) -> dict[int, Raw]:
        """Read up to the pixels what has VRs."""
        elements: dict[int, Raw] = {}
        buffer, at = self.buffer, self.at
        while True:
            if at + _HEAD_BYTES > len(buffer):
                self.reach(at + _HEAD_BYTES)
                buffer = self.buffer
            tag, vr, length = _explicit_head(buffer, at)
            start = at + 8
            if vr in _LONG:
                (length,) = _long_length(buffer, start)
                start += 4
            elif vr not in _VRS:
                raise _Unusual
            if tag in wanted:
                number, known = wanted[tag]
                if number in _PIXELS:
                    self.at = at
                    return elements
                if vr not in known:
                    raise _Unusual
                elements[number] = (number, _VRS[vr], self.kept(start, length))
                buffer = self.buffer
            if length == _UNDEFINED:
                self.skip_sequence(vr, start)
                buffer, at = self.buffer, self.at
            else:
                at = start + length

    def read_implicit(self, wanted: Wanted) -> dict[int, Raw]:
        """Read up to the pixels what has no VRs."""
        elements: dict[int, Raw] = {}
        if self.buffer[self.at + 4 : self.at + 6].isalpha():
            raise _Unusual
        while True:
            self.reach(self.at + _HEAD_BYTES)
            tag, length = _implicit_head(self.buffer, self.at)
            if length == _UNDEFINED:
                raise _Unusual
            if tag in wanted:
                number, known = wanted[tag]
                if number in _PIXELS:
                    return _with_sign(elements)
                if not known:
                    raise _Unusual
                elements[number] = (number, None, self.kept(self.at + 8, length))
            self.at += 8 + length

    def kept(self, start: int, length: int) -> bytes:
        """Return the value of an element that is wanted."""
        if length > _MAX_VALUE:
            raise _Unusual
        self.reach(start + length)
        return self.buffer[start : start + length]

    def skip_sequence(self, vr: bytes, start: int, depth: int = 1) -> None:
        """Move behind a sequence of undefined length (PS3.5 7.5.2)."""
        if vr != b"SQ" or depth > _MAX_DEPTH:
            raise _Unusual
        self.at = start
        while True:
            self.reach(self.at + _HEAD_BYTES)
            tag, length = _implicit_head(self.buffer, self.at)
            self.at += 8
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise _Unusual
            if length == _UNDEFINED:
                self.skip_item(depth)
            else:
                self.at += length

    def skip_item(self, depth: int) -> None:
        """Move behind the elements of an item of undefined length."""
        while True:
            self.reach(self.at + _HEAD_BYTES)
            if self.buffer[self.at : self.at + 4] == _ITEM_END:
                self.at += 8
                return
            _, vr, start, end = self.explicit()
            if end - start == _UNDEFINED:
                self.skip_sequence(vr, start, depth + 1)
            else:
                self.at = end


def _with_sign(elements: dict[int, Raw]) -> dict[int, Raw]:
    """Give the padding value, whose VR is that of pixels, the VR that they have."""
    if _PADDING in elements:
        if _SIGN not in elements:
            raise _Unusual
        vr = "SS" if elements[_SIGN][2] == b"\x01\x00" else "US"
        elements[_PADDING] = (_PADDING, vr, elements[_PADDING][2])
    return elements


@lru_cache(maxsize=512)
def _tag_of(key: str | int) -> int:
    tag = tag_for_keyword(key) if isinstance(key, str) else int(key)
    if tag is None:
        raise KeyError(key)
    return tag


@lru_cache(maxsize=1 << 12)
def _value(raw: Raw, encodings: tuple[str, ...]) -> Any:
    return convert_raw_data_element(_element(raw), encoding=list(encodings)).value


def _element(raw: Raw) -> RawDataElement:
    tag, vr, content = raw
    value = content or empty_value_for_VR(vr, raw=True)
    return RawDataElement(BaseTag(tag), vr, len(content), value, 0, vr is None, True)  # type: ignore[arg-type]
