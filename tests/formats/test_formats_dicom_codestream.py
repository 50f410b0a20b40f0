"""Compressed images say their size themselves; where the header says another, no decoder is asked."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from dicom_factory import Recipe, save, setting, write_series
from pydicom.data import get_testdata_files
from pydicom.encaps import generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from napari_volseg.formats import scan
from napari_volseg.formats.dicom.codestream import stated_size


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
