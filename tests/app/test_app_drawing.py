"""Tools that are drawn or clicked in the view: what each changes, as one step, and what it leaves."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_volseg.app import Application, run_command
from napari_volseg.app.clicked import outline_of
from napari_volseg.app.latest import Latest
from napari_volseg.app.outlines import Ray
from napari_volseg.core import Box, BoxMask, Geometry, Volume
from napari_volseg.editing import (
    Author,
    InVolume,
    OnSlice,
    ScreenView,
    Slab,
    Tolerance,
    cut_out,
    disc,
    fill_outline,
    follow_edge,
    grow_region,
    keep_island,
    range_around,
    sphere,
    trace_level,
)

SHAPE, SPACING = (12, 20, 24), (3.0, 2.0, 1.5)
LIVER, SPLEEN = 1, 2
HAND = Author("hand", "user")

#: An L on an axial slice, voxels (y, x): no mirror image of itself.
CORNERS = [(3.2, 3.4), (3.2, 15.7), (8.6, 15.7), (8.6, 7.2), (16.8, 7.2), (16.8, 3.4)]


def tilted() -> Geometry:
    """Anisotropic, with the shear of a gantry that leans by 18°."""
    matrix = Geometry.from_spacing(SHAPE, SPACING, (5, -40, 90)).matrix.copy()
    matrix[1, 0] = SPACING[0] * np.tan(np.radians(18))
    return Geometry(SHAPE, matrix)


def make_labels() -> np.ndarray:
    """A liver of three islands on slice 4, two of which meet on slice 6, and a spleen beside them."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[3:9, 4:8, 4:8] = LIVER
    labels[3:9, 4:8, 11:14] = LIVER
    labels[6, 5, 4:14] = LIVER
    labels[4, 15, 20] = LIVER
    labels[3:9, 12:16, 4:9] = SPLEEN
    return labels


@pytest.fixture(params=["upright", "tilted"])
def app(request):
    application = Application()
    application.notices = []
    application.noticed.connect(application.notices.append)
    geometry = tilted() if request.param == "tilted" else Geometry.from_spacing(SHAPE, SPACING, (5, -40, 90))
    noise = np.random.default_rng(0).normal(0, 3, SHAPE)
    application.adopt(Volume((80 * make_labels() + noise).astype(np.int16), geometry, "CT", "HU", "HU", "block"))
    for name in ("Liver", "Spleen"):
        application.case.add_segment(name)
    application.case.session.replace(Box.whole(SHAPE), make_labels(), name="Draw", author=HAND)
    application.case.active = LIVER
    yield application
    application.close()


def labels(app):
    return app.case.segmentation.labels


def steps(app):
    return app.case.session.history.position


def vertices(axis=0, index=5):
    return np.insert(np.array(CORNERS) * (1 if axis == 0 else 0.55), axis, index, axis=1)


def draw(app, points, axis=0, takes_away=False):
    """Set points with the tool in hand, close what they enclose and wait for it."""
    for point in points:
        app.drawing.press(point, axis, takes_away)
    app.jobs.wait(app.drawing.close())
    app.jobs.wait()


def drag(app, points, axis=0, takes_away=False):
    """Draw a line free hand and let go."""
    app.drawing.press(points[0], axis, takes_away)
    for point in points[1:]:
        app.drawing.move(point)
    app.jobs.wait(app.drawing.close())
    app.jobs.wait()


def painted(before, mask, value=LIVER):
    return np.where(mask.expand(SHAPE), value, before)


# -- outlines -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("reach", ["slice", "slab", "volume"])
def test_a_polygon_fills_what_the_pure_function_says_and_is_one_step(app, axis, reach) -> None:
    geometry, before, count = app.case.volume.geometry, labels(app).copy(), steps(app)
    app.tools.tool, app.tools.hand_reach, app.tools.hand_slab_mm = "polygon", reach, 4.5
    draw(app, vertices(axis), axis)
    half = int(4.5 * np.linalg.norm(geometry.inverse[axis, :3]) + 1e-6)
    scope = {"slice": OnSlice(axis, 5), "slab": Slab(axis, 5 - half, 6 + half), "volume": InVolume()}[reach]
    mask = fill_outline(geometry, geometry.to_patient(vertices(axis)), OnSlice(axis, 5), scope)
    assert mask.mask.any()
    assert half >= 1
    assert np.array_equal(labels(app), painted(before, mask))
    assert steps(app) == count + 1
    step = app.case.session.history.current
    assert (step.name, step.author) == ("Polygon: Liver", HAND)
    assert step.parameters["reach"] == reach
    app.undo()
    assert np.array_equal(labels(app), before)


