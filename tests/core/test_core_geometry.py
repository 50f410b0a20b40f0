from itertools import permutations, product

import numpy as np
import pytest

from napari_volseg.core import Geometry, GeometryError


def axis_grids():
    """All 48 axis orders and flips of one anisotropic, shifted grid."""
    for axes, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        matrix = np.eye(4)
        matrix[:3, :3] = 0
        for index, (patient, sign) in enumerate(zip(axes, signs, strict=True)):
            matrix[patient, index] = sign * (1.5, 2.0, 3.25)[index]
        matrix[:3, 3] = (-91.5, 40.25, 1200.0)
        yield axes, signs, Geometry((4, 5, 6), matrix)


def test_axis_codes_name_where_each_index_axis_runs():
    letters = (("L", "R"), ("P", "A"), ("S", "I"))
    for axes, signs, grid in axis_grids():
        expected = "".join(letters[a][0 if s > 0 else 1] for a, s in zip(axes, signs, strict=True))
        assert grid.axis_codes == expected
        assert np.allclose(grid.spacing, (1.5, 2.0, 3.25))
        assert grid.handedness == np.sign(np.linalg.det(grid.matrix[:3, :3]))


def test_nifti_affine_goes_there_and_back_for_every_orientation():
    for _, _, grid in axis_grids():
        back = Geometry.from_ras_ijk(grid.to_ras_ijk(), grid.shape[::-1])
        assert back.same_grid(grid, 1e-9)
        i, j, k = 3, 2, 1
        ras = grid.to_ras_ijk() @ (i, j, k, 1)
        assert np.allclose(grid.to_patient((k, j, i)) * (-1, -1, 1), ras[:3])


def test_points_go_to_patient_and_back():
    rng = np.random.default_rng(3)
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] @ np.diag([0.7, 1.1, 5.0])
    matrix[:3, 3] = (10, -900, 33)
    grid = Geometry((9, 8, 7), matrix)
    points = rng.uniform(0, 7, (50, 3))
    assert np.allclose(grid.to_index(grid.to_patient(points)), points)


def test_shear_is_kept_and_told():
    matrix = np.diag([1.0, 1.0, 2.0, 1.0])
    matrix[1, 2] = 0.5
    grid = Geometry((3, 3, 3), matrix)
    assert grid.is_sheared
    assert grid.voxel_volume == pytest.approx(2.0)
    assert not Geometry.from_spacing((3, 3, 3)).is_sheared


def test_oblique_axes_are_assigned_one_to_one():
    c, s = np.cos(np.radians(46)), np.sin(np.radians(46))
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, -s, c], [0, c, s], [1, 0, 0]]
    grid = Geometry((2, 2, 2), matrix)
    assert sorted(p for p, _ in grid.closest_axes) == [0, 1, 2]
    assert grid.obliquity == pytest.approx(44, abs=0.1)


@pytest.mark.parametrize(
    ("matrix", "code"),
    [
        (np.diag([1.0, 0, 1, 1]), "geometry.singular"),
        (np.diag([1.0, np.nan, 1, 1]), "geometry.non_finite"),
    ],
)
def test_bad_matrices_are_refused_by_name(matrix, code):
    with pytest.raises(GeometryError) as caught:
        Geometry((2, 2, 2), matrix)
    assert caught.value.code == code


def test_grids_differ_when_a_corner_does():
    one = Geometry.from_spacing((50, 50, 50))
    turned = np.array(one.matrix)
    turned[0, 2] += 1e-4
    assert not one.same_grid(Geometry((50, 50, 50), turned))
    assert one.same_grid(Geometry((50, 50, 50), turned), 0.1)
    assert not one.same_grid(Geometry.from_spacing((50, 50, 49)))
