"""Every stored orientation shows the right way up, and the letters say so."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.camera_orientations import Handedness

from napari_volseg.app import Application
from napari_volseg.core import Geometry, Volume
from napari_volseg.spatial import (
    PLANES,
    Letters,
    apply_reorientation,
    display_reorientation,
    plane_axis,
    reorient_geometry,
)
from napari_volseg.viewer import LAYOUTS, ViewerBinding, letters

AXES = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
ORIENTATIONS = ["".join(c) for p in permutations(("LR", "PA", "SI")) for c in product(*p)]
EXPECTED = {
    "axial": Letters("A", "P", "R", "L"),
    "coronal": Letters("S", "I", "R", "L"),
    "sagittal": Letters("S", "I", "A", "P"),
}


def stored_volume(codes: str) -> Volume:
    """A volume whose stored index runs towards ``codes``, loaded to its display grid."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([AXES[c] for c in codes], 1) * np.array([1.0, 2.0, 1.5])
    stored = Geometry((6, 7, 8), matrix)
    turn = display_reorientation(stored)
    voxels = np.zeros(stored.shape, np.int16)
    return Volume(apply_reorientation(voxels, turn), reorient_geometry(stored, turn), "CT", "HU", "HU")


def on_canvas(viewer: ViewerModel, position: np.ndarray) -> tuple[float, float]:
    """Canvas pixels (right, down) from the canvas centre, as napari's 2D camera places a position (z, y, x)."""
    camera = viewer.scene.camera
    row, column = (position[axis] for axis in viewer.dims.displayed)
    vertical, horizontal = (str(o) for o in camera.orientation2d)
    right = (column - camera.center[-1]) * camera.zoom * (1 if horizontal == "right" else -1)
    down = (row - camera.center[-2]) * camera.zoom * (1 if vertical == "down" else -1)
    return right, down


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_voxels_appear_where_letters_say(codes: str, viewer: ViewerModel, empty_app: Application) -> None:
    empty_app.adopt(stored_volume(codes))
    binding = ViewerBinding(empty_app, viewer)
    geometry = empty_app.case.volume.geometry
    center = geometry.to_patient((np.array(geometry.shape) - 1) / 2)
    for plane in PLANES:
        empty_app.view.plane = plane
        edges = letters(empty_app, plane, viewer)
        assert edges == EXPECTED[plane]
        assert viewer.dims.order[0] == plane_axis(geometry, plane)
        for letter, (x, y) in zip(
            (edges.left, edges.right, edges.top, edges.bottom), ((-1, 0), (1, 0), (0, -1), (0, 1)), strict=True
        ):
            index = geometry.to_index(center + 2.0 * np.array(AXES[letter]))
            position = np.asarray(binding.image.data_to_world(index))
            right, down = on_canvas(viewer, position)
            assert right * x + down * y == pytest.approx(2.0 * viewer.scene.camera.zoom)
            assert right * y == pytest.approx(0, abs=1e-6)


def test_planes_fit_the_canvas_and_keep_the_position(binding, app, viewer) -> None:
    viewer.dims.set_current_step(range(3), (3, 7, 11))
    for plane in ("coronal", "sagittal", "axial"):
        app.view.plane = plane
        assert viewer.dims.current_step == (3, 7, 11)
        height, width = viewer.canvas.size
        corners = [on_canvas(viewer, p) for p in binding.image.extent.world]
        spans = np.abs(np.subtract(*corners)) / (width, height)
        assert 0.85 < spans.max() < 1.0


def test_fitting_looks_at_the_case_alone(binding, app, viewer) -> None:
    viewer.add_layer(Image(np.zeros((2, 2, 2)), scale=(900, 900, 900)))
    zoom = viewer.scene.camera.zoom
    app.view.plane = "coronal"
    app.view.plane = "axial"
    assert viewer.scene.camera.zoom == pytest.approx(zoom)


def test_zoom_survives_a_look_at_3d(binding, app, viewer) -> None:
    viewer.scene.camera.zoom *= 3
    zoomed = viewer.scene.camera.zoom
    viewer.dims.set_current_step(0, 4)
    app.view.three_d = True
    assert letters(app, "3d", viewer).right == "L"
    app.view.three_d = False
    assert viewer.scene.camera.zoom == pytest.approx(zoomed)
    assert viewer.dims.current_step[0] == 4
    assert [str(o) for o in viewer.scene.camera.orientation2d] == ["down", "right"]


def test_3d_leads_back_to_the_plane_it_was_entered_from(binding, app, viewer) -> None:
    app.view.plane = "sagittal"
    app.view.three_d = True
    app.view.three_d = False
    assert app.view.plane == "sagittal"
    assert viewer.dims.order == LAYOUTS["sagittal"].order


def test_3d_is_seen_from_anterior_and_not_mirrored(binding, app, viewer) -> None:
    app.view.plane = "sagittal"
    app.view.three_d = True
    camera = viewer.scene.camera
    view, up = np.array(camera.view_direction), np.array(camera.up_direction)
    right = np.cross(view, up) * (1 if camera.handedness == Handedness.RIGHT else -1)
    assert viewer.dims.displayed == (0, 1, 2)
    assert view == pytest.approx((0, 1, 0), abs=1e-6)
    assert up == pytest.approx((1, 0, 0), abs=1e-6)
    assert right == pytest.approx((0, 0, 1), abs=1e-6)


def test_naparis_own_buttons_are_followed(binding, app, viewer) -> None:
    viewer.dims.order = (2, 0, 1)
    assert app.view.plane == "sagittal"
    assert str(viewer.scene.camera.orientation2d[0]) == "up"
    viewer.dims.order = (0, 2, 1)
    assert viewer.dims.order == LAYOUTS["sagittal"].order
    viewer.dims.ndisplay = 3
    assert app.view.three_d
    assert not binding.image.visible
    viewer.dims.ndisplay = 2
    assert app.view.plane == "sagittal"
    assert viewer.dims.order == (2, 0, 1)