def test_a_lasso_with_the_modifier_takes_the_active_segment_away_and_nothing_else(app) -> None:
    before = labels(app).copy()
    app.tools.tool = "lasso"
    drag(app, vertices(), takes_away=True)
    geometry = app.case.volume.geometry
    hit = fill_outline(geometry, geometry.to_patient(vertices()), OnSlice(0, 5)).expand(SHAPE)
    assert (hit & (before == LIVER)).any()
    assert (hit & (before == SPLEEN)).any()
    assert np.array_equal(labels(app), np.where(hit & (before == LIVER), 0, before))
    assert app.case.session.history.current.name == "Lasso, taken away: Liver"


def test_the_wire_follows_edges_and_is_filled(app) -> None:
    app.tools.tool = "livewire"
    app.case.active = SPLEEN
    corners = [(5, 11.6, 3.6), (5, 11.6, 8.4), (5, 15.4, 8.4), (5, 15.4, 3.6)]
    for corner in corners:
        app.drawing.press(corner, 0)
    points = app.drawing.outline.points
    assert len(points) > len(corners)
    assert np.allclose(app.drawing.outline.vertices, app.case.volume.geometry.to_patient(corners))
    labels(app)[...] = 0
    app.case.session._revision += 1
    app.jobs.wait(app.drawing.close())
    found = labels(app)[5] == SPLEEN
    truth = make_labels()[5] == SPLEEN
    assert np.count_nonzero(found ^ truth) <= 0.25 * np.count_nonzero(truth)


def settle(app) -> None:
    """Give what the mouse asked for the time to arrive."""
    app.drawing._wire_search._pool.submit(lambda: None).result()
    app.drawing._level._latest._pool.submit(lambda: None).result()
    app.jobs.inbox.pump()


def test_the_wire_leads_to_the_cursor_before_and_after_its_paths_are_known(app) -> None:
    geometry = app.case.volume.geometry
    app.tools.tool = "livewire"
    app.drawing.press((5, 11.6, 3.6), 0)
    app.drawing.hover((5, 15.4, 8.4), 0)
    assert len(app.drawing.sketch.lines[0]) == 2
    settle(app)
    expected = follow_edge(app.case.volume.voxels, geometry, (5, 11.6, 3.6), (5, 15.4, 8.4), OnSlice(0, 5))
    assert len(expected) > 4
    assert np.allclose(geometry.to_index(app.drawing.sketch.lines[0]), expected)
    app.drawing.press((5, 15.4, 8.4), 0)
    assert np.allclose(geometry.to_index(app.drawing.outline.points), expected)
    app.drawing.hover((5, 11.6, 8.4), 0)
    app.drawing.hover((6, 15.4, 8.4), 0)
    assert len(app.drawing.sketch.lines[0]) == len(expected)
    settle(app)
    assert len(app.drawing.sketch.lines[0]) == len(expected)


def test_an_outline_stays_on_its_slice(app) -> None:
    app.tools.tool = "polygon"
    app.drawing.press(vertices()[0], 0)
    app.drawing.press((7, 3, 3), 0)
    assert "lies on another slice" in app.notices[-1].text
    app.drawing.press((5, 3, 3), 1)
    assert len(app.drawing.outline.points) == 1
    assert app.drawing.sketch.on == OnSlice(0, 5)


def test_vertices_are_taken_back_one_by_one_and_with_the_first_the_outline(app) -> None:
    app.tools.tool = "livewire"
    for point in vertices()[:3]:
        app.drawing.press(point, 0)
    first = len(app.drawing.outline.points)
    run_command(app, "tool.drop-vertex")
    assert 1 < len(app.drawing.outline.points) < first
    run_command(app, "tool.drop-vertex")
    assert np.allclose(app.drawing.outline.points, app.case.volume.geometry.to_patient(vertices()[:1]))
    run_command(app, "tool.drop-vertex")
    assert app.drawing.outline is None
    assert app.drawing.sketch is None


