"""Every tool of the table keeps to its reach, to the overwrite rule, to the range of values and to locks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from tool_case import CHANGING, HAND, LIVER, SHAPE, SPLEEN, block, chiral_labels, labels, make_app, prepare, told, use

from napari_volseg.app import SEGMENT_TOOLS
from napari_volseg.app.correcting import set_settings
from napari_volseg.core import Box

TOOLS = list(SEGMENT_TOOLS)
REACHES = [(tool.id, reach) for tool in SEGMENT_TOOLS.values() for reach in tool.reaches]
SHOWN = 4
#: Slices of the default view that each reach lets change; the slab is 6 mm to each side, of slices 3 mm apart.
WITHIN = {"slice": {4}, "slab": {2, 3, 4, 5, 6}, "volume": set(range(12))}
#: Where tools copy that leave the shown slice.
COPIED = {
    ("copy-next", "slice"): {3},
    ("copy-next", "slab"): {2, 3},
    ("copy-previous", "slice"): {5},
    ("copy-previous", "slab"): {5, 6},
}


@pytest.fixture
def app():
    """The case, with a speck and a hole on the shown slice."""
    application = make_app()
    new = chiral_labels()
    block(new, (4, 17, 20), (5, 18, 22), LIVER)
    block(new, (4, 7, 8), (5, 9, 9), 0)
    application.case.session.replace(Box.whole(SHAPE), new, name="Draw", author=HAND)
    application.tools.slab_mm = 6
    yield application
    application.close()


def run(app, tool_id, reach="volume"):
    """Return the labels before and after a tool with a reach."""
    app.tools.reach = reach
    if tool_id == "fill-between":
        prepare(app, tool_id)
        app.view.index = (5, 8, 8)
    before = labels(app).copy()
    use(app, tool_id, **CHANGING[tool_id])
    return before, labels(app).copy()


@pytest.mark.parametrize(("tool_id", "reach"), REACHES)
def test_only_slices_within_reach_change(app, tool_id, reach):
    before, after = run(app, tool_id, reach)
    changed = set(np.flatnonzero((before != after).any(axis=(1, 2))).tolist())
    allowed = COPIED.get((tool_id, reach), WITHIN[reach])
    if (tool_id, reach) == ("fill-between", "slice"):
        allowed = {5}
    assert changed
    assert changed <= allowed
    step = app.case.session.history.current
    assert step.parameters["reach"] == reach
    assert ("slab_mm" in step.parameters) == (reach == "slab")
    assert step.parameters.get("index", 4) == app.view.index[0]


@pytest.mark.parametrize(("tool_id", "reach"), REACHES)
def test_the_overwrite_rule_is_obeyed(app, tool_id, reach):
    app.tools.rule = "background"
    before, after = run(app, tool_id, reach)
    overwritten = (before != 0) & (after != 0) & (before != after)
    assert not overwritten.any()
    assert set(np.unique(after)) <= {0, *app.case.table.values}


@pytest.mark.parametrize("tool_id", TOOLS)
def test_the_range_of_values_is_obeyed(app, tool_id):
    tools = app.tools
    tools.limit_to_range, tools.range_low, tools.range_high = True, 100, 300
    before, after = run(app, tool_id)
    dark = app.case.volume.voxels < 100
    assert np.array_equal(before[dark], after[dark])
    assert set(np.unique(after)) <= {0, *app.case.table.values}


@pytest.mark.parametrize(("tool_id", "reach"), REACHES)
def test_a_locked_segment_neither_loses_nor_gains(app, tool_id, reach):
    app.case.edit_segment(SPLEEN, locked=True)
    before, after = run(app, tool_id, reach)
    assert np.array_equal(before == SPLEEN, after == SPLEEN)
    assert SPLEEN in app.case.table


def test_on_a_slice_distances_are_those_within_it(app):
    app.tools.reach = "slice"
    before = labels(app).copy()
    use(app, "margin", mm=3)
    y, x = np.mgrid[-2:3, -3:4]
    disc = (y * 2.0) ** 2 + (x * 1.5) ** 2 <= 9
    expected = before.copy()
    expected[4][ndimage.binary_dilation(before[4] == LIVER, disc)] = LIVER
    assert np.array_equal(labels(app), expected)


def test_a_slab_is_a_volume_of_its_own(app):
    app.tools.reach, app.tools.slab_mm = "slab", 3.5
    before = labels(app).copy()
    use(app, "keep-largest")
    parts, count = ndimage.label(before[3:6] == LIVER)
    largest = 1 + np.argmax([(parts == n + 1).sum() for n in range(count)])
    expected = before.copy()
    expected[3:6][(before[3:6] == LIVER) & (parts != largest)] = 0
    assert np.array_equal(labels(app), expected)
    assert (labels(app)[9, 17, 20:22] == LIVER).all()


def test_other_planes_have_slices_of_their_own(app):
    app.view.plane, app.view.index, app.tools.reach = "sagittal", (4, 8, 6), "slice"
    before = labels(app).copy()
    use(app, "margin", mm=-2)
    changed = before != labels(app)
    assert changed[:, :, 6].any()
    assert not np.delete(changed, 6, axis=2).any()


def test_a_slice_without_the_segment_is_told(app):
    app.view.index, app.tools.reach = (0, 8, 8), "slice"
    use(app, "margin", mm=2)
    assert "has no voxels within this slice" in told(app)


def test_islands_become_segments_named_after_the_first(app):
    before = labels(app).copy()
    use(app, "split-islands")
    table = app.case.table
    assert [s.name for s in table] == ["Liver", "Spleen", "Liver 2", "Liver 3"]
    assert {tuple(i) for i in np.argwhere(labels(app) == 3)} == {(4, 17, 20), (4, 17, 21)}
    assert {tuple(i) for i in np.argwhere(labels(app) == 4)} == {(9, 17, 20), (9, 17, 21)}
    app.undo()
    assert np.array_equal(labels(app), before)
    assert app.case.table.values == (LIVER, SPLEEN)
    use(app, "split-islands", most=2)
    assert app.case.table.values == (LIVER, SPLEEN, 3)


@pytest.mark.parametrize(("plane", "axis", "at"), [("axial", 0, 4), ("coronal", 1, 8), ("sagittal", 2, 7)])
@pytest.mark.parametrize("side", ["up", "down"])
def test_a_segment_is_cut_at_the_shown_slice_which_stays_with_it(app, plane, axis, at, side):
    app.view.plane = plane
    app.view.index = tuple(at if a == axis else 8 for a in range(3))
    before = labels(app).copy()
    use(app, "split-plane", side=side)
    index = np.indices(SHAPE)[axis]
    beyond = index > at if side == "up" else index < at
    assert np.array_equal(labels(app), np.where((before == LIVER) & beyond, 3, before))
    assert app.case.table[3].name == "Liver 2"


def test_a_mirror_image_is_added_taken_for_it_or_a_segment_of_its_own(app):
    before = labels(app).copy()
    image = (before == LIVER)[:, :, ::-1]  # the grid's x axis is the patient's
    use(app, "mirror", use="set")
    assert np.array_equal(labels(app) == LIVER, image)
    app.undo()
    use(app, "mirror", use="new")
    assert np.array_equal(labels(app) == 3, image & (before != LIVER))
    assert np.array_equal(labels(app) == LIVER, before == LIVER)
    app.undo()
    use(app, "mirror", use="add", middle=SPLEEN)
    found = labels(app) == LIVER
    # the spleen's middle lies at x = 6: the block from 4 to 11 is seen from 8 to 1, the tip of the spike at 0
    assert np.flatnonzero(found[5, 10]).tolist() == list(range(1, 12))
    assert found[4, 5, 0]


def test_merging_takes_a_segment_off_the_table_unless_something_is_left_of_it(app):
    before = labels(app).copy()
    use(app, "merge")
    assert app.case.table.values == (LIVER,)
    assert np.array_equal(labels(app) == LIVER, before > 0)
    app.undo()
    assert np.array_equal(labels(app), before)
    assert app.case.table.values == (LIVER, SPLEEN)
    app.tools.reach = "slice"
    use(app, "merge")
    assert app.case.table.values == (LIVER, SPLEEN)
    assert not (labels(app)[4] == SPLEEN).any()


def test_a_relabelled_segment_stays_active_with_its_name(app):
    before = labels(app).copy()
    color = app.case.table[LIVER].color
    use(app, "relabel", value=700)
    assert (app.case.active, app.case.table[700].name, app.case.table[700].color) == (700, "Liver", color)
    assert np.array_equal(labels(app), np.where(before == LIVER, 700, before))
    app.undo()
    assert (app.case.active, app.case.table.values) == (LIVER, (LIVER, SPLEEN))
    use(app, "relabel", value=SPLEEN)
    assert 'label 2 is that of "Spleen"' in told(app)


def test_seeds_grow_to_the_edge_of_the_image(app):
    new = np.zeros(SHAPE, np.uint16)
    block(new, (5, 7, 6), (7, 9, 8), LIVER)
    block(new, (5, 14, 14), (7, 18, 22), SPLEEN)
    app.case.session.replace(Box.whole(SHAPE), new, name="Seeds", author=HAND)
    use(app, "grow-seeds", mm=40, smooth=0)
    bright = app.case.volume.voxels > 100
    assert ((labels(app) == LIVER) == bright).mean() > 0.97
    app.undo()
    use(app, "grow-seeds", background=SPLEEN)
    assert np.array_equal(labels(app) == SPLEEN, new == SPLEEN)
    assert ((labels(app) == LIVER) == bright).mean() > 0.97


def test_the_reach_of_a_tool_that_lacks_the_wished_one_is_its_first():
    assert SEGMENT_TOOLS["copy-next"].reach("volume") == "slice"
    assert SEGMENT_TOOLS["split-plane"].reach("slice") == "volume"
    assert all(tool.reaches for tool in SEGMENT_TOOLS.values())


def test_segments_on_offer_leave_out_the_one_that_is_acted_on(app):
    from napari_volseg.app.correcting import segments_offered, settings_of

    def offered(tool_id, place):
        tool = SEGMENT_TOOLS[tool_id]
        return segments_offered(app, tool, tool.parameters[place])

    assert offered("union", 0) == {SPLEEN: "Spleen"}
    assert offered("mirror", 0) == {0: "The image", SPLEEN: "Spleen"}
    assert offered("grow-seeds", 2) == {0: "No segment", LIVER: "Liver", SPLEEN: "Spleen"}
    set_settings(app, SEGMENT_TOOLS["mirror"], {"middle": 77})
    assert settings_of(app, SEGMENT_TOOLS["mirror"])["middle"] == 0


def test_a_threshold_over_many_slices_is_that_of_each_and_stops_between_them(app):
    from napari_volseg.app.correcting import request_of
    from napari_volseg.app.tool_drafts import draft_tool
    from napari_volseg.core import CancelledError, CancelToken, Geometry, Volume

    voxels = np.random.default_rng(1).integers(0, 100, (50, 6, 7)).astype(np.int16)
    app.adopt(Volume(voxels, Geometry.from_spacing(voxels.shape), "CT", "HU", "HU", "long"))
    app.case.add_segment("Bright")
    for use_, low, expected in (("add", 80, voxels >= 80), ("keep", 90, voxels >= 90), ("set", 10, voxels >= 10)):
        use(app, "threshold", low=low, high=100, use=use_)
        assert np.array_equal(labels(app) == 1, expected)

    class Later(CancelToken):
        asked = 0

        def check(self):
            self.asked += 1
            if self.asked > 55:
                self.cancel()
            super().check()

    tool, token = SEGMENT_TOOLS["threshold"], Later()
    with pytest.raises(CancelledError):
        draft_tool(tool, request_of(app, tool, 1), token)
