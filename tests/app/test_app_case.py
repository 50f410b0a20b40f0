"""Clicks, models, painting and exports on the open case, without a window."""

import json

import nibabel as nib
import numpy as np
import pytest

from napari_volseg.app import COMMANDS, Application, run_command
from napari_volseg.app.segmenting import plan_prediction
from napari_volseg.core import (
    Geometry,
    ModelCard,
    PointPrompt,
    RefusedError,
    Segment,
    UsageError,
    Volume,
)
from napari_volseg.inference import Prediction, RunReport, Seconds

SHAPE = (16, 40, 48)


def chiral_volume():
    """A CT of a bright off-centre ball and a smaller, denser one."""
    rng = np.random.default_rng(1)
    z, y, x = np.indices(SHAPE)
    voxels = rng.normal(0, 8, SHAPE)
    voxels[((z - 8) * 3.0) ** 2 + ((y - 14) * 1.5) ** 2 + ((x - 30) * 1.5) ** 2 < 14**2] += 120
    voxels[((z - 4) * 3.0) ** 2 + ((y - 30) * 1.5) ** 2 + ((x - 10) * 1.5) ** 2 < 7**2] += 400
    geometry = Geometry.from_spacing(SHAPE, (3.0, 1.5, 1.5), (-30, 12, 900))
    return Volume(voxels.astype(np.int16), geometry, "CT", "HU", "HU", "balls")


@pytest.fixture
def app():
    application = Application()
    application.notices = []
    application.noticed.connect(application.notices.append)
    application.adopt(chiral_volume())
    yield application
    application.close()


def labels(app):
    return app.case.segmentation.labels


def ball_mm(app):
    return tuple(app.case.volume.geometry.to_patient((8, 14, 30)))


def test_a_click_segments_and_undo_rewinds_its_prompt(app):
    app.jobs.wait(app.click(ball_mm(app)))
    first = labels(app).copy()
    truth = np.abs(chiral_volume().voxels - 120) < 60
    inside = first == app.case.active
    assert 2 * (inside & truth).sum() / (inside.sum() + truth.sum()) > 0.7
    assert len(app.clicks.prompts) == 1
    outside = tuple(app.case.volume.geometry.to_patient((8, 34, 30)))
    app.jobs.wait(app.click(outside, positive=False))
    assert len(app.clicks.prompts) == 2
    app.undo()
    assert np.array_equal(labels(app), first)
    assert app.clicks.prompts == (PointPrompt(ball_mm(app), True),)
    app.undo()
    assert app.clicks.prompts == ()
    assert not labels(app).any()
    app.redo()
    assert np.array_equal(labels(app), first)


def test_a_second_click_before_the_first_answer_answers_both(app):
    app.click(ball_mm(app))
    app.click(tuple(app.case.volume.geometry.to_patient((8, 20, 30))))
    app.jobs.wait()
    assert len(app.clicks.prompts) == 2
    assert [s.name for s in app.case.session.history.steps if s.prompts] == ["Click 2: Segment 1"]


def test_a_refused_click_is_let_go(app):
    app.jobs.wait(app.click(ball_mm(app)))
    shown = []
    app.clicks.changed.connect(lambda: shown.append(app.clicks.wanted))
    refused = app.click(ball_mm(app), positive=False)
    app.jobs.wait(refused)
    assert refused.state == "failed"
    assert shown == [(PointPrompt(ball_mm(app)), PointPrompt(ball_mm(app), False)), (PointPrompt(ball_mm(app)),)]


def test_painting_between_clicks_is_kept(app):
    app.jobs.wait(app.click(ball_mm(app)))
    paint(app, (8, 35, 40))
    painted = labels(app)[8, 35, 40]
    assert painted == app.case.active
    near = tuple(app.case.volume.geometry.to_patient((8, 15, 31)))
    app.jobs.wait(app.click(near))
    assert labels(app)[8, 35, 40] == painted


def paint(app, index, tool="brush", axis=0):
    app.tools.tool = tool
    app.painter.press(np.array(index, float), axis)
    app.painter.release()


def test_painting_while_the_engine_thinks_loses_neither(app):
    app.case.add_segment()
    job = app.click(ball_mm(app))
    paint(app, (8, 35, 40))
    app.jobs.wait(job)
    app.jobs.wait()
    assert labels(app)[8, 35, 40] == 1
    assert labels(app)[8, 14, 30] == 1


def test_no_click_is_lost_when_painting_comes_between(app):
    app.case.add_segment()
    app.click(ball_mm(app))
    second = PointPrompt(tuple(app.case.volume.geometry.to_patient((8, 20, 30))))
    app.clicks.add(second)
    paint(app, (8, 35, 40))
    app.jobs.wait()
    assert app.clicks.prompts == (PointPrompt(ball_mm(app)), second)
    assert labels(app)[8, 35, 40] == labels(app)[8, 20, 30] == 1


