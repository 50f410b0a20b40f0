"""What damaged files may take down, hide or spoil: nothing; each case was once found by the fuzz test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_factory import Recipe, setting_each, write_series
from pydicom.uid import ExplicitVRBigEndian, JPEG2000Lossless, RLELossless

from napari_volseg.core import Answers, RefusedError, Segmentation, SegmentTable, Volume
from napari_volseg.formats import load_labels, open_volume, prepare, save_dicom_seg, scan
from napari_volseg.formats.dicom import decoding, pixels

LAST = Recipe().shape[0] - 1


def codes(volume: Volume) -> set[str]:
    return {finding.code for finding in volume.origin_provenance.findings}


def compressed_series(folder: Path) -> list[Path]:
    paths = write_series(folder)
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    return paths


@pytest.fixture
def other_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that stands in for the decoder, to be written by the test."""
    child = tmp_path / "child.py"
    monkeypatch.setattr(decoding, "_CHILD", child)
    monkeypatch.setattr(decoding, "_idle", [])
    return child


def test_a_decoder_that_aborts_is_a_refusal_and_the_next_image_opens(tmp_path: Path, other_decoder: Path) -> None:
    compressed_series(tmp_path / "series")
    other_decoder.write_text("import os, sys\nsys.stdin.readline()\nos.abort()\n")
    with pytest.raises(RefusedError, match="the decoder aborted") as caught:
        open_volume(tmp_path / "series")
    assert caught.value.code == "dicom.damaged"
    other_decoder.write_bytes(Path(decoding.__file__).with_name("decoder_child.py").read_bytes())
    stored = Recipe().stored()
    assert np.array_equal(open_volume(tmp_path / "series").voxels.sum(), stored.sum())


def test_a_decoder_that_hangs_is_ended(tmp_path: Path, other_decoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compressed_series(tmp_path / "series")
    monkeypatch.setattr(decoding, "SECONDS_PER_IMAGE", 0.3)
    other_decoder.write_text("import time\ntime.sleep(60)\n")
    with pytest.raises(RefusedError, match=r"more than 0\.3 s"):
        open_volume(tmp_path / "series")


def test_a_decoder_that_sends_another_shape_is_not_believed(tmp_path: Path, other_decoder: Path) -> None:
    compressed_series(tmp_path / "series")
    other_decoder.write_text(
        'import sys\nsys.stdin.readline()\nprint(\'{"shape": [9, 9, 9, 9], "dtype": "<i2"}\', flush=True)\n'
    )
    with pytest.raises(RefusedError, match="where its header says"):
        open_volume(tmp_path / "series")


def test_a_decoder_that_fails_at_length_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> Iterator[np.ndarray]:
        yield from ()
        raise ValueError("first\nsecond\n" + "third " * 999)

    write_series(tmp_path, Recipe(syntax=ExplicitVRBigEndian))
    monkeypatch.setattr(pixels, "_decoded", fail)
    with pytest.raises(RefusedError, match="can't be decoded") as caught:
        open_volume(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_run_lengths_that_can_not_fill_the_matrix_are_refused_unseen(tmp_path: Path) -> None:
    for path in compressed_series(tmp_path):
        dataset = pydicom.dcmread(path)
        dataset.Rows = dataset.Columns = 15000
        dataset.save_as(path)
    (refused, *_) = scan(tmp_path).refused
    assert refused.code == "dicom.incomplete"


def test_a_damaged_file_without_series_is_told_by_the_volume_beside_it(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    content = paths[LAST].read_bytes()
    paths[LAST].write_bytes(content[: content.index(b"\x20\x00\x0d\x00")])
    volume = open_volume(tmp_path)
    assert volume.geometry.shape[0] == LAST
    assert "dicom.left_out" in codes(volume)


@pytest.mark.parametrize("content", [b"", bytes(500), b"lost" * 50])
def test_a_file_that_is_dicom_by_its_name_alone_is_told(tmp_path: Path, content: bytes) -> None:
    for path in write_series(tmp_path):
        path.rename(path.with_suffix(".dcm"))
    (tmp_path / "lost.dcm").write_bytes(content)
    (tmp_path / "notes").write_bytes(content)
    result = scan(tmp_path)
    assert [file.code for file in result.refused] == ["dicom.not_dicom"]
    assert result.skipped == 1
    assert "dicom.left_out" in codes(open_volume(tmp_path))


def test_a_slice_that_was_split_off_is_not_what_is_left_of_a_series(tmp_path: Path) -> None:
    odd = setting_each(lambda k: {"PixelSpacing": [2.0, 9.0]} if k == 3 else {})
    write_series(tmp_path / "a", Recipe().also(odd))
    copies = setting_each(lambda k: {"SOPInstanceUID": f"1.2.{k}", "RescaleIntercept": 5})
    write_series(tmp_path / "b", Recipe(shape=(3, 12, 9)).also(copies))
    write_series(tmp_path / "c", Recipe(shape=(7, 12, 9)).also(copies))
    result = scan(tmp_path)
    assert [refused.code for refused in result.refused] == ["dicom.several_per_position"]
    assert not result.found


def test_a_damaged_segmentation_is_refused_in_a_sentence(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    volume = open_volume(tmp_path / "series")
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[2:4, 3:6, 2:5] = 1
    path = tmp_path / "seg.dcm"
    save_dicom_seg(path, Segmentation(labels, volume.geometry, SegmentTable()), volume)
    dataset = pydicom.dcmread(path)
    del dataset.SegmentSequence[0].SegmentNumber
    dataset.save_as(path)
    with pytest.raises(RefusedError, match="is damaged") as caught:
        load_labels(path, volume)
    assert caught.value.code == "dicom.damaged"


@pytest.mark.parametrize(("form", "code"), [("sform", 7), ("qform", -3)])
def test_codes_of_forms_that_mean_nothing_are_told(tmp_path: Path, form: str, code: int) -> None:
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4))
    image.header[f"{form}_code"] = code
    content = image.header.binaryblock + bytes(4) + image.dataobj.tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    assert "nifti.form_code" in codes(open_volume(tmp_path / "a.nii"))


def test_a_grid_beyond_the_horizon_is_refused(tmp_path: Path) -> None:
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[0, 3] = 4e19
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), affine), tmp_path / "a.nii")
    with pytest.raises(RefusedError, match="no scanner reaches") as caught:
        open_volume(tmp_path / "a.nii")
    assert caught.value.code == "geometry.far_away"


