"""What a card asks to be done afterwards: own steps, the same without a window, off on request."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from napari_volseg.app import Application, headless, segmenting
from napari_volseg.cli import DONE, main
from napari_volseg.core import Box, CheckSides, Geometry, KeepLargest, ModelCard, RemoveSmall, Segment, Volume
from napari_volseg.editing import Author
from napari_volseg.inference import Prediction, RunReport, Seconds

SHAPE = (10, 12, 20)
REPORT = RunReport("islands", "CPU", "none", 0, Seconds(0, 0, 0, 0), 0)
SEGMENTS = (Segment(1, "Liver"), Segment(2, "Kidney left"), Segment(3, "Kidney right"))
STEPS = (KeepLargest((1,)), RemoveSmall((2, 3), 12.0), CheckSides(2, 3))


def predicted():
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:4, 1:5, 1:6] = 1
    labels[8, 10, 1] = 1  # a second island
    labels[6:9, 2:6, 14:18] = 2
    labels[6:9, 2:6, 2:6] = 3
    labels[1, 8, 12] = 2  # 6 mm³: too small
    labels[1, 10, 2:4] = 2  # on the right
    return labels


def wanted():
    labels = predicted()
    labels[8, 10, 1] = labels[1, 8, 12] = 0
    labels[1, 10, 2:4] = 3
    return labels


class Model:
    def __init__(self, steps=STEPS):
        self.card = ModelCard("islands", "Islands", "1", "t", SEGMENTS, ("image",), postprocessing=steps)

    def predict(self, volume, **_):
        return Prediction(predicted(), SEGMENTS, REPORT)


@pytest.fixture
def model(monkeypatch):
    model = Model()
    for place in (segmenting, headless):
        monkeypatch.setattr(place, "load_model", lambda *_, **__: model)
    return model


@pytest.fixture
def app():
    application = Application()
    application.adopt(Volume(np.zeros(SHAPE, np.int16), Geometry.from_spacing(SHAPE, (3, 2, 1)), "CT"))
    yield application
    application.close()


def names(app):
    return [step.name for step in app.case.session.history.steps]


def test_each_is_a_step_of_its_own_and_undone_by_itself(app, model):
    app.run_model()
    app.jobs.wait()
    assert names(app) == [
        "Model: Islands",
        "Islands: keep the largest island of Liver",
        "Islands: remove islands of Kidney left and Kidney right below 12 mm³",
        "Islands: check the sides of Kidney left and Kidney right",
    ]
    assert np.array_equal(app.case.segmentation.labels, wanted())
    app.undo()
    assert (app.case.segmentation.labels[1, 10, 2:4] == 2).all()
    app.undo()
    assert app.case.segmentation.labels[1, 8, 12] == 2
    app.undo()
    assert np.array_equal(app.case.segmentation.labels, predicted())
    for _ in range(3):
        app.redo()
    assert np.array_equal(app.case.segmentation.labels, wanted())


def test_nothing_is_done_where_it_is_not_wanted(app, model):
    app.tools.postprocess = False
    app.run_model()
    app.jobs.wait()
    assert names(app) == ["Model: Islands"]
    assert np.array_equal(app.case.segmentation.labels, predicted())


def test_voxels_of_segments_by_hand_stay_and_values_follow_the_table(app, model):
    app.case.add_segment("Mine")  # takes the value 1, so the model's liver becomes another
    case = app.case
    labels = case.segmentation.labels.copy()
    labels[8, 10, 0:2] = 1
    case.session.replace(Box.whole(SHAPE), labels, name="Paint", author=Author("hand", "user"))
    app.run_model()
    app.jobs.wait()
    liver = next(segment.value for segment in case.table if segment.name == "Liver")
    assert liver != 1
    assert (case.segmentation.labels[8, 10, 0:2] == 1).all()
    assert np.array_equal(case.segmentation.labels == liver, wanted() == 1)
    assert case.segmentation.labels[1, 8, 12] == 0


def test_a_result_that_was_undone_meanwhile_is_not_brought_back(app, model):
    def undo(step):
        if names(app) == ["Model: Islands"] and app.case.session.history.can_undo:
            app.undo()

    app.case.session.history_changed.connect(lambda: app.jobs.inbox.post(lambda: undo(None)))
    app.run_model()
    app.jobs.wait()
    assert not app.case.segmentation.labels.any()


def test_sides_that_are_crossed_are_told(app, monkeypatch):
    model = Model((CheckSides(3, 2),))
    monkeypatch.setattr(segmenting, "load_model", lambda *_, **__: model)
    told = []
    app.noticed.connect(told.append)
    app.run_model()
    app.jobs.wait()
    assert any("Kidney right lies to the right of Kidney left" in n.text and n.kind == "warning" for n in told)
    assert names(app) == ["Model: Islands"]


@pytest.mark.parametrize(("flags", "expected"), [([], wanted), (["--no-postprocessing"], predicted)])
def test_it_is_the_same_without_a_window(model, tmp_path, flags, expected):
    source, out, report = tmp_path / "in.nii.gz", tmp_path / "out.nii.gz", tmp_path / "run.json"
    affine = np.diag([-1.0, -2.0, 3.0, 1.0])
    image = nib.Nifti1Image(np.zeros(SHAPE[::-1], np.int16), affine)
    image.set_sform(affine, 1)
    nib.save(image, source)
    assert main(["segment", str(source), str(out), "--model", "x", "--report", str(report), *flags]) == DONE
    assert np.array_equal(np.asarray(nib.load(out).dataobj).T, expected())
    steps = json.loads(report.read_text())["postprocessing"]
    assert [step["voxels"] for step in steps] == ([] if flags else [1, 1, 2])


def test_the_whole_job_holds_corrections(model, tmp_path):
    source = tmp_path / "in.nii.gz"
    image = nib.Nifti1Image(np.zeros(SHAPE[::-1], np.int16), np.diag([-1.0, -2.0, 3.0, 1.0]))
    image.set_sform(image.affine, 1)
    nib.save(image, source)
    done = headless.segment_path(source, "x")
    assert np.array_equal(done.segmentation.labels, wanted())
