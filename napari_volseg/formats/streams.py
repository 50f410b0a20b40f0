"""Bytes of voxels: inflated as they are read, counted against what a header promises, checked to the last one."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import IO, Any, cast

from napari_volseg.core import RefusedError

#: What reading compressed bytes raises where they are cut or damaged.
DAMAGE: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error)
try:  # inflates twice as fast
    from isal import igzip
    from isal.igzip_lib import IsalError

    _open_gzip, DAMAGE = igzip.open, (*DAMAGE, cast(type[Exception], IsalError))
except ImportError:
    _open_gzip = gzip.open

GZIP_MAGIC = b"\x1f\x8b"
#: Deflate can't shrink data further than this.
MAX_INFLATION = 1032
#: Bytes behind the last voxel, beyond which a file isn't what its header says.
MAX_SURPLUS = 64 << 20

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