@pytest.mark.parametrize("z", ["1e9", "3e5"])
def test_a_slice_in_the_far_distance_costs_no_memory(tmp_path: Path, z: str) -> None:
    far = setting_each(lambda k: {"ImagePositionPatient": ["0", "0", z if k == LAST else f"{k * 1e-5:.9f}"]})
    write_series(tmp_path, Recipe().also(far))
    (found,) = scan(tmp_path, answers=Answers(on_missing_slice="empty")).found
    assert {"dicom.left_out", "dicom.empty_slices"} & {finding.code for finding in found.findings}


def test_a_decoder_is_started_before_it_is_wanted(tmp_path: Path) -> None:
    compressed_series(tmp_path / "series")
    while decoding._idle:
        decoding._idle.pop().close()
    result = scan(tmp_path / "series")
    assert not decoding._idle
    prepare(result)
    (waiting,) = decoding._idle
    assert waiting.is_alive
    prepare(result)
    assert decoding._idle == [waiting]
    prepare(scan(write_series(tmp_path / "plain")[0]))
    assert decoding._idle == [waiting]


LARGE_ENOUGH = Recipe(shape=(3, 64, 70))


def jpeg2000_series(folder: Path) -> Path:
    for path in write_series(folder, LARGE_ENOUGH):
        dataset = pydicom.dcmread(path)
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
        dataset.save_as(path)
    return folder


def test_grey_jpeg_2000_needs_no_other_codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_idle", [])
    prepare(scan(jpeg2000_series(tmp_path)))
    (waiting,) = decoding._idle
    assert open_volume(tmp_path).voxels.sum() == LARGE_ENOUGH.stored().sum()
    assert waiting in decoding._idle
    assert all(decoder.libraries != "all" for decoder in decoding._idle)


def test_what_openjpeg_can_not_decode_is_left_to_the_other_codecs(tmp_path: Path, other_decoder: Path) -> None:
    real = Path(decoding.__file__).with_name("decoder_child.py").read_text()
    refuses = "if 'all' not in sys.argv: request['path'] = 'lost'\n        for pixels in _decoded(request):"
    other_decoder.write_text(real.replace("for pixels in _decoded(request):", refuses))
    assert open_volume(jpeg2000_series(tmp_path)).voxels.sum() == LARGE_ENOUGH.stored().sum()
    assert not any(decoder.libraries != "all" for decoder in decoding._idle)