def test_a_locked_segment_is_never_taken_by_clicks(app):
    app.case.add_segment("kept")
    paint(app, (8, 14, 30))
    kept = labels(app) == 1
    app.case.session.edit_table(app.case.table.edited(1, locked=True))
    app.case.add_segment("new")
    app.jobs.wait(app.click(tuple(app.case.volume.geometry.to_patient((8, 14, 36)))))
    assert np.array_equal(labels(app) == 1, kept)
    assert (labels(app) == 2).any()
    app.case.active = 1
    assert run_click_refused(app)


def run_click_refused(app):
    app.attempt(app.click, ball_mm(app))
    return "locked" in app.notices[-1].text


def test_accepting_ends_the_segment_and_can_be_undone(app):
    app.jobs.wait(app.click(ball_mm(app)))
    app.next_segment()
    assert app.clicks.prompts == ()
    assert app.case.active == 2
    app.undo()
    app.undo()
    assert len(app.clicks.prompts) == 1


def card(name="toy"):
    return ModelCard(name, "Toy", "1", "balls", (Segment(1, "Ball"),))


def prediction(mask, name="toy"):
    report = RunReport(name, "CPU", "none", 1, Seconds(0.1, 0.1, 0.0, 0.0), 1)
    return Prediction(mask.astype(np.uint8), (Segment(1, "Ball"),), report)


def test_a_model_joins_existing_segments_and_replaces_its_own(app):
    app.case.add_segment("mine")
    paint(app, (2, 5, 5))
    mine = labels(app) == 1
    truth = chiral_volume().voxels > 60
    session = app.case.session
    session.commit(plan_prediction(session, card(), prediction(truth)).plan)
    assert app.case.table[2].name == "Ball"
    assert np.array_equal(labels(app) == 2, truth)
    assert np.array_equal(labels(app) == 1, mine)
    smaller = truth.copy()
    smaller[:6] = False
    session.commit(plan_prediction(session, card(), prediction(smaller)).plan)
    assert np.array_equal(labels(app) == 2, smaller)
    assert len(app.case.table) == 2


def test_undoing_a_new_segment_goes_back_to_the_one_before(app):
    first = app.case.add_segment().value
    second = app.case.add_segment().value
    app.undo()
    assert app.case.active == first
    app.redo()
    assert app.case.active == second


def test_a_model_does_not_overwrite_what_a_person_made(app):
    app.tools.hand_reach = "volume"
    paint(app, (8, 14, 30))
    mine = labels(app) == 1
    truth = chiral_volume().voxels > 60
    assert (truth & mine).any()
    app.case.session.commit(plan_prediction(app.case.session, card(), prediction(truth)).plan)
    assert np.array_equal(labels(app) == 1, mine)
    assert np.array_equal(labels(app) == 2, truth & ~mine)


def test_a_run_leaves_the_labels_whole_when_it_fails(app, monkeypatch):
    app.case.add_segment()
    paint(app, (2, 5, 5))
    before = labels(app).copy()

    def fail(*args, **kwargs):
        raise RefusedError("the weights are damaged: fetch them again")

    monkeypatch.setattr("napari_volseg.app.segmenting.load_model", fail)
    app.jobs.wait(app.run_model())
    assert [n.text for n in app.notices] == ["the weights are damaged: fetch them again"]
    assert np.array_equal(labels(app), before)


def test_a_model_run_and_a_stroke_meanwhile_both_stay(app, monkeypatch):
    truth = chiral_volume().voxels > 60

    class Toy:
        card = card()

        def predict(self, volume, **_):
            return prediction(truth)

    monkeypatch.setattr("napari_volseg.app.segmenting.load_model", lambda *_, **__: Toy())
    app.case.add_segment("mine")
    job = app.run_model()
    while not job.result and job.state != "failed" and app.jobs.inbox._calls.qsize() < 2:
        pass
    paint(app, (2, 5, 5))
    app.jobs.wait()
    assert labels(app)[2, 5, 5] == 1
    assert (labels(app) == app.case.table.values[-1])[truth].all()


def test_tools_obey_slice_or_3d_and_the_range(app):
    app.tools.radius_mm = 6
    paint(app, (8, 14, 30))
    assert set(np.flatnonzero(labels(app).any((1, 2)))) == {8}
    app.undo()
    app.tools.hand_reach = "volume"
    paint(app, (8, 14, 30))
    assert set(np.flatnonzero(labels(app).any((1, 2)))) == {6, 7, 8, 9, 10}
    app.undo()
    app.tools.limit_to_range, app.tools.range_low, app.tools.range_high = True, 60, 200
    paint(app, (8, 5, 30))
    hit = chiral_volume().voxels[labels(app) > 0]
    assert hit.size
    assert hit.min() >= 60


def test_the_range_narrows_what_may_be_overwritten(app):
    paint(app, (8, 14, 30))
    taken = labels(app) == 1
    app.case.add_segment()
    app.tools.rule, app.tools.limit_to_range = "background", True
    app.tools.range_low, app.tools.range_high, app.tools.radius_mm = -2000, 2000, 12
    paint(app, (8, 14, 30))
    assert (labels(app) == 2).any()
    assert (labels(app)[taken] == 1).all()


