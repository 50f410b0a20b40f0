"""Clicks into the 3D view: what a line of sight meets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tool_case import LIVER, SPLEEN, block, chiral_labels, labels, make_app

from napari_volseg.app.outlines import Ray
from napari_volseg.app.picking import click_along, seen_along
from napari_volseg.app.wishes import ViewWishes
from napari_volseg.core import UsageError


@pytest.fixture
def app():
    application = make_app()
    yield application
    application.close()


def ray_through(app, index, towards):
    """A line of sight through a voxel, in the direction of another one's place from there."""
    geometry = app.case.volume.geometry
    place = geometry.to_patient(np.asarray(index) - 30 * np.asarray(towards))
    direction = geometry.to_patient(towards) - geometry.to_patient((0, 0, 0))
    return Ray(tuple(place.tolist()), tuple(direction.tolist()), (0.0, 0.0))


def voxel_of(app, place):
    return tuple(np.round(app.case.volume.geometry.to_index(place)).astype(int).tolist())


def test_the_first_visible_segment_on_the_line_is_met(app):
    drawn = labels(app)
    drawn[...] = chiral_labels()
    from_front, from_behind = ray_through(app, (6, 9, 6), (0, 1, 0)), ray_through(app, (6, 9, 6), (0, -1, 0))
    assert voxel_of(app, seen_along(app.case, from_front, ViewWishes(image_in_3d=True))) == (6, 4, 6)
    assert voxel_of(app, seen_along(app.case, from_behind, ViewWishes(image_in_3d=True))) == (6, 15, 6)
    app.case.edit_segment(SPLEEN, visible=False)
    assert voxel_of(app, seen_along(app.case, from_behind, ViewWishes(image_in_3d=True))) == (6, 11, 6)
    app.view.labels_visible = False
    assert seen_along(app.case, from_behind, ViewWishes(image_in_3d=False, labels_visible=False)) is None


def test_where_no_segment_is_met_the_brightest_voxel_shines_through(app):
    labels(app)[...] = 0
    brighter = app.case.volume.voxels.copy()
    block(brighter, (6, 7, 6), (7, 8, 7), 900)
    app.adopt(replace(app.case.volume, voxels=brighter))
    ray = ray_through(app, (6, 7, 6), (0.2, 1, 0.1))
    assert voxel_of(app, seen_along(app.case, ray, ViewWishes(image_in_3d=True))) == (6, 7, 6)
    app.case.add_segment("Liver")
    assert seen_along(app.case, ray, ViewWishes(image_in_3d=False)) is None


def test_a_cut_is_clicked_where_the_slice_is_seen(app):
    drawn = labels(app)
    drawn[...] = chiral_labels()
    view = ViewWishes(cut="coronal", index=(6, 7, 6))
    ahead, back = ray_through(app, (6, 9, 6), (0, 1, 0)), ray_through(app, (6, 9, 6), (0, -1, 0))
    assert voxel_of(app, seen_along(app.case, ahead, view)) == (6, 7, 6)
    assert voxel_of(app, seen_along(app.case, back, view)) == (6, 7, 6)
    beside = ViewWishes(cut="axial", index=(0, 7, 6))
    assert voxel_of(app, seen_along(app.case, ahead, beside)) == (6, 4, 6)


def test_a_surface_of_the_image_is_met_where_it_is_dense(app):
    labels(app)[...] = 0
    denser = np.full_like(app.case.volume.voxels, -1000)
    block(denser, (0, 5, 0), (12, 14, 12), 50)
    block(denser, (6, 9, 6), (7, 10, 7), 900)
    app.adopt(replace(app.case.volume, voxels=denser))
    ray = ray_through(app, (6, 9, 6), (0, 1, 0))
    for name, expected in {"skin": (6, 5, 6), "bone": (6, 9, 6), "projection": (6, 9, 6)}.items():
        assert voxel_of(app, seen_along(app.case, ray, ViewWishes(rendering=name))) == expected


def test_a_click_lands_there_and_the_slices_follow(app):
    drawn = labels(app)
    drawn[...] = chiral_labels()
    app.case.active = LIVER
    click_along(app, ray_through(app, (6, 9, 6), (0, 1, 0)), False)
    app.jobs.wait()
    prompt = app.clicks.prompts[-1]
    assert voxel_of(app, prompt.position) == app.view.index == (6, 4, 6)
    assert not prompt.positive
    assert labels(app)[6, 4, 6] != LIVER


def test_a_click_beside_everything_is_told(app):
    with pytest.raises(UsageError, match="nothing is seen there"):
        click_along(app, ray_through(app, (6, 60, 6), (1, 0, 0)))
