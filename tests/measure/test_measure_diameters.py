"""Distances, angles and diameters against what they are by construction, on anisotropic and oblique grids."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_volseg.core import Angle, BoxMask, CancelledError, CancelToken, Diameters, Distance, Geometry
from napari_volseg.measure import longest_diameter, slice_diameters


def grid(shape, spacing, turned: bool, shear: float = 0.0) -> Geometry:
    matrix = Geometry.from_spacing(shape, spacing, (-50.0, 20.0, 300.0)).matrix.copy()
    matrix[1, 0] += shear * spacing[0]
    if turned:
        matrix[:3, :3] = Rotation.from_euler("xyz", (20, -15, 30), degrees=True).as_matrix() @ matrix[:3, :3]
    return Geometry(shape, matrix)


GRIDS = {
    "thick": grid((12, 200, 220), (4.0, 0.8, 0.7), turned=False),
    "oblique": grid((10, 210, 240), (3.0, 0.7, 0.6), turned=True),
    "tilted": grid((10, 210, 240), (3.0, 0.7, 0.6), turned=False, shear=0.3),
}


def ellipse(geometry: Geometry, long: float, short: float, degrees: float, slice_: int) -> BoxMask:
    """Return an ellipse on one slice, half axes in mm, whose long axis is turned from the rows."""
    _, y, x = geometry.shape
    rows, columns = np.indices((y, x), dtype=float)
    down, right = (rows - (y - 1) / 2) * geometry.spacing[1], (columns - (x - 1) / 2) * geometry.spacing[2]
    angle = np.radians(degrees)
    along, across = right * np.cos(angle) + down * np.sin(angle), down * np.cos(angle) - right * np.sin(angle)
    mask = np.zeros(geometry.shape, bool)
    mask[slice_] = (along / long) ** 2 + (across / short) ** 2 <= 1
    mask[slice_ - 1, y // 2 - 5 : y // 2 + 5, x // 2 - 5 : x // 2 + 5] = True
    return BoxMask.of(mask)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("degrees", [0, 33, 90, 120])
def test_the_diameters_of_an_ellipse(name: str, degrees: float) -> None:
    geometry = GRIDS[name]
    found = slice_diameters(ellipse(geometry, 60.0, 40.0, degrees, 5), geometry)
    long, short = found.lengths
    assert long == pytest.approx(120, rel=0.005)
    assert short == pytest.approx(80, rel=0.01)
    assert geometry.to_index(found.points)[:, 0] == pytest.approx([5] * 4)
    (a, b), (c, d) = (np.array(line) for line in found.lines)
    assert (b - a) @ (d - c) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", GRIDS)
def test_a_brick_is_as_long_as_its_voxels(name: str) -> None:
    geometry = GRIDS[name]
    mask = np.zeros(geometry.shape, bool)
    mask[4:6, 50:150, 100] = True
    found = slice_diameters(BoxMask.of(mask), geometry)
    assert found.lengths[0] == pytest.approx(100 * geometry.spacing[1], rel=1e-3)
    mask = np.zeros(geometry.shape, bool)
    mask[5, 20, 30:130] = True
    far = longest_diameter(BoxMask.of(mask), geometry)
    assert far.lengths[0] == pytest.approx(100 * geometry.spacing[2], rel=0.01)


def test_the_longest_diameter_in_space_of_a_ball_and_a_rod() -> None:
    geometry = grid((80, 90, 100), (1.0, 0.9, 0.8), turned=True)
    center = geometry.to_patient((np.array(geometry.shape) - 1) / 2)
    points = geometry.to_patient(np.moveaxis(np.indices(geometry.shape), 0, -1)) - center
    ball = BoxMask.of(np.linalg.norm(points, axis=-1) <= 33)
    assert longest_diameter(ball, geometry).lengths[0] == pytest.approx(66, abs=0.9)
    direction = np.array((0.48, 0.6, 0.64))
    along = points @ direction
    aside = np.linalg.norm(points - along[..., None] * direction, axis=-1)
    rod = BoxMask.of((np.abs(along) <= 30) & (aside <= 3))
    found = longest_diameter(rod, geometry)
    assert found.lengths[0] == pytest.approx(np.hypot(60, 6), rel=0.02)
    drawn = np.subtract(*found.points)
    assert abs(drawn @ direction) / np.linalg.norm(drawn) > 0.99


def test_the_short_diameter_is_a_chord_and_no_caliper() -> None:
    geometry = Geometry.from_spacing((1, 60, 100))
    mask = np.zeros(geometry.shape, bool)
    for column in range(80):  # a parallelogram
        mask[0, 5 + column // 4 : 25 + column // 4, 10 + column] = True
    long, short = slice_diameters(BoxMask.of(mask), geometry).lengths
    (_, _), (c, d) = (np.array(line) for line in slice_diameters(BoxMask.of(mask), geometry).lines)
    assert short == pytest.approx(20 * np.hypot(4, 1) / 4, rel=0.01)  # the caliper's would be 19.4
    inside = geometry.to_index([c * 0.9 + d * 0.1, c * 0.1 + d * 0.9]).round().astype(int)
    assert mask[tuple(inside.T)].all()
    assert long > 80


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 2), (2, 1, 1)])
def test_few_voxels(shape) -> None:
    geometry = Geometry.from_spacing((5, 5, 5), (3.0, 2.0, 1.0))
    mask = np.zeros((5, 5, 5), bool)
    mask[tuple(slice(1, 1 + n) for n in shape)] = True
    found = slice_diameters(BoxMask.of(mask), geometry)
    assert 2.0 <= found.lengths[0] <= np.hypot(2.0, shape[2])
    assert (
        0 < longest_diameter(BoxMask.of(mask), geometry).lengths[0] <= np.hypot(2.0, np.hypot(3 * shape[0], shape[2]))
    )


def test_nothing_has_no_diameter_and_work_stops_when_asked() -> None:
    geometry = Geometry.from_spacing((3, 3, 3))
    nothing = BoxMask.of(np.zeros((3, 3, 3), bool))
    assert slice_diameters(nothing, geometry) is None
    assert longest_diameter(nothing, geometry) is None
    token = CancelToken()
    token.cancel()
    with pytest.raises(CancelledError):
        slice_diameters(BoxMask.of(np.ones((3, 3, 3), bool)), geometry, cancel=token)


@pytest.mark.parametrize("name", GRIDS)
def test_distances_and_angles_are_those_of_the_patient(name: str) -> None:
    geometry = GRIDS[name]
    a, b, c = (tuple(p) for p in geometry.to_patient([(3, 20, 30), (3, 120, 30), (3, 120, 130)]))
    assert Distance((a, b)).lengths[0] == pytest.approx(100 * geometry.spacing[1])
    assert Angle((a, b, c)).degrees == pytest.approx(90)
    assert Angle((a, b, a)).degrees == pytest.approx(0, abs=1e-5)
    assert Angle((a, a, a)).degrees == 0
    straight = tuple(2 * np.array(b) - np.array(a))
    assert Angle((a, b, straight)).degrees == pytest.approx(180)
    assert Diameters((a, b, b, c)).lengths == pytest.approx((100 * geometry.spacing[1], 100 * geometry.spacing[2]))
