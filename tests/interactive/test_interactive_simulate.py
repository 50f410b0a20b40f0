"""The simulated user: largest error first, at its deepest point in mm, signed by the reference."""

from __future__ import annotations

import numpy as np

from napari_volseg.core import Geometry
from napari_volseg.interactive import next_click
from napari_volseg.interactive.simulate import deepest_voxel, largest_component


def clicked(prediction, reference, geometry, seed=0):
    click = next_click(prediction, reference, geometry, np.random.default_rng(seed))
    index = tuple(np.round(geometry.to_index(click.position)).astype(int).tolist())
    return index, click.positive


def test_it_clicks_the_centre_of_the_largest_missing_part():
    reference = np.zeros((9, 20, 20), bool)
    reference[2:7, 2:7, 2:7] = True
    reference[2:5, 14:17, 14:17] = True
    geometry = Geometry.from_spacing(reference.shape)
    assert clicked(np.zeros_like(reference), reference, geometry) == ((4, 4, 4), True)


def test_too_much_is_clicked_negative():
    reference = np.zeros((9, 20, 20), bool)
    reference[2:7, 2:7, 2:7] = True
    prediction = reference.copy()
    prediction[2:5, 14:17, 14:17] = True
    geometry = Geometry.from_spacing(reference.shape, (1, 1, 1), (5, -7, 11))
    assert clicked(prediction, reference, geometry) == ((3, 15, 15), False)


def test_depth_is_measured_in_mm():
    reference = np.zeros((5, 11, 31), bool)
    reference[1:4, 4:7, 3:9] = True
    reference[1:4, 1:10, 20:24] = True
    component = largest_component(reference)
    assert component[2, 5, 21]
    thin = np.zeros((3, 9, 9), bool)
    thin[1, 2:7, 2:7] = True
    thin[:, 2:7, 2] = True
    assert deepest_voxel(thin, (10.0, 1.0, 1.0), np.random.default_rng(0))[1:] == (4, 4)


def test_parts_that_touch_at_a_corner_are_one():
    mask = np.zeros((4, 4, 4), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    mask[3, 3, 0] = True
    assert largest_component(mask).sum() == 2


def test_ties_are_drawn_and_reproducible():
    reference = np.zeros((3, 12, 12), bool)
    reference[1, 1:11, 5] = True
    geometry = Geometry.from_spacing(reference.shape)
    picks = {clicked(np.zeros_like(reference), reference, geometry, seed)[0] for seed in range(12)}
    assert len(picks) > 3
    assert clicked(reference & False, reference, geometry, 3) == clicked(reference & False, reference, geometry, 3)


def test_a_perfect_result_needs_no_click():
    reference = np.ones((3, 3, 3), bool)
    assert next_click(reference, reference, Geometry.from_spacing((3, 3, 3)), np.random.default_rng(0)) is None
