"""Arrays in a small number of bytes, and exactly the same array back."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import RefusedError

PackingMethod = Literal["zlib", "blosc2"]

#: Below this size zlib is done before blosc2 has set itself up, bytes.
_BLOSC_FROM = 4 << 20
#: Largest buffer that one blosc2 chunk holds, bytes.
_BLOSC_UP_TO = (1 << 31) - 1024


@dataclass(frozen=True, slots=True)
class PackedArray:
    """A compressed array.

    Parameters
    ----------
    shape
        Shape of the array.
    dtype
        Its type in NumPy's notation, such as ``"|u1"`` or ``"<u2"``.
    method
        What compressed it.
    data
        The compressed bytes.
    """

    shape: tuple[int, ...]
    dtype: str
    method: PackingMethod
    data: bytes

    @property
    def nbytes(self) -> int:
        """Size of the compressed bytes."""
        return len(self.data)

    def unpack(self) -> NDArray[Any]:
        """Return the array; it may be read-only.

        Raises
        ------
        RefusedError
            Where the bytes are damaged, or blosc2 packed them and is not installed.
        """
        dtype = np.dtype(self.dtype)
        expected = math.prod(self.shape) * dtype.itemsize
        raw = _inflate_zlib(self.data, expected) if self.method == "zlib" else _inflate_blosc2(self.data, expected)
        if len(raw) != expected:
            raise _damaged(f"holds {len(raw)} bytes where {expected} are needed")
        return np.frombuffer(raw, dtype).reshape(self.shape)


def pack(array: NDArray[Any]) -> PackedArray:
    """Return ``array`` compressed without loss; large ones with blosc2 where that is installed."""
    contiguous = np.ascontiguousarray(array)
    method: PackingMethod = "zlib"
    if _BLOSC_FROM <= contiguous.nbytes <= _BLOSC_UP_TO and find_spec("blosc2") is not None:
        method = "blosc2"
    data = _deflate_blosc2(contiguous) if method == "blosc2" else zlib.compress(contiguous.data, 1)
    return PackedArray(contiguous.shape, contiguous.dtype.str, method, data)


def _deflate_blosc2(array: NDArray[Any]) -> bytes:
    import blosc2

    flat = array.reshape(-1)
    return bytes(blosc2.compress2(flat, typesize=array.itemsize, codec=blosc2.Codec.ZSTD, clevel=1))


def _inflate_zlib(data: bytes, expected: int) -> bytes:
    try:
        # One byte more than expected is asked for, so that a longer stream shows without being inflated whole.
        return zlib.decompressobj().decompress(data, expected + 1)
    except zlib.error as error:
        raise _damaged(f"can't be inflated ({error})") from error


def _inflate_blosc2(data: bytes, expected: int) -> bytes:
    try:
        import blosc2
    except ImportError as error:
        raise RefusedError(
            "these labels were packed with blosc2, which is not installed: pip install blosc2", "packing.method"
        ) from error
    size = blosc2.get_cbuffer_sizes(data)[0] if len(data) >= blosc2.MAX_OVERHEAD else -1
    if size != expected:
        raise _damaged(f"announces {size} bytes where {expected} are needed")
    try:
        return bytes(blosc2.decompress2(data))
    except (RuntimeError, ValueError, TypeError) as error:
        raise _damaged(f"can't be inflated ({error})") from error


def _damaged(what: str) -> RefusedError:
    return RefusedError(f"a packed array {what}: its file is damaged", "packing.damaged")
