"""Layers follow the case: memory, window, colours, changed boxes, prompts and the stand-ins of the 3D view."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_volseg.app import run_command
from napari_volseg.core import CT_WINDOWS, Box, BoxMask, Geometry, Volume, Window
from napari_volseg.editing import Author
from napari_volseg.spatial import LONGEST_AXIS, steps_within
from napari_volseg.viewer import ViewerBinding

HAND = Author("hand", "test")


def block(start, stop) -> BoxMask:
    box = Box.of(start, stop)
    return BoxMask(box, np.ones(box.shape, bool))


def paint(app, start, stop, value=1) -> None:
    app.case.session.apply(block(start, stop), value, name="test", author=HAND)


def drawn(layer) -> list[object]:
    """Collect one entry for each time that a layer sends its slice to the screen."""
    times: list[object] = []
    layer.events.set_data.connect(lambda: times.append(1))
    layer.events.labels_update.connect(lambda: times.append(1))
    return times


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_what_was_written_reaches_the_screen_at_its_place(binding, app, viewer, plane) -> None:
    app.view.plane = plane
    labels, order = app.case.segmentation.labels, viewer.dims.order

    def wanted() -> np.ndarray:
        return labels.transpose(order)[viewer.dims.current_step[order[0]]]

    screen = wanted().copy()

    def draw(event) -> None:
        place = tuple(slice(a, a + n) for a, n in zip(event.offset, event.data.shape, strict=True))
        screen[place] = event.data

    binding.labels.events.labels_update.connect(draw)
    binding.labels.events.set_data.connect(lambda: pytest.fail("the whole slice was drawn"))
    rng = np.random.default_rng(0)
    for value in rng.integers(0, 3, 30):
        start = rng.integers(0, labels.shape)
        paint(app, start, np.minimum(labels.shape, start + rng.integers(1, 9, 3)), int(value))
        app.jobs.inbox.pump()
        assert np.array_equal(screen, wanted())
    assert screen.any()


def test_layers_hold_the_cases_own_memory(binding, app, viewer) -> None:
    image, labels = binding.image, binding.labels
    assert np.shares_memory(image.data, app.case.volume.voxels)
    assert image.data.dtype == np.int16
    assert np.shares_memory(labels.data, app.case.segmentation.labels)
    assert tuple(image.scale) == tuple(labels.scale) == app.case.volume.geometry.spacing
    assert {str(u) for u in image.units} == {"millimeter"}
    assert viewer.dims.axis_labels == ("z", "y", "x")
    assert viewer.dims.nsteps == app.case.volume.geometry.shape


def test_naparis_tools_cannot_write(binding, app) -> None:
    binding.labels.mode = "paint"
    assert binding.labels.mode == "pan_zoom"
    binding.labels.editable = True
    binding.labels.mode = "paint"
    assert binding.labels.mode == "pan_zoom"
    with pytest.raises(ValueError, match="read-only"):
        binding.labels.paint((5, 5, 5), 1)
    assert not app.case.segmentation.labels.any()


def test_napari_names_no_key_that_means_something_else_here(binding, app, viewer) -> None:
    for layer in viewer.layers:
        viewer.layers.selection.active = layer
        assert viewer.help == ""


def test_window_goes_both_ways(binding, app) -> None:
    app.view.window = CT_WINDOWS["lung"]
    assert binding.image.contrast_limits == [-1350, 150]
    low, high = binding.image.contrast_limits_range
    assert (low, high) == (-1350, 1200)
    binding.image.contrast_limits = (-100, 300)
    assert app.view.window.limits == (-100, 300)


def test_a_changed_box_is_drawn_once_and_only_where_seen(binding, app, viewer) -> None:
    viewer.dims.set_current_step(0, 6)
    times = drawn(binding.labels)
    paint(app, (6, 2, 2), (8, 5, 5))
    paint(app, (5, 6, 6), (7, 9, 9))
    app.jobs.inbox.pump()
    assert len(times) == 1
    paint(app, (1, 2, 2), (6, 5, 5), 2)
    app.jobs.inbox.pump()
    assert len(times) == 1
    app.undo()
    app.undo()
    app.jobs.inbox.pump()
    assert len(times) == 2


def test_contours_are_drawn_anew_as_a_whole(binding, app, viewer) -> None:
    viewer.dims.set_current_step(0, 6)
    binding.labels.contour = 1
    parts, whole = [], []
    binding.labels.events.labels_update.connect(parts.append)
    binding.labels.events.set_data.connect(whole.append)
    paint(app, (6, 2, 2), (8, 5, 5))
    app.jobs.inbox.pump()
    assert (len(parts), len(whole)) == (0, 1)


def test_colours_follow_the_table(binding, app) -> None:
    table = app.case.table.edited(1, color=(255, 0, 0)).edited(2, visible=False)
    app.case.session.edit_table(table, name="Recolour")
    shown = binding.labels.colormap.map(np.array([0, 1, 2, 7], np.uint16))
    assert shown[1] == pytest.approx((1, 0, 0, 1))
    assert shown[[0, 2, 3], 3] == pytest.approx(0)
    kept = binding.labels.colormap
    app.case.session.edit_table(table.edited(1, name="Hepar"), name="Rename")
    assert binding.labels.colormap is kept


def test_wishes_for_segments(binding, app, viewer) -> None:
    app.view.labels_opacity = 0.25
    assert binding.labels.opacity == 0.25
    app.view.labels_visible = False
    assert not binding.labels.visible
    app.view.three_d = True
    assert not binding.labels.visible
    assert [layer.visible for layer in viewer.layers if layer.name.endswith("in 3D")] == [True, False, False]


def test_prompts_show_at_once_at_their_voxel(binding, app) -> None:
    geometry = app.case.volume.geometry
    wanted = [(6, 9, 12), (6, 3, 20)]
    for index, positive in zip(wanted, (True, False), strict=True):
        app.click(tuple(geometry.to_patient(index)), positive)
    points = binding.prompts
    assert points.data == pytest.approx(np.array(wanted))
    assert [str(s) for s in points.symbol] == ["cross", "hbar"]
    green, red = points.face_color
    assert green[1] > green[0]
    assert red[0] > red[1]
    app.accept_clicks()
    assert len(points.data) == 0


def test_3d_shows_stand_ins_that_follow(binding, app, viewer) -> None:
    paint(app, (2, 2, 2), (5, 6, 7))
    app.view.three_d = True
    volume, segments, _ = (layer for layer in viewer.layers if layer.name.endswith("in 3D"))
    assert not binding.image.visible
    assert volume.data.dtype == np.uint8
    assert np.array_equal(segments.data, app.case.segmentation.labels)
    assert not np.shares_memory(segments.data, app.case.segmentation.labels)
    paint(app, (3, 4, 5), (9, 12, 13), 2)
    app.jobs.inbox.pump()
    assert np.array_equal(segments.data, app.case.segmentation.labels)
    app.view.window = Window(1200, 10)
    assert set(np.unique(volume.data)) == {0, 127}
    app.view.three_d = False
    assert binding.image.visible
    assert not volume.visible


def test_stand_ins_are_small_lie_right_and_take_boxes(empty_app, viewer) -> None:
    geometry = Geometry.from_spacing((8, 330, 170), (2.0, 0.5, 1.0))
    empty_app.adopt(Volume(np.zeros(geometry.shape, np.int16), geometry))
    binding = ViewerBinding(empty_app, viewer)
    empty_app.case.add_segment()
    empty_app.view.three_d = True
    segments = next(layer for layer in viewer.layers if layer.name == "Segments in 3D")
    assert max(segments.data.shape) <= LONGEST_AXIS
    assert steps_within(geometry.shape) == (1, 3, 2)
    assert steps_within((LONGEST_AXIS, LONGEST_AXIS + 1, 1)) == (1, 2, 1)
    rng = np.random.default_rng(0)
    for start in rng.integers(0, (7, 300, 150), (20, 3)):
        paint(empty_app, start, start + rng.integers(1, (4, 40, 20)))
        empty_app.jobs.inbox.pump()
        assert np.array_equal(segments.data, empty_app.case.segmentation.labels[::1, ::3, ::2])
    steps = np.array(viewer.dims.nsteps)
    assert tuple(steps) == geometry.shape
    world = np.asarray(segments.data_to_world((4, 100, 50)))
    assert world == pytest.approx(np.asarray(binding.image.data_to_world((4, 300, 100))))


def test_next_case_replaces_the_first(binding, app, viewer) -> None:
    app.view.three_d = True
    geometry = Geometry.from_spacing((5, 6, 7), (1.0, 1.0, 4.0))
    app.view.three_d = False
    app.adopt(Volume(np.zeros(geometry.shape, np.float32), geometry, "MR", name="second"))
    assert [layer.name for layer in viewer.layers] == ["second", "Segments", "Prompts"]
    assert viewer.dims.current_step == (2, 3, 3)
    assert np.shares_memory(binding.labels.data, app.case.segmentation.labels)


def test_close_gives_everything_back(app, viewer) -> None:
    mine = viewer.add_layer(Image(np.zeros((4, 4, 4))))
    before = [list(c) for c in (viewer.mouse_drag_callbacks, viewer.mouse_wheel_callbacks)]
    binding = ViewerBinding(app, viewer)
    assert viewer.keymap
    binding.close()
    app.view.plane = "coronal"
    assert list(viewer.layers) == [mine]
    assert [list(c) for c in (viewer.mouse_drag_callbacks, viewer.mouse_wheel_callbacks)] == before
    assert not viewer.keymap
    assert viewer.dims.order == (0, 1, 2)


def test_the_application_knows_which_slices_are_shown(binding, app, viewer) -> None:
    middle = (None, (6, 10, 15))
    assert app.view.index in middle
    viewer.dims.set_current_step(range(3), (3, 17, 22))
    assert app.view.index == (3, 17, 22)
    app.view.plane = "sagittal"
    viewer.dims.set_current_step(2, 5)
    assert app.view.index == (3, 17, 5)
    app.adopt(app.case.volume)
    assert app.view.index in middle


def test_layers_that_were_taken_out_are_missed_by_nothing_and_come_back_with_the_image(app, viewer, binding):
    app.case.segmentation.labels[2:4, 5:9, 6:9] = 1
    before = app.case.segmentation.labels.copy()
    for layer in (binding.labels, binding.image):
        viewer.layers.remove(layer)
    for command in ("view.coronal", "view.3d", "view.axial", "tool.preview"):
        run_command(app, command)
    app.jobs.wait()
    app.jobs.wait(app.open_volume(app.case.volume))
    assert binding.image in viewer.layers
    assert binding.labels in viewer.layers
    assert np.array_equal(binding.labels.data, before)
