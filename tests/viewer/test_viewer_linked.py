"""Several views of one case: linked position and camera, the same memory, layouts, and who is in hand."""

from __future__ import annotations

import numpy as np
import pytest
from driven import SPACING, Hand, make_volume
from napari.utils.key_bindings import KeymapHandler
from test_viewer_planes import AXES, EXPECTED, ORIENTATIONS, on_canvas, stored_volume

from napari_volseg.app import run_command
from napari_volseg.app.layouts import VIEWS, in_hand, views_shown
from napari_volseg.core import Box, Window
from napari_volseg.editing import Author
from napari_volseg.viewer import ViewerBinding, crosshair, letters
from napari_volseg.viewer.planes import LAYOUTS

START = (6, 10, 14)
FLAT = ("axial", "coronal", "sagittal")


@pytest.fixture
def four(app, binding) -> ViewerBinding:
    """Four views; 3D waits."""
    app.view.index = START
    app.view.layout = "four"
    return binding


def hand_in(four: ViewerBinding, name: str) -> Hand:
    return Hand(four.shown[name].viewer)


def drawn(pane) -> np.ndarray:
    """The labels that napari draws of a pane's slice."""
    return np.asarray(pane.shown.labels._slice.image.raw)


def slices(four: ViewerBinding) -> dict[str, int]:
    return {name: four.shown[name].slice_index(four.shown[name].axis) for name in FLAT}


def test_all_views_share_the_memory_of_voxels_and_labels(app, four) -> None:
    case = app.case
    for name in FLAT:
        shown = four.shown[name].shown
        assert np.shares_memory(shown.image.data, case.volume.voxels)
        assert np.shares_memory(shown.labels.data, case.segmentation.labels)
        assert four.shown[name].viewer.dims.order == LAYOUTS[name].order


def test_the_first_viewer_is_one_of_the_four(four, viewer) -> None:
    assert tuple(four.shown) == VIEWS
    assert four.shown["axial"].viewer is viewer
    assert len({id(pane.viewer) for pane in four.shown.values()}) == 4


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_every_view_and_letter_agrees_with_the_patient(codes, viewer, empty_app) -> None:
    """In all of them at once: where a voxel is drawn, what the letters say, where the crosshair lies."""
    empty_app.view.layout = "four"
    empty_app.adopt(stored_volume(codes))
    binding = ViewerBinding(empty_app, viewer)
    geometry = empty_app.case.volume.geometry
    center = geometry.to_patient((np.array(geometry.shape) - 1) / 2)
    for name in FLAT:
        pane = binding.shown[name]
        edges = letters(empty_app, name, pane.viewer)
        assert edges == EXPECTED[name]
        for letter, (x, y) in zip(
            (edges.left, edges.right, edges.top, edges.bottom), ((-1, 0), (1, 0), (0, -1), (0, 1)), strict=True
        ):
            index = geometry.to_index(center + 2.0 * np.array(AXES[letter]))
            right, down = on_canvas(pane.viewer, np.asarray(pane.image.data_to_world(index)))
            assert right * x + down * y == pytest.approx(2.0 * pane.viewer.scene.camera.zoom)
            assert right * y == pytest.approx(0, abs=1e-6)
        size = (400, 300)
        (_, y), (_, x) = crosshair(empty_app, pane.viewer, name, size)
        position = np.asarray(pane.image.data_to_world(empty_app.view.index))
        right, down = on_canvas(pane.viewer, position)
        assert (x - size[0] / 2, y - size[1] / 2) == pytest.approx((right, down))
    binding.close()


def test_each_line_of_the_crosshair_is_the_plane_that_it_stands_for(app, four) -> None:
    named = {
        name: tuple(plane for plane, _ in crosshair(app, four.shown[name].viewer, name, (9, 9))) for name in FLAT
    }
    assert named == {
        "axial": ("coronal", "sagittal"),
        "coronal": ("axial", "sagittal"),
        "sagittal": ("axial", "coronal"),
    }
    run_command(app, "view.crosshair")
    assert crosshair(app, four.main.viewer, "axial", (9, 9)) is None


