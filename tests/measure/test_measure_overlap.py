from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.core import Geometry, GeometryError
from napari_volseg.measure import dice, dice_per_label, normalized_surface_dice, surface_distances

SHAPE = (12, 20, 20)


def block(z: int, y: int, x: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[z : z + 4, y : y + 6, x : x + 6] = True
    return mask


def test_dice_of_known_overlaps() -> None:
    assert dice(block(2, 2, 2), block(2, 2, 2)) == 1
    assert dice(block(2, 2, 2), block(4, 2, 2)) == pytest.approx(0.5)
    assert dice(block(2, 2, 2), block(2, 12, 2)) == 0
    assert dice(np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)) == 1


def test_dice_per_label_takes_the_labels_of_both() -> None:
    a = block(2, 2, 2) * np.uint8(2)
    b = block(4, 2, 2) * np.uint16(2) + block(4, 12, 12) * np.uint16(5)
    assert dice_per_label(a, b) == {2: pytest.approx(0.5), 5: 0}
    assert dice_per_label(a, b, [2, 7]) == {2: pytest.approx(0.5), 7: 1}


def test_a_shift_is_measured_in_millimetres_of_its_axis() -> None:
    geometry = Geometry.from_spacing(SHAPE, (5.0, 1.0, 0.5))
    for shift, expected in (((1, 0, 0), 5.0), ((0, 3, 0), 3.0), ((0, 0, 4), 2.0)):
        moved = block(*np.add((2, 2, 2), shift))
        distances = surface_distances(block(2, 2, 2), moved, geometry)
        assert max(distances.forward.max(), distances.backward.max()) == pytest.approx(expected)
    assert normalized_surface_dice(block(2, 2, 2), block(2, 2, 6), geometry) == 1
    assert normalized_surface_dice(block(2, 2, 2), block(2, 2, 6), geometry, 1.0) < 1


def test_a_sheared_grid_counts_patient_distance() -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, 0, 1.0], [2.0, 1.0, 0], [2.0, 0, 0]]
    geometry = Geometry(SHAPE, matrix)
    one, other = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    one[3, 5, 5] = other[4, 3, 5] = True
    assert surface_distances(one, other, geometry).mean == pytest.approx(2.0)


def test_empty_masks() -> None:
    geometry, empty = Geometry.from_spacing(SHAPE), np.zeros(SHAPE, bool)
    both = surface_distances(empty, empty, geometry)
    assert (both.mean, both.hausdorff95, both.surface_dice()) == (0, 0, 1)
    one = surface_distances(block(2, 2, 2), empty, geometry)
    assert (one.mean, one.hausdorff95, one.surface_dice()) == (np.inf, np.inf, 0)


def test_hausdorff95_leaves_out_the_farthest_twentieth() -> None:
    geometry = Geometry.from_spacing(SHAPE)
    spiked = block(2, 2, 2)
    spiked[3, 3, 19] = True
    distances = surface_distances(block(2, 2, 2), spiked, geometry)
    assert distances.hausdorff95 == 0
    assert distances.backward.max() == 12


def test_different_shapes_are_refused() -> None:
    with pytest.raises(GeometryError, match="can't be compared"):
        dice(np.zeros((2, 2, 2)), np.zeros((2, 2, 3)))
    with pytest.raises(GeometryError, match="do not lie on a grid"):
        surface_distances(np.zeros((2, 2, 2), bool), np.zeros(SHAPE, bool), Geometry.from_spacing(SHAPE))