def test_a_stroke_stays_inside_what_it_starts_on(app):
    paint(app, (8, 14, 30))
    taken = labels(app) == 1
    app.case.add_segment()
    app.tools.rule, app.tools.radius_mm = "inside", 12
    paint(app, (8, 14, 30))
    assert ((labels(app) == 2) == taken).all()


@pytest.mark.parametrize("rule", ["background", "inside"])
def test_the_eraser_erases_whatever_painting_may_overwrite(app, rule):
    paint(app, (8, 14, 30))
    app.tools.rule = rule
    paint(app, (8, 14, 30), tool="eraser")
    assert not labels(app).any()


def test_fill_gives_an_enclosed_region_to_the_segment(app):
    app.case.add_segment()
    for a, b in [((10, 10), (10, 30)), ((10, 30), (25, 30)), ((25, 30), (25, 10)), ((25, 10), (10, 10))]:
        app.tools.tool, app.tools.radius_mm = "brush", 2.0
        app.painter.press(np.array((5, *a), float), 0)
        app.painter.move(np.array((5, *b), float))
        app.painter.release()
    app.tools.tool = "fill"
    app.jobs.wait(app.drawing.click(np.array((5.0, 17, 20)), 0))
    assert labels(app)[5, 17, 20] == 1
    assert labels(app)[5, 2, 2] == 0
    assert not labels(app)[6].any()


def test_a_scribble_is_a_prompt_in_mm(app):
    app.case.add_segment()
    app.tools.tool, app.tools.radius_mm = "scribble", 3.0
    app.painter.press(np.array((8.0, 12, 28)), 0)
    app.painter.move(np.array((8.0, 16, 33)))
    app.jobs.wait(app.finish_scribble())
    (prompt,) = app.clicks.prompts
    assert prompt.positions[0] == tuple(app.case.volume.geometry.to_patient((8, 12, 28)))
    gaps = np.linalg.norm(np.diff(np.array(prompt.positions), axis=0), axis=1)
    assert gaps.max() <= 1.5 + 1e-9
    assert labels(app)[8, 14, 30] == 1


def test_exports_are_written_and_told(app, tmp_path):
    app.jobs.wait(app.click(ball_mm(app)))
    app.jobs.wait(app.export("nifti", tmp_path / "labels"))
    app.jobs.wait(app.export("report-json", tmp_path / "report"))
    written = nib.load(tmp_path / "labels.nii.gz")
    assert np.array_equal(np.asanyarray(written.dataobj).transpose(2, 1, 0), labels(app))
    assert json.loads((tmp_path / "report.json").read_text())
    assert [n.kind for n in app.notices] == ["info", "info"]
    app.jobs.wait(app.export("dicom-seg", tmp_path / "labels"))
    assert "needs an image opened from DICOM" in app.notices[-1].text
    assert not (tmp_path / "labels.dcm").exists()


def test_commands_refuse_with_the_reason(app):
    fresh = Application()
    told = []
    fresh.noticed.connect(told.append)
    run_command(fresh, "segment.run")
    assert told[0].text == "Run model is not possible now: open an image first"
    fresh.close()
    run_command(app, "window.lung")
    assert app.view.window.center == -600
    run_command(app, "edit.undo")
    assert "nothing to undo" in app.notices[-1].text


def test_windows_are_offered_by_modality(app):
    assert {"lung", "bone", "soft-tissue", "mediastinum", "liver", "brain", "auto"} == set(app.case.windows())
    volume = chiral_volume()
    app.adopt(Volume(volume.voxels, volume.geometry, "MR"))
    assert set(app.case.windows()) == {"auto"}
    assert app.view.window.name == "Auto"
    with pytest.raises(UsageError):
        app.case.active = 7


def test_a_model_for_ct_is_not_offered_for_an_mr(app):
    app.models.look()
    app.jobs.wait()
    run = COMMANDS["segment.run"]
    assert run.why_not(app) is None
    volume = chiral_volume()
    app.adopt(Volume(volume.voxels, volume.geometry, "MR"))
    assert run.why_not(app) == "CT tissues needs a CT and this is MR"
    app.adopt(Volume(volume.voxels, volume.geometry, "OT"))
    assert run.why_not(app) is None


def test_what_was_repaired_in_labels_is_told(app, tmp_path):
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ app.case.volume.geometry.matrix[:, [2, 1, 0, 3]]
    stored = np.zeros(SHAPE[::-1], np.int16)
    stored[5:9, 6:10, 2:5] = 1
    image = nib.Nifti1Image(stored, affine)
    image.header.set_slope_inter(2, 0)
    nib.save(image, tmp_path / "labels.nii.gz")
    app.jobs.wait(app.open_labels(tmp_path / "labels.nii.gz"))
    assert set(np.unique(labels(app))) == {0, 2}
    assert [notice.kind for notice in app.notices] == ["warning"]
