"""Drawn and clicked tools under the mouse: where points land and are shown, and lines of sight in 3D."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_volseg.app import Application, run_command
from napari_volseg.core import Geometry
from napari_volseg.editing import InVolume, OnSlice, Slab, fill_outline
from napari_volseg.viewer import ViewerBinding, canvas_lines
from napari_volseg.viewer.planes import LAYOUTS, true_shape
from napari_volseg.viewer.sketches import line_of_sight

START = (6, 10, 14)
SIZE = (640, 480)
#: An L around the start, by (row, column) of each plane.
CORNERS = [(-3.3, -4.4), (-3.3, 3.7), (-0.6, 3.7), (-0.6, -1.2), (3.2, -1.2), (3.2, -4.4)]


def corners(plane) -> list[tuple[float, ...]]:
    axes = LAYOUTS[plane].order[1:]
    found = []
    for corner in CORNERS:
        index = [float(i) for i in START]
        for axis, offset in zip(axes, corner, strict=True):
            index[axis] += offset
        found.append(tuple(index))
    return found


def look_at(app, viewer, plane) -> None:
    viewer.dims.set_current_step(range(3), START)
    app.view.plane = plane


def expected(app, plane, scope=None) -> np.ndarray:
    geometry, axis = app.case.volume.geometry, LAYOUTS[plane].normal
    on = OnSlice(axis, START[axis])
    return fill_outline(geometry, geometry.to_patient(corners(plane)), on, scope).expand(geometry.shape)


@pytest.mark.parametrize("plane", LAYOUTS)
def test_clicks_set_a_polygon_and_a_double_click_fills_it(plane, app, viewer, hand, place) -> None:
    look_at(app, viewer, plane)
    app.tools.tool = "polygon"
    for corner in corners(plane):
        hand.drag([place(*corner)])
    assert not app.case.segmentation.labels.any()
    hand.double_click(place(*corners(plane)[-1]))
    app.jobs.wait()
    assert np.array_equal(app.case.segmentation.labels == 1, expected(app, plane))


@pytest.mark.parametrize("plane", LAYOUTS)
def test_a_lasso_is_filled_where_the_button_is_released(plane, app, viewer, hand, place) -> None:
    look_at(app, viewer, plane)
    app.tools.tool, app.tools.hand_reach, app.tools.hand_slab_mm = "lasso", "slab", 3.1
    hand.drag([place(*corner) for corner in corners(plane)])
    app.jobs.wait()
    axis = LAYOUTS[plane].normal
    half = int(3.1 / app.case.volume.geometry.spacing[axis])
    slab = Slab(axis, START[axis] - half, START[axis] + half + 1)
    assert np.array_equal(app.case.segmentation.labels == 1, expected(app, plane, slab))
    app.undo()
    app.case.segmentation.labels[...] = 1
    app.case.session._revision += 1
    hand.drag([place(*corner) for corner in corners(plane)], modifiers=("Alt",))
    app.jobs.wait()
    assert np.array_equal(app.case.segmentation.labels == 0, expected(app, plane, slab))


def test_scissors_on_a_slice_cut_through_all(app, viewer, hand, place) -> None:
    app.case.segmentation.labels[...] = 1
    look_at(app, viewer, "sagittal")
    app.tools.tool = "scissors"
    hand.drag([place(*corner) for corner in corners("sagittal")])
    app.jobs.wait()
    assert np.array_equal(app.case.segmentation.labels == 0, expected(app, "sagittal", InVolume()))


def test_a_lasso_is_closed_when_another_button_takes_over(app, viewer, hand, place) -> None:
    look_at(app, viewer, "axial")
    app.tools.tool = "lasso"
    path = [place(*corner) for corner in corners("axial")]
    hand.press(path[0])
    for position in path[1:]:
        hand.move(position)
    hand.drag([path[0]] * 2, button=2)
    app.jobs.wait()
    assert np.array_equal(app.case.segmentation.labels == 1, expected(app, "axial"))


@pytest.mark.parametrize("view", ["coronal", "3d"])
@pytest.mark.parametrize("tool", ["lasso", "brush"])
def test_a_drag_ends_where_another_view_is_shown(tool, view, app, viewer, hand, place) -> None:
    look_at(app, viewer, "axial")
    app.tools.tool = tool
    path = [place(*corner) for corner in corners("axial")]
    hand.press(path[0])
    hand.move(path[1])
    painted = app.case.segmentation.labels.copy()
    assert painted.any() == (tool == "brush")
    run_command(app, f"view.{view}")
    for position in path[2:]:
        hand.move(position)
    hand.release(path[-1])
    app.jobs.wait()
    assert app.drawing.sketch is None
    assert np.array_equal(app.case.segmentation.labels, painted)
    app.case.session.undo()
    assert not app.case.segmentation.labels.any()


@pytest.mark.parametrize("plane", LAYOUTS)
def test_the_outline_is_seen_where_its_points_were_set(plane, app, viewer, hand, place) -> None:
    """The line goes, by the canvas, where napari's camera puts the positions that were clicked."""
    look_at(app, viewer, plane)
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0.0, 11.0, 13.0), 7.0
    app.tools.tool = "polygon"
    for corner in corners(plane):
        hand.drag([place(*corner)])
    hand.hover(place(*START))
    lines, dots = canvas_lines(app, viewer, app.drawing.sketch, SIZE)
    (_, row, column), down = LAYOUTS[plane].order, 1 if plane == "axial" else -1
    shown = [
        (320 + 7 * (place(*c)[column] - 13), 240 + down * 7 * (place(*c)[row] - 11)) for c in [*corners(plane), START]
    ]
    assert lines[0] == pytest.approx(np.array(shown))
    assert dots == pytest.approx(np.array(shown[:-1]))


