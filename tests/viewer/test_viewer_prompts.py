"""Boxes, lassos, and prompts that are moved or taken back alone."""

from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.core import BoxPrompt, LassoPrompt, PointPrompt, ScribblePrompt
from napari_volseg.viewer.markers import marks_of

START = (6, 10, 14)
TARGETS = {"axial": (6, 13, 20), "coronal": (9, 10, 20), "sagittal": (9, 13, 14)}
AXIS = {"axial": 0, "coronal": 1, "sagittal": 2}


class Recorded:
    """An engine that takes the voxels of its prompts for the segment."""

    def __init__(self, app):
        from napari_volseg.core import ModelCard
        from napari_volseg.interactive import Capabilities

        self.card = ModelCard("recorded", "Recorded", "1", "What was prompted", ())
        self.capabilities = Capabilities()
        app.engines.engines["recorded"] = self
        app.tools.engine = "recorded"
        app.engines.accept()

    def open(self, volume, *, initial=None, forbidden=None):
        from napari_volseg.interactive.listing import PromptList, nothing, obeying

        class Session(PromptList):
            def result(self, progress=None, cancel=None, parts=None):
                return obeying(initial or nothing(), self) if self.prompts else initial or nothing()

        return Session(volume, forbidden)


@pytest.fixture
def prompted(app):
    Recorded(app)
    return app


def look_at(app, viewer, plane):
    viewer.dims.set_current_step(range(3), START)
    app.view.plane = plane


def indices(app, prompt):
    points = prompt.corners if isinstance(prompt, BoxPrompt) else [prompt.position]
    return np.round(app.case.volume.geometry.to_index(points)).astype(int)


@pytest.mark.parametrize("plane", TARGETS)
def test_a_box_is_drawn_from_corner_to_corner_of_the_slice(plane, prompted, viewer, hand, place):
    look_at(prompted, viewer, plane)
    prompted.tools.tool = "box"
    hand.press(place(*START))
    middle = [round((a + b) / 2) for a, b in zip(START, TARGETS[plane], strict=True)]
    hand.move(place(*middle))
    hand.move(place(*TARGETS[plane]))
    assert len(prompted.drawing.sketch.lines[0]) == 4
    hand.release(place(*TARGETS[plane]))
    prompted.jobs.wait()
    (box,) = prompted.clicks.prompts
    corners = indices(prompted, box)
    assert corners.min(0).tolist() == list(np.minimum(START, TARGETS[plane]))
    assert corners.max(0).tolist() == list(np.maximum(START, TARGETS[plane]))
    assert np.ptp(corners[:, AXIS[plane]]) == 0
    steps = np.abs(np.diff(np.vstack([corners, corners[:1]]), axis=0))
    assert ((steps > 0).sum(1) == 1).all(), "the corners go around"


def around(plane):
    """Voxels (z, y, x) of a triangle on a slice of a plane through START, which is not its own mirror image."""
    axis = AXIS[plane]
    z, y, x = np.array(START), *(d for d in np.eye(3, dtype=int) if not d[axis])
    return [z, z + 6 * x, z - 3 * y + 2 * x]


@pytest.mark.parametrize(
    ("positive", "modifiers", "sign"), [(True, (), True), (True, ("Shift",), False), (False, (), False)]
)
@pytest.mark.parametrize("plane", TARGETS)
def test_a_lasso_is_drawn_free_hand(plane, positive, modifiers, sign, prompted, viewer, hand, place):
    look_at(prompted, viewer, plane)
    prompted.tools.tool = "lasso-prompt"
    prompted.tools.positive = positive
    first, second, third = around(plane)
    hand.press(place(*first), modifiers=modifiers)
    hand.move(place(*second))
    hand.move(place(*third))
    assert prompted.drawing.sketch.takes_away is not sign
    hand.release(place(*third))
    prompted.jobs.wait()
    (drawn,) = prompted.clicks.prompts if sign else prompted.clicks.prompts or (None,)
    if not sign:
        assert drawn is None, "nothing is left of nothing"
        return
    assert isinstance(drawn, LassoPrompt)
    assert drawn.positive
    index = np.round(prompted.case.volume.geometry.to_index(drawn.outline)).astype(int)
    assert {tuple(i) for i in (first, second, third)} <= {tuple(i) for i in index}
    assert np.ptp(index[:, AXIS[plane]]) == 0


