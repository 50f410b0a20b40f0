"""An image that is being read takes the view, becomes the case without a new layer, or gives the view back."""

from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.app import Case
from napari_volseg.app.application import Opened
from napari_volseg.app.preview import Sight
from napari_volseg.core import Arriving, Geometry, Volume, Window

SHAPE = (9, 16, 14)


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


def test_the_case_is_shown_again_as_it_was(app, viewer, binding, reading):
    layers, window = list(viewer.layers), app.view.window
    viewer.dims.set_current_step(range(3), (3, 4, 5))
    viewer.scene.camera.zoom = 3.25
    reading.appear()
    app.case.edit_segment(1, color=(1, 2, 3))
    reading.fail()
    assert list(viewer.layers) == layers
    assert viewer.dims.current_step == (3, 4, 5)
    assert viewer.scene.camera.zoom == 3.25
    assert app.view.window == window
    assert tuple(binding.image.contrast_limits) == window.limits
    assert np.allclose(binding.labels.colormap.color_dict[1][:3], np.array((1, 2, 3)) / 255)


def test_another_array_of_the_image_is_followed(viewer, binding, reading):
    reading.appear()
    first = binding.image
    wider = Volume(reading.voxels.astype(np.int32), reading.arriving.volume.geometry, "MR", name="new")
    reading.appear(Arriving(wider, 0, reading.arriving.arrived))
    assert binding.image is not first
    assert list(viewer.layers) == [binding.image]
    assert binding.image.data.dtype == np.int32


def test_a_tool_in_hand_does_nothing_to_what_is_not_seen(app, binding, hand, reading, place):
    app.tools.tool = "brush"
    before = app.case.segmentation.labels.copy()
    reading.appear()
    assert not binding.tool_in_hand
    hand.drag([place(4, 8, 8), place(4, 9, 9)])
    assert np.array_equal(app.case.segmentation.labels, before)
    assert app.attempt(app.need_case) is None


def test_a_stroke_ends_when_another_image_takes_the_view(app, binding, hand, reading, place):
    app.tools.tool = "brush"
    hand.press(place(4, 8, 8))
    reading.appear()
    assert not app.painter.painting
    assert app.case.segmentation.labels[4, 8, 8] == 1
    assert app.case.session.history.steps[-1].name == "Brush: Liver"


def test_the_three_dimensional_view_is_not_left_for_a_preview(app, viewer, binding, reading):
    app.view.three_d = True
    shown = binding.image
    reading.appear()
    assert app.preview.arriving is None
    assert binding.image is shown


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
