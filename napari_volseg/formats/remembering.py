"""What scans found in DICOM files, kept from one scan to the next: files that are as they were are not read again.

One blob a folder holds the images of its files, a column for each field. Most fields are the same in all files of a
folder, so that reading a blob costs less than looking at a few files. Names of files and folders, which may name
patients, are kept as digests only.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, get_args, get_type_hints

import pydicom

from napari_volseg import __version__
from napari_volseg.formats.dicom import Instance

_log = logging.getLogger(__name__)

#: A file that was written less than this before it is read may change again within one tick of its clock, ns.
SETTLED_NS = 2_000_000_000
_DIGEST = 16
#: Largest blob, inflated, bytes.
_LARGEST = 256 << 20


class ScanMemory(Protocol):
    """Keeps blobs by name; it may forget any of them, and never raises."""

    def get(self, key: str) -> bytes | None:
        """Return the blob of this name, None where there is none."""

    def put(self, key: str, content: bytes) -> None:
        """Keep a blob, in the place of one of the same name."""


#: Size and time (ns) of a file.
Version = tuple[int, int]


#: Values of the fields of an image, ``_COLUMNS``.
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    version: Version
    rows: tuple[Row, ...]


@dataclass(slots=True)
class _Folder:
    known: dict[str, _Known]
    changed: bool = False


class Remembered:
    """What is known of the files of one scan.

    Parameters
    ----------
    memory
        Where it is kept; None remembers nothing.
    """

    def __init__(self, memory: ScanMemory | None) -> None:
        self._memory = memory
        self._folders: dict[Path, _Folder] = {}

    def recall(self, file: Path) -> tuple[tuple[Instance, ...] | None, Version | None]:
        """Return the images of a file that is as it was, and its size and time; None for what isn't known."""
        if self._memory is None:
            return None, None
        try:
            status = file.stat()
        except OSError:
            return None, None
        version = (status.st_size, status.st_mtime_ns)
        known = self._folder(file.parent).known.get(_digest(file.name))
        if known is None or known.version != version:
            return None, version
        return tuple(Instance(file, *row) for row in known.rows), version

    def note(self, file: Path, version: Version | None, images: tuple[Instance, ...]) -> None:
        """Remember the images of a file that had this size and time before it was read."""
        if version is None or not images or time.time_ns() - version[1] < SETTLED_NS:
            return
        if any(image.uptake is not None for image in images):  # weight and dose of a patient: never on disk
            return
        folder = self._folder(file.parent)
        rows = tuple(tuple(getattr(image, name) for name in _COLUMNS) for image in images)
        folder.known[_digest(file.name)] = _Known(version, rows)
        folder.changed = True

    def save(self) -> None:
        """Keep what is new."""
        for path, folder in self._folders.items():
            if self._memory is not None and folder.changed:
                self._memory.put(_key(path), _packed(folder.known))

    def _folder(self, path: Path) -> _Folder:
        if path not in self._folders:
            blob = self._memory.get(_key(path)) if self._memory is not None else None
            self._folders[path] = _Folder(_unpacked(blob) if blob else {})
        return self._folders[path]


@cache
def reader_version() -> str:
    """Return what changes whenever the fields of an image, or who reads them, change."""
    kinds = [
        (kind.__name__, [(f.name, str(f.type)) for f in fields(kind)]) for kind in (Instance, *_nested().values())
    ]
    return _digest(json.dumps([__version__, pydicom.__version__, kinds]))


@cache
def _nested() -> dict[str, Any]:
    """Return the fields of an image that hold a dataclass, and which."""
    hints = get_type_hints(Instance)
    found = {name: [kind for kind in (hint, *get_args(hint)) if is_dataclass(kind)] for name, hint in hints.items()}
    return {name: kinds[0] for name, kinds in found.items() if kinds}


_COLUMNS = [f.name for f in fields(Instance) if f.name != "path"]


def _packed(files: dict[str, _Known]) -> bytes:
    columns = zip(*(row for known in files.values() for row in known.rows), strict=True)
    content = {
        "reader": reader_version(),
        "names": list(files),
        "versions": [known.version for known in files.values()],
        "counts": [len(known.rows) for known in files.values()],
        "columns": [_column(name, values) for name, values in zip(_COLUMNS, columns, strict=True)],
    }
    packed = zlib.compress(json.dumps(content).encode(), 1)
    return hashlib.blake2b(packed, digest_size=_DIGEST).digest() + packed


def _column(name: str, values: Sequence[Any]) -> Sequence[Any]:
    """Return the values of a field as JSON knows them, a single one where all are the same."""
    if all(value == values[0] and type(value) is type(values[0]) for value in values):
        values = values[:1]
    if name in _nested():
        return [value and [getattr(value, f.name) for f in fields(value)] for value in values]
    return values


def _unpacked(blob: bytes) -> dict[str, _Known]:
    """Return what a blob holds; nothing where it is damaged or of another reader."""
    packed = blob[_DIGEST:]
    if hashlib.blake2b(packed, digest_size=_DIGEST).digest() != blob[:_DIGEST]:
        _log.info("what was remembered of a folder is damaged and is ignored")
        return {}
    try:
        content = json.loads(zlib.decompressobj().decompress(packed, _LARGEST))
        return _files(content) if content["reader"] == reader_version() else {}
    except (ValueError, LookupError, TypeError, zlib.error) as error:
        _log.info("what was remembered of a folder is not ours and is ignored: %s", error)
        return {}


def _files(content: dict[str, Any]) -> dict[str, _Known]:
    rows = _rows(content["columns"], sum(content["counts"]))
    files = zip(content["names"], content["versions"], content["counts"], strict=True)
    return {
        name: _Known((size, changed), tuple(itertools.islice(rows, count))) for name, (size, changed), count in files
    }


def _rows(columns: Sequence[list[Any]], count: int) -> Iterator[Row]:
    decoded = []
    for name, column in zip(_COLUMNS, columns, strict=True):
        kind = _nested().get(name)
        values = [_frozen(value) if kind is None or value is None else kind(*_frozen(value)) for value in column]
        decoded.append(values * count if len(values) == 1 else values)
    return zip(*decoded, strict=True)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _key(folder: Path) -> str:
    return _digest(os.path.abspath(folder))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=_DIGEST).hexdigest()
