"""Bytes of voxels: inflated as they are read, counted against what a header promises, checked to the last one."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import RefusedError

#: What reading compressed bytes raises where they are cut or damaged.
DAMAGE: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error)
try:  # inflates twice as fast, and deflates ten times as fast
    from isal import igzip, isal_zlib
    from isal.igzip_lib import IsalError

    _open_gzip, DAMAGE = igzip.open, (*DAMAGE, cast(type[Exception], IsalError))
    _compressobj: Any = isal_zlib.compressobj
except ImportError:
    _open_gzip, _compressobj = gzip.open, zlib.compressobj

GZIP_MAGIC = b"\x1f\x8b"
#: Deflate can't shrink data further than this.
MAX_INFLATION = 1032
#: Bytes behind the last voxel, beyond which a file isn't what its header says.
MAX_SURPLUS = 64 << 20

#: Level 1 is several times faster than zlib's default and costs some of the size.
_LEVEL = 1
_CHUNK = 1 << 20


class Inflated(io.RawIOBase):
    """The content of a zlib or gzip stream that begins where a file stands; its checksum is verified at its end.

    Parameters
    ----------
    source
        Where the compressed bytes are read from.
    """

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._engine = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the next bytes go; 0 at the end of the stream.

        Raises
        ------
        EOFError
            Where the compressed bytes end before the stream does.
        zlib.error
            Where they are damaged.
        """
        while not self._engine.eof:
            compressed = self._engine.unconsumed_tail or self._source.read(_CHUNK)
            content = self._engine.decompress(compressed, len(buffer))
            if content:
                buffer[: len(content)] = content
                return len(content)
            if not compressed and not self._engine.eof:
                raise EOFError("its compressed data ends early")
        return 0


def deflated(planes: Iterable[NDArray[Any]], wbits: int, ahead: bytes = b"") -> Iterator[bytes]:
    """Yield arrays, little endian in the order in which NumPy keeps them, as one zlib or gzip stream.

    Parameters
    ----------
    planes
        The arrays, one after the other.
    wbits
        ``zlib.MAX_WBITS`` for zlib, with 16 added for gzip.
    ahead
        Bytes that come before them.
    """
    engine = _compressobj(_LEVEL, zlib.DEFLATED, wbits)
    yield engine.compress(ahead)
    for plane in planes:
        yield engine.compress(np.ascontiguousarray(plane, plane.dtype.newbyteorder("<")).data)
    yield engine.flush()


def planes_of(voxels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield the planes of an array one by one, in the order of its axes before the last two."""
    return (voxels[place] for place in np.ndindex(voxels.shape[:-2]))


def open_inflated(path: Path) -> IO[bytes]:
    """Open a file for reading, through gzip where its content (not its name) is gzip."""
    return cast(IO[bytes], _open_gzip(path, "rb")) if is_deflated(path) else path.open("rb")


def is_deflated(path: Path) -> bool:
    """Whether a file is gzip by its content."""
    with path.open("rb") as raw:
        return raw.read(2) == GZIP_MAGIC


def refuse_promises(path: Path, promised: int, deflated: bool, code: str, start: int = 0) -> None:
    """Refuse a file that can't hold from ``start`` what its header promises, before memory is asked for."""
    held = max(0, path.stat().st_size - start) * (MAX_INFLATION if deflated else 1)
    if promised > held:
        raise RefusedError(
            f"{path.name} promises {promised} bytes and can hold at most {held}: it is incomplete, copy it again",
            code,
        )


def skip(stream: Any, count: int) -> None:
    """Read over ``count`` bytes in pieces; EOFError where there are fewer."""
    while count:
        skipped = len(stream.read(min(count, _CHUNK)))
        if not skipped:
            raise EOFError("it ends before its voxels begin")
        count -= skipped


def read_to_end(stream: Any) -> None:
    """Read on to the end, where checksums are; EOFError where that is too far away."""
    surplus = 0
    while got := len(stream.read(_CHUNK)):
        surplus += got
        if surplus > MAX_SURPLUS:
            raise EOFError(f"it goes on for more than {MAX_SURPLUS} bytes behind its last voxel")


def fill(stream: Any, view: memoryview) -> None:
    """Fill a view of bytes; EOFError where there are fewer."""
    filled = 0
    while filled < len(view):
        got = stream.readinto(view[filled:])
        if not got:
            raise EOFError("it ends before its last voxel")
        filled += got
