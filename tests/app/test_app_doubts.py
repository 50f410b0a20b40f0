"""Where a tool became unsure: marked until somebody has looked there, and part of the history."""

from __future__ import annotations

import numpy as np
import pytest
from tool_case import HAND, LIVER, SHAPE, SPLEEN, block, labels, make_app, told, use

from napari_volseg.app import COMMANDS, run_command
from napari_volseg.app.doubts import doubts_of
from napari_volseg.core import Box, BoxMask, Geometry, UsageError, Volume
from napari_volseg.editing import OnSlice
from napari_volseg.editing.records import decode_step, encode_step


@pytest.fixture
def app():
    application = make_app()
    yield application
    application.close()


def dab(*start):
    return BoxMask(Box.of(start, np.add(start, (1, 2, 3))), np.ones((1, 2, 3), bool))


def extend(app, axis=0, unsure=(9,), value=LIVER):
    """A step as *Extend* makes it."""
    frames = [{"slice": index, "start": [1, 5, 6], "stop": [2, 7, 9]} for index in unsure]
    facts = {"axis": axis, "unsure": frames, "segment": value}
    app.case.session.apply(dab(1, 5, 6), value, name="Extend", author=HAND, parameters=facts)


def places(app):
    return [(doubt.value, doubt.on) for doubt in doubts_of(app.case)]


def test_an_outline_that_suddenly_shrinks_is_marked_where_it_ended(app):
    voxels = np.zeros(SHAPE, np.int16)
    block(voxels, (2, 6, 6), (7, 12, 11), 200)
    block(voxels, (0, 9, 6), (2, 12, 8), 200)
    block(voxels, (7, 7, 7), (12, 10, 9), 200)
    app.adopt(Volume(voxels, Geometry.from_spacing(SHAPE, (3.0, 2.0, 1.5)), "CT", "HU", "HU", "block"))
    app.case.add_segment("Liver")
    outline = np.zeros(SHAPE, bool)
    outline[4, 6:12, 6:11] = True
    app.case.session.apply(BoxMask.of(outline), LIVER, name="Draw", author=HAND)
    app.view.index = (4, 8, 8)
    use(app, "extend", mm=30, side="up")
    assert places(app) == [(LIVER, OnSlice(0, 7))]
    assert "unsure from 7 on" in told(app)
    assert labels(app)[6].any()
    assert not labels(app)[7].any()
    (doubt,) = doubts_of(app.case)
    assert doubt.box == BoxMask.of(labels(app) * (np.indices(SHAPE)[0] == 6) > 0).box
    use(app, "extend", mm=30, side="both", drawn="anew")
    assert places(app) == [(LIVER, OnSlice(0, 1)), (LIVER, OnSlice(0, 7))], "to the other side, too"
    assert all(d.box.start[0] == k for d, k in zip(doubts_of(app.case), (2, 6), strict=True))


def test_marks_go_and_come_with_the_history(app):
    assert places(app) == []
    extend(app, unsure=(2, 9))
    both = [(LIVER, OnSlice(0, 2)), (LIVER, OnSlice(0, 9))]
    assert places(app) == both
    app.undo()
    assert places(app) == []
    app.redo()
    app.case.session.apply(dab(9, 2, 2), SPLEEN, name="Brush", author=HAND)
    assert places(app) == both, "that was about another segment"
    app.case.session.apply(dab(8, 2, 2), LIVER, name="Brush", author=HAND)
    assert places(app) == both, "that was on another slice"
    app.case.session.apply(dab(9, 5, 5), LIVER, name="Brush", author=HAND)
    assert places(app) == both[:1]
    app.undo()
    assert places(app) == both


def test_one_says_that_they_are_right_and_takes_it_back(app):
    extend(app)
    run_command(app, "segment.checked")
    assert places(app) == []
    assert COMMANDS["view.unsure"].why_not(app) is not None
    with pytest.raises(UsageError, match="no tool was unsure"):
        COMMANDS["view.unsure"](app)
    app.undo()
    assert places(app) == [(LIVER, OnSlice(0, 9))]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_goes_from_mark_to_mark(app, axis):
    extend(app, axis, unsure=(2, 9))
    app.case.active = SPLEEN
    app.view.index = (4, 5, 6)
    gone = []
    for _ in range(3):
        run_command(app, "view.unsure")
        gone.append(app.view.index[axis])
    assert gone == [9, 2, 9]
    assert app.case.active == LIVER
    others = [a for a in range(3) if a != axis]
    assert [app.view.index[a] for a in others] == [(1, 5, 7)[a] for a in others], "in the middle of what was carried"


def test_the_frame_lies_around_what_was_carried(app):
    extend(app, axis=1, unsure=(7,))
    (doubt,) = doubts_of(app.case)
    assert doubt.corners.tolist() == [[0.5, 7, 5.5], [0.5, 7, 8.5], [1.5, 7, 8.5], [1.5, 7, 5.5]]


def test_marks_of_a_segment_go_with_it(app):
    extend(app)
    app.case.remove_segment(LIVER)
    assert places(app) == []


def test_they_are_kept_with_the_step(app):
    extend(app)
    step = app.case.session.history.current
    assert decode_step(encode_step(step)).parameters == step.parameters
