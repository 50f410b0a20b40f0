"""Reorienting, cropping and resampling keep every voxel where it is in the patient."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from napari_volseg.core import Box, Geometry, GeometryError, UsageError
from napari_volseg.spatial import (
    apply_reorientation,
    crop_geometry,
    display_reorientation,
    invert_reorientation,
    regrid,
    reorient_geometry,
    reorientation_to,
    resample,
)

SHAPE = (4, 5, 6)
PAIRS = ("LR", "PA", "SI")
ALL_CODES = ["".join(letters) for order in permutations(PAIRS) for letters in product(*order)]


def _rotation(angle_degrees: float, axis: tuple[float, float, float]) -> np.ndarray:
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(angle_degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _oblique() -> Geometry:
    matrix = Geometry.from_spacing(SHAPE, (3.0, 1.2, 0.8), (-40.0, 12.5, 300.0)).matrix.copy()
    matrix[:3, :3] = _rotation(17, (1, 2, -1)) @ matrix[:3, :3]
    return Geometry(SHAPE, matrix, "1.2.3")


def _sheared() -> Geometry:
    matrix = Geometry.from_spacing(SHAPE, (3.0, 1.2, 0.8)).matrix.copy()
    matrix[1, 0] += 0.9
    return Geometry(SHAPE, matrix)


GRIDS = {"straight": Geometry.from_spacing(SHAPE, (3.0, 1.2, 0.8)), "oblique": _oblique(), "sheared": _sheared()}


def _voxels() -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
@pytest.mark.parametrize("codes", ALL_CODES)
def test_every_voxel_keeps_its_place_under_all_48_orientations(grid: Geometry, codes: str) -> None:
    change = reorientation_to(grid, codes)
    moved, voxels = reorient_geometry(grid, change), apply_reorientation(_voxels(), change)
    assert moved.axis_codes == codes
    assert voxels.shape == moved.shape
    for value in (0, 7, 61, 119):
        before = grid.to_patient(np.argwhere(_voxels() == value)[0])
        after = moved.to_patient(np.argwhere(voxels == value)[0])
        np.testing.assert_allclose(after, before, atol=1e-9)


@pytest.mark.parametrize("codes", ALL_CODES)
def test_the_inverse_restores_array_and_grid(codes: str) -> None:
    change = reorientation_to(_oblique(), codes)
    back = invert_reorientation(change)
    np.testing.assert_array_equal(apply_reorientation(apply_reorientation(_voxels(), change), back), _voxels())
    assert reorient_geometry(reorient_geometry(_oblique(), change), back).same_grid(_oblique(), 1e-9)


@pytest.mark.parametrize("codes", ALL_CODES)
def test_display_grid_is_reached_from_everywhere(codes: str) -> None:
    stored = reorient_geometry(_oblique(), reorientation_to(_oblique(), codes))
    assert reorient_geometry(stored, display_reorientation(stored)).axis_codes == "SPL"


def test_reorientation_is_a_view_and_leaves_leading_axes_alone() -> None:
    series = np.zeros((2, *SHAPE), np.int16)
    turned = apply_reorientation(series, reorientation_to(GRIDS["straight"], "LAI"))
    assert turned.shape == (2, 6, 5, 4)
    assert np.shares_memory(turned, series)


@pytest.mark.parametrize("codes", ["SP", "SPI", "SPX", "SPLL"])
def test_codes_that_are_no_orientation_are_refused(codes: str) -> None:
    with pytest.raises(UsageError, match="axis codes"):
        reorientation_to(GRIDS["straight"], codes)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_crop_keeps_places_inside_and_outside_the_grid(grid: Geometry) -> None:
    cropped = crop_geometry(grid, Box((-1, 2, 1), (3, 4, 6)))
    assert cropped.shape == (4, 2, 5)
    np.testing.assert_allclose(cropped.to_patient((2, 1, 3)), grid.to_patient((1, 3, 4)), atol=1e-9)


def test_an_empty_crop_is_refused() -> None:
    with pytest.raises(GeometryError):
        crop_geometry(_oblique(), Box((1, 1, 1), (1, 2, 2)))


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_regrid_keeps_centre_directions_and_extent(grid: Geometry) -> None:
    fine = regrid(grid, (1.5, 1.0, 0.5))
    np.testing.assert_allclose(fine.spacing, (1.5, 1.0, 0.5))
    np.testing.assert_allclose(fine.direction, grid.direction)
    np.testing.assert_allclose(fine.corners().mean(0), grid.corners().mean(0))
    extent = np.asarray(fine.shape) * fine.spacing - np.asarray(grid.shape) * grid.spacing
    assert (np.abs(extent) <= np.asarray(fine.spacing) / 2 + 1e-9).all()
    assert fine.frame_of_reference_uid == grid.frame_of_reference_uid


def test_regrid_refuses_a_spacing_of_zero() -> None:
    with pytest.raises(UsageError, match="spacing"):
        regrid(_oblique(), (1, 0, 1))


def _ramp(grid: Geometry) -> np.ndarray:
    """Value of the linear function 2x - 3y + 5z of patient coordinates at each voxel."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    return (grid.to_patient(index) @ [2.0, -3.0, 5.0]).astype(np.float32)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_linear_interpolation_reproduces_a_ramp_in_the_patient(grid: Geometry) -> None:
    target = crop_geometry(regrid(grid, (1.5, 0.7, 0.5)), Box((1, 1, 1), (4, 6, 7)))
    turned = reorient_geometry(target, reorientation_to(target, "RAI"))
    for other in (target, turned):
        np.testing.assert_allclose(resample(_ramp(grid), grid, other), _ramp(other), atol=1e-3)


def test_labels_and_masks_keep_type_and_values() -> None:
    grid = _sheared()
    labels = _voxels().astype(np.uint8)
    turned = reorient_geometry(grid, reorientation_to(grid, "LAI"))
    moved = resample(labels, grid, turned, order=0, cval=0)
    assert moved.dtype == np.uint8
    np.testing.assert_array_equal(moved, apply_reorientation(labels, reorientation_to(grid, "LAI")))
    mask = resample(labels > 50, grid, turned, order=0, cval=0)
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, moved > 50)


def test_outside_is_the_border_or_the_given_value() -> None:
    grid = GRIDS["straight"]
    shifted = crop_geometry(grid, Box((4, 0, 0), (9, 5, 6)))
    assert (resample(np.full(SHAPE, 7, np.int16), grid, shifted) == 7).all()
    assert (resample(np.full(SHAPE, 7, np.int16), grid, shifted, cval=-1000)[1:] == -1000).all()


def test_an_array_of_another_shape_is_refused() -> None:
    with pytest.raises(UsageError, match="source grid"):
        resample(np.zeros((2, 2, 2)), _oblique(), _oblique())