@pytest.mark.parametrize("name", FLAT)
def test_a_press_in_any_view_moves_the_others_there(name, app, four, place) -> None:
    hand_in(four, name).drag([place(3, 7, 22)])
    assert app.view.index == (3, 7, 22)
    assert slices(four) == {"axial": 3, "coronal": 7, "sagittal": 22}
    assert in_hand(app.view) == name


def test_shift_leads_the_others_along_without_a_press(app, four, place) -> None:
    app.tools.tool = "brush"
    hand_in(four, "coronal").hover(place(9, 10, 3))
    assert app.view.index == START
    hand_in(four, "coronal").hover(place(9, 10, 3), modifiers=("Shift",))
    assert slices(four) == {"axial": 9, "coronal": 10, "sagittal": 3}
    assert not app.case.segmentation.labels.any()


def test_a_press_beside_the_image_leaves_the_slices_and_leading_them_stays_within_it(app, four, place) -> None:
    before = app.view.index
    hand_in(four, "axial").drag([place(6, -9, 99)])
    assert app.view.index == before
    four.shown["axial"].point_at(place(6, -9, 99))
    assert app.view.index == (6, 0, 29)


def test_the_wheel_moves_its_own_plane_and_napari_s_slider_too(app, four) -> None:
    hand_in(four, "coronal").wheel(-1.0)
    assert app.view.index == (6, 11, 14)
    hand_in(four, "sagittal").wheel(1.0)
    assert app.view.index == (6, 11, 13)
    four.shown["sagittal"].viewer.dims.set_current_step(2, 4)
    four.main.viewer.dims.set_current_step(0, 2)
    assert app.view.index == (2, 11, 4)
    assert slices(four) == {"axial": 2, "coronal": 11, "sagittal": 4}


def test_a_jump_within_a_slice_slices_it_not_anew(app, four) -> None:
    counts = dict.fromkeys(FLAT, 0)
    for name in FLAT:
        image = four.shown[name].image
        image.events.set_data.connect(lambda _, name=name: counts.update({name: counts[name] + 1}))
    app.view.index = (START[0], 3, 4)
    assert counts == {"axial": 0, "coronal": 1, "sagittal": 1}


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("tool", ["brush", "eraser"])
def test_brush_and_eraser_work_in_every_view_and_show_in_the_others(name, tool, app, four, place) -> None:
    labels = app.case.segmentation.labels
    app.tools.tool, app.tools.radius_mm = "brush", 4.0
    if tool == "eraser":
        full = np.full_like(labels, 1)
        app.case.session.replace(Box.whole(labels.shape), full, name="All", author=Author("tool", "test"))
        app.tools.tool = "eraser"
    hand_in(four, name).drag([place(*START)])
    app.jobs.inbox.pump()
    value = 1 if tool == "brush" else 0
    assert labels[START] == value
    axis = LAYOUTS[name].normal
    changed = np.argwhere(labels == value)
    assert set(changed[:, axis]) == {START[axis]}
    for other in FLAT:
        normal = LAYOUTS[other].normal
        assert np.array_equal(drawn(four.shown[other]), np.take(labels, START[normal], normal))
        assert (drawn(four.shown[other]) == value).any()


@pytest.mark.parametrize("name", FLAT)
def test_clicks_in_every_view_reach_the_patient(name, app, four, place, monkeypatch) -> None:
    clicks = []
    monkeypatch.setattr(app, "click", lambda *arguments: clicks.append(arguments))
    app.tools.tool = "click"
    hand_in(four, name).drag([place(*START)])
    assert clicks[0][0] == pytest.approx(tuple(app.case.volume.geometry.to_patient(START)))


def test_a_lasso_lies_on_the_slice_of_its_view(app, four, place) -> None:
    app.tools.tool = "lasso"
    app.view.index = START
    corners = [(3, 10, 5), (3, 10, 20), (9, 10, 20), (9, 10, 5)]
    hand_in(four, "coronal").drag([place(*c) for c in corners])
    app.jobs.wait()
    assert np.flatnonzero(app.case.segmentation.labels.any(axis=(0, 2))).tolist() == [10]


