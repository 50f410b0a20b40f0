"""The import report follows the open image, is toggled by a command, and goes into exported reports."""

import json

import nibabel as nib
import numpy as np
import pytest

from napari_volseg.app import COMMANDS, Application, headless, run_command
from napari_volseg.app.exporting import export
from napari_volseg.app.opening import Decided
from napari_volseg.core import Answers, Segment, Segmentation, SegmentTable

EMPTY = Decided(Answers(on_missing_slice="empty"))


@pytest.fixture
def app():
    application = Application()
    yield application
    application.close()


def opened(app, path, decided=EMPTY):
    app.open_path(path, decided)
    app.jobs.wait()


def test_each_image_has_the_report_of_its_own_place(app, series_with_a_gap, tmp_path):
    assert app.report is None
    (series_with_a_gap / "broken.nii").write_text("no image")
    opened(app, series_with_a_gap)
    assert [e.code for e in app.report.of_kind("decided")] == ["decided.on_missing_slice"]
    assert [e.message.split()[0] for e in app.report.of_kind("refused")] == ["broken.nii"]

    plain = tmp_path / "plain.nii"
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.diag([2.0, 2, 3, 1])), plain)
    opened(app, plain)
    assert app.report.facts["format"] == "NIfTI"
    assert not app.report.of_kind("refused")


def test_a_time_point_that_was_chosen_is_a_decision(app, tmp_path):
    path = tmp_path / "four.nii"
    voxels = np.stack([np.full((3, 4, 5), 10 * t, np.int16) for t in range(4)], axis=-1)
    nib.save(nib.Nifti1Image(voxels, np.diag([2.0, 2, 3, 1])), path)
    opened(app, path, Decided(time=2))
    (entry,) = app.report.of_kind("decided")
    assert (entry.code, entry.message.endswith("as time = 2 says")) == ("decided.time", True)


def test_the_command_unfolds_the_report_of_an_open_image(app, series_with_a_gap):
    told = []
    app.noticed.connect(lambda notice: told.append(notice.text))
    run_command(app, "view.report")
    assert not app.view.report_shown
    assert "open an image first" in told[-1]
    opened(app, series_with_a_gap)
    for shown in (True, False):
        run_command(app, "view.report")
        assert app.view.report_shown == shown
    assert COMMANDS["view.report"].key


def test_an_exported_report_holds_what_became_of_the_image(app, series_with_a_gap, tmp_path):
    opened(app, series_with_a_gap)
    volume = app.case.volume
    labels = np.zeros(volume.geometry.shape, np.uint16)
    labels[1:3, 1:3, 1:3] = 1
    segmentation = Segmentation(labels, volume.geometry, SegmentTable((Segment(1, "Liver"),)))
    told = json.loads(export("report-json", tmp_path / "r.json", segmentation, volume).read_text("utf-8"))
    assert {"report_version", "volume", "segments", "extra"} <= set(told)
    assert told["import"]["facts"]["files"] == 5
    assert [entry["code"] for entry in told["import"]["decided"]] == ["decided.on_missing_slice"]


def test_a_run_report_holds_what_became_of_the_image(series_with_a_gap, tmp_path):
    done = headless.segment_path(series_with_a_gap, "ct-tissues", answers=EMPTY.answers)
    told = json.loads(headless.save_run_report(tmp_path / "run.json", done).read_text("utf-8"))
    assert set(done.report.as_dict()) < set(told)
    assert [entry["code"] for entry in told["import"]["repaired"]] == ["dicom.empty_slices"]
