from __future__ import annotations

import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_volseg.core import RefusedError
from napari_volseg.editing import PackedArray, pack, packing


@given(arrays(st.sampled_from([np.uint8, np.uint16, np.uint32]), array_shapes(min_dims=3, max_dims=3, min_side=0)))
def test_exactly_the_same_array_comes_back(array: np.ndarray) -> None:
    back = pack(array).unpack()
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert np.array_equal(back, array)


def test_strided_views_are_packed_as_they_look() -> None:
    array = np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)[::-1, ::2].transpose(2, 0, 1)
    assert np.array_equal(pack(array).unpack(), array)


def large() -> np.ndarray:
    array = np.zeros((60, 300, 300), np.uint16)
    array[20:40, 100:200] = np.random.default_rng(0).integers(0, 9, (20, 100, 300))
    return array


def test_large_arrays_give_the_same_with_and_without_blosc2(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("blosc2")
    array = large()
    with_blosc2 = pack(array)
    monkeypatch.setattr(packing, "find_spec", lambda name: None)
    without = pack(array)
    assert (with_blosc2.method, without.method) == ("blosc2", "zlib")
    assert with_blosc2.nbytes < array.nbytes / 10
    assert np.array_equal(with_blosc2.unpack(), array)
    assert np.array_equal(without.unpack(), array)
    monkeypatch.setitem(sys.modules, "blosc2", None)
    with pytest.raises(RefusedError, match="pip install blosc2"):
        with_blosc2.unpack()


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_damaged_bytes_are_refused(size: int) -> None:
    packed = pack(np.arange(size, dtype=np.uint16))
    swapped = bytes(255 - b for b in packed.data)
    for data in (b"", packed.data[: packed.nbytes // 2], swapped):
        with pytest.raises(RefusedError, match="damaged"):
            replace(packed, data=data).unpack()


@given(
    arrays(
        st.sampled_from([np.uint8, np.uint16, np.uint32]),
        array_shapes(min_dims=3, max_dims=3),
        elements=st.booleans(),
    ),
    st.integers(0, 255),
    st.integers(0, 255),
)
def test_two_values_take_a_bit_each(bits: np.ndarray, one: int, other: int) -> None:
    array = np.where(bits, one, other).astype(bits.dtype)
    packed = pack(array)
    assert packed.method == "two"
    assert np.array_equal(packed.unpack(), array)
    assert packed.unpack().dtype == array.dtype


def test_noise_of_two_values_takes_a_sixteenth() -> None:
    array = np.random.default_rng(0).choice(np.array((3, 4000), np.uint16), (40, 50, 60))
    assert pack(array).nbytes == pytest.approx(array.nbytes / 16, rel=0.02)
    third = array.copy()
    third[20, 20, 20] = 7
    assert pack(third).method == "zlib"
    assert np.array_equal(pack(third).unpack(), third)


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_damaged_bits_are_refused(size: int) -> None:
    packed = pack(np.arange(size, dtype=np.uint16) % 2)
    swapped = packed.data[:4] + bytes(255 - b for b in packed.data[4:])
    for data in (b"", packed.data[:3], packed.data[:-5], swapped):
        with pytest.raises(RefusedError, match="damaged"):
            replace(packed, data=data).unpack()
    with pytest.raises(RefusedError, match="damaged"):
        replace(packed, shape=(size + 8,)).unpack()


def test_both_libraries_read_what_either_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("isal")
    array = np.random.default_rng(0).integers(0, 9, (20, 30, 40)).astype(np.uint16)
    fast = pack(array)
    monkeypatch.setattr(packing, "_zlib", zlib)
    slow = pack(array)
    assert fast.data != slow.data
    assert np.array_equal(fast.unpack(), array)
    monkeypatch.undo()
    assert np.array_equal(slow.unpack(), array)


def test_a_stream_that_is_longer_than_announced_is_refused() -> None:
    with pytest.raises(RefusedError, match="101 bytes where 100"):
        PackedArray((100,), "|u1", "zlib", zlib.compress(bytes(100_000))).unpack()