def test_nothing_is_seen_of_an_outline_on_another_slice_until_one_comes_back(app, viewer, hand, place) -> None:
    look_at(app, viewer, "axial")
    app.tools.tool = "polygon"
    hand.drag([place(*corners("axial")[0])])
    hand.hover(place(*START))

    def seen() -> int:
        return len(canvas_lines(app, viewer, app.drawing.sketch, SIZE)[0])

    assert seen() == 1
    viewer.dims.set_current_step(0, 7)
    assert seen() == 0
    app.view.plane = "coronal"
    assert seen() == 0
    look_at(app, viewer, "axial")
    assert seen() == 1
    assert len(app.drawing.outline.points) == 1


def test_the_level_is_shown_under_the_cursor_and_goes_with_the_tool(app, viewer, hand, place) -> None:
    look_at(app, viewer, "axial")
    app.tools.tool = "level"
    hand.hover(place(*START))
    app.drawing._level._latest._pool.submit(lambda: None).result()
    app.jobs.inbox.pump()
    low, high = app.drawing.sketch.lines[0].min(0), app.drawing.sketch.lines[0].max(0)
    geometry = app.case.volume.geometry
    assert sorted([geometry.to_index(low)[1], geometry.to_index(high)[1]]) == [2.5, 16.5]
    app.tools.tool = "navigate"
    assert app.drawing.sketch is None
    hand.hover(place(*START))
    assert app.drawing.sketch is None


def test_double_clicks_zoom_only_where_no_tool_is_in_hand(app, binding, hand, place) -> None:
    for tool, more in (("navigate", True), ("brush", False), ("click", False), ("polygon", True), ("livewire", True)):
        app.tools.tool = tool
        assert binding.double_click_means_more == more


def test_only_scissors_are_in_hand_in_3d(app, viewer, binding) -> None:
    app.view.three_d = True
    for tool in ("brush", "polygon", "level"):
        app.tools.tool = tool
        assert not binding.tool_in_hand
        assert viewer.scene.camera.mouse_pan
    app.tools.tool = "scissors"
    assert binding.tool_in_hand
    assert not viewer.scene.camera.mouse_pan
    assert viewer.scene.camera.mouse_zoom


def leaning() -> Geometry:
    shape, spacing = (12, 20, 30), (3.0, 1.5, 1.0)
    matrix = Geometry.from_spacing(shape, spacing, (7.0, -20.0, 100.0)).matrix.copy()
    matrix[1, 0] = spacing[0] * np.tan(np.radians(20))
    return Geometry(shape, matrix)


@pytest.mark.parametrize("geometry", [Geometry.from_spacing((12, 20, 30), (3.0, 1.5, 1.0)), leaning()])
def test_a_line_of_sight_goes_through_the_voxels_that_are_seen_on_it(geometry) -> None:
    a, b = np.array((3.0, 5.0, 9.0)), np.array((8.0, 14.0, 22.0))
    shape = true_shape(geometry)
    near, far = (shape[:3, :3] @ (i * geometry.spacing) + shape[:3, 3] for i in (a, b))
    ray = line_of_sight(geometry, near, (far - near) / 2, (11, 22))
    assert ray.point == pytest.approx(tuple(geometry.to_patient(a)))
    assert 2 * np.array(ray.direction) == pytest.approx(geometry.to_patient(b) - geometry.to_patient(a))
    assert ray.screen == (11, 22)


def test_napari_gets_its_mouse_back() -> None:
    viewer, app = ViewerModel(), Application()
    before = list(viewer.mouse_move_callbacks)
    binding = ViewerBinding(app, viewer)
    assert list(viewer.mouse_move_callbacks) != before
    binding.close()
    assert list(viewer.mouse_move_callbacks) == before
    app.close()
