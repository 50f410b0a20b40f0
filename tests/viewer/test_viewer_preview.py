"""An image that is being read takes the view, becomes the case without a new layer, or leaves nothing behind."""

from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.app import Case
from napari_volseg.app.application import Opened
from napari_volseg.app.preview import Sight
from napari_volseg.core import Arriving, Geometry, Volume, Window

SHAPE = (9, 16, 14)


@pytest.fixture
def app(empty_app):
    """An application without a case."""
    return empty_app


@pytest.fixture
def reading(app, binding):
    """A job on which an image is being read, of which only the slice before the last is there."""
    voxels = np.full(SHAPE, -1000, np.int16)
    voxels[7] = 50
    volume = Volume(voxels, Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0)), "MR", name="new")
    arrived = np.zeros(SHAPE[0], bool)
    arrived[7] = True
    return Reading(app, voxels, Arriving(volume, 0, arrived))


class Reading:
    """Stands in for a reader, on the thread of the test."""

    def __init__(self, app, voxels, arriving) -> None:
        self.app, self.voxels, self.arriving = app, voxels, arriving
        self.job = app.jobs.submit("Opening", lambda progress, cancel: None)
        self.job.state = "running"

    def appear(self, arriving=None) -> None:
        arriving = arriving or self.arriving
        self.app.preview._newest = arriving
        self.app.preview._take(Sight.of(arriving), self.job.token)

    def arrive(self, k) -> None:
        self.voxels[k] = 10 * k
        self.arriving.arrived[k] = True
        self.app.preview.changed.emit()

    def succeed(self) -> None:
        self.app.take_opened(Opened(Case(self.arriving.volume)))

    def fail(self) -> None:
        self.job.state = "failed"
        self.app.jobs.changed.emit(self.job)


def drawn(layer):
    return np.asarray(layer._slice.image.raw)


def test_the_preview_takes_the_view_and_stays_as_the_case(app, viewer, binding, reading):
    reading.appear()
    image = binding.image
    assert list(viewer.layers) == [image]
    assert tuple(image.scale) == (2.0, 1.0, 1.0)
    assert viewer.dims.current_step[0] == 7
    reading.arrive(4)
    assert viewer.dims.current_step[0] == 4
    assert (drawn(image) == 40).all()
    viewer.scene.camera.zoom = 3.25
    reading.succeed()
    assert binding.image is image
    assert viewer.layers[0] is image
    assert len(viewer.layers) == 3
    assert viewer.dims.current_step[0] == 4
    assert viewer.scene.camera.zoom == 3.25
    assert tuple(image.contrast_limits) == app.view.window.limits


def test_the_view_stays_where_the_user_has_gone(viewer, binding, reading):
    reading.appear()
    viewer.dims.set_current_step(0, 2)
    reading.arrive(4)
    assert viewer.dims.current_step[0] == 2
    reading.arrive(2)
    assert (drawn(binding.image) == 20).all()


def test_nothing_is_left_where_reading_fails(app, viewer, binding, reading):
    window = app.view.window
    reading.appear()
    reading.fail()
    assert list(viewer.layers) == []
    assert binding.image is None
    assert app.view.window == window


def test_another_array_of_the_image_is_followed(viewer, binding, reading):
    reading.appear()
    first = binding.image
    wider = Volume(reading.voxels.astype(np.int32), reading.arriving.volume.geometry, "MR", name="new")
    reading.appear(Arriving(wider, 0, reading.arriving.arrived))
    assert binding.image is not first
    assert list(viewer.layers) == [binding.image]
    assert binding.image.data.dtype == np.int32


def test_no_tool_works_on_what_is_still_being_read(app, binding, hand, reading, place):
    app.tools.tool = "brush"
    reading.appear()
    assert not binding.tool_in_hand
    hand.drag([place(4, 8, 8), place(4, 9, 9)])
    assert app.attempt(app.need_case) is None


def test_the_three_dimensional_view_is_not_left_for_a_preview(app, viewer, binding, reading):
    app.view.three_d = True
    reading.appear()
    assert app.preview.arriving is reading.arriving
    assert binding.image is None


def test_the_layers_of_an_open_case_stay_and_keep_their_window(app, viewer, binding, reading):
    reading.succeed()
    layers, limits = list(viewer.layers), tuple(binding.image.contrast_limits)
    voxels = np.full(SHAPE, 5, np.int16)
    other = Volume(voxels, Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0)), "MR", name="other")
    reading.job = app.jobs.submit("Opening", lambda progress, cancel: None)
    reading.job.state = "running"
    viewer.cursor.position = (4.0, 3.0, 3.0)
    assert app.view.cursor_text
    reading.appear(Arriving(other, 0, np.ones(SHAPE[0], bool)))
    assert app.view.cursor_text == ""  # it would tell of what is covered
    assert list(viewer.layers) == layers
    assert app.view.window.limits != limits
    assert tuple(binding.image.contrast_limits) == limits
    reading.fail()
    assert tuple(binding.image.contrast_limits) == limits == app.view.window.limits


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_the_plane_is_kept_when_another_image_is_opened(app, viewer, binding, reading, plane):
    reading.succeed()
    app.view.plane = plane
    order = viewer.dims.order
    app.take_opened(Opened(Case(reading.arriving.volume)))
    assert app.view.plane == plane
    assert viewer.dims.order == order


def test_an_image_stays_fitted_until_the_camera_is_moved(viewer, binding, reading):
    reading.appear()
    fitted = viewer.scene.camera.zoom
    viewer.canvas.size = tuple(2 * n for n in viewer.canvas.size)
    assert viewer.scene.camera.zoom == pytest.approx(2 * fitted)
    viewer.scene.camera.zoom = 1.5
    viewer.canvas.size = tuple(2 * n for n in viewer.canvas.size)
    assert viewer.scene.camera.zoom == 1.5


def test_the_case_that_a_preview_becomes_stays_fitted_too(viewer, binding, reading):
    reading.appear()
    fitted = viewer.scene.camera.zoom
    reading.succeed()
    viewer.canvas.size = tuple(n // 2 for n in viewer.canvas.size)
    assert viewer.scene.camera.zoom == pytest.approx(fitted / 2)


def test_napari_can_not_show_half_a_volume_in_3d(viewer, binding, reading):
    reading.appear()
    viewer.dims.ndisplay = 3
    assert viewer.dims.ndisplay == 2


def test_a_window_dragged_in_the_preview_is_followed(app, binding, reading):
    reading.appear()
    binding.image.contrast_limits = (0, 100)
    assert app.view.window.limits == (0, 100)
    app.view.window = Window(20, 10)
    assert tuple(binding.image.contrast_limits) == (15, 25)
