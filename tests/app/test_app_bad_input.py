"""Bad input in the app: one sentence each, and nothing that was open or painted is lost."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import napari_volseg.inference as inference_room
from napari_volseg.app import Application


def write(path, voxels=None, affine=None):
    voxels = np.random.default_rng(2).integers(-100, 100, (14, 12, 8)).astype(np.int16) if voxels is None else voxels
    nib.save(nib.Nifti1Image(voxels, np.diag([2.0, 2, 3, 1]) if affine is None else affine), path)
    return path


@pytest.fixture
def app(tmp_path):
    """The app with an image open and something painted on it."""
    application = Application()
    application.told = []
    application.noticed.connect(application.told.append)
    application.open_path(write(tmp_path / "good.nii.gz"))
    application.jobs.wait()
    application.tools.tool = "brush"
    application.painter.press(np.array((4.0, 6, 7)), 0)
    application.painter.release()
    application.told.clear()
    yield application
    application.close()


def empty_folder(folder):
    (folder / "empty").mkdir()
    return folder / "empty"


def text_named_nifti(folder):
    path = folder / "text.nii.gz"
    path.write_text("no image")
    return path


def truncated(folder):
    path = write(folder / "whole.nii")
    packed = gzip.compress(path.read_bytes())
    cut = folder / "cut.nii.gz"
    cut.write_bytes(packed[: len(packed) // 2])
    return cut


def missing(folder):
    return folder / "absent.nii.gz"


@pytest.mark.parametrize("make", [empty_folder, text_named_nifti, truncated, missing])
def test_what_can_not_be_opened_is_told_and_the_case_stays(app, make, tmp_path):
    case, labels = app.case, app.case.segmentation.labels.copy()
    app.attempt(app.open_path, make(tmp_path))
    app.jobs.wait()
    assert_one_sentence(app)
    assert app.case is case
    assert np.array_equal(case.segmentation.labels, labels)


def assert_one_sentence(app):
    (notice,) = app.told
    assert notice.kind == "error"
    assert len(notice.text.splitlines()) == 1
    assert "Traceback" not in notice.text
    assert "unexpected" not in notice.text


def test_labels_of_another_image_are_told_and_nothing_changes(app, tmp_path):
    labels = app.case.segmentation.labels.copy()
    steps = app.case.session.history.position
    other = write(tmp_path / "other.nii.gz", np.ones((14, 12, 9), np.uint8))
    app.attempt(app.open_labels, other)
    app.jobs.wait()
    assert_one_sentence(app)
    assert np.array_equal(app.case.segmentation.labels, labels)
    assert app.case.session.history.position == steps


def test_a_checkpoint_that_is_not_one_is_told(app, tmp_path):
    labels = app.case.segmentation.labels.copy()
    folder = tmp_path / "model"
    shutil.copytree(Path(inference_room.__file__).parent / "weights" / "phantom-organs", folder)
    (weights,) = (folder / "fold_0").iterdir()
    weights.write_bytes(b"no weights at all")
    app.tools.model = str(folder)
    app.attempt(app.run_model)
    app.jobs.wait()
    assert_one_sentence(app)
    assert np.array_equal(app.case.segmentation.labels, labels)


def test_a_mixed_folder_is_listed_with_what_was_refused(app, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    write(folder / "one.nii.gz")
    write(folder / "two.nii.gz", np.zeros((5, 5, 5), np.int16))
    text_named_nifti(folder)
    case = app.case
    app.open_path(folder)
    app.jobs.wait()
    assert app.case is case
    assert len(app.scan_result.found) == 2
    assert [r.path.name for r in app.scan_result.refused] == ["text.nii.gz"]
    empty = tmp_path / "empty"
    empty.mkdir()
    app.open_path(empty)
    app.jobs.wait()
    assert app.told[-1].text.startswith("no image was found in empty: choose a folder")
    assert len(app.scan_result.found) == 2, "what is listed stays"
