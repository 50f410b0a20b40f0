"""The 3D view: the sides from which it looks, the letters at its edges, where it is cut, how it draws the image."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from test_viewer_planes import AXES, ORIENTATIONS, stored_volume

from napari_volseg.app import run_command
from napari_volseg.app.deep_commands import SIDES
from napari_volseg.app.wishes import RenderingName
from napari_volseg.core import Box, BoxMask, Geometry, Volume, Window
from napari_volseg.editing import Author
from napari_volseg.viewer import ViewerBinding, letters
from napari_volseg.viewer.cutting import face_picture

#: What lies at the right and at the top of a view from each side.
EXPECTED = {
    "anterior": ("L", "S"),
    "posterior": ("R", "S"),
    "right": ("A", "S"),
    "left": ("P", "S"),
    "superior": ("R", "A"),
    "inferior": ("L", "A"),
}


@pytest.fixture
def deep(app, binding):
    app.view.three_d = True
    app.jobs.wait()
    return binding.main


def layers_3d(viewer):
    return [layer for layer in viewer.layers if layer.name.endswith("in 3D") and layer.name != "Cut in 3D"]


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_sides_and_letters_agree_with_the_patient(codes, viewer, empty_app) -> None:
    empty_app.adopt(stored_volume(codes))
    ViewerBinding(empty_app, viewer)
    geometry = empty_app.case.volume.geometry
    center = geometry.to_patient((np.array(geometry.shape) - 1) / 2)
    image = viewer.layers[empty_app.case.volume.name]
    for side, (right, top) in EXPECTED.items():
        run_command(empty_app, f"view.from-{side}")
        assert empty_app.view.three_d
        edges = letters(empty_app, "3d", viewer)
        assert (edges.right, edges.top) == (right, top)
        camera = viewer.scene.camera
        sight, up = np.array(camera.view_direction), np.array(camera.up_direction)
        place = {
            letter: np.array(image.data_to_world(geometry.to_index(center + np.array(AXES[letter]))))
            - np.array(image.data_to_world(geometry.to_index(center)))
            for letter in "LRAPSI"
        }
        assert np.dot(place[side[0].upper()], sight) == pytest.approx(-1)
        assert np.dot(place[top], up) == pytest.approx(1)


def test_every_side_has_a_command() -> None:
    assert set(SIDES) == set(EXPECTED)


def test_letters_of_a_turned_view_name_both_directions(deep, app, viewer) -> None:
    viewer.scene.camera.set_view_direction((0.0, 1.0, 1.0), (1.0, 0.0, 0.0))
    assert letters(app, "3d", viewer).right in {"LA", "AL"}
    assert letters(app, "3d", viewer).top == "S"


def test_a_cut_leaves_out_what_lies_before_the_slice(deep, app, viewer) -> None:
    app.view.index = (3, 7, 11)
    run_command(app, "view.cut-coronal")
    spacing = app.case.volume.geometry.spacing
    for layer in layers_3d(viewer):
        (plane,) = layer.experimental_clipping_planes
        assert plane.normal == pytest.approx((0, 1, 0))
        step = 0.0 if layer.name.startswith("Surfaces") else float(layer.scale[1])
        assert plane.position[1] == pytest.approx(7 * spacing[1] + step)
    face = viewer.layers["Cut in 3D"]
    assert face.visible
    assert {float(p[1]) for p in face.vertices} == {7.0}


def test_a_cut_opens_towards_whoever_looks(deep, app, viewer) -> None:
    run_command(app, "view.cut-sagittal")
    run_command(app, "view.from-left")
    assert layers_3d(viewer)[0].experimental_clipping_planes[0].normal == pytest.approx((0, 0, -1))
    run_command(app, "view.from-right")
    assert layers_3d(viewer)[0].experimental_clipping_planes[0].normal == pytest.approx((0, 0, 1))


def test_a_cut_follows_the_crosshair_and_is_closed(deep, app, viewer) -> None:
    app.view.index = (3, 7, 11)
    run_command(app, "view.cut-axial")
    app.view.index = (5, 7, 11)
    assert {float(p[0]) for p in viewer.layers["Cut in 3D"].vertices} == {5.0}
    run_command(app, "view.cut-nothing")
    assert not viewer.layers["Cut in 3D"].visible
    assert not any(len(layer.experimental_clipping_planes) for layer in viewer.layers)


def test_surfaces_that_are_made_later_are_cut_too(deep, app, viewer) -> None:
    run_command(app, "view.cut-axial")
    box = Box.of((2, 3, 4), (7, 12, 15))
    app.case.session.apply(BoxMask(box, np.ones(box.shape, bool)), 1, name="test", author=Author("hand", "test"))
    app.jobs.wait()
    assert len(viewer.layers["Surfaces in 3D"].experimental_clipping_planes) == 1


def test_the_slice_of_a_cut_shows_image_and_segments(app) -> None:
    case = app.case
    box = Box.of((2, 0, 0), (3, 4, 5))
    case.session.apply(BoxMask(box, np.ones(box.shape, bool)), 1, name="test", author=Author("hand", "test"))
    plain = face_picture(case, 0, 2, Window(40, 400), 0.0)
    seen = face_picture(case, 0, 2, Window(40, 400), 1.0)
    assert plain.shape == (*case.volume.geometry.shape[1:], 3)
    assert tuple(seen[1, 1]) == case.table[1].color
    assert np.array_equal(seen[5:], plain[5:])
    case.edit_segment(1, visible=False)
    assert np.array_equal(face_picture(case, 0, 2, Window(40, 400), 1.0), plain)


def test_renderings_change_what_napari_draws(deep, app, viewer) -> None:
    image = viewer.layers["Volume in 3D"]
    assert str(image.rendering) == "attenuated_mip"
    drawn = {}
    for name in get_args(RenderingName):
        run_command(app, f"view.rendering-{name}")
        drawn[name] = (str(image.rendering), image.data.copy())
    assert {kind for kind, _ in drawn.values()} == {"attenuated_mip", "iso", "translucent"}
    assert not np.array_equal(drawn["bone"][1], drawn["skin"][1])
    assert np.array_equal(drawn["projection"][1], drawn["surface"][1])


def test_windows_move_what_is_drawn_through_them_alone(deep, app, viewer) -> None:
    image = viewer.layers["Volume in 3D"]
    run_command(app, "view.rendering-bone")
    before = image.data.copy()
    run_command(app, "window.lung")
    assert np.array_equal(image.data, before)
    run_command(app, "view.rendering-surface")
    assert not np.array_equal(image.data, before)


def test_values_of_ct_are_refused_for_mr(empty_app, viewer) -> None:
    voxels = np.zeros((4, 5, 6), np.int16)
    empty_app.adopt(Volume(voxels, Geometry.from_spacing(voxels.shape, (1, 1, 1)), "MR", "arbitrary", ""))
    said = []
    empty_app.noticed.connect(lambda notice: said.append(notice.text))
    run_command(empty_app, "view.rendering-bone")
    assert said == ["3D image: Bone is not possible now: values of its own need a CT: choose Surface"]
    assert empty_app.view.rendering == "projection"


def test_a_case_without_values_of_ct_is_drawn_as_a_projection(empty_app, viewer) -> None:
    voxels = np.zeros((4, 5, 6), np.int16)
    empty_app.view.rendering = "skin"
    empty_app.adopt(Volume(voxels, Geometry.from_spacing(voxels.shape, (1, 1, 1)), "MR", "arbitrary", ""))
    ViewerBinding(empty_app, viewer)
    empty_app.view.three_d = True
    assert str(viewer.layers["Volume in 3D"].rendering) == "attenuated_mip"
