"""What a model has finished is seen while it runs, and never becomes part of the labels before its result does."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_volseg.app import Application, segmenting
from napari_volseg.core import Box, CancelledError, Geometry, ModelCard, Segment, SegmentTable, Volume
from napari_volseg.inference import Band, Prediction, RunReport, Seconds

SHAPE = (6, 5, 4)
REPORT = RunReport("twofold", "CPU", "none", 0, Seconds(0, 0, 0, 0), 0)


class TwofoldModel:
    """Labels the lower half, waits to be let go on, and labels the upper half."""

    def __init__(self) -> None:
        self.reached, self.open, self.error = threading.Event(), threading.Event(), None
        segments = (Segment(1, "Lower"), Segment(2, "Upper"))
        self.card = ModelCard("twofold", "1", "Twofold", "halves", segments, ("image",))

    def predict(self, volume, *, cancel, bands, look_at, **_):
        self.look_at = look_at
        labels = np.zeros(SHAPE, np.uint8)
        labels[:3] = 1
        bands(Band(Box((0, 0, 0), (3, 5, 4)), labels[:3]))
        self.reached.set()
        assert self.open.wait(30)
        cancel.check()
        if self.error is not None:
            raise self.error
        labels[3:] = 2
        bands(Band(Box((3, 0, 0), (6, 5, 4)), labels[3:]))
        return Prediction(labels, self.card.segments, REPORT)


@pytest.fixture
def model(monkeypatch):
    model = TwofoldModel()
    monkeypatch.setattr(segmenting, "load_model", lambda _, **__: model)
    yield model
    model.open.set()


@pytest.fixture
def app():
    application = Application()
    geometry = Geometry.from_spacing(SHAPE, (3, 2, 1))
    application.adopt(Volume(np.zeros(SHAPE, np.int16), geometry, "CT", "HU", "HU", "here"))
    yield application
    application.close()


def begin(app, model):
    """Run the model and return its job as soon as its first band is seen."""
    job = app.run_model()
    assert model.reached.wait(30)
    for _ in range(600):
        app.jobs.inbox.pump(0.05)
        if app.live.sighting is not None:
            return job
    raise AssertionError("it never came")


def test_a_band_is_seen_before_the_result(app, model):
    boxes = []
    app.live.changed.connect(boxes.append)
    job = begin(app, model)
    assert [segment.name for segment in app.live.sighting.table] == ["Lower", "Upper"]
    assert [band.box for band in app.live.sighting.bands] == [Box((0, 0, 0), (3, 5, 4))]
    assert not app.case.segmentation.labels.any()
    assert not app.case.session.history.can_undo
    model.open.set()
    app.jobs.wait(job)
    assert app.live.sighting is None
    assert boxes[-1] == Box.whole(SHAPE)
    assert (app.case.segmentation.labels[3:] == 2).all()


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_nothing_is_left_where_the_run_ends_early(app, model, end):
    job = begin(app, model)
    if end == "cancelled":
        job.cancel()
    else:
        model.error = MemoryError("no room")
    model.open.set()
    app.jobs.wait(job)
    assert job.state == end
    assert app.live.sighting is None
    assert not app.case.segmentation.labels.any()


def test_a_band_of_a_case_that_was_left_is_not_shown(app, model):
    job = begin(app, model)
    app.adopt(Volume(np.zeros(SHAPE, np.int16), Geometry.from_spacing(SHAPE, (1, 1, 1)), "CT"))
    assert app.live.sighting is None
    model.open.set()
    app.jobs.wait(job)
    assert app.live.sighting is None


@pytest.mark.parametrize(
    ("plane", "index", "expected"),
    [
        ("axial", (4, 1, 2), Box((4, 0, 0), (5, 5, 4))),
        ("sagittal", (4, 1, 2), Box((0, 0, 2), (6, 5, 3))),
        ("coronal", None, Box((0, 2, 0), (6, 3, 4))),
    ],
)
def test_the_model_is_told_which_slice_is_looked_at(app, model, plane, index, expected):
    app.view.plane, app.view.index = plane, index
    model.open.set()
    app.jobs.wait(app.run_model())
    assert model.look_at == expected
    app.view.three_d = True
    app.jobs.wait(app.run_model())
    assert model.look_at is None


def test_a_band_that_comes_after_a_cancel_is_not_shown(app, model):
    job = begin(app, model)
    bands = list(app.live.sighting.bands)
    job.cancel()
    app.live.take(app.case, job.token, SegmentTable(model.card.segments), bands[0])
    app.jobs.inbox.pump(0.05)
    assert app.live.sighting is None or len(app.live.sighting.bands) == 1
    model.error = CancelledError("stop")