def test_a_mere_click_draws_no_box(prompted, viewer, hand, place):
    told = []
    prompted.noticed.connect(lambda notice: told.append(notice.text))
    look_at(prompted, viewer, "axial")
    prompted.tools.tool = "box"
    hand.drag([place(*START), place(*START)])
    assert prompted.clicks.prompts == ()
    assert "opposite" in told[-1]


def click_at(app, hand, place, index):
    hand.drag([place(*index)])
    app.jobs.wait()


def test_a_click_is_dragged_to_another_place(prompted, viewer, hand, place):
    look_at(prompted, viewer, "axial")
    viewer.scene.camera.zoom = 10
    prompted.tools.tool = "click"
    click_at(prompted, hand, place, START)
    click_at(prompted, hand, place, (6, 4, 4))
    hand.drag([place(*START), place(6, 12, 17), place(6, 14, 20)])
    prompted.jobs.wait()
    assert [indices(prompted, p)[0].tolist() for p in prompted.clicks.prompts] == [[6, 14, 20], [6, 4, 4]]
    labels = prompted.case.segmentation.labels
    assert labels[6, 14, 20]
    assert labels[6, 4, 4]
    assert not labels[START]
    assert prompted.case.session.history.steps[-1].name.startswith("Move a prompt")
    hand.drag([place(6, 14, 20)])
    assert not prompted.jobs.active, "a click on a mark asks nothing"


def lines_on(app, plane):
    """A stroke, a box and a lasso on the slice of a plane through START, and where each of them can be gripped."""
    z, y, x = np.array(START), *(d for d in np.eye(3, dtype=int) if not d[AXIS[plane]])
    index = {"scribble": [z, z + x, z + 2 * x], "box": [z, z + 4 * x, z + 4 * x + 3 * y, z + 3 * y]}
    index["lasso"] = [z, z + 5 * x, z + 3 * y]
    to_patient = app.case.volume.geometry.to_patient
    points = {kind: tuple(tuple(map(float, p)) for p in to_patient(places)) for kind, places in index.items()}
    made = {"scribble": ScribblePrompt(points["scribble"], 1.0), "box": BoxPrompt(points["box"])}
    return made | {"lasso": LassoPrompt(points["lasso"])}, z + x, z + x + x - y


@pytest.mark.parametrize("kind", ["scribble", "box", "lasso"])
@pytest.mark.parametrize("plane", TARGETS)
def test_lines_are_dragged_to_another_place_on_their_slice(plane, kind, prompted, viewer, hand, place):
    prompts, grip, there = lines_on(prompted, plane)
    look_at(prompted, viewer, plane)
    viewer.scene.camera.zoom = 10
    prompted.clicks.add(prompts[kind])
    prompted.jobs.wait()
    prompted.tools.tool = "click"
    hand.drag([place(*(grip + 0.05)), place(*(grip + 0.4)), place(*there)])
    prompted.jobs.wait()
    (now,) = prompted.clicks.prompts
    assert type(now) is type(prompts[kind])
    geometry = prompted.case.volume.geometry
    was, is_ = (marks_of(p, geometry) for p in (prompts[kind], now))
    np.testing.assert_allclose(is_ - was, np.broadcast_to(there - grip, was.shape), atol=1e-6)
    assert prompted.case.session.history.steps[-1].name.startswith("Move a prompt")


@pytest.mark.parametrize("plane", TARGETS)
def test_marks_of_other_slices_are_not_in_the_way_however_small_the_image_is_shown(
    plane, prompted, viewer, hand, place
):
    look_at(prompted, viewer, plane)
    prompted.tools.tool = "click"
    click_at(prompted, hand, place, START)
    beside = np.array(START)
    beside[AXIS[plane]] += 1
    viewer.dims.set_current_step(AXIS[plane], int(beside[AXIS[plane]]))
    viewer.scene.camera.zoom = 0.01  # all lies within the grip of a mark
    place_beside = beside + 0.001 * np.sign(np.array(START) - beside)  # nearer than a slice, by rounding
    click_at(prompted, hand, place, tuple(place_beside))
    assert len(prompted.clicks.prompts) == 2


