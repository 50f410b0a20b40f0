"""Segment tools on the open case: one undoable step each, locks and rules obeyed, and never silence."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from tool_case import CHANGING, HAND, LIVER, SHAPE, SPLEEN, block, chiral_labels, labels, make_app, prepare, told, use

from napari_volseg.app import COMMANDS, SEGMENT_TOOLS, Application, run_command
from napari_volseg.app.correcting import request_of, set_settings, settings_of
from napari_volseg.app.tool_drafts import draft_tool
from napari_volseg.core import Box, BoxMask, CancelToken, Segment, Volume
from napari_volseg.editing import Author


@pytest.fixture
def app():
    application = make_app()
    yield application
    application.close()


def test_every_tool_is_tried():
    assert list(CHANGING) == list(SEGMENT_TOOLS)


@pytest.fixture
def drawn(app, request):
    """The case, with gaps for the tools that fill them."""
    prepare(app, request.getfixturevalue("tool_id"))
    return app


@pytest.mark.parametrize("tool_id", CHANGING)
def test_a_tool_makes_one_step_that_can_be_undone(drawn, tool_id):
    before, steps = labels(drawn).copy(), drawn.case.session.history.position
    use(drawn, tool_id, **CHANGING[tool_id])
    after = labels(drawn).copy()
    changed = int((after != before).sum())
    assert changed
    assert drawn.case.session.history.position == steps + 1
    step = drawn.case.session.history.current
    assert step.author == Author("tool", tool_id)
    assert step.name.startswith(SEGMENT_TOOLS[tool_id].title)
    assert set(CHANGING[tool_id].items()) <= set(step.parameters.items())
    remark = ", on slices 2 to 8" if tool_id == "extend" else ""
    assert told(drawn) == f"{step.name}: {changed} voxels changed{remark}"
    drawn.undo()
    assert np.array_equal(labels(drawn), before)
    drawn.redo()
    assert np.array_equal(labels(drawn), after)


@pytest.mark.parametrize("tool_id", CHANGING)
def test_locked_segments_stay(drawn, tool_id):
    drawn.case.edit_segment(SPLEEN, locked=True)
    before = labels(drawn).copy()
    use(drawn, tool_id, **CHANGING[tool_id])
    assert np.array_equal(labels(drawn) == SPLEEN, before == SPLEEN)
    drawn.case.edit_segment(drawn.case.active, locked=True)
    before, steps = labels(drawn).copy(), drawn.case.session.history.position
    use(drawn, tool_id, **CHANGING[tool_id])
    assert np.array_equal(labels(drawn), before)
    assert drawn.case.session.history.position == steps
    assert "locked" in told(drawn)


def test_what_tools_make_of_the_segment(app):
    truth = chiral_labels()
    use(app, "keep-largest")
    block(truth, (9, 17, 20), (10, 18, 22), 0)
    assert np.array_equal(labels(app), truth)
    use(app, "fill-holes")
    block(truth, (5, 6, 6), (6, 8, 7), LIVER)
    assert np.array_equal(labels(app), truth)
    use(app, "union")
    truth[truth == SPLEEN] = LIVER
    assert np.array_equal(labels(app), truth)


def test_small_islands_go_by_their_volume(app):
    use(app, "remove-small", volume=18)  # the speck has two voxels of 9 mm³
    assert "changes nothing" in told(app)
    use(app, "remove-small", volume=18.1)
    assert not (labels(app)[9] == LIVER).any()


@pytest.mark.parametrize(("tool_id", "plane", "to"), [("copy-next", "axial", 3), ("copy-previous", "axial", 5)])
def test_a_slice_is_copied_against_the_index_of_axial_slices(app, tool_id, plane, to):
    before = labels(app).copy()
    use(app, tool_id)
    expected = before.copy()
    expected[to][before[4] == LIVER] = LIVER
    assert np.array_equal(labels(app), expected)


def test_other_planes_are_copied_along_their_index(app):
    app.view.plane, app.view.index = "sagittal", (4, 8, 13)
    block(truth := labels(app).copy(), (4, 5, 14), (5, 6, 15), LIVER)
    app.case.session.apply(
        BoxMask(Box((4, 5, 14), (5, 6, 17)), np.ones((1, 1, 3), bool)), 0, name="Shorten", author=HAND
    )
    block(truth, (4, 5, 15), (5, 6, 17), 0)
    use(app, "copy-next")
    assert np.array_equal(labels(app), truth)


def test_a_threshold_keeps_to_its_slice_and_to_the_overwrite_rule(app):
    before = labels(app).copy()
    app.tools.reach = "slice"
    use(app, "threshold", low=100, high=300, use="keep")
    bright = app.case.volume.voxels > 100
    expected = before.copy()
    expected[4][(before[4] == LIVER) & ~bright[4]] = 0
    assert np.array_equal(labels(app), expected)
    app.case.active, app.tools.rule, app.tools.reach = SPLEEN, "background", "volume"
    use(app, "threshold", use="add")
    assert np.array_equal(labels(app) == LIVER, expected == LIVER)
    assert (labels(app)[5, 6:8, 6] == SPLEEN).all()  # the cavity is bright background


def test_only_values_of_the_wished_range_are_gained_or_lost(app):
    app.tools.limit_to_range, app.tools.range_low, app.tools.range_high = True, 100, 300
    dark = app.case.volume.voxels < 100
    before = labels(app).copy()
    for mm in (3, -3):
        use(app, "margin", mm=mm)
        assert not np.array_equal(labels(app), before)
        assert np.array_equal(labels(app)[dark], before[dark])


def test_a_range_is_suggested_without_a_step(app):
    steps = app.case.session.history.position
    run_command(app, "tool.suggest-range")
    app.jobs.wait()
    found = settings_of(app, SEGMENT_TOOLS["threshold"])
    assert found["low"] == pytest.approx(100)
    assert found["high"] == 200
    assert app.case.session.history.position == steps


@pytest.mark.parametrize(
    ("tool_id", "settings", "sentence"),
    [
        ("margin", {"mm": 0}, "Margin: Liver changes nothing with these settings"),
        ("margin", {"mm": -50}, 'would leave nothing of "Liver"'),
        ("intersect", {"mm": 0.1}, 'would leave nothing of "Liver"'),
        ("smooth-opening", {"mm": 40}, 'would leave nothing of "Liver"'),
        ("fill-between", {}, "changes nothing with these settings"),
        ("threshold", {"low": 5, "high": 1}, "give the lower bound first"),
        ("threshold", {"low": 5000, "high": 6000}, "changes nothing"),
    ],
)
def test_nothing_to_do_is_told_and_makes_no_step(app, tool_id, settings, sentence):
    before, steps = labels(app).copy(), app.case.session.history.position
    use(app, tool_id, **settings)
    assert sentence in told(app)
    assert app.notices[-1].kind != "info"
    assert np.array_equal(labels(app), before)
    assert app.case.session.history.position == steps


def test_rules_that_stand_in_the_way_are_named(app):
    app.case.active, app.tools.rule = SPLEEN, "background"
    use(app, "union")
    assert "what may be overwritten" in told(app)


def test_a_segment_without_voxels_and_a_slice_without_the_segment_are_told(app):
    app.view.index = (0, 0, 0)
    use(app, "copy-next")
    assert "slice 0 is the last one on this side" in told(app)
    use(app, "copy-previous")
    assert "no voxel on slice 0" in told(app)
    app.case.add_segment("Empty")
    use(app, "margin")
    assert "has no voxels yet" in told(app)


def test_all_are_smoothed_but_none_is_lost(app):
    app.case.add_segment("Dot")
    app.case.session.apply(BoxMask(Box((1, 1, 1), (2, 2, 2)), np.ones((1, 1, 1), bool)), 3, name="Dot", author=HAND)
    before = labels(app).copy()
    use(app, "smooth-all", mm=2)
    assert 'nothing of "Dot"' in told(app)
    assert np.array_equal(labels(app), before)
    app.case.edit_segment(3, locked=True)
    use(app, "smooth-all", mm=2)
    assert labels(app)[1, 1, 1] == 3
    assert not np.array_equal(labels(app), before)


def test_a_result_of_labels_that_changed_meanwhile_is_worked_out_anew(app, monkeypatch):
    worked_out = threading.Event()

    def draft(*args):
        found = draft_tool(*args)
        worked_out.set()
        return found

    monkeypatch.setattr("napari_volseg.app.correcting.draft_tool", draft)
    run_command(app, "tool.fill-holes")
    assert worked_out.wait(60)
    late = BoxMask(Box((5, 6, 6), (6, 7, 7)), np.ones((1, 1, 1), bool))
    app.case.session.apply(late, SPLEEN, name="Paint", author=HAND)  # before the inbox hands the result over
    app.case.edit_segment(SPLEEN, locked=True)
    app.jobs.wait()
    assert labels(app)[5, 6, 6] == SPLEEN
    assert labels(app)[5, 7, 6] == LIVER
    assert [s.name for s in app.case.session.history.steps[-3:]] == ["Paint", "Edit Spleen", "Fill holes: Liver"]


def test_labels_that_change_while_they_are_read_make_the_outcome_stale(app):
    tool, session = SEGMENT_TOOLS["keep-largest"], app.case.session

    def paints(request, cancel):
        session.apply(BoxMask(Box((0, 0, 0), (1, 1, 1)), np.ones((1, 1, 1), bool)), LIVER, name="P", author=HAND)
        return tool.work(request, cancel)

    draft = draft_tool(replace(tool, work=paints), request_of(app, tool, LIVER), CancelToken())
    assert draft.revision != session.revision


def test_a_result_for_another_case_or_a_removed_segment_is_dropped(app):
    old = app.case
    run_command(app, "tool.keep-largest")
    app.case.remove_segment(LIVER)
    app.jobs.wait()
    assert "was removed meanwhile" in told(app)
    app.undo()
    before = labels(app).copy()
    run_command(app, "tool.keep-largest")
    app.adopt(Volume(np.zeros(SHAPE, np.int16), old.volume.geometry, "CT", "HU", "HU", "other"))
    app.jobs.wait()
    assert np.array_equal(old.segmentation.labels, before)
    assert not labels(app).any()


def test_a_cancelled_tool_changes_nothing(app):
    before = labels(app).copy()
    run_command(app, "tool.keep-largest")
    (job,) = app.jobs.shown
    run_command(app, "segment.cancel")
    app.jobs.wait()
    assert job.state == "cancelled"
    assert np.array_equal(labels(app), before)


def test_all_segments_are_filled_whichever_is_active(app):
    gap = BoxMask.of((np.indices(SHAPE)[0] == 5) & (labels(app) > 0))
    app.case.session.apply(gap, 0, name="Gap", author=HAND)
    app.case.add_segment("Empty")
    use(app, "fill-between", which="all")
    assert set(np.unique(labels(app)[5])) == {0, LIVER, SPLEEN}
    assert app.case.session.history.current.name == "Fill between slices"


def test_what_is_filled_between_slices_takes_no_other_segment(app):
    gap = BoxMask.of((np.indices(SHAPE)[0] == 5) & (labels(app) == LIVER))
    app.case.session.apply(gap, 0, name="Gap", author=HAND)
    drawn = BoxMask(Box((5, 8, 8), (6, 9, 10)), np.ones((1, 1, 2), bool))
    app.case.session.apply(drawn, SPLEEN, name="Draw", author=HAND)
    use(app, "fill-between")
    assert (labels(app)[5, 8, 8:10] == SPLEEN).all()
    assert (labels(app)[5, 9, 8:10] == LIVER).all()


def test_an_outline_is_carried_to_one_side_and_drawn_slices_stay(app):
    new = np.zeros(SHAPE, np.uint16)
    block(new, (4, 4, 4), (5, 12, 10), LIVER)
    block(new, (7, 5, 5), (8, 7, 7), LIVER)
    app.case.session.replace(Box.whole(SHAPE), new, name="Draw", author=HAND)
    app.view.index = (4, 8, 8)
    use(app, "extend", mm=12, side="up")
    after = labels(app)
    assert not (after[:4] == LIVER).any()
    assert (after[5:7] == LIVER).any((1, 2)).all()
    assert np.array_equal(after[4], new[4])
    assert np.array_equal(after[7], new[7])
    use(app, "extend", mm=12, side="up", drawn="anew")
    assert (labels(app)[7] == LIVER).sum() > 10


def test_an_outline_that_is_not_on_the_slice_is_asked_for(app):
    app.view.index = (1, 8, 8)
    before = labels(app).copy()
    use(app, "extend")
    assert told(app) == "the segment is not on this slice: draw its outline here, or go to a slice that has it"
    assert np.array_equal(labels(app), before)


@pytest.mark.parametrize("tool_id", ["smooth-all", "fill-between"])
def test_all_segments_may_be_empty(app, tool_id):
    app.case.session.replace(Box.whole(SHAPE), np.zeros(SHAPE, np.uint16), name="Clear", author=HAND)
    use(app, tool_id, which="all")
    assert "changes nothing" in told(app)


def test_why_a_tool_can_not_be_used(app):
    def reason(tool_id):
        return COMMANDS[f"tool.{tool_id}"].why_not(app)

    assert not any(reason(tool_id) for tool_id in SEGMENT_TOOLS)
    app.view.three_d = True
    assert "no slice is shown" in reason("copy-next")
    assert reason("threshold") is None
    set_settings(app, SEGMENT_TOOLS["fill-holes"], {"holes": "slices"})
    assert "no slice is shown" in reason("fill-holes")
    app.tools.reach = "slab"
    assert "no slice is shown" in reason("threshold")
    app.tools.reach = "volume"
    app.case.remove_segment(SPLEEN)
    assert "second segment" in reason("union")
    app.case.edit_segment(LIVER, locked=True)
    assert '"Liver" is locked' in reason("margin")
    assert reason("smooth-all") is None
    fresh = Application()
    assert COMMANDS["tool.margin"].why_not(fresh) == "open an image first"
    fresh.close()


def test_a_threshold_begins_a_segment_where_there_is_none(app):
    app.adopt(app.case.volume)
    assert "segment something first" in COMMANDS["tool.margin"].why_not(app)
    use(app, "threshold", low=100, high=300)
    assert np.array_equal(labels(app) > 0, app.case.volume.voxels > 100)


def test_of_other_segments_one_that_exists_is_meant(app):
    tool = SEGMENT_TOOLS["union"]
    assert settings_of(app, tool) == {"other": SPLEEN}
    app.case.session.edit_table(app.case.table.with_segment(Segment(7, "Kidney")))
    set_settings(app, tool, {"other": 7})
    assert settings_of(app, tool) == {"other": 7}
    app.case.active = 7
    assert settings_of(app, tool) == {"other": LIVER}