def test_markers_of_prompts_show_in_every_view(app, four, place) -> None:
    app.tools.tool = "click"
    hand_in(four, "sagittal").drag([place(*START)])
    for name in FLAT:
        assert four.shown[name].shown.prompts.data == pytest.approx(np.array([START], float))
        assert four.shown[name].shown.prompts.visible
    app.jobs.cancel_all()
    app.jobs.wait()


def test_zoom_and_middle_are_the_same_in_all_planes(app, four, place) -> None:
    before = {name: four.shown[name].viewer.scene.camera.zoom for name in FLAT}
    assert app.view.zoom is None
    hand_in(four, "coronal").wheel(1.0, place(*START), "Control")
    assert app.view.zoom == pytest.approx(1.2 * before["coronal"])
    assert {four.shown[name].viewer.scene.camera.zoom for name in FLAT} == {app.view.zoom}
    camera = four.main.viewer.scene.camera
    camera.center = (0.0, 9.0, 8.0)
    coronal, sagittal = (four.shown[name].viewer.scene.camera.center[-2:] for name in ("coronal", "sagittal"))
    assert coronal[1] == pytest.approx(8.0)
    assert sagittal[1] == pytest.approx(9.0)
    assert coronal[0] == pytest.approx(sagittal[0])
    _, y, x = np.array(app.case.volume.geometry.to_index(app.view.center)) * SPACING
    assert (y, x) == pytest.approx((9.0, 8.0))
    run_command(app, "view.reset")
    assert (app.view.zoom, app.view.center) == (None, None)
    assert {name: four.shown[name].viewer.scene.camera.zoom for name in FLAT} == pytest.approx(before)


def test_a_plane_that_is_only_moved_keeps_every_fitted_zoom(app, four) -> None:
    before = {name: four.shown[name].viewer.scene.camera.zoom for name in FLAT}
    four.shown["sagittal"].viewer.scene.camera.center = (0.0, 20.0, 12.0)
    assert app.view.zoom is None
    assert {name: four.shown[name].viewer.scene.camera.zoom for name in FLAT} == pytest.approx(before)


def test_a_double_click_shows_a_view_alone_and_another_all_of_them(app, four, viewer, place) -> None:
    hand = hand_in(four, "coronal")
    hand.drag([place(*START)])
    hand.double_click(place(*START))
    assert (app.view.layout, views_shown(app.view)) == ("one", ("coronal",))
    assert list(four.shown) == ["coronal"]
    assert four.main.viewer.dims.order == LAYOUTS["coronal"].order
    assert four.main.slice_index(1) == START[1]
    Hand(viewer).double_click(place(*START))
    assert tuple(four.shown) == VIEWS
    assert four.main.name == "axial"
    assert in_hand(app.view) == "coronal"


@pytest.mark.parametrize("large", VIEWS)
def test_one_large_view_beside_three(large, app, four) -> None:
    run_command(app, f"view.{large}")
    run_command(app, "view.layout-one-three")
    assert next(iter(four.shown)) == large
    assert four.shown[large] is four.main
    assert set(four.shown) == set(VIEWS)
    assert len(four.panes) == 4
    for name, pane in four.shown.items():
        assert pane.name == name
        if name in FLAT:
            assert pane.viewer.dims.order == LAYOUTS[name].order
            assert pane.viewer.dims.ndisplay == 2


def test_a_press_in_a_small_view_does_not_make_it_large(app, four, place) -> None:
    run_command(app, "view.layout-one-three")
    hand_in(four, "sagittal").drag([place(*START)])
    assert in_hand(app.view) == "sagittal"
    assert four.main.name == "axial"
    run_command(app, "view.sagittal")
    assert four.main.name == "sagittal"


def test_3d_waits_until_it_is_looked_at(app, four) -> None:
    pane = four.shown["3d"]
    assert pane.waits
    assert not pane.viewer.layers
    run_command(app, "view.3d")
    assert not pane.waits
    assert pane.viewer.dims.ndisplay == 3
    assert len(pane.shown.deep) == 3
    assert in_hand(app.view) == "3d"
    assert four.main.viewer.dims.ndisplay == 2


