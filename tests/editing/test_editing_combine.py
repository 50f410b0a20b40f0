from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from tool_phantoms import chiral, grid, moved, sheared

from napari_volseg.core import Box, BoxMask, Geometry, UsageError
from napari_volseg.editing import (
    CutPlane,
    OnSlice,
    beyond_plane,
    copy_slice,
    find_boxes,
    intersect,
    merge,
    mirrored,
    relabel,
    shape_of,
    subtract,
    union,
)

SHAPE = (9, 14, 17)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_shapes_combine_as_sets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = [np.zeros((6, 7, 8), bool) for _ in range(2)]
    for mask in masks:
        low = rng.integers(0, 5, 3)
        part = mask[tuple(slice(a, a + n) for a, n in zip(low, rng.integers(1, 5, 3), strict=True))]
        part[:] = rng.random(part.shape) < 0.6
    (a, b), (x, y) = masks, [BoxMask.of(mask) for mask in masks]
    for found, expected in ((union(x, y), a | b), (subtract(x, y), a & ~b), (intersect(x, y), a & b)):
        assert np.array_equal(found.expand(a.shape), expected)
        assert Box.of_mask(expected) in (found.box, None)


def test_relabelling_exchanges_values_at_once() -> None:
    labels = chiral()
    labels[0, 0, 0:3] = (5, 6, 7)
    for boxes in (None, find_boxes(labels)):
        box, new = relabel(labels, {3: 5, 5: 3, 6: 0, 99: 1}, boxes=boxes)
        after = labels.copy()
        after[box.slices] = new
        assert np.array_equal(after == 5, labels == 3)
        assert after[0, 0, 0:3].tolist() == [3, 0, 7]
    assert relabel(labels, {99: 1}).labels.size == 0
    with pytest.raises(UsageError, match="background"):
        relabel(labels, {0: 4})


def test_merging() -> None:
    labels = chiral()
    labels[0, 0, 0:3] = (5, 6, 7)
    box, new = merge(labels, (3, 5), 7)
    labels[box.slices] = new
    assert set(np.unique(labels)) == {0, 6, 7}
    assert np.count_nonzero(labels == 7) == np.count_nonzero(chiral()) + 2


@pytest.mark.parametrize(("axis", "index", "to"), [(0, 6, 7), (1, 9, 8), (2, 10, 11)])
def test_a_slice_is_copied(axis: int, index: int, to: int) -> None:
    labels = chiral()
    copied = copy_slice(labels, 3, OnSlice(axis, index), to)
    expected = np.zeros(SHAPE, bool)
    np.moveaxis(expected, axis, 0)[to] = np.moveaxis(labels == 3, axis, 0)[index]
    assert np.array_equal(copied.expand(SHAPE), expected)
    assert copy_slice(labels, 3, OnSlice(axis, index), to, box=shape_of(labels, 3).box).box == copied.box


def test_slices_that_can_not_be_copied() -> None:
    with pytest.raises(UsageError, match="lie outside"):
        copy_slice(chiral(), 3, OnSlice(0, 6), 9)
    with pytest.raises(UsageError, match="no voxel on slice 8"):
        copy_slice(chiral(), 3, OnSlice(0, 8), 7)


GRIDS = pytest.mark.parametrize("geometry", [grid(SHAPE), sheared(SHAPE)], ids=["anisotropic", "sheared"])


def points(geometry: Geometry) -> np.ndarray:
    return geometry.to_patient(np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1))


@GRIDS
def test_a_plane_parts_voxels_by_their_place_in_the_patient(geometry: Geometry) -> None:
    labels = chiral()
    plane = CutPlane(geometry.to_patient((3.9, 6.1, 7.7)), np.array([0.3, -2.0, 0.9]))
    side = (points(geometry) - plane.point) @ np.array([0.3, -2.0, 0.9]) > 0
    part = beyond_plane(labels, 3, geometry, plane)
    assert 0 < np.count_nonzero(part.mask) < np.count_nonzero(labels)
    assert np.array_equal(part.expand(SHAPE), (labels == 3) & side)


