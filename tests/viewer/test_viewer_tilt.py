"""A sheared volume: slices in 2D as acquired, its true shape in 3D, and no trace of that back in 2D."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_volseg.app import Application
from napari_volseg.core import Box, BoxMask, Geometry, PointPrompt, Volume
from napari_volseg.editing import Author
from napari_volseg.spatial import upright_frame
from napari_volseg.viewer import ViewerBinding
from napari_volseg.viewer.planes import true_shape

SHAPE, SPACING = (20, 40, 30), (3.0, 1.5, 1.0)
HAND = Author("hand", "test")


def tilted(degrees: float) -> Geometry:
    """A gantry that leans by so much; the patient lies straight on the table."""
    lean = np.radians(degrees)
    matrix = Geometry.from_spacing(SHAPE, SPACING, (-15.0, -40.0, 120.0)).matrix.copy()
    matrix[1:3, 1] = SPACING[1] * np.cos(lean), SPACING[1] * np.sin(lean)
    return Geometry(SHAPE, matrix)


@pytest.fixture(params=[20.0, -15.0, 2.0])
def geometry(request) -> Geometry:
    return tilted(request.param)


@pytest.fixture
def app(empty_app: Application, geometry: Geometry) -> Application:
    voxels = np.full(SHAPE, -1000, np.int16)
    voxels[4:-4, 5:-5, 6:-6] = 40
    empty_app.adopt(Volume(voxels, geometry, "CT", "HU", "HU", "tilted"))
    empty_app.case.add_segment("Liver")
    box = Box((14, 30, 20), (18, 36, 25))
    empty_app.case.session.apply(BoxMask(box, np.ones(box.shape, bool)), 1, name="test", author=HAND)
    return empty_app


def test_distances_in_3d_are_those_of_the_patient(binding, app, viewer, geometry) -> None:
    app.view.three_d = True
    index = np.random.default_rng(0).uniform(0, SHAPE, (20, 3))
    frame = upright_frame(geometry)
    expected = (geometry.to_patient(index) - geometry.to_patient(index[0])) @ frame
    for name in ("Volume in 3D", "Segments in 3D"):
        layer = viewer.layers[name]
        world = np.array([layer.data_to_world(i) for i in index])
        np.testing.assert_allclose(world - world[0], expected, atol=1e-4)
    np.testing.assert_allclose(frame @ [[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.fliplr(np.eye(3)), atol=1e-9)


def test_slices_stay_native_before_and_after_3d(binding, app, viewer) -> None:
    def facts() -> list[object]:
        layers = [layer for layer in viewer.layers if layer.visible]
        places = [(layer.name, layer.affine.affine_matrix.tolist(), layer.scale.tolist()) for layer in layers]
        return [places, viewer.dims.nsteps, viewer.dims.current_step, viewer.dims.point]

    viewer.dims.set_current_step(range(3), (19, 39, 29))
    before = facts()
    assert viewer.dims.nsteps == SHAPE
    for leave in (lambda: setattr(app.view, "three_d", False), lambda: setattr(viewer.dims, "ndisplay", 2)):
        app.view.three_d = True
        assert facts() != before
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # napari's, of slices that are not orthogonal
            leave()
        assert facts() == before


def test_a_ray_in_3d_meets_the_segment_in_its_true_place(binding, app, viewer, geometry) -> None:
    app.view.three_d = True
    layer = viewer.layers["Segments in 3D"]
    index = np.array((15.5, 32.5, 22.0))
    center = (np.array(SHAPE) - 1) / 2
    native = center * SPACING
    true = native + (geometry.to_patient(index) - geometry.to_patient(center)) @ upright_frame(geometry)

    def met(position: np.ndarray) -> object:
        ray = {"view_direction": np.array([0.0, 1.0, 0.0]), "dims_displayed": [0, 1, 2], "world": True}
        return layer.get_value(position, **ray)

    assert met(true) == 1
    assert met(true + np.array([9.0, 0, 0])) in (0, None)
    assert met(true - np.array([9.0, 0, 0])) in (0, None)


def test_prompts_and_new_strokes_follow(binding, app, viewer, geometry) -> None:
    app.view.three_d = True
    assert np.array_equal(viewer.layers["Prompts"].affine.affine_matrix, true_shape(geometry))
    box = Box((3, 3, 3), (6, 6, 6))
    app.case.session.apply(BoxMask(box, np.ones(box.shape, bool)), 1, name="test", author=HAND)
    app.jobs.inbox.pump()
    layer = viewer.layers["Segments in 3D"]
    assert layer.data[4, 4, 4] == 1
    assert np.array_equal(layer.affine.affine_matrix, true_shape(geometry))


def test_a_click_on_a_slice_is_native(binding, app, viewer, hand, geometry) -> None:
    app.view.three_d = True
    app.view.three_d = False
    app.tools.tool = "click"
    index = np.array((10, 20, 15))
    hand.drag([index * SPACING] * 2)
    (prompt,) = app.clicks.wanted
    assert isinstance(prompt, PointPrompt)
    np.testing.assert_allclose(prompt.position, geometry.to_patient(index), atol=1e-4)


def test_an_orthogonal_volume_is_left_alone(empty_app: Application, viewer: ViewerModel) -> None:
    straight = Geometry.from_spacing(SHAPE, SPACING)
    assert np.array_equal(true_shape(straight), np.eye(4))
    empty_app.adopt(Volume(np.zeros(SHAPE, np.int16), straight, "CT", "HU", "HU"))
    binding = ViewerBinding(empty_app, viewer)
    empty_app.view.three_d = True
    assert all(np.array_equal(layer.affine.affine_matrix, np.eye(4)) for layer in viewer.layers)
    binding.close()