def test_3d_takes_changes_at_once_or_when_it_is_looked_at_again(app, four, place) -> None:
    run_command(app, "view.3d")
    pane = four.shown["3d"]
    small = pane.shown.segments_3d.layer.data
    app.tools.tool, app.tools.radius_mm = "brush", 4.0
    hand_in(four, "axial").drag([place(*START)])
    app.jobs.inbox.pump()
    assert small[START] == 1
    four.be_thrifty()
    hand_in(four, "axial").drag([place(2, 4, 5)])
    app.jobs.inbox.pump()
    assert small[2, 4, 5] == 0
    assert pane.is_late
    run_command(app, "view.3d")
    assert small[2, 4, 5] == 1
    assert not pane.is_late


def test_a_view_that_was_not_shown_has_missed_nothing(app, four, place) -> None:
    app.view.layout = "one"
    labels = app.case.segmentation.labels
    app.tools.tool, app.tools.radius_mm = "brush", 4.0
    hand_in(four, "axial").drag([place(5, 8, 9)])
    app.jobs.inbox.pump()
    app.case.edit_segment(1, color=(1, 2, 3))
    app.view.labels_opacity = 0.3
    app.view.layout = "four"
    for name in FLAT:
        pane, normal = four.shown[name], LAYOUTS[name].normal
        assert np.array_equal(drawn(pane), np.take(labels, (5, 8, 9)[normal], normal))
        assert pane.shown.labels.opacity == 0.3
        assert pane.shown.labels.colormap.map(1)[:3] == pytest.approx(np.array((1, 2, 3)) / 255, abs=1e-6)


def test_a_window_a_table_and_a_model_s_bands_reach_every_view(app, four) -> None:
    app.view.window = Window(100, 50)
    app.case.edit_segment(1, visible=False)
    for name in FLAT:
        assert tuple(four.shown[name].image.contrast_limits) == (75, 125)
        assert four.shown[name].shown.labels.colormap.map(1)[3] == 0


def test_another_case_is_shown_in_every_view_and_closing_gives_all_back(app, four, empty_app) -> None:
    app.view.zoom = 9.0
    empty_app.adopt(make_volume())
    assert app.view.zoom is None
    for name in FLAT:
        assert four.shown[name].image.data is app.case.volume.voxels
    viewers = [pane.viewer for pane in four.panes]
    four.close()
    assert not any(len(viewer.layers) for viewer in viewers)


def test_space_puts_the_tool_aside_in_every_view(app, four) -> None:
    app.tools.tool = "brush"
    handler = KeymapHandler()
    handler.keymap_providers = [four.shown["coronal"].viewer]
    handler.press_key("Space")
    assert all(four.shown[name].viewer.scene.camera.mouse_pan for name in FLAT)
    handler.release_key("Space")
    assert not any(four.shown[name].viewer.scene.camera.mouse_pan for name in FLAT)


def test_napari_s_own_buttons_take_another_view_in_hand(app, four) -> None:
    four.main.viewer.dims.ndisplay = 3
    assert in_hand(app.view) == "3d"
    assert four.main.viewer.dims.ndisplay == 2
    four.main.viewer.dims.order = LAYOUTS["coronal"].order
    assert in_hand(app.view) == "coronal"
    assert four.main.viewer.dims.order == LAYOUTS["axial"].order


@pytest.mark.parametrize("name", FLAT)
def test_what_is_told_is_under_the_mouse_and_not_in_another_view(name, app, four) -> None:
    hand, place = hand_in(four, name), tuple(i * s for i, s in zip((4, 7, 9), SPACING, strict=True))
    for other in FLAT:
        four.shown[other].viewer.cursor.position = (0.0, 0.0, 0.0)
        hand_in(four, other).hover((0.0, 0.0, 0.0))
    pane = four.shown[name]
    on_slice = list(place)
    on_slice[pane.axis] = START[pane.axis] * SPACING[pane.axis]
    pane.viewer.cursor.position = tuple(on_slice)
    hand.hover(tuple(on_slice))
    expected = tuple(round(p / s) for p, s in zip(on_slice, SPACING, strict=True))
    assert app.view.cursor == expected
    hand.drag([tuple(on_slice)])
    for other in FLAT:
        if other != name:  # napari does so when slices change
            four.shown[other].viewer.cursor.position = (1.0, 2.0, 3.0)
    assert app.view.cursor == expected
    assert app.view.cursor_text
