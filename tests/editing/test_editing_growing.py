from __future__ import annotations

import numpy as np
import pytest
from tool_phantoms import chiral, grid, moved

from napari_volseg.core import Box, UsageError
from napari_volseg.editing import (
    Between,
    InVolume,
    OnSlice,
    Slab,
    Tolerance,
    grow_from_seeds,
    grow_region,
    range_around,
    sphere,
    trace_level,
)

SHAPE = (9, 14, 17)


def image(labels: np.ndarray, noise: float = 0.0) -> np.ndarray:
    """The segment at 100, a second one of the same intensity apart from it, 0 around."""
    voxels = np.where(labels != 0, 100, 0).astype(np.int16)
    voxels[0, 0, 0:3] = 100
    return (voxels + np.random.default_rng(2).normal(0, noise, labels.shape)).astype(np.int16)


@pytest.mark.usefixtures("either_library")
class TestRegion:
    @pytest.mark.parametrize("intensities", [Tolerance(20), Between(80, 200)])
    def test_in_space(self, intensities: Tolerance | Between) -> None:
        found = grow_region(image(chiral(), 3), (3, 4, 5), intensities)
        assert np.array_equal(found.expand(SHAPE), chiral() == 3)
        assert Box.of_mask(found.mask) == Box.whole(found.mask.shape)

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_on_a_slice(self, axis: int) -> None:
        seed = (3, 8, 10)
        found = grow_region(image(chiral()), seed, Tolerance(0), scope=OnSlice(axis, seed[axis])).expand(SHAPE)
        expected = np.zeros(SHAPE, bool)
        np.moveaxis(expected, axis, 0)[seed[axis]] = np.moveaxis(chiral() == 3, axis, 0)[seed[axis]]
        assert np.array_equal(found, expected)

    def test_in_a_slab(self) -> None:
        found = grow_region(image(chiral()), (3, 4, 5), Tolerance(0), scope=Slab(0, 3, 5))
        assert (found.box.start[0], found.box.stop[0]) == (3, 5)

    def test_not_beyond_a_shape(self) -> None:
        ball = sphere(grid(SHAPE), (3, 4, 5), 1.7)
        found = grow_region(image(chiral()), (3, 4, 5), Tolerance(0), within=ball).expand(SHAPE)
        expected = (chiral() == 3) & ball.expand(SHAPE)
        assert 1 < np.count_nonzero(expected) < np.count_nonzero(chiral())
        assert np.array_equal(found, expected)

    def test_the_box_grows_with_a_long_region(self) -> None:
        """A spiral that leaves the first box, and whose end a box around its beginning can't connect."""
        voxels = np.zeros((3, 200, 260), np.uint8)
        voxels[1, 100, 100:250] = voxels[1, 20:100, 249] = voxels[1, 20, 30:250] = voxels[1, 20:101, 30] = 1
        voxels[1, 100, 30:96] = 1
        found = grow_region(voxels, (1, 100, 100), Tolerance(0))
        assert np.array_equal(found.expand(voxels.shape), voxels == 1)

    def test_parts_that_meet_at_corners(self) -> None:
        voxels = np.eye(60, dtype=np.uint8)[None]
        assert grow_region(voxels, (0, 5, 5), Tolerance(0)).mask.size == 1
        assert grow_region(voxels, (0, 5, 5), Tolerance(0), connectivity=26).box == Box.whole(voxels.shape)

    def test_the_place_in_the_volume_does_not_matter(self) -> None:
        by, shape = (20, 90, 5), (60, 200, 120)
        near = grow_region(moved(image(chiral()), (9, 9, 9), (30, 40, 50)), (12, 13, 14), Tolerance(5))
        far = grow_region(moved(image(chiral()), by, shape), (23, 94, 10), Tolerance(5))
        assert far.box == near.box.shift(np.subtract(by, 9))
        assert np.array_equal(far.mask, near.mask)


def test_small_integers_do_not_overflow() -> None:
    voxels = np.full((2, 3, 4), 250, np.uint8)
    voxels[1] = 5
    assert grow_region(voxels, (0, 0, 0), Tolerance(20)).box == Box((0, 0, 0), (1, 3, 4))


def test_seeds_that_can_not_grow_are_refused() -> None:
    voxels = image(chiral()).astype(np.float32)
    voxels[0, 0, 5] = np.nan
    with pytest.raises(UsageError, match="does not lie between"):
        grow_region(voxels, (8, 8, 8), Between(80, 120))
    with pytest.raises(UsageError, match="outside"):
        grow_region(voxels, (9, 0, 0), Tolerance(1))
    with pytest.raises(UsageError, match="outside"):
        grow_region(voxels, (3, 4, 5), Tolerance(1), scope=OnSlice(0, 4))
    with pytest.raises(UsageError, match="no intensity"):
        grow_region(voxels, (0, 0, 5), Tolerance(1))


