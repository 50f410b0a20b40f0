"""Arrays in a small number of bytes, and exactly the same array back."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import RefusedError

try:  # makes the same kind of stream in a tenth of the time
    from isal import isal_zlib
    from isal.igzip_lib import IsalError

    _zlib: Any = isal_zlib
    _DAMAGE: tuple[type[Exception], ...] = (zlib.error, cast(type[Exception], IsalError))
except ImportError:
    _zlib, _DAMAGE = zlib, (zlib.error,)

PackingMethod = Literal["zlib", "blosc2", "two"]

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
        What compressed it; ``"two"`` stands for arrays of no more than two values: these, and a bit for each element
        in a zlib stream.
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
        dtype, count = np.dtype(self.dtype), math.prod(self.shape)
        if self.method == "two":
            return _unpack_two(self.data, count, dtype).reshape(self.shape)
        inflate = _inflate_zlib if self.method == "zlib" else _inflate_blosc2
        return np.frombuffer(inflate(self.data, count * dtype.itemsize), dtype).reshape(self.shape)


def pack(array: NDArray[Any]) -> PackedArray:
    """Return ``array`` compressed without loss: as bits where it holds two values, else large ones with blosc2."""
    contiguous = np.ascontiguousarray(array)
    two = _pack_two(contiguous.reshape(-1))
    method, data = _deflate(contiguous) if two is None else ("two", two)
    return PackedArray(contiguous.shape, contiguous.dtype.str, method, data)


def _deflate(array: NDArray[Any]) -> tuple[PackingMethod, bytes]:
    if _BLOSC_FROM <= array.nbytes <= _BLOSC_UP_TO and find_spec("blosc2") is not None:
        return "blosc2", _deflate_blosc2(array)
    return "zlib", _zlib.compress(array.data, 1)


def _pack_two(flat: NDArray[Any]) -> bytes | None:
    """Return both values of an array (n,) and where it holds the second one; None where it holds a third."""
    if flat.size == 0 or flat.dtype.kind != "u":
        return None
    low, high = flat.min(), flat.max()
    values: bytes = np.array((low, high), flat.dtype).tobytes()
    if low == high:
        return values
    second = flat == high
    lows = np.count_nonzero(flat == low) if low else flat.size - np.count_nonzero(flat)
    if lows + np.count_nonzero(second) != flat.size:
        return None
    return values + cast(bytes, _zlib.compress(np.packbits(second).data, 1))


def _unpack_two(data: bytes, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    if len(data) < 2 * dtype.itemsize:
        raise _damaged(f"holds {len(data)} bytes where two values are needed")
    low, high = np.frombuffer(data, dtype, 2)
    if low == high and len(data) == 2 * dtype.itemsize:
        return np.full(count, low)
    bits = np.frombuffer(_inflate_zlib(data[2 * dtype.itemsize :], -(-count // 8)), np.uint8)
    # Multiplying bits is faster than choosing between two values.
    return np.unpackbits(bits, count=count) * (high - low) + low


def _deflate_blosc2(array: NDArray[Any]) -> bytes:
    import blosc2

    flat = array.reshape(-1)
    return bytes(blosc2.compress2(flat, typesize=array.itemsize, codec=blosc2.Codec.ZSTD, clevel=1))


def _inflate_zlib(data: bytes, expected: int) -> bytes:
    engine = _zlib.decompressobj()
    try:
        # One byte more than expected is asked for, so that a longer stream shows without being inflated whole.
        raw = cast(bytes, engine.decompress(data, expected + 1))
    except _DAMAGE as error:
        raise _damaged(f"can't be inflated ({error})") from error
    if len(raw) != expected:
        raise _damaged(f"holds {len(raw)} bytes where {expected} are needed")
    if not engine.eof:
        raise _damaged("lacks its end")
    return raw


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
