"""Surfaces in napari's 3D view: which layers are shown when, and that nothing changes for the slices."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Surface

from napari_volseg.core import Box, BoxMask
from napari_volseg.editing import Author


def paint(app, start, stop, value: int = 1) -> None:
    box = Box.of(start, stop)
    app.case.session.apply(BoxMask(box, np.ones(box.shape, bool)), value, name="test", author=Author("hand", "test"))


@pytest.fixture
def deep(binding, app):
    paint(app, (2, 3, 4), (7, 12, 15))
    app.view.three_d = True
    app.jobs.wait()
    return binding


def is_seen(layer) -> bool:
    """Whether there is something to see of a layer: the graphics are made ready with a triangle without an area."""
    return layer.visible and not (isinstance(layer, Surface) and np.ptp(layer.vertices, axis=0).max() == 0)


def shown(viewer) -> set[str]:
    return {layer.name for layer in viewer.layers if is_seen(layer)} - {"Prompts"}


def test_the_graphics_are_ready_before_there_are_surfaces(binding, app, viewer) -> None:
    paint(app, (2, 3, 4), (7, 12, 15))
    app.view.three_d = True
    before = list(viewer.layers)
    assert viewer.layers["Surfaces in 3D"].visible
    app.jobs.wait()
    assert list(viewer.layers) == before


def test_surfaces_take_the_place_of_the_stand_in(deep, app, viewer) -> None:
    assert shown(viewer) == {"Volume in 3D", "Surfaces in 3D"}
    layer = viewer.layers["Surfaces in 3D"]
    world = np.array([layer.data_to_world(vertex) for vertex in layer.vertices])
    low, high = world.min(0), world.max(0)
    assert low == pytest.approx([1.5 * 3, 2.5 * 1.5, 3.5 * 1.0], abs=0.6)
    assert high == pytest.approx([6.5 * 3, 11.5 * 1.5, 14.5 * 1.0], abs=0.6)
    assert len(layer.vertex_colors) == len(layer.vertices)


def test_they_follow_a_stroke_and_hide_with_the_segments(deep, app, viewer) -> None:
    before = len(viewer.layers["Surfaces in 3D"].vertices)
    paint(app, (6, 10, 13), (11, 18, 25))
    app.jobs.wait()
    assert len(viewer.layers["Surfaces in 3D"].vertices) > before
    app.view.labels_visible = False
    assert shown(viewer) == {"Volume in 3D"}
    app.view.labels_visible = True
    app.case.edit_segment(1, visible=False)
    app.jobs.wait()
    assert shown(viewer) == {"Volume in 3D"}


def test_the_image_is_left_out_beside_surfaces_alone(deep, app, viewer) -> None:
    deep.be_thrifty()
    assert shown(viewer) == {"Surfaces in 3D"}
    app.case.edit_segment(1, visible=False)
    app.jobs.wait()
    assert shown(viewer) == {"Volume in 3D"}


def test_what_can_be_seen_through_is_drawn_last(deep, app, viewer) -> None:
    paint(app, (8, 14, 16), (11, 18, 25), 2)
    app.jobs.wait()
    solid = viewer.layers["Surfaces in 3D"]
    both = len(solid.vertices)
    app.case.edit_segment(1, opacity=0.4)
    app.jobs.wait()
    glass = viewer.layers["Glass in 3D"]
    assert shown(viewer) == {"Volume in 3D", "Surfaces in 3D", "Glass in 3D"}
    assert len(glass.vertices) + len(solid.vertices) == both
    assert glass.faces.max() == len(glass.vertices) - 1
    assert np.allclose(glass.vertex_colors[:, 3], 0.4)
    assert np.asarray(glass.vertices).max(0)[0] < 8
    app.case.edit_segment(2, opacity=0.9)
    app.jobs.wait()
    assert shown(viewer) == {"Volume in 3D", "Glass in 3D"}
    app.case.edit_segment(1, opacity=1.0)
    app.case.edit_segment(2, opacity=1.0)
    app.jobs.wait()
    assert shown(viewer) == {"Volume in 3D", "Surfaces in 3D"}


def test_without_a_graphics_card_nothing_slow_is_drawn_until_they_are_made(binding, app, viewer) -> None:
    paint(app, (2, 3, 4), (7, 12, 15))
    binding.be_thrifty()
    app.view.three_d = True
    assert shown(viewer) == set()
    app.jobs.wait()
    assert shown(viewer) == {"Surfaces in 3D"}


def test_without_segments_the_image_is_seen_all_the_same(binding, app, viewer) -> None:
    binding.be_thrifty()
    app.view.three_d = True
    app.jobs.wait()
    assert "Volume in 3D" in shown(viewer)


def test_slices_know_nothing_of_them(deep, app, viewer) -> None:
    paint(app, (0, 0, 0), app.case.volume.geometry.shape, 2)
    app.jobs.wait()
    app.view.three_d = False
    assert shown(viewer) == {"chiral", "Segments"}
    assert viewer.dims.nsteps == app.case.volume.geometry.shape
    assert not app.surfaces.wanted


def test_the_next_case_begins_without_them(deep, app, viewer) -> None:
    app.adopt(app.case.volume)
    app.jobs.wait()
    assert shown(viewer) <= {"Volume in 3D", "Segments in 3D"}
