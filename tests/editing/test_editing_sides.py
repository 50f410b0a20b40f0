"""Islands with the label of the other side are found in patient space, however the array is stored."""

from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.core import Geometry
from napari_volseg.editing import misplaced_islands
from napari_volseg.spatial import apply_reorientation, reorient_geometry, reorientation_to

SHAPE = (12, 14, 30)
LEFT, RIGHT = 5, 3


@pytest.fixture
def geometry():
    return Geometry.from_spacing(SHAPE, (3, 2, 1))  # index x grows to the patient's left


@pytest.fixture
def labels():
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:9, 3:9, 20:27] = LEFT
    labels[2:10, 3:9, 3:11] = RIGHT
    return labels


@pytest.mark.parametrize("codes", ["SPL", "IAR", "LPS", "RSA"])
def test_only_islands_wholly_on_the_other_side_are_told(labels, geometry, codes):
    labels[10, 11, 4:6] = LEFT  # beyond the plane
    labels[10, 1, 12:18] = LEFT  # across the plane
    labels[10, 11, 18:20] = RIGHT
    turned = reorientation_to(geometry, codes)
    seen, grid = apply_reorientation(labels, turned), reorient_geometry(geometry, turned)
    found = misplaced_islands(seen, LEFT, RIGHT, grid)
    expected = {"left": np.zeros(SHAPE, bool), "right": np.zeros(SHAPE, bool)}
    expected["left"][10, 11, 4:6] = True
    expected["right"][10, 11, 18:20] = True
    for side, mask in expected.items():
        assert np.array_equal(getattr(found, side).expand(seen.shape), apply_reorientation(mask, turned)), side
    assert not found.crossed


def test_structures_on_each_others_side_are_told_and_no_island_is(labels, geometry):
    labels[10, 11, 4:6] = LEFT
    found = misplaced_islands(labels, RIGHT, LEFT, geometry)
    assert found.crossed
    assert not found.left.box.size
    assert not found.right.box.size


def test_one_side_alone_has_no_plane(labels, geometry):
    labels[labels == RIGHT] = 0
    found = misplaced_islands(labels, LEFT, RIGHT, geometry)
    assert not found.left.box.size
    assert not found.crossed
