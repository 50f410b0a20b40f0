"""What only the user can decide is asked, and the answer opens the image."""

import nibabel as nib
import numpy as np
import pytest

from napari_volseg.app import Application


@pytest.fixture
def app():
    """The app with somebody who listens to questions."""
    application = Application()
    application.questions, application.told = [], []
    application.asked.connect(application.questions.append)
    application.noticed.connect(lambda notice: application.told.append(notice.text))
    yield application
    application.close()


def opened(app, path):
    app.open_path(path)
    app.jobs.wait()
    return app.questions[-1] if app.questions else None


def answered(app, question, choice):
    question.answer(choice)
    app.jobs.wait()


def nowhere(path, shape=(3, 4, 5)):
    """A NIfTI file that does not say how it lies."""
    image = nib.Nifti1Image(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), np.eye(4))
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    nib.save(image, path)
    return path


def test_an_orientation_is_asked_for(app, tmp_path):
    question = opened(app, nowhere(tmp_path / "nowhere.nii"))
    assert app.case is None
    assert {"RAS", "LAS", "LPS"} == set(question.choices)
    answered(app, question, "LAS")
    stored = app.case.volume.origin_provenance.source_geometry
    assert nib.aff2axcodes(stored.to_ras_ijk()) == ("L", "A", "S")


def test_a_time_point_is_asked_for(app, tmp_path):
    path = tmp_path / "four.nii"
    voxels = np.stack([np.full((3, 4, 5), 10 * t, np.int16) for t in range(4)], axis=-1)
    nib.save(nib.Nifti1Image(voxels, np.diag([2.0, 2, 3, 1])), path)
    question = opened(app, path)
    assert len(question.choices) == 4
    answered(app, question, "2")
    assert (app.case.volume.voxels == 20).all()


def test_a_gap_is_asked_about_and_filled_only_on_request(app, series_with_a_gap):
    question = opened(app, series_with_a_gap)
    assert set(question.choices) == {"empty", "blocks"}
    answered(app, question, "empty")
    assert app.case.volume.geometry.shape == (6, 4, 5)


def test_blocks_are_listed_after_the_answer(app, series_with_a_gap):
    answered(app, opened(app, series_with_a_gap), "blocks")
    assert app.case is None
    assert sorted(found.slices for found in app.scan_result.found) == [2, 3]
    app.open_found(max(app.scan_result.found, key=lambda found: found.slices))
    app.jobs.wait()
    assert app.case.volume.geometry.shape == (3, 4, 5)


def test_with_nobody_to_ask_it_is_an_error(tmp_path):
    app, told = Application(), []
    app.noticed.connect(told.append)
    app.open_path(nowhere(tmp_path / "nowhere.nii"))
    app.jobs.wait()
    assert app.case is None
    assert [notice.kind for notice in told] == ["error"]
    app.close()
