"""The mouse in the three planes: tools, clicks and their sign, window and level, scrolling, zoom and pan."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components.overlays import BrushCircleOverlay

from napari_volseg.core import Window
from napari_volseg.viewer.mouse import dragged_window

#: Voxel (z, y, x) and where to drag to within each plane.
START = (6, 10, 14)
TARGETS = {"axial": (6, 12, 20), "coronal": (8, 10, 20), "sagittal": (8, 12, 14)}


def look_at(app, viewer, plane) -> None:
    viewer.dims.set_current_step(range(3), START)
    app.view.plane = plane


@pytest.mark.parametrize("plane", TARGETS)
def test_brush_paints_on_the_shown_slice(plane, app, viewer, hand, place) -> None:
    look_at(app, viewer, plane)
    app.tools.tool, app.tools.radius_mm = "brush", 1.6
    hand.drag([place(*START), place(*TARGETS[plane])])
    labels = app.case.segmentation.labels
    axis = {"axial": 0, "coronal": 1, "sagittal": 2}[plane]
    painted = np.argwhere(labels == 1)
    assert labels[START] == labels[TARGETS[plane]] == 1
    assert set(painted[:, axis]) == {START[axis]}
    assert app.case.session.history.steps[-1].name == "Brush: Liver"
    app.tools.tool = "eraser"
    hand.drag([place(*START), place(*TARGETS[plane])])
    assert not labels.any()


@pytest.mark.parametrize("plane", TARGETS)
def test_clicks_reach_the_patient_position(plane, app, viewer, hand, place, monkeypatch) -> None:
    clicks = []
    monkeypatch.setattr(app, "click", lambda *arguments: clicks.append(arguments))
    look_at(app, viewer, plane)
    app.tools.tool = "click"
    hand.drag([place(*TARGETS[plane])])
    hand.drag([place(*START)], modifiers=("Shift",))
    hand.drag([place(*START)], modifiers=("Alt",))
    hand.drag([place(6, 10, 99)])
    geometry = app.case.volume.geometry
    assert [sign for _, sign in clicks] == [None, False, False]
    assert clicks[0][0] == pytest.approx(tuple(geometry.to_patient(TARGETS[plane])))
    assert clicks[1][0] == pytest.approx(tuple(geometry.to_patient(START)))


def test_a_stroke_is_kept_when_another_button_takes_over(app, hand, place) -> None:
    app.tools.tool = "brush"
    hand.press(place(*START))
    hand.move(place(6, 12, 20))
    hand.drag([place(*START)] * 2, button=2)
    assert app.case.session.history.steps[-1].name == "Brush: Liver"
    assert not app.painter.painting


def test_fill_takes_the_region_of_the_slice(app, viewer, hand, place) -> None:
    look_at(app, viewer, "coronal")
    app.tools.tool = "fill"
    hand.drag([place(*START)])
    app.jobs.wait()
    assert np.flatnonzero(app.case.segmentation.labels.any(axis=(0, 2))).tolist() == [START[1]]


def test_scribble_is_shown_while_drawn_and_becomes_a_prompt(app, viewer, hand, place, binding, monkeypatch) -> None:
    prompts, dots = [], []
    monkeypatch.setattr(app.clicks, "add", prompts.append)
    binding.prompts.events.data.connect(lambda: dots.append(len(binding.prompts.data)))
    app.tools.tool = "scribble"
    hand.drag([place(*START), place(6, 11, 16), place(6, 12, 18)], modifiers=("Shift",))
    (scribble,) = prompts
    geometry = app.case.volume.geometry
    assert not scribble.positive
    assert scribble.positions[0] == pytest.approx(tuple(geometry.to_patient(START)))
    assert scribble.positions[-1] == pytest.approx(tuple(geometry.to_patient((6, 12, 18))))
    assert max(dots) == 3


def test_a_locked_segment_is_told_and_not_painted(app, hand, place) -> None:
    notices = []
    app.noticed.connect(notices.append)
    app.case.session.edit_table(app.case.table.edited(1, locked=True), name="Lock")
    app.tools.tool = "brush"
    hand.drag([place(*START), place(6, 12, 20)])
    assert not app.case.segmentation.labels.any()
    assert len(notices) == 1
    assert "locked" in notices[0].text


def test_the_circle_of_the_brush_hides_nothing_of_what_is_painted(viewer, binding) -> None:
    circles = [o for o in viewer.canvas.overlays.values() if isinstance(o, BrushCircleOverlay)]
    assert [circle.box for circle in circles] == [False]


def test_tools_leave_the_view_still_and_navigation_moves_it(app, viewer, hand, binding) -> None:
    camera = viewer.scene.camera
    assert camera.mouse_pan
    assert not camera.mouse_zoom
    app.tools.tool, app.tools.radius_mm = "brush", 7.0
    assert not camera.mouse_pan
    assert (str(viewer.cursor.style), viewer.cursor.size, viewer.cursor.scaled) == ("circle", 14.0, True)
    viewer.layers.selection.active = binding.labels
    assert not camera.mouse_pan
    assert str(viewer.cursor.style) == "circle"
    app.view.three_d = True
    assert camera.mouse_pan
    assert camera.mouse_zoom
    assert str(viewer.cursor.style) == "standard"


def test_the_wheel_scrolls_in_the_clinical_sense(app, viewer, hand) -> None:
    for plane, axis, step in (("axial", 0, -1), ("coronal", 1, 1), ("sagittal", 2, 1)):
        look_at(app, viewer, plane)
        hand.wheel(-1.0)
        assert viewer.dims.current_step[axis] == START[axis] + step
        hand.wheel(0.5)
        hand.wheel(0.5)
        assert viewer.dims.current_step == START


def test_control_wheel_zooms_about_the_cursor(app, viewer, hand, place) -> None:
    look_at(app, viewer, "sagittal")
    camera, position = viewer.scene.camera, place(*START)
    zoom, center = camera.zoom, np.array(camera.center[-2:])
    hand.wheel(1.0, position, "Control")
    cursor = np.array(position)[[0, 1]]
    assert camera.zoom > zoom
    assert (cursor - camera.center[-2:]) * camera.zoom == pytest.approx((cursor - center) * zoom)
    assert viewer.dims.current_step == START


def test_right_drag_changes_width_and_centre(app, viewer, hand, place) -> None:
    app.view.window = Window(40, 400)
    hand.drag([place(*START)] * 2, [(0, 0), (125, 50)], button=2)
    assert app.view.window.width == pytest.approx(600)
    assert app.view.window.center == pytest.approx(120)
    assert hand.seen == [False]
    assert viewer.scene.camera.mouse_pan
    assert dragged_window(Window(40, 400), -9999, 0).width > 0


@pytest.mark.parametrize("plane", TARGETS)
def test_middle_drag_moves_the_image_with_the_hand(plane, app, viewer, hand, place) -> None:
    app.tools.tool = "brush"
    look_at(app, viewer, plane)
    camera = viewer.scene.camera
    row, column = camera.center[-2:]
    hand.drag([place(*START)] * 2, [(10, 10), (30, 15)], button=3)
    down = 1 if plane == "axial" else -1
    assert camera.center[-1] == pytest.approx(column - 20 / camera.zoom)
    assert camera.center[-2] == pytest.approx(row - down * 5 / camera.zoom)
    assert not app.case.segmentation.labels.any()


def test_a_press_sets_where_other_planes_cut(app, viewer, hand, place) -> None:
    viewer.dims.set_current_step(range(3), START)
    hand.drag([place(6, 4, 25.2)])
    assert app.view.index == (6, 4, 25)
    for plane in ("coronal", "sagittal", "axial"):
        app.view.plane = plane
        assert viewer.dims.current_step == (6, 4, 25)
    app.view.plane = "sagittal"
    assert viewer.dims.current_step == (6, 4, 25)


def test_cursor_is_read_in_patient_millimetres(binding, app, viewer, place) -> None:
    app.case.segmentation.labels[6, 10, 14] = 2
    viewer.cursor.position = place(6, 10, 14)
    assert app.view.cursor_text == "L 4.0  A 5.0  S 118.0 mm   40 HU   Spleen"
    viewer.cursor.position = place(6, 10, 40)
    assert app.view.cursor_text == ""