def test_a_press_onto_a_line_is_a_click(prompted, viewer, hand, place):
    prompts, grip, _ = lines_on(prompted, "axial")
    look_at(prompted, viewer, "axial")
    viewer.scene.camera.zoom = 20
    prompted.clicks.add(prompts["box"])
    prompted.jobs.wait()
    prompted.tools.tool = "click"
    hand.drag([place(*grip)])
    prompted.jobs.wait()
    assert [type(p) for p in prompted.clicks.prompts] == [BoxPrompt, PointPrompt]


def test_one_prompt_is_taken_back_and_then_all(prompted, viewer, hand, place):
    look_at(prompted, viewer, "axial")
    viewer.scene.camera.zoom = 10
    prompted.tools.tool = "click"
    for index in (START, (6, 4, 4), (6, 16, 22)):
        click_at(prompted, hand, place, index)
    first, second, third = prompted.clicks.prompts
    prompted.clicks.remove(second)
    prompted.jobs.wait()
    labels = prompted.case.segmentation.labels
    assert prompted.clicks.prompts == (first, third)
    assert labels[START]
    assert not labels[6, 4, 4]
    prompted.reset_clicks()
    prompted.jobs.wait()
    assert prompted.clicks.prompts == ()
    assert not labels.any()
    prompted.undo()
    assert prompted.clicks.prompts == (first, third)
    assert labels[START]
    prompted.undo()
    assert prompted.clicks.prompts == (first, second, third)
    assert labels[6, 4, 4]


def test_no_prompt_is_taken_from_a_segment_that_was_edited_since(prompted, viewer, hand, place):
    from napari_volseg.core import UsageError

    look_at(prompted, viewer, "axial")
    prompted.tools.tool = "click"
    click_at(prompted, hand, place, START)
    prompted.tools.tool = "brush"
    hand.drag([place(6, 4, 4), place(6, 5, 6)])
    before = prompted.case.segmentation.labels.copy()
    with pytest.raises(UsageError, match="undo"):
        prompted.clicks.remove(prompted.clicks.prompts[0])
    np.testing.assert_array_equal(prompted.case.segmentation.labels, before)


def test_marks_show_the_edges_of_a_box(prompted):
    from napari_volseg.viewer.markers import markers_of

    geometry = prompted.case.volume.geometry
    corners = tuple(tuple(map(float, geometry.to_patient(i))) for i in ((6, 4, 4), (6, 4, 9), (6, 7, 9), (6, 7, 4)))
    shown = markers_of([BoxPrompt(corners), PointPrompt(corners[0])], geometry)
    on_edge = {tuple(np.round(p).astype(int)) for p in shown.positions}
    assert {(6, 4, x) for x in range(4, 10)} <= on_edge
    assert {(6, y, 9) for y in range(4, 8)} <= on_edge
    assert shown.clicks.sum() == 1


def test_a_prompt_is_taken_back_after_the_image_was_opened_anew(prompted, viewer, hand, place):
    from napari_volseg.app.clicks import Clicks

    look_at(prompted, viewer, "axial")
    viewer.scene.camera.zoom = 10
    prompted.tools.tool = "brush"
    hand.drag([place(3, 4, 4), place(3, 5, 6)])
    painted = prompted.case.segmentation.labels.copy()
    prompted.tools.tool = "click"
    for index in (START, (6, 4, 4)):
        click_at(prompted, hand, place, index)
    first, second = prompted.clicks.prompts
    again = Clicks(prompted.case, prompted.jobs, prompted.tools, prompted.engines, prompted.live)
    again.remove(first)
    prompted.jobs.wait()
    labels = prompted.case.segmentation.labels
    assert again.prompts == (second,)
    assert labels[6, 4, 4]
    assert not labels[START]
    again.reset()
    prompted.jobs.wait()
    np.testing.assert_array_equal(labels, painted)