@pytest.mark.parametrize("how", ["command", "tool", "case"])
def test_an_outline_is_abandoned_without_a_trace(app, how) -> None:
    before, count = labels(app).copy(), steps(app)
    app.tools.tool = "polygon"
    for point in vertices():
        app.drawing.press(point, 0)
    if how == "command":
        run_command(app, "tool.abandon-outline")
    elif how == "tool":
        app.tools.tool = "brush"
    else:
        app.adopt(app.case.volume)
        before, count = labels(app).copy(), steps(app)
    assert app.drawing.sketch is None
    assert app.drawing.close() is None
    assert np.array_equal(labels(app), before)
    assert steps(app) == count


def test_two_points_enclose_nothing(app) -> None:
    app.tools.tool = "polygon"
    for point in vertices()[:2]:
        app.drawing.press(point, 0)
    run_command(app, "tool.close-outline")
    assert "at least three" in app.notices[-1].text
    assert len(app.drawing.outline.points) == 2


def test_a_mere_click_with_a_free_hand_tool_is_nothing(app) -> None:
    app.tools.tool = "lasso"
    app.drawing.press(vertices()[0], 0)
    assert app.drawing.close() is None
    app.tools.tool = "scissors"
    app.drawing.look(Ray((0, 0, 0), (0, 1, 0), (5, 5)))
    assert app.drawing.cut() is None
    assert app.drawing.sketch is None
    assert not app.notices


# -- rules --------------------------------------------------------------------------------------------------------


def test_locks_rule_and_range_are_obeyed(app) -> None:
    geometry, before = app.case.volume.geometry, labels(app).copy()
    hit = fill_outline(geometry, geometry.to_patient(vertices()), OnSlice(0, 5)).expand(SHAPE)
    app.tools.tool = "polygon"
    app.case.session.edit_table(app.case.table.edited(SPLEEN, locked=True), name="Lock")
    draw(app, vertices())
    assert np.array_equal(labels(app), np.where(hit & (before != SPLEEN), LIVER, before))
    app.undo()
    app.undo()
    app.tools.rule = "background"
    draw(app, vertices())
    assert np.array_equal(labels(app), np.where(hit & (before == 0), LIVER, before))
    app.undo()
    app.tools.rule = "inside"
    draw(app, vertices())  # begins on background
    assert np.array_equal(labels(app), np.where(hit & (before == 0), LIVER, before))
    app.undo()
    app.tools.rule, app.tools.limit_to_range, app.tools.range_low, app.tools.range_high = "everywhere", True, 130, 400
    draw(app, vertices())
    bright = app.case.volume.voxels >= 130
    assert np.array_equal(labels(app), np.where(hit & bright, LIVER, before))


@pytest.mark.parametrize("tool", ["polygon", "lasso", "livewire", "scissors"])
def test_a_locked_segment_is_told_at_the_first_point(app, tool) -> None:
    app.case.session.edit_table(app.case.table.edited(LIVER, locked=True), name="Lock")
    app.tools.tool = tool
    app.attempt(app.drawing.press, vertices()[0], 0)
    assert app.drawing.outline is None
    assert "locked" in app.notices[-1].text


@pytest.mark.parametrize("tool", ["fill", "level", "grow", "keep-island", "remove-island"])
def test_a_click_with_a_locked_segment_is_told(app, tool) -> None:
    app.case.session.edit_table(app.case.table.edited(LIVER, locked=True), name="Lock")
    app.tools.tool, before = tool, labels(app).copy()
    app.attempt(app.drawing.click, (4, 5, 5), 0)
    app.jobs.wait()
    assert "locked" in app.notices[-1].text
    assert np.array_equal(labels(app), before)


def test_what_was_worked_out_for_older_labels_is_worked_out_anew(app) -> None:
    app.tools.tool = "remove-island"
    app.drawing.click((4, 5, 5), 0)
    while not app.jobs.inbox._calls.qsize() >= 2:
        time.sleep(0.001)
    patch = BoxMask(Box((4, 4, 8), (5, 8, 11)), np.ones((1, 4, 3), bool))
    app.case.session.apply(patch, LIVER, name="Bridge", author=HAND)
    app.jobs.wait()
    assert not labels(app)[4, 4:8, 4:14].any()
    assert labels(app)[4, 15, 20] == LIVER
    assert [s.name for s in app.case.session.history.steps[-2:]] == ["Bridge", "Remove island: Liver"]


