"""The upright grid of a sheared volume: orthogonal, over all of it, and with a way back that loses nothing."""

from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.core import CancelledError, CancelToken, Geometry
from napari_volseg.spatial import (
    Straightening,
    display_reorientation,
    reorient_geometry,
    reorientation_to,
    straightening,
    upright_frame,
)

SHAPE, SPACING = (30, 64, 40), (3.0, 1.5, 1.0)
TILTS = (-20.0, -15.0, -2.0, 2.0, 15.0, 20.0)


def leaning(degrees: float) -> Geometry:
    """Slices of a gantry that leans, along the table on which the patient lies straight."""
    lean = np.radians(degrees)
    matrix = Geometry.from_spacing(SHAPE, SPACING, (-20.0, -48.0, 100.0)).matrix.copy()
    matrix[1:3, 1] = SPACING[1] * np.cos(lean), SPACING[1] * np.sin(lean)
    return Geometry(SHAPE, matrix, "1.2.3")


def drifting(degrees: float) -> Geometry:
    """Axial slices that drift towards the back from one to the next."""
    matrix = Geometry.from_spacing(SHAPE, SPACING, (-20.0, -48.0, 100.0)).matrix.copy()
    matrix[1, 0] = SPACING[0] * np.tan(np.radians(degrees))
    return Geometry(SHAPE, matrix, "1.2.3")


GRIDS = {f"{make.__name__} {tilt:g}": make(tilt) for make in (leaning, drifting) for tilt in TILTS}
EACH_GRID = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())


def way_of(grid: Geometry) -> Straightening:
    way = straightening(grid)
    assert way is not None
    return way


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 9, shape).astype(np.uint8)


@EACH_GRID
def test_the_upright_grid_is_orthogonal_and_follows_the_patient(grid: Geometry) -> None:
    target = way_of(grid).target
    assert target.shear < 1e-12
    assert target.obliquity < 1e-6
    assert target.axis_codes == grid.axis_codes == "SPL"
    assert target.frame_of_reference_uid == "1.2.3"
    np.testing.assert_allclose(target.voxel_volume, grid.voxel_volume / 2, err_msg="the moved axis is twice as fine")


@EACH_GRID
def test_the_upright_grid_covers_every_corner(grid: Geometry) -> None:
    way = way_of(grid)
    index = way.target.to_index(grid.corners())
    assert (index > -1e-6).all()
    assert (index < np.asarray(way.target.shape) - 1 + 1e-6).all()
    spare = np.asarray(way.target.shape) - 1 - np.ptp(index, axis=0)
    assert (spare < 2.0).all()


@EACH_GRID
def test_the_recorded_transform_leads_to_the_same_place(grid: Geometry) -> None:
    way = way_of(grid)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape], indexing="ij")).reshape(3, -1)
    there = (way.transform @ np.vstack([corners, np.ones(8)]))[:3].T
    np.testing.assert_allclose(way.target.to_patient(there), grid.to_patient(corners.T), atol=1e-9)


@EACH_GRID
def test_labels_come_back_bit_for_bit(grid: Geometry) -> None:
    labels, way = noise(grid.shape), way_of(grid)
    there = way.labels(labels)
    assert there.dtype == np.uint8
    np.testing.assert_array_equal(way.labels_back(there), labels)


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_shifts_by_halves_of_a_voxel_come_back_too(share: float) -> None:
    matrix = Geometry.from_spacing(SHAPE, (3.0, 1.0, 1.0)).matrix.copy()
    matrix[1, 0] = share
    way, labels = way_of(Geometry(SHAPE, matrix)), noise(SHAPE)
    np.testing.assert_array_equal(way.labels_back(way.labels(labels)), labels)


