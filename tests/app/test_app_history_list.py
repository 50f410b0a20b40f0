"""The list of steps, and which step set a voxel last."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_volseg.app import Application, HistoryRows, go_to_step, run_command
from napari_volseg.app.history_list import by_words, clock
from napari_volseg.core import Box, BoxMask, Geometry, Segment, SegmentTable, UsageError, Volume
from napari_volseg.editing import Author, EditSession

SHAPE = (6, 20, 24)
MODEL = Author("model", "regions", "1.3")


@pytest.fixture
def app():
    voxels = np.zeros(SHAPE, np.int16)
    app = Application()
    app.adopt(Volume(voxels, Geometry.from_spacing(SHAPE, (4, 2, 2)), "CT", "HU", "HU", "x"))
    app.told = []
    app.noticed.connect(lambda notice: app.told.append(notice.text))
    yield app
    app.close()


def paint(app: Application, *index: int) -> None:
    app.tools.tool = "brush"
    app.painter.press(np.array(index, float), 0)
    app.painter.release()


def fill(session: EditSession, box: Box, value: int, name: str) -> None:
    session.apply(BoxMask(box, np.ones(box.shape, bool)), value, name=name, author=MODEL)


def test_rows_name_every_step_its_author_and_time_and_where_the_labels_are(app):
    before = time.time()
    paint(app, 3, 10, 10)
    session = app.case.session
    fill(session, Box((0, 0, 0), (2, 4, 4)), 1, "Model")
    app.undo()
    rows = HistoryRows(session.history)
    assert [(r.position, r.name, r.state) for r in rows] == [
        (0, "Opened", "done"),
        (1, "Add Segment 1", "done"),
        (2, "Brush: Segment 1", "current"),
        (3, "Model", "undone"),
    ]
    assert rows[2].author.kind == "hand"
    assert rows[3].author == MODEL
    assert before <= rows[2].time <= time.time()
    assert rows[3].details.startswith("by the model regions 1.3, ")
    assert rows[0].details == ""


def test_every_row_can_be_gone_to(app):
    session, states = app.case.session, [app.case.segmentation.labels.copy()]
    app.case.add_segment()
    states.append(states[0])
    for z in range(1, 4):
        paint(app, z, 10, 10)
        states.append(app.case.segmentation.labels.copy())
    for position in (0, 4, 2, 3, 0):
        go_to_step(app, HistoryRows(session.history)[position].position)
        assert np.array_equal(app.case.segmentation.labels, states[position])
        assert [r.state for r in HistoryRows(session.history)].index("current") == position
    with pytest.raises(UsageError, match="no position 9"):
        go_to_step(app, 9)


def test_steps_that_were_dropped_are_told(app):
    for z in range(1, 5):
        paint(app, z, 10, 10)
    steps = app.case.session.history.steps
    small = type(app.case.session.history).of(steps, len(steps), byte_budget=steps[-1].nbytes)
    assert HistoryRows(small)[0].name == f"{len(steps) - 1} earlier steps, kept no longer"
    assert len(HistoryRows(small)) == 2


def test_each_voxel_knows_the_step_that_set_it_last(app):
    session = app.case.session
    session.edit_table(SegmentTable((Segment(1, "one"), Segment(2, "two"))))
    owner = np.zeros(SHAPE, int)
    rng = np.random.default_rng(4)
    for number in range(12):
        start = rng.integers(0, np.array(SHAPE) - 2)
        box = Box.of(start.tolist(), np.minimum(start + rng.integers(1, 9, 3), SHAPE).tolist())
        before = session.segmentation.labels.copy()
        fill(session, box, int(rng.integers(0, 3)), f"step {number}")
        owner[session.segmentation.labels != before] = len(session.history.steps)
    history = session.history
    for index in np.ndindex(SHAPE):
        assert (history.last_set(index) or 0) == owner[index]
    assert all(history.last_set(index) is not None for index in np.argwhere(session.segmentation.labels))
    session.go_to(1)
    assert session.history.last_set(tuple(np.argwhere(owner)[0])) is None


def test_who_set_a_voxel_is_told_and_marked(app):
    paint(app, 3, 10, 10)
    paint(app, 3, 15, 15)
    app.view.cursor = (3, 10, 10)
    app.jobs.wait(run_command(app, "history.who"))
    assert app.told[-1].startswith("“Brush: Segment 1”, by hand, ")
    assert app.told[-1].endswith(": step 2 of 3")
    assert app.view.marked_step == 2
    app.view.cursor = (0, 0, 0)
    app.jobs.wait(run_command(app, "history.who"))
    assert app.told[-1] == "no step has set this voxel"
    app.view.cursor = None
    assert run_command(app, "history.who") is None
    assert "point at a voxel" in app.told[-1]


def test_words_for_authors_and_moments():
    assert by_words(Author("hand", "user")) == "by hand"
    assert by_words(Author("tool", "open labels")) == "by the tool open labels"
    noon = time.mktime((2026, 3, 4, 12, 5, 6, 0, 0, -1))
    assert clock(noon, noon + 60) == "12:05:06"
    assert clock(noon, noon + 86400) == "2026-03-04 12:05:06"