# -- clicks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reach", "scope"), [("slice", OnSlice(0, 4)), ("slab", Slab(0, 3, 6)), ("volume", InVolume())]
)
@pytest.mark.parametrize("tool", ["keep-island", "remove-island"])
def test_islands_are_those_of_the_slices_that_are_acted_on(app, tool, reach, scope) -> None:
    before = labels(app).copy()
    app.tools.tool, app.tools.hand_reach, app.tools.hand_slab_mm = tool, reach, 3.0
    app.jobs.wait(app.drawing.click((4.2, 5, 5), 0))
    area = {"slice": slice(4, 5), "slab": slice(3, 6), "volume": slice(None)}[reach]
    cut = np.zeros(SHAPE, np.uint16)
    cut[area] = before[area]
    island = keep_island(cut, LIVER, (4, 5, 5)).expand(SHAPE)
    assert island[4, 5, 12] == (reach == "volume")
    gone = island if tool == "remove-island" else (cut == LIVER) & ~island
    assert np.array_equal(labels(app), np.where(gone, 0, before))
    assert app.case.session.history.current.author == Author("tool", tool)


def test_an_island_of_another_segment_is_not_meant(app) -> None:
    app.tools.tool = "remove-island"
    app.attempt(app.drawing.click, (4, 13, 5), 0)
    assert '"Liver" has no voxel where you clicked' in app.notices[-1].text
    app.attempt(app.drawing.click, (4, 13, 99), 0)
    assert "click on the image" in app.notices[-1].text


@pytest.mark.parametrize("reach", ["slice", "slab", "volume"])
def test_a_region_grows_over_the_tissue_up_to_its_distance(app, reach) -> None:
    labels(app)[...] = 0
    voxels, geometry, seed = app.case.volume.voxels, app.case.volume.geometry, (5, 5, 5)
    app.tools.tool, app.tools.hand_reach, app.tools.hand_slab_mm, app.tools.grow_mm = "grow", reach, 3.0, 9.0
    app.jobs.wait(app.drawing.click(seed, 0))
    scope = {"slice": OnSlice(0, 5), "slab": Slab(0, 4, 7), "volume": InVolume()}[reach]
    around, ball = sphere(geometry, seed, 3.0), sphere(geometry, seed, 9.0)
    area = around.box.intersect(Box((scope.index, 0, 0), (scope.index + 1, 20, 24))) if reach == "slice" else None
    if reach == "slab":
        area = around.box.intersect(Box((4, 0, 0), (7, 20, 24)))
    area = area or around.box
    tissue = range_around(voxels, seed, BoxMask(area, around.within(area)))
    mask = grow_region(voxels, seed, tissue, scope=scope, within=ball)
    assert 4 < np.count_nonzero(mask.mask) < np.count_nonzero(make_labels() == LIVER)
    assert np.array_equal(labels(app), painted(np.zeros(SHAPE), mask))
    app.undo()
    app.tools.grow_by_tissue, app.tools.tolerance, app.tools.grow_mm = False, 30.0, 500.0
    app.jobs.wait(app.drawing.click(seed, 0))
    mask = grow_region(voxels, seed, Tolerance(30.0), scope=scope)
    assert np.array_equal(labels(app), painted(np.zeros(SHAPE), mask))
    assert app.case.session.history.current.parameters["tolerance"] == 30.0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_level_that_is_shown_is_the_one_that_is_taken(app, axis) -> None:
    labels(app)[...] = 0
    seed = (5, 14, 6)
    app.tools.tool = "level"
    app.drawing.hover(np.array(seed) + 0.2, axis)
    settle(app)
    sketch = app.drawing.sketch
    mask = trace_level(app.case.volume.voxels, seed, axis)
    assert sketch.on == OnSlice(axis, seed[axis])
    assert sketch.closed
    shown = fill_outline(app.case.volume.geometry, sketch.lines[0], sketch.on)
    assert np.array_equal(shown.expand(SHAPE), mask.expand(SHAPE))
    app.jobs.wait(app.drawing.click(seed, axis))
    assert np.array_equal(labels(app), painted(np.zeros(SHAPE), mask))
    app.drawing.leave()
    assert app.drawing.sketch is None