@pytest.mark.parametrize("codes", ["SPL", "IAR", "LSP", "PRI"])
def test_stored_orders_and_obliquity_change_nothing(codes: str) -> None:
    angle = np.radians(12)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    matrix = leaning(15).matrix.copy()
    matrix[:3] = turn @ matrix[:3]
    grid = reorient_geometry(Geometry(SHAPE, matrix), reorientation_to(Geometry(SHAPE, matrix), codes))
    way, labels = way_of(grid), noise(grid.shape)
    assert way.target.axis_codes == codes
    np.testing.assert_array_equal(way.labels_back(way.labels(labels)), labels)
    shown = reorient_geometry(way.target, display_reorientation(way.target))
    np.testing.assert_allclose(shown.direction, turn @ np.fliplr(np.eye(3)), atol=1e-9)


@EACH_GRID
def test_labels_on_the_upright_grid_lie_within_half_a_voxel(grid: Geometry) -> None:
    way = way_of(grid)
    labels = np.zeros(grid.shape, np.uint8)
    labels[20:26, 40:60, 5:12] = 1
    labels[3, 2, 1] = 2
    moved = way.labels(labels)
    for value in (1, 2):
        before = grid.to_patient(np.argwhere(labels == value)).mean(0)
        after = way.target.to_patient(np.argwhere(moved == value)).mean(0)
        assert (np.abs(after - before) <= np.asarray(way.target.spacing)[::-1] / 2 + 1e-6).all()


@EACH_GRID
def test_an_image_keeps_its_place_and_type(grid: Geometry) -> None:
    way = way_of(grid)
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    ramp = np.rint(grid.to_patient(index) @ [20.0, -30.0, 50.0]).astype(np.int16)
    seen = way.image(ramp)
    assert seen.dtype == np.int16
    place = np.moveaxis(np.indices(way.target.shape), 0, -1)
    source = grid.to_index(way.target.to_patient(place))
    inside = ((source >= 0) & (source <= np.asarray(grid.shape) - 1)).all(-1)
    assert inside.mean() > 0.5
    expected = way.target.to_patient(place) @ [20.0, -30.0, 50.0]
    assert np.abs(seen - expected)[inside].max() <= 1.01


def test_edges_go_on_outside_and_labels_there_are_lost() -> None:
    way = way_of(leaning(20))
    image = np.full(SHAPE, -1000, np.int16)
    image[-1] = 40
    seen = way.image(image)
    assert seen.min() == -1000
    assert (seen[-1, :, :] == 40).all()
    labels = np.ones(way.target.shape, np.uint8)
    assert way.labels_back(labels).shape == SHAPE
    assert not way.labels(way.labels_back(labels)).all()


def test_nothing_is_done_where_nothing_is_sheared() -> None:
    assert straightening(Geometry.from_spacing(SHAPE, SPACING)) is None
    turned = reorient_geometry(leaning(0), reorientation_to(leaning(0), "LAI"))
    assert straightening(turned) is None
    assert straightening(leaning(0.02)) is None, "less than half a voxel at the corners"
    np.testing.assert_allclose(upright_frame(turned), turned.direction, atol=1e-12)


def test_a_shear_of_every_axis_comes_back_within_a_voxel() -> None:
    matrix = Geometry.from_spacing(SHAPE, SPACING).matrix.copy()
    matrix[1, 0], matrix[0, 0], matrix[0, 1] = 0.8, -0.5, 0.3
    grid = Geometry(SHAPE, matrix)
    way = way_of(grid)
    assert way.target.shear < 1e-12
    number = np.arange(np.prod(SHAPE), dtype=np.int32).reshape(SHAPE)
    back = way.labels_back(way.labels(number))
    apart = np.abs(np.array(np.unravel_index(back, SHAPE)) - np.indices(SHAPE))
    inside = (slice(1, -1),) * 3
    assert apart[:, *inside].max() <= 1
    assert (back == number)[inside].mean() > 0.8


def test_it_stops_when_asked() -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(CancelledError):
        way_of(leaning(15)).image(np.zeros(SHAPE, np.int16), token)
