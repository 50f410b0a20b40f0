"""Seeded damage to the bytes of image files: blind, and aware of what a header means."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

Mutation = Callable[[np.random.Generator, bytes], tuple[str, bytes]]

_WORDS = (
    b"", b" ", b"0", b"-1", b"1", b"2", b"1e308", b"-1e-300", b"nan", b"inf", b"1e999", b"0\\0", b"1\\2", b"1\\2\\3",
    b"0\\0\\0", b"1\\0\\0\\0\\-1\\0", b"0\\1\\0\\0\\0\\-1", b"1\\0\\0\\1\\0\\0", b"1,5\\1,5", b"-3\\2", b"65536",
    b"4294967296", b"999999999999", b"12abc", b"\xff\xfe", b"\\\\\\\\", b"1.2.3", b"MR", b"RGB", b"X" * 70,
)  # fmt: skip
_NUMBERS = (0, 1, 2, 3, 7, 8, 12, 15, 16, 17, 32, 64, 255, 256, 4095, 32767, 32768, 60000, 65535)
_VRS = (b"AT", b"CS", b"DS", b"FD", b"IS", b"LO", b"OB", b"OW", b"SQ", b"UI", b"UN", b"US", b"UT", b"ZZ", b"\0\0")
_LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT")
#: What geometry and values come from: these elements are hit more often than others.
_TELLING = {
    (0x0008, 0x0008), (0x0018, 0x0050), (0x0018, 0x0088), (0x0020, 0x000E), (0x0020, 0x0013), (0x0020, 0x0032),
    (0x0020, 0x0037), (0x0028, 0x0002), (0x0028, 0x0004), (0x0028, 0x0008), (0x0028, 0x0010), (0x0028, 0x0011),
    (0x0028, 0x0030), (0x0028, 0x0100), (0x0028, 0x0101), (0x0028, 0x0102), (0x0028, 0x0103), (0x0028, 0x1052),
    (0x0028, 0x1053), (0x0002, 0x0010),
}  # fmt: skip
_SYNTAXES = (
    b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.2",
    b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.70", b"1.2.840.10008.1.2.4.80", b"1.2.840.10008.1.2.4.90",
    b"1.2.840.10008.1.2.4.201", b"1.2.840.10008.1.2.5", b"1.2.840.113619.5.2", b"9.9",
)  # fmt: skip


def mutated(rng: np.random.Generator, data: bytes, kinds: Sequence[Mutation], most: int = 3) -> tuple[str, bytes]:
    """Return what was done, and the bytes after one to ``most`` mutations."""
    done = []
    for _ in range(int(rng.integers(1, most + 1))):
        name, data = kinds[int(rng.integers(len(kinds)))](rng, data)
        done.append(name)
    return "; ".join(done), data


# -- blind ---------------------------------------------------------------------------------------------------


def flip_bits(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    damaged = bytearray(data)
    places = rng.integers(0, max(1, len(data)), int(rng.integers(1, 9))) if data else ()
    for at in places:
        damaged[at] ^= 1 << int(rng.integers(8))
    return f"flip {[int(at) for at in places]}", bytes(damaged)


def set_bytes(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    at, value = _within(rng, data), (0, 0xFF, 0x7F, 0x80, 0x20)[int(rng.integers(5))]
    count = min(int(rng.integers(1, 9)), len(data) - at)
    return f"set {at}+{count} to {value}", data[:at] + bytes([value]) * count + data[at + count :]


def truncate(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    at = _within(rng, data) if rng.random() < 0.5 else max(0, len(data) - int(rng.integers(1, 200)))
    return f"cut at {at} of {len(data)}", data[:at]


def blank_tail(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    at = _within(rng, data)
    return f"zeros from {at}", data[:at] + bytes(len(data) - at)


def repeat_chunk(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    start, end = _chunk(rng, data)
    return f"repeat {start}:{end}", data[:end] + data[start:end] + data[end:]


def drop_chunk(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    start, end = _chunk(rng, data)
    return f"drop {start}:{end}", data[:start] + data[end:]


def swap_chunks(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    size = int(rng.integers(1, 33))
    one, other = sorted((_within(rng, data), _within(rng, data)))
    if other - one < size or other + size > len(data):
        return "swap nothing", data
    middle = data[one + size : other]
    swapped = data[:one] + data[other : other + size] + middle + data[one : one + size] + data[other + size :]
    return f"swap {one} and {other} ({size})", swapped


def _within(rng: np.random.Generator, data: bytes) -> int:
    """Return a place in the file, more often near its beginning, where headers are."""
    end = len(data) if rng.random() < 0.5 else min(len(data), 1024)
    return int(rng.integers(0, max(1, end)))


def _chunk(rng: np.random.Generator, data: bytes) -> tuple[int, int]:
    start = _within(rng, data)
    return start, min(len(data), start + int(rng.integers(1, 200)))


BLIND: tuple[Mutation, ...] = (flip_bits, set_bytes, truncate, blank_tail, repeat_chunk, drop_chunk, swap_chunks)


# -- DICOM ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Element:
    """Where an element of a file in explicit VR, little endian, stands."""

    tag: tuple[int, int]
    vr: bytes
    start: int
    value: int
    end: int


def elements(data: bytes) -> list[Element]:
    """Return the elements of the top level, as far as they can be followed."""
    found, at = [], 132
    while at + 8 <= len(data):
        group, number, vr = struct.unpack_from("<HH2s", data, at)
        wide = vr in _LONG_VRS
        if at + 12 > len(data) or not vr.isalpha():
            break
        length = struct.unpack_from("<L" if wide else "<H", data, at + (8 if wide else 6))[0]
        value = at + (12 if wide else 8)
        if value + length > len(data):
            break
        found.append(Element((group, number), vr, at, value, value + length))
        at = value + length
    return found


def _one_of(rng: np.random.Generator, data: bytes) -> Element | None:
    all_elements = elements(data)
    telling = [element for element in all_elements if element.tag in _TELLING]
    choices = telling if telling and rng.random() < 0.6 else all_elements
    return choices[int(rng.integers(len(choices)))] if choices else None


def _name(element: Element) -> str:
    return f"({element.tag[0]:04x},{element.tag[1]:04x})"


def change_value(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    """Write another value, with a length that fits it."""
    element = _one_of(rng, data)
    if element is None:
        return "no element", data
    old = data[element.value : element.end]
    if element.tag == (0x0002, 0x0010):
        value = _SYNTAXES[int(rng.integers(len(_SYNTAXES)))]
    elif element.vr in (b"US", b"UL", b"SS"):
        value = struct.pack("<H", _NUMBERS[int(rng.integers(len(_NUMBERS)))])
    elif element.vr == b"DS" and rng.random() < 0.6:
        value = _other_numbers(rng, old)
    else:
        value = _WORDS[int(rng.integers(len(_WORDS)))]
    value += b" " * (len(value) % 2)
    return f"{_name(element)} = {value[:30]!r}", _with_value(data, element, value)


def _other_numbers(rng: np.random.Generator, old: bytes) -> bytes:
    """Return the numbers of a text element with one of them changed, a little or much."""
    words = old.rstrip(b" \0").split(b"\\")
    at = int(rng.integers(len(words)))
    try:
        number = float(words[at])
    except ValueError:
        number = 1.0
    changed = (-number, 0.0, number * 2, number + 1e-4, number + 0.05, number + 3, number * 1000, 1e9)
    words[at] = f"{changed[int(rng.integers(len(changed)))]:.9g}".encode()
    return b"\\".join(words)


def _with_value(data: bytes, element: Element, value: bytes) -> bytes:
    wide = element.value - element.start == 12
    length = struct.pack("<L" if wide else "<H", len(value))
    return data[: element.value - len(length)] + length + value + data[element.end :]


def change_vr(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    element = _one_of(rng, data)
    if element is None:
        return "no element", data
    vr = _VRS[int(rng.integers(len(_VRS)))]
    return f"{_name(element)} VR {vr!r}", data[: element.start + 4] + vr + data[element.start + 6 :]


def change_length(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    element = _one_of(rng, data)
    if element is None:
        return "no element", data
    wide, held = element.value - element.start == 12, element.end - element.value
    lengths = (0, held + 2, held - 2, held + 1, 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF, int(rng.integers(0, 5000)))
    length = lengths[int(rng.integers(len(lengths)))] & (0xFFFFFFFF if wide else 0xFFFF)
    packed = struct.pack("<L" if wide else "<H", length)
    return f"{_name(element)} length {length}", data[: element.value - len(packed)] + packed + data[element.value :]


def change_tag(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    element, other = _one_of(rng, data), _one_of(rng, data)
    if element is None or other is None:
        return "no element", data
    return f"{_name(element)} is {_name(other)}", data[: element.start] + struct.pack("<HH", *other.tag) + data[
        element.start + 4 :
    ]  # fmt: skip


def drop_element(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    element = _one_of(rng, data)
    return ("no element", data) if element is None else (f"no {_name(element)}", _with(data, element, b""))


def repeat_element(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    element = _one_of(rng, data)
    if element is None:
        return "no element", data
    return f"twice {_name(element)}", _with(data, element, 2 * data[element.start : element.end])


def swap_elements(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    pair = _one_of(rng, data), _one_of(rng, data)
    if pair[0] is None or pair[1] is None or pair[0].start == pair[1].start:
        return "no element", data
    one, other = sorted((pair[0], pair[1]), key=lambda element: element.start)
    parts = data[one.start : one.end], data[one.end : other.start], data[other.start : other.end]
    swapped = data[: one.start] + parts[2] + parts[1] + parts[0] + data[other.end :]
    return f"swap {_name(one)} and {_name(other)}", swapped


def _with(data: bytes, element: Element, content: bytes) -> bytes:
    return data[: element.start] + content + data[element.end :]


_AWARE: tuple[Mutation, ...] = (change_vr, change_length, change_tag, drop_element, repeat_element, swap_elements)
DICOM: tuple[Mutation, ...] = (*BLIND, *_AWARE, *([change_value] * 8))


# -- NIfTI ---------------------------------------------------------------------------------------------------


def change_field(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    """Write another value into a field of the header; gzip data is packed anew."""
    packed = data[:2] == b"\x1f\x8b"
    try:
        content = gzip.decompress(data) if packed else data
    except (OSError, EOFError, zlib.error, struct.error):
        return "not gzip any more", data
    kind = nib.Nifti2Header if content[4:7] in (b"n+2", b"ni2") else nib.Nifti1Header
    fields = kind.template_dtype.fields
    name = list(fields)[int(rng.integers(len(fields)))]
    if rng.random() < 0.6:
        frequent = ("dim", "pixdim", "datatype", "bitpix", "vox_offset", "scl_slope", "scl_inter", "qform_code",
                    "sform_code", "quatern_b", "qoffset_x", "srow_x", "srow_y", "xyzt_units", "magic")  # fmt: skip
        name = frequent[int(rng.integers(len(frequent)))]
    dtype, offset = fields[name][:2]
    count = int(np.prod(dtype.shape)) if dtype.shape else 1
    at = offset + int(rng.integers(count)) * dtype.base.itemsize
    value = _field_value(rng, dtype.base, content[at : at + dtype.base.itemsize])
    content = content[:at] + value + content[at + len(value) :]
    return f"{name}@{at} = {value.hex()}", gzip.compress(content, 1, mtime=0) if packed else content


def _field_value(rng: np.random.Generator, dtype: np.dtype, old: bytes) -> bytes:
    if dtype.kind == "f":
        now = float(np.frombuffer(old, dtype)[0]) if len(old) == dtype.itemsize else 1.0
        values = (0, -1, 1, -now, now * 2, now + 0.5, np.nan, np.inf, -np.inf, 1e30, 1e-30, 352, 1e9, 0.3)
        return np.array(values[int(rng.integers(len(values)))], dtype).tobytes()
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = (0, 1, 2, 3, 4, 7, 8, 16, 64, 128, 256, 512, 768, 1024, 2304, -1, 30000, limits.max, limits.min)
        return np.array(np.clip(values[int(rng.integers(len(values)))], limits.min, limits.max), dtype).tobytes()
    return rng.bytes(max(1, dtype.itemsize))


NIFTI: tuple[Mutation, ...] = (*BLIND, *([change_field] * 8))


# -- headers of text -----------------------------------------------------------------------------------------


def change_word(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    """Write another word or number into a header of lines, as NRRD and MetaImage have."""
    words = [*re.finditer(rb"[^\s,()=:]+", data[:1500])]
    if not words:
        return "no word", data
    word = words[int(rng.integers(len(words)))]
    others = (b"0", b"-1", b"1e400", b"nan", b"30000", b"none", b"(1,2)", b"gzip", b"raw", b"True", b"LOCAL", b"\xff",
              b"9" * 30, b"../../etc/passwd", words[int(rng.integers(len(words)))][0])  # fmt: skip
    other = others[int(rng.integers(len(others)))]
    return f"{word[0][:30]!r} is {other[:30]!r}", data[: word.start()] + other + data[word.end() :]


def change_line(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    lines = data.split(b"\n")
    at = int(rng.integers(min(len(lines), 20)))
    if rng.random() < 0.5:
        return f"no line {at}", b"\n".join([*lines[:at], *lines[at + 1 :]])
    return f"line {at} twice", b"\n".join([*lines[: at + 1], *lines[at:]])


TEXT: tuple[Mutation, ...] = (*BLIND, *([change_word] * 8), change_line, change_line)
