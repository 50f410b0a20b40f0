"""Wrong paths and wrong files: each one sentence that names the file and the cure."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import SERIES, Recipe, write_series

from napari_volseg.core import DecisionNeededError, RefusedError, UsageError, VolsegError
from napari_volseg.formats import open_volume, registry, scan


def one_sentence(error: VolsegError) -> bool:
    text = str(error)
    return "\n" not in text and 20 < len(text) < 400


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist") as caught:
        open_volume(tmp_path / "nothing")
    assert one_sentence(caught.value)


def test_an_empty_folder(tmp_path: Path) -> None:
    assert scan(tmp_path).found == ()
    with pytest.raises(RefusedError, match="holds no medical image") as caught:
        open_volume(tmp_path)
    assert caught.value.code == "path.no_images"
    assert one_sentence(caught.value)


@pytest.mark.parametrize("name", ["letter.nii.gz", "letter.nii"])
def test_a_text_file_named_like_nifti(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("Dear reader, this is not an image.\n" * 40)
    with pytest.raises(RefusedError, match="is not a NIfTI file") as caught:
        open_volume(path)
    assert caught.value.code == "nifti.not_nifti"
    assert one_sentence(caught.value)


@pytest.mark.parametrize("content", [b"", b"abc", b"\x1f\x8b", b"\x1f\x8b\x08\x00rubbish", bytes(1000)])
def test_rubbish_never_escapes_as_anything_else(tmp_path: Path, content: bytes) -> None:
    for name in ("a.nii.gz", "a.nii", "a.hdr", "a.dcm", "a"):
        (tmp_path / name).write_bytes(content)
    result = scan(tmp_path)
    assert not result.found
    assert len(result.refused) + result.skipped == 5
    with pytest.raises(RefusedError):
        open_volume(tmp_path)


def test_mixed_series_ask_which(tmp_path: Path) -> None:
    write_series(tmp_path)
    write_series(tmp_path, Recipe(series_uid=SERIES + "9", description="Abdomen"))
    with pytest.raises(DecisionNeededError, match="2 volumes") as caught:
        open_volume(tmp_path)
    assert one_sentence(caught.value)
    assert all(caught.value.choices.values())


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    os.symlink(tmp_path, tmp_path / "series" / "loop", target_is_directory=True)
    assert len(scan(tmp_path).found) == 1


def test_a_file_that_vanishes_while_scanning_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "list_files", lambda path: (tmp_path / "gone",))
    (refused,) = scan(tmp_path).refused
    assert refused.code == "path.unreadable"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_refused_or_opened_but_never_crash(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dicom = write_series(tmp_path, Recipe(shape=(1, 12, 9)))[0]
    nifti = tmp_path / "a.nii"
    nib.save(nib.Nifti1Image(np.zeros((5, 6, 7), np.int16), np.eye(4)), nifti)
    for path, first, last in ((dicom, 128, 1100), (nifti, 0, 352)):
        original = path.read_bytes()
        for _ in range(60):
            damaged = bytearray(original)
            for at in rng.integers(first, min(last, len(original)), 3):
                damaged[at] = rng.integers(256)
            path.write_bytes(damaged)
            with contextlib.suppress(VolsegError):
                open_volume(path)


def test_several_paths_at_once(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    assert [found.slices for found in scan(paths).found] == [7]