def test_voxels_on_the_plane_stay() -> None:
    geometry = grid(SHAPE)
    plane = CutPlane.sagittal(float(geometry.to_patient((0, 0, 7))[0]))
    part = beyond_plane(chiral(), 3, geometry, plane)
    assert (part.box.start[2], part.box.stop[2]) == (8, 12)


def test_the_mirror_image_at_the_middle_of_the_volume() -> None:
    labels = chiral()
    found = mirrored(labels, 3, grid(SHAPE), CutPlane.midline(grid(SHAPE))).expand(SHAPE)
    assert np.array_equal(found, labels[:, :, ::-1] == 3)
    assert not np.array_equal(found, labels == 3)


@GRIDS
def test_a_mirror_image_is_that_of_the_patient(geometry: Geometry) -> None:
    """Brute force: a voxel belongs to it if the voxel nearest to its reflection is in the segment."""
    labels = chiral()
    plane = CutPlane(geometry.to_patient((4.2, 6.3, 8.6)), np.array([0.9, 0.2, -0.1]))
    normal = plane.normal
    reflected = points(geometry) - 2 * ((points(geometry) - plane.point) @ normal)[..., None] * normal
    index = np.round(geometry.to_index(reflected)).astype(int)
    inside = np.all((index >= 0) & (index < SHAPE), axis=-1)
    expected = np.zeros(SHAPE, bool)
    expected[inside] = labels[tuple(index[inside].T)] == 3
    assert np.array_equal(mirrored(labels, 3, geometry, plane).expand(SHAPE), expected)


def test_mirrored_twice_is_the_same() -> None:
    labels = moved(chiral(), (4, 5, 6), (20, 30, 40))
    geometry = grid(labels.shape)
    plane = CutPlane.midline_of(shape_of(labels, 3), geometry)
    plane = CutPlane.sagittal(float(geometry.to_patient((0, 0, round(geometry.to_index(plane.point)[2])))[0]))
    once = mirrored(labels, 3, geometry, plane).expand(labels.shape)
    assert np.array_equal(mirrored(once.astype(np.uint8), 1, geometry, plane).expand(labels.shape), labels == 3)


def test_an_image_that_falls_between_voxels_is_shifted_as_one() -> None:
    """A mirror at a quarter of a voxel, on turned grids, whose matrices are not free of rounding."""
    rng = np.random.default_rng(0)
    labels = np.zeros((8, 9, 50), np.uint8)
    labels[2:6, 3:8, 5:18] = 1
    for turn in Rotation.random(100, random_state=0).as_matrix():
        matrix = np.eye(4)
        matrix[:3, :3] = turn @ np.fliplr(np.diag(rng.uniform(0.4, 2, 3)))
        matrix[:3, 3] = rng.uniform(-300, 300, 3)
        geometry = Geometry(labels.shape, matrix)
        found = mirrored(labels, 1, geometry, CutPlane(geometry.to_patient((0, 0, 20.25)), matrix[:3, 2]))
        assert found.box.shape == (4, 5, 13)
        assert found.mask.all()


def test_the_middle_of_a_segment() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:5, 3:8, 4:9] = 1
    geometry = grid(SHAPE)
    assert CutPlane.midline_of(shape_of(labels, 1), geometry).point[0] == pytest.approx(-20 + 6 * 0.7)
    with pytest.raises(UsageError, match="no middle"):
        CutPlane.midline_of(shape_of(labels, 2), geometry)


def test_an_image_outside_the_volume_is_empty() -> None:
    assert mirrored(chiral(), 3, grid(SHAPE), CutPlane.sagittal(500)).mask.size == 0
    assert mirrored(chiral(), 8, grid(SHAPE), CutPlane.sagittal(0)).mask.size == 0


@pytest.mark.parametrize(("point", "normal"), [((0, 0, 0), (0, 0, 0)), ((np.nan, 0, 0), (1, 0, 0))])
def test_what_is_no_plane_is_refused(point: tuple[float, ...], normal: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="is no plane"):
        CutPlane(np.array(point), np.array(normal))