def test_a_level_encloses_what_is_brighter_with_its_holes() -> None:
    rows, columns = np.mgrid[:40, :50]
    voxels = np.zeros((3, 40, 50), np.float32)
    voxels[1] = 100 - np.hypot(rows - 20, columns - 24)
    voxels[1, 19:21, 23:26] = -50
    found = trace_level(voxels, (1, 20, 34), 0)
    assert np.array_equal(found.expand(voxels.shape)[1], np.hypot(rows - 20, columns - 24) <= 10)
    assert not found.expand(voxels.shape)[0].any()
    dark = trace_level(-voxels.transpose(1, 0, 2), (20, 1, 34), 1, "dark")
    assert np.array_equal(dark.mask[:, 0], found.mask[0])


def test_a_level_is_followed_through_several_slices() -> None:
    z, rows, columns = np.mgrid[:9, :40, :50]
    voxels = (100 - np.sqrt((2 * (z - 4)) ** 2 + (rows - 20) ** 2 + (columns - 24) ** 2)).astype(np.float32)
    ball = voxels >= 90
    voxels[4, 19:21, 23:26] = -50
    for scope, slices in ((Slab(0, 3, 6), range(3, 6)), (InVolume(), range(9))):
        found = trace_level(voxels, (4, 20, 34), 0, scope=scope).expand(voxels.shape)
        assert np.array_equal(found, ball & np.isin(z, list(slices)))


def test_the_tissue_around_a_voxel_is_found_beside_an_edge() -> None:
    rng = np.random.default_rng(5)
    voxels = np.where(np.arange(40) < 22, 60, -100) + rng.normal(0, 5, (20, 30, 40))
    geometry = grid(voxels.shape, (1, 1, 1))
    found = range_around(voxels, (10, 15, 20), sphere(geometry, (10, 15, 20), 4))
    assert 60 - 28 < found.low < 60 - 8
    assert 60 + 8 < found.high < 60 + 28
    voxels[10, 15, 20] = 999
    assert range_around(voxels, (10, 15, 20), sphere(geometry, (10, 15, 20), 4)).high == 999
    flat = np.full((3, 4, 5), 7, np.int16)
    assert range_around(flat, (1, 1, 1), sphere(grid((3, 4, 5)), (1, 1, 1), 9)) == Between(7, 7)


def test_seeds_grow_to_the_edges_between_them() -> None:
    truth = np.ones((20, 40, 44), np.uint16)
    truth[4:16, 6:24, 8:30] = 2
    truth[4:16, 24:34, 8:30] = 3
    voxels = np.take([0, 0, 100, 200], truth) + np.random.default_rng(1).normal(0, 4, truth.shape)
    labels = np.zeros_like(truth)
    labels[10, 12:16, 15:20], labels[10, 27:30, 12:24] = 2, 3
    labels[0, :, :], labels[:, 0, :], labels[:, :, 0], labels[-1], labels[:, -1], labels[:, :, -1] = [1] * 6
    box, grown = grow_from_seeds(voxels, labels, grid(truth.shape, (1, 1, 1)), 0.0, smooth_mm=0.8)
    assert box == Box.whole(truth.shape)
    assert (grown[labels != 0] == labels[labels != 0]).all()
    assert np.mean(grown == truth) > 0.97
    box, bare = grow_from_seeds(voxels, labels, grid(truth.shape, (1, 1, 1)), 0.0, smooth_mm=0.8, background=1)
    assert np.array_equal(bare, np.where((grown == 1) & (labels == 0), 0, grown))


def test_growth_stays_within_its_margin_and_spares_other_segments() -> None:
    labels = np.zeros((10, 60, 60), np.uint16)
    labels[5, 20:24, 20:24], labels[5, 34:38, 34:38], labels[:, 28, :] = 1, 2, 7
    box, grown = grow_from_seeds(np.zeros(labels.shape), labels, grid(labels.shape), 3.0, values=(1, 2))
    assert box == Box((4, 16, 15), (7, 42, 43))
    assert set(np.unique(grown)) == {1, 2, 7}
    assert (grown[:, 12] == 7).all()
    assert (grown[:, :12] == 1).all()
    assert (grown[:, 13:] == 2).all()


def test_one_segment_alone_does_not_compete() -> None:
    with pytest.raises(UsageError, match="seeds of 1 segment can't"):
        grow_from_seeds(np.zeros(SHAPE), chiral(), grid(SHAPE), 5.0)
