"""Pixels that are read without a decoder are those that pydicom reads, on every row of the catalogue."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_corpus import ROWS
from dicom_factory import Recipe, setting, setting_each, write_series
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from napari_volseg.formats.dicom import Instance, read_file
from napari_volseg.formats.dicom.native import NativePixels


def instances(folder: Path) -> list[Instance]:
    outcomes = [read_file(path) for path in sorted(folder.rglob("*")) if path.is_file()]
    return [image for outcome in outcomes if isinstance(outcome, tuple) for image in outcome]


def native_of(path: Path) -> NativePixels | None:
    (image,) = read_file(path)
    return image.native


def read(native: NativePixels, path: Path) -> np.ndarray | None:
    pixels = np.empty(native.shape, native.dtype)
    return pixels if native.read_into(path, pixels) else None


@pytest.mark.parametrize("name", ROWS)
def test_pixels_of_the_corpus_are_those_of_pydicom(tmp_path: Path, name: str) -> None:
    ROWS[name].make(tmp_path)
    for image in instances(tmp_path):
        if image.native is not None:
            dataset = pydicom.dcmread(image.path, force=True)
            if "TransferSyntaxUID" not in dataset.file_meta:
                dataset.file_meta.TransferSyntaxUID = image.transfer_syntax
            pixels = read(image.native, image.path)
            assert pixels.dtype == dataset.pixel_array.dtype
            np.testing.assert_array_equal(pixels, dataset.pixel_array)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize(("allocated", "stored"), [(8, 8), (8, 7), (16, 16), (16, 12)])
@pytest.mark.parametrize("signed", [0, 1])
def test_plain_integers_need_no_decoder(
    tmp_path: Path, syntax: str, allocated: int, stored: int, signed: int
) -> None:
    noise = np.random.default_rng(1).integers(0, 2**allocated, size=(7, 12, 9)).astype(f"<u{allocated // 8}")
    bits = setting(BitsAllocated=allocated, BitsStored=stored, HighBit=stored - 1, PixelRepresentation=signed)
    pixels = setting_each(lambda k: {"PixelData": noise[k].tobytes()})
    for path in write_series(tmp_path, Recipe(syntax=syntax).also(bits, pixels)):
        native = native_of(path)
        assert native is not None
        np.testing.assert_array_equal(read(native, path), pydicom.dcmread(path).pixel_array)


def test_odd_numbers_of_bytes_are_padded(tmp_path: Path) -> None:
    recipe = Recipe(shape=(3, 7, 9)).also(
        setting(BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0),
        setting_each(lambda k: {"PixelData": bytes(range(63)) + b"\x00"}),
    )
    for path in write_series(tmp_path, recipe):
        native = native_of(path)
        assert native is not None
        np.testing.assert_array_equal(read(native, path), np.arange(63).reshape(7, 9))


def test_other_encodings_are_left_to_decoders(tmp_path: Path) -> None:
    big = write_series(tmp_path / "big", Recipe(syntax=ExplicitVRBigEndian))
    packed = write_series(tmp_path / "packed")
    dataset = pydicom.dcmread(packed[0])
    dataset.compress(RLELossless)
    dataset.save_as(packed[0])
    longer = write_series(tmp_path / "longer", Recipe().also(setting(PixelData=bytes(12 * 9 * 2 + 2))))
    assert [native_of(paths[0]) for paths in (big, packed, longer)] == [None, None, None]


def test_pixels_that_something_follows_are_left_to_pydicom(tmp_path: Path) -> None:
    path, other = write_series(tmp_path)[:2]
    pixels = pydicom.dcmread(other).PixelData
    again = b"\xe0\x7f\x10\x00OW\x00\x00" + len(pixels).to_bytes(4, "little") + pixels
    path.write_bytes(path.read_bytes() + again)
    assert native_of(path) is None


def test_a_file_that_was_written_anew_is_not_read_by_its_old_header(tmp_path: Path) -> None:
    path, other = write_series(tmp_path)[:2]
    native = native_of(path)
    assert native is not None
    path.write_bytes(other.read_bytes() + b"\x00")
    assert read(native, path) is None