def test_the_outline_of_a_mask_goes_around_all_its_parts() -> None:
    mask = np.zeros((1, 6, 9), bool)
    mask[0, 1:4, 1:4] = mask[0, 2:5, 6:8] = True
    lines = outline_of(BoxMask(Box((7, 10, 20), (8, 16, 29)), mask), 0)
    spans = sorted((line.min(0).tolist(), line.max(0).tolist()) for line in lines)
    assert spans == [([7, 10.5, 20.5], [7, 13.5, 23.5]), ([7, 11.5, 25.5], [7, 14.5, 27.5])]


# -- scissors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("part", ["inside", "outside"])
def test_scissors_cut_through_all_slices(app, axis, part) -> None:
    before, geometry = labels(app).copy(), app.case.volume.geometry
    app.tools.tool, app.tools.cut_part = "scissors", part
    drag(app, vertices(axis), axis)
    column = fill_outline(geometry, geometry.to_patient(vertices(axis)), OnSlice(axis, 5), InVolume()).expand(SHAPE)
    gone = (before == LIVER) & (column if part == "inside" else ~column)
    assert 0 < np.count_nonzero(gone) < np.count_nonzero(before == LIVER)
    assert np.array_equal(labels(app), np.where(gone, 0, before))


def test_scissors_cut_all_that_is_shown_and_not_locked(app) -> None:
    before, geometry = labels(app).copy(), app.case.volume.geometry
    app.tools.tool, app.tools.cut_all = "scissors", True
    column = fill_outline(geometry, geometry.to_patient(vertices()), OnSlice(0, 5), InVolume()).expand(SHAPE)
    drag(app, vertices())
    assert np.array_equal(labels(app), np.where(column, 0, before))
    assert app.case.session.history.current.name == "Scissors"
    app.undo()
    app.case.edit_segment(SPLEEN, visible=False)
    drag(app, vertices())
    assert np.array_equal(labels(app), np.where(column & (before == LIVER), 0, before))
    app.undo()
    app.case.edit_segment(SPLEEN, visible=True)
    app.case.edit_segment(LIVER, locked=True)
    drag(app, vertices())
    assert np.array_equal(labels(app), np.where(column & (before == SPLEEN), 0, before))


def test_scissors_cut_along_lines_of_sight(app) -> None:
    before, geometry = labels(app).copy(), app.case.volume.geometry
    eye = geometry.to_patient((40, -30, 10))
    through = geometry.to_patient([(5.1, 6.2, 3.3), (5.2, 9.4, 9.3), (8.3, 6.1, 12.2), (9.2, 5.3, 2.4)])
    app.tools.tool = "scissors"
    for k, point in enumerate(through):
        ray = Ray(tuple((eye + 0.4 * (point - eye)).tolist()), tuple((point - eye).tolist()), (10.0 * k, 5.0 * k))
        app.drawing.look(ray)
    assert app.drawing.sketch.on is None
    assert app.drawing.sketch.lines[0].tolist() == [[0, 0], [10, 5], [20, 10], [30, 15]]
    app.jobs.wait(app.drawing.cut())
    view, lasso = ScreenView.through(np.broadcast_to(eye, through.shape), through - eye)
    gone = cut_out(before, LIVER, geometry, view, lasso).expand(SHAPE)
    assert 0 < np.count_nonzero(gone) < np.count_nonzero(before == LIVER)
    assert np.array_equal(labels(app), np.where(gone, 0, before))
    assert app.drawing.sketch is None


@pytest.mark.parametrize("how", ["Escape", "another view"])
def test_a_cut_in_3d_is_abandoned_without_a_trace(app, how) -> None:
    app.tools.tool, app.view.three_d = "scissors", True
    before = labels(app).copy()
    for pixel in ((0.0, 0.0), (50.0, 0.0), (50.0, 50.0)):
        app.drawing.look(Ray((*pixel, 0.0), (0.0, 0.0, 1.0), pixel))
    assert app.drawing.cutting
    if how == "Escape":
        run_command(app, "tool.abandon-outline")
    else:
        app.view.three_d = False
    assert not app.drawing.cutting
    assert app.drawing.sketch is None
    assert app.drawing.cut() is None
    assert np.array_equal(labels(app), before)


