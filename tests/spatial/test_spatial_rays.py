"""Voxels along a straight line."""

from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.core import Geometry
from napari_volseg.spatial import voxels_along

SHAPE = (7, 9, 12)


def turned():
    """A grid whose axes lie askew in the patient, one of them mirrored."""
    a, b = np.radians(25), np.radians(-40)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ tilt @ np.diag([1, 1, -1]) * (3.0, 1.2, 0.8)
    matrix[:3, 3] = (-40, 25, 310)
    return Geometry(SHAPE, matrix)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("way", [1, -1])
def test_a_line_along_an_axis_meets_its_voxels_in_order(axis, way):
    geometry = turned()
    start, step = np.array([3, 4, 5]), np.zeros(3)
    step[axis] = way
    direction = geometry.to_patient(start + step) - geometry.to_patient(start)
    found = voxels_along(geometry, geometry.to_patient(start - 50 * step), 7 * direction)
    expected = np.repeat(start[None], SHAPE[axis], 0)
    expected[:, axis] = range(SHAPE[axis]) if way > 0 else range(SHAPE[axis] - 1, -1, -1)
    assert np.array_equal(found, expected)


def test_a_line_askew_meets_neighbours_one_after_the_other():
    geometry, random = turned(), np.random.default_rng(0)
    for _ in range(50):
        inside, direction = random.uniform(0, np.array(SHAPE) - 1), random.normal(size=3)
        found = voxels_along(geometry, geometry.to_patient(inside), direction)
        assert len(found)
        assert np.abs(np.diff(found, axis=0)).max(initial=0) <= 1
        assert ((found >= 0) & (found < SHAPE)).all()
        along = geometry.to_patient(found) @ direction
        assert (np.diff(along) > -np.linalg.norm(geometry.spacing) * np.linalg.norm(direction)).all()
        assert along[-1] >= along[0]
        away = geometry.to_patient(found) - geometry.to_patient(inside)
        across = away - np.outer(away @ direction, direction) / (direction @ direction)
        assert np.linalg.norm(across, axis=1).max() < np.linalg.norm(geometry.spacing)


def test_a_line_that_misses_meets_nothing():
    geometry = turned()
    outside = geometry.to_patient((3, 20, 5))
    along = geometry.to_patient((4, 20, 5)) - outside
    assert len(voxels_along(geometry, outside, along)) == 0
