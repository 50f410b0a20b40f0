"""Compressed images say their size themselves; where the header says another, no decoder is asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_factory import Recipe, save, setting, setting_each, write_series
from pydicom.data import get_testdata_files
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGLSLossless, RLELossless

from napari_volseg.core import RefusedError
from napari_volseg.formats import scan
from napari_volseg.formats.dicom import Instance, read_file
from napari_volseg.formats.dicom.codestream import stated_size
from napari_volseg.formats.dicom.pixels import decode


def test_files_of_many_makers_say_the_size_of_their_header() -> None:
    seen, broken_on_purpose = 0, "JPEG2000-embedded-sequence-delimiter.dcm"
    for path in get_testdata_files("*.dcm"):
        if path.endswith(broken_on_purpose):
            continue
        dataset = pydicom.dcmread(path, force=True)
        if (
            "Rows" not in dataset
            or not dataset.file_meta.get("TransferSyntaxUID", pydicom.uid.UID("")).is_encapsulated
        ):
            continue
        frames = generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames", 1)))
        stated = stated_size(next(frames))
        assert stated in (None, (dataset.Rows, dataset.Columns)), path
        seen += stated is not None
    assert seen > 20


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_another_size_than_that_of_the_header_is_refused_by_the_scan(tmp_path: Path, syntax: str) -> None:
    path = write_series(tmp_path, Recipe(shape=(7, 40, 36)).also(setting(BitsStored=16)))[0]
    dataset = pydicom.dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.Columns = 38
    save(dataset, path, syntax)
    (refused,) = scan(path).refused
    assert refused.reason.startswith(f"{path.name} holds an image of 40 × 36 pixels where its header says 40 × 38")


def test_what_says_no_size_is_left_to_decoders() -> None:
    whole = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc3\x00\x0b\x10\x00\x07\x00\x09\x01"
    assert stated_size(whole) == (7, 9)
    assert [stated_size(whole[:end]) for end in (3, 9, 15)] == [None] * 3
    assert stated_size(b"\x00\x00\x00\x0cjP  ") is None
    assert stated_size(b"") is None


def test_run_lengths_have_no_size_of_their_own(tmp_path: Path) -> None:
    path = write_series(tmp_path)[0]
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(path)
    assert scan(path).found


def compressed(path: Path, syntax: str = JPEG2000Lossless, **options: Any) -> Path:
    """Compress the pixels of a file in place."""
    dataset = pydicom.dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False, **options)
    dataset.save_as(path)
    return path


def image_of(path: Path) -> Instance:
    (image,) = read_file(path)
    return image


@pytest.mark.parametrize(("syntax", "options"), [(JPEG2000Lossless, {}), (JPEG2000, {"j2k_cr": [4]})])
@pytest.mark.parametrize(("allocated", "stored"), [(8, 8), (8, 7), (16, 16), (16, 12)])
@pytest.mark.parametrize("signed", [0, 1])
def test_whole_codestreams_are_decoded_as_pydicom_does(
    tmp_path: Path, syntax: str, options: dict[str, Any], allocated: int, stored: int, signed: int
) -> None:
    shift = signed << (stored - 1)
    noise = np.random.default_rng(2).integers(0, 1 << stored, (3, 40, 36)) - shift
    pixels = noise.astype(f"<{'i' if signed else 'u'}{allocated // 8}")
    bits = setting(BitsAllocated=allocated, BitsStored=stored, HighBit=stored - 1, PixelRepresentation=signed)
    recipe = Recipe(shape=pixels.shape).also(bits, setting_each(lambda k: {"PixelData": pixels[k].tobytes()}))
    images = [image_of(compressed(path, syntax, **options)) for path in write_series(tmp_path, recipe)]
    assert all(image.codestream is not None for image in images)
    for image, decoded in zip(images, decode(images), strict=True):
        expected = pydicom.dcmread(image.path).pixel_array
        assert decoded.dtype == expected.dtype
        np.testing.assert_array_equal(decoded, expected)


def in_two_fragments(dataset: pydicom.Dataset) -> None:
    dataset.PixelData = encapsulate(
        list(generate_frames(dataset.PixelData, number_of_frames=1)), fragments_per_frame=2
    )


def padded(dataset: pydicom.Dataset) -> None:
    dataset.DataSetTrailingPadding = bytes(8)


def of_fewer_bits(dataset: pydicom.Dataset) -> None:
    dataset.BitsStored, dataset.HighBit = 12, 11


def of_another_sign(dataset: pydicom.Dataset) -> None:
    dataset.PixelRepresentation = 1 - dataset.PixelRepresentation


@pytest.mark.parametrize("change", [in_two_fragments, padded, of_fewer_bits, of_another_sign])
def test_what_is_more_than_a_codestream_is_left_to_pydicom(
    tmp_path: Path, change: Callable[[pydicom.Dataset], None]
) -> None:
    path = compressed(write_series(tmp_path, Recipe(shape=(3, 40, 36)).also(setting(BitsStored=16, HighBit=15)))[0])
    assert image_of(path).codestream is not None
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    image = image_of(path)
    assert image.codestream is None
    np.testing.assert_array_equal(next(decode([image])), pydicom.dcmread(path).pixel_array)


def test_a_file_that_changed_since_the_scan_is_read_anew(tmp_path: Path) -> None:
    path = compressed(write_series(tmp_path, Recipe(shape=(3, 40, 36)))[0])
    image = image_of(path)
    dataset = pydicom.dcmread(path)
    dataset.decompress()
    dataset.PixelData = (dataset.pixel_array // 2).tobytes()
    dataset.save_as(path)
    compressed(path)
    os.utime(path, ns=(0, 0))
    np.testing.assert_array_equal(next(decode([image])), pydicom.dcmread(path).pixel_array)


def test_the_damaged_one_of_several_files_is_named(tmp_path: Path) -> None:
    paths = [compressed(path) for path in write_series(tmp_path, Recipe(shape=(5, 40, 36)))]
    content = bytearray(paths[2].read_bytes())
    at = content.index(b"\xff\x4f\xff\x51") + 70  # behind what the scan looks at
    content[at : at + 40] = bytes(40)
    paths[2].write_bytes(content)
    with pytest.raises(RefusedError, match=rf"{paths[2].name} can't be decoded"):
        list(decode([image_of(path) for path in paths]))