def test_only_the_newest_question_is_answered(app) -> None:
    import threading

    latest, gate, answers, worked = Latest(app.jobs.inbox), threading.Event(), [], []

    def work(k):
        worked.append(k)
        gate.wait(5)
        return k

    for k in range(5):
        latest.ask(lambda k=k: work(k), answers.append)
    gate.set()
    latest._pool.submit(lambda: None).result()
    app.jobs.inbox.pump()
    assert answers == [4]
    assert worked in ([0, 4], [4])
    latest.ask(lambda: 9, answers.append)
    latest.forget()
    latest._pool.submit(lambda: None).result()
    app.jobs.inbox.pump()
    assert answers == [4]
    latest.close()


@pytest.mark.parametrize(
    "tool",
    ["polygon", "lasso", "livewire", "scissors", "fill", "level", "grow", "keep-island", "remove-island"],
)
def test_each_tool_makes_one_step_that_changes_only_what_it_may(app, tool) -> None:
    """Within a range of values that cuts through the liver; the spleen is locked."""
    case, before, voxels = app.case, labels(app).copy(), app.case.volume.voxels
    case.edit_segment(SPLEEN, locked=True)
    app.tools.limit_to_range, app.tools.range_low, app.tools.range_high = True, -300.0, 80.0
    app.tools.tool, app.tools.hand_reach, count = tool, "volume", steps(app)
    app.tools.grow_by_tissue, app.tools.tolerance, app.tools.grow_mm = False, 500.0, 500.0
    if tool in ("polygon", "lasso", "livewire", "scissors"):
        draw(app, vertices())
    else:
        app.tools.level_side = "dark"
        bright = np.argwhere((before == LIVER) & (voxels > 83))[0]
        seed = {"fill": (4, 0, 0), "keep-island": (4, 15, 20)}.get(tool, bright)
        app.jobs.wait(app.drawing.click(seed, 0))
    changed = labels(app) != before
    assert changed.any()
    assert voxels[changed].max() <= 80
    assert not changed[before == SPLEEN].any()
    assert steps(app) == count + 1
    app.undo()
    assert np.array_equal(labels(app), before)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_brush_paints_its_disc_through_a_slab(app, axis) -> None:
    labels(app)[...] = 0
    geometry, center = app.case.volume.geometry, np.array((5.0, 9.3, 10.2))
    app.tools.tool, app.tools.radius_mm, app.tools.hand_reach, app.tools.hand_slab_mm = "brush", 5.0, "slab", 4.0
    app.painter.press(center, axis)
    app.painter.release()
    flat = disc(geometry, center, 5.0, axis).expand(SHAPE).any(axis=axis, keepdims=True)
    half = int(4.0 * np.linalg.norm(geometry.inverse[axis, :3]) + 1e-9)
    near = np.abs(np.indices(SHAPE)[axis] - round(center[axis])) <= half
    assert half >= 1
    assert np.array_equal(labels(app) == LIVER, flat & near)


def test_a_region_of_equal_label_is_filled_within_the_slab(app) -> None:
    before = labels(app).copy()
    app.tools.tool, app.tools.hand_reach, app.tools.hand_slab_mm = "fill", "slab", 3.0
    app.jobs.wait(app.drawing.click((5, 13, 6), 0))
    slab = np.isin(np.indices(SHAPE)[0], (4, 5, 6))
    assert np.array_equal(labels(app), np.where(slab & (before == SPLEEN), LIVER, before))


def test_without_a_segment_one_is_made_when_the_outline_is_closed_and_none_to_take_from(app) -> None:
    app.case.session.edit_table(type(app.case.table)())
    app.tools.tool = "polygon"
    app.attempt(app.drawing.press, vertices()[0], 0, True)
    assert "no segment to take voxels from" in app.notices[-1].text
    app.drawing.press(vertices()[0], 0)
    assert not len(app.case.table)
    for point in vertices()[1:]:
        app.drawing.press(point, 0)
    app.jobs.wait(app.drawing.close())
    assert len(app.case.table) == 1
    assert labels(app).any()
    app.undo()
    app.undo()
    for tool in ("scissors", "remove-island"):
        app.tools.tool = tool
        app.notices.clear()
        action = app.drawing.press if tool == "scissors" else app.drawing.click
        app.attempt(action, (4, 5, 5), 0)
        assert "no segment to take voxels from" in app.notices[-1].text
    assert not len(app.case.table)
