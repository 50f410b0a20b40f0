"""An image that takes long to read is looked at meanwhile, and an open case stays as it is."""

from __future__ import annotations

import threading

import nibabel as nib
import numpy as np
import pytest

from napari_volseg.app import COMMANDS, Application, run_command
from napari_volseg.app import application as application_module
from napari_volseg.app import preview as preview_module
from napari_volseg.core import CancelledError, Geometry, RefusedError, UsageError, Volume, Window
from napari_volseg.formats import load, scan

SHAPE = (6, 20, 30)


@pytest.fixture
def found(tmp_path):
    """A NIfTI of random values, so that it looks like nothing else that is open."""
    voxels = np.random.default_rng(5).integers(0, 900, SHAPE[::-1]).astype(np.int16)
    path = tmp_path / "slow.nii.gz"
    nib.save(nib.Nifti1Image(voxels, np.diag([-2.0, -1.0, 3.0, 1.0])), path)
    return scan(path).found[0]


class Gate:
    """Holds a reader up at a slice until it is let go on, or fails it there."""

    def __init__(self, at: int) -> None:
        self.at, self.reached, self.open = at, threading.Event(), threading.Event()
        self.error: Exception | None = None

    def load(self, found, decided, progress, cancel, preview):
        def report(now):
            progress(now)
            if now.done == self.at:
                self.reached.set()
                assert self.open.wait(30)
                if self.error is not None:
                    raise self.error

        return load(found, report, cancel, preview=preview)


@pytest.fixture
def gate(monkeypatch):
    gate = Gate(at=2)
    monkeypatch.setattr(preview_module, "PATIENCE", 0.0)
    monkeypatch.setattr(application_module, "load_decided", gate.load)
    yield gate
    gate.open.set()


@pytest.fixture
def app():
    application = Application()
    application.view.window = Window(1, 2)
    yield application
    application.close()


def begin(app, found, gate):
    """Open an image and return the job as soon as a part of it is seen."""
    job = app.open_found(found)
    assert gate.reached.wait(30)
    pump_until(app, lambda: app.preview.arriving is not None)
    return job


def pump_until(app, condition):
    for _ in range(600):
        if condition():
            return
        app.jobs.inbox.pump(0.05)
    raise AssertionError("it never came")


def test_a_part_is_seen_and_becomes_the_case(app, found, gate):
    job = begin(app, found, gate)
    arriving = app.preview.arriving
    assert app.case is None
    assert app.shown_volume is arriving.volume
    assert arriving.arrived.tolist() == [True, True, False, False, False, False]
    assert arriving.best == (1, 10, 15)
    assert (arriving.volume.voxels[2:] == arriving.volume.voxels[0].min()).all()
    assert app.view.window == app.windows()["auto"]
    gate.open.set()
    app.jobs.wait(job)
    assert app.preview.arriving is None
    assert np.shares_memory(app.case.volume.voxels, arriving.volume.voxels)
    assert arriving.is_filled_for(app.case.volume.voxels)
    assert app.view.window == app.case.first_window()


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_nothing_is_left_where_reading_ends_early(app, found, gate, end):
    job = begin(app, found, gate)
    gate.error = CancelledError("stop") if end == "cancelled" else RefusedError("damaged", "x")
    gate.open.set()
    app.jobs.wait(job)
    assert job.state == end
    assert app.preview.arriving is None
    assert app.case is None
    assert app.shown_volume is None
    assert app.view.window == Window(1, 2)


@pytest.mark.parametrize("end", ["succeeded", "failed"])
def test_an_open_case_is_not_touched_until_the_image_is_whole(app, found, gate, tmp_path, end):
    geometry = Geometry.from_spacing((4, 5, 6), (1, 1, 1))
    app.jobs.wait(app.open_volume(Volume(np.zeros((4, 5, 6), np.int16), geometry, "CT", "HU", "HU", "before")))
    before, window = app.case, app.view.window
    job = begin(app, found, gate)
    assert app.case is before
    assert app.view.window != window
    with pytest.raises(UsageError, match="still being read"):
        app.need_case()
    gate.error = RefusedError("damaged", "x") if end == "failed" else None
    gate.open.set()
    app.jobs.wait(job)
    assert (app.case is before) is (end == "failed")
    assert (app.view.window == window) is (end == "failed")


def test_how_an_image_that_is_read_is_looked_at_is_not_kept_with_the_open_case(app, found, gate):
    app.jobs.wait(app.open_volume(Volume(np.zeros((4, 5, 6), np.int16), Geometry.from_spacing((4, 5, 6), (1, 1, 1)))))
    kept = []
    app._view_keeper.follow(app.case, Journal(kept))
    job = begin(app, found, gate)
    app.view.window = Window(7, 8)
    gate.open.set()
    app.jobs.wait(job)
    assert kept == []


class Journal:
    """Stands in for the file of a session."""

    def __init__(self, kept) -> None:
        self.keep_view = kept.append


def test_tools_wait_for_the_whole_image(app, found, gate):
    begin(app, found, gate)
    for name in ("tool.brush", "segment.next", "segment.run", "view.3d"):
        assert COMMANDS[name].why_not(app) == preview_module.READING
    assert COMMANDS["edit.undo"].why_not(app)
    assert COMMANDS["view.coronal"].why_not(app) is None
    with pytest.raises(UsageError, match="still being read"):
        app.undo()


@pytest.mark.parametrize("tool", ["polygon", "livewire", "lasso"])
def test_an_outline_in_hand_is_seen_and_waits_while_another_image_is_read(app, found, gate, tool):
    app.adopt(Volume(np.zeros((4, 5, 6), np.int16), Geometry.from_spacing((4, 5, 6), (1, 1, 1)), "CT", "HU", "HU"))
    app.tools.tool = tool
    for place in ((2, 1, 1), (2, 1, 4), (2, 3, 4)):
        app.drawing.press(place, axis=0)
    app.drawing.hover((2, 4, 2), axis=0)
    before, outline = app.drawing.sketch, app.drawing.outline
    job = begin(app, found, gate)
    assert np.array_equal(app.drawing.sketch.lines[0][[0, 1, -1]], before.lines[0][[0, 1, -1]])
    app.drawing.move((2, 3, 1))
    for name in ("tool.close-outline", "tool.drop-vertex", "tool.abandon-outline"):
        assert COMMANDS[name].why_not(app) == preview_module.READING
    assert app.drawing.outline is outline
    run_command(app, "segment.cancel")
    assert job.token.cancelled


def test_a_window_chosen_meanwhile_is_kept(app, found, gate):
    job = begin(app, found, gate)
    app.view.window = Window(7, 8)
    gate.open.set()
    app.jobs.wait(job)
    assert app.view.window == Window(7, 8)


def test_what_is_read_at_once_is_not_previewed(app, found):
    told = []
    app.preview.changed.connect(lambda: told.append(app.preview.arriving))
    app.jobs.wait(app.open_found(found))
    assert told == []
