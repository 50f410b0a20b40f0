"""The labels that a session file keeps whole: where they are, and that reading from them changes nothing."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from napari_volseg.app import session_changes
from napari_volseg.app.recovery import recover
from napari_volseg.app.session_database import connect, read_base, read_dropped
from napari_volseg.app.session_file import SessionFile
from napari_volseg.core import Distance, Geometry, PointPrompt, RefusedError, Segment, Segmentation, SegmentTable
from napari_volseg.editing import Author, EditSession, History, PromptChange, path_spheres

SHAPE = (70, 65, 130)
GEOMETRY = Geometry.from_spacing(SHAPE, (1.0, 1.0, 1.0))
HAND = Author("hand", "test")
TABLE = SegmentTable((Segment(1, "one"), Segment(2, "two")))


@pytest.fixture(autouse=True)
def tidy_soon(monkeypatch):
    monkeypatch.setattr(session_changes, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(session_changes, "BASE_EVERY", 6)
    monkeypatch.setattr(session_changes, "BASE_BEHIND", 2)


def unexpected(error: RefusedError) -> None:
    raise AssertionError(error)


def begin(path: Path) -> tuple[EditSession, SessionFile]:
    labels = np.zeros(SHAPE, np.uint16)
    labels[60:68, 5:9, 60:70] = 2
    segmentation = Segmentation(labels, GEOMETRY, TABLE)
    file = SessionFile.create(path, segmentation, {}, unexpected)
    return EditSession(segmentation, file), file


def step(edit: EditSession, number: int) -> None:
    """Paint across the borders of tiles, name a segment, and click."""
    center = np.random.default_rng(number).uniform((50, 50, 50), (70, 65, 80))
    prompts = PromptChange(edit.prompts, (*edit.prompts, PointPrompt((float(number), 0.0, 0.0))))
    edit.edit_table(edit.segmentation.table.edited(1, name=f"name {number}"))
    patch = path_spheres(GEOMETRY, center, center, 9.0)
    edit.apply(patch, 1 + number % 2, name=f"step {number}", author=HAND, prompts=prompts)


def base_of(path: Path) -> int:
    connection = connect(path)
    try:
        return read_base(connection).number
    finally:
        connection.close()


def agrees(path: Path, edit: EditSession) -> None:
    found = recover(path)
    assert np.array_equal(found.labels, edit.segmentation.labels)
    assert (found.table, found.prompts) == (edit.segmentation.table, edit.prompts)


@pytest.mark.parametrize("back", [0, 1, 3, 8, 16])
def test_it_follows_the_steps_and_goes_back_with_them(tmp_path, back):
    edit, file = begin(tmp_path / "case.volseg")
    for number in range(10):
        step(edit, number)
    assert file.flush()
    time.sleep(0.3)
    edit.go_to(20 - back)
    assert file.flush()
    time.sleep(0.3)
    file.close()
    assert base_of(file.path) == (18 if back <= 2 else 20 - back)
    agrees(file.path, edit)


def test_steps_that_are_void_take_it_back(tmp_path):
    edit, file = begin(tmp_path / "case.volseg")
    for number in range(10):
        step(edit, number)
    assert file.flush()
    time.sleep(0.3)
    edit.go_to(7)
    step(edit, 77)
    file.close()
    assert len(recover(file.path).steps) == 9
    agrees(file.path, edit)
    edit.go_to(0)


def test_the_file_keeps_as_many_bytes_of_steps_as_it_may(tmp_path, monkeypatch):
    edit, file = begin(tmp_path / "case.volseg")
    for number in range(10):
        step(edit, number)
    assert file.flush()
    time.sleep(0.2)
    budget = edit.history.nbytes // 2
    monkeypatch.setattr(session_changes, "FILE_BYTE_BUDGET", budget)
    for number in range(10, 14):
        step(edit, number)
    assert file.flush()
    time.sleep(0.4)
    file.close()
    found = recover(file.path)
    assert found.dropped > 4
    assert found.dropped + len(found.steps) == 28
    assert sum(s.nbytes for s in found.steps[:-6]) <= budget
    agrees(file.path, edit)
    history = found.history()
    assert (history.total_position, history.dropped) == (28, found.dropped)
    again = SessionFile.resume(file.path, unexpected)
    resumed = EditSession(found.segmentation(GEOMETRY), again, history=history, prompts=found.prompts)
    resumed.go_to(0)
    step(resumed, 99)
    again.close()
    agrees(file.path, resumed)
    assert recover(file.path).dropped == found.dropped


def test_a_file_begun_in_the_middle_holds_the_history_and_its_dropped_steps(tmp_path):
    edit, file = begin(tmp_path / "case.volseg")
    for number in range(4):
        step(edit, number)
    edit.undo()
    file.close()
    history = History.of(edit.history.steps[3:], edit.history.position - 3, dropped=3)
    copy = SessionFile.create(
        tmp_path / "copy.volseg", edit.segmentation, {}, unexpected, history=history, prompts=edit.prompts
    )
    goes_on = EditSession(edit.segmentation, copy, history=history, prompts=edit.prompts)
    goes_on.redo()
    copy.close()
    agrees(copy.path, goes_on)
    found = recover(copy.path)
    assert (found.dropped, found.position, len(found.steps)) == (3, 5, 5)
    connection = connect(copy.path)
    assert read_dropped(connection) == 3
    connection.close()


@pytest.mark.parametrize("back", [0, 5, 12])
def test_measurements_go_with_it(tmp_path, back):
    edit, file = begin(tmp_path / "case.volseg")
    for number in range(10):
        edit.measure((*edit.measurements, Distance(((float(number), 0.0, 0.0), (0.0, 1.0, 0.0)))))
        patch = path_spheres(GEOMETRY, np.full(3, 40.0), np.full(3, 40.0), 2.0 + number)
        edit.apply(patch, 1, name="step", author=HAND)
    assert file.flush()
    time.sleep(0.3)
    edit.go_to(len(edit.history.steps) - back)
    assert file.flush()
    time.sleep(0.3)
    file.close()
    assert base_of(tmp_path / "case.volseg") > 0
    assert recover(tmp_path / "case.volseg").measurements == edit.measurements
    assert len(edit.measurements) == 10 - back // 2
