from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from tool_phantoms import chiral, grid, moved

from napari_volseg.core import Box, BoxMask, Segment, Segmentation, SegmentTable, UsageError
from napari_volseg.editing import (
    Author,
    EditSession,
    InVolume,
    OnSlice,
    Slab,
    count_islands,
    fill_holes,
    find_box,
    find_boxes,
    keep_island,
    keep_largest,
    remove_small,
    reshaped,
    scope_box,
    shape_of,
    split_islands,
)

SHAPE = (6, 10, 12)


def islands() -> np.ndarray:
    """Label 2: islands of 18, 8 and 1 voxels, and one of 8 that touches the first by a corner; label 5 beside."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[0:2, 1:4, 1:4] = 2
    labels[2:4, 4:6, 4:6] = 2
    labels[4:6, 7:9, 8:10] = 2
    labels[5, 0, 11] = 2
    labels[0:2, 5:9, 7:11] = 5
    return labels


@pytest.mark.usefixtures("either_library")
class TestIslands:
    def test_the_largest(self) -> None:
        shape = keep_largest(islands(), 2)
        assert shape.box == Box((0, 1, 1), (2, 4, 4))
        assert shape.mask.all()

    def test_corners_connect_if_asked_to(self) -> None:
        assert keep_largest(islands(), 2, connectivity=26).box == Box((0, 1, 1), (4, 6, 6))
        assert (count_islands(islands(), 2), count_islands(islands(), 2, connectivity=26)) == (4, 3)

    def test_of_equal_islands_the_first_stays(self) -> None:
        labels = np.zeros(SHAPE, np.uint8)
        labels[1, 8, 2:4] = labels[1, 2, 8:10] = labels[4, 0, 0:2] = 1
        assert keep_largest(labels, 1).box == Box((1, 2, 8), (2, 3, 10))
        labels[1, 2, 9], labels[2, 2, 8] = 0, 1  # begins first, ends after the second one
        assert keep_largest(labels, 1).box == Box((1, 2, 8), (3, 3, 9))

    def test_the_one_that_was_clicked(self) -> None:
        assert keep_island(islands(), 2, (5, 8, 9)).box == Box((4, 7, 8), (6, 9, 10))

    @pytest.mark.parametrize("voxel", [(0, 0, 0), (0, 6, 8), (9, 1, 1), (-1, 1, 1)])
    def test_a_click_beside_is_refused(self, voxel: tuple[int, int, int]) -> None:
        with pytest.raises(UsageError, match="does not belong"):
            keep_island(islands(), 2, voxel)

    def test_small_ones_go_by_volume(self) -> None:
        geometry = grid(SHAPE)  # 2.8 mm³ a voxel
        kept = remove_small(islands(), 2, geometry, 8 * 2.8)
        assert np.count_nonzero(kept.mask) == 18 + 8 + 8
        assert np.count_nonzero(remove_small(islands(), 2, geometry, 8 * 2.8 + 0.01).mask) == 18
        assert remove_small(islands(), 2, geometry, 1000).mask.size == 0

    def test_split_by_size(self) -> None:
        labels = islands()
        box, new = split_islands(labels, 2, (7, 8, 9))
        labels[box.slices] = new
        assert [np.count_nonzero(labels == v) for v in (2, 7, 8, 9, 5)] == [18, 8, 8, 1, 32]
        assert labels[2, 4, 4] == 7
        assert labels[4, 7, 8] == 8

    def test_islands_without_a_value_stay(self) -> None:
        labels = islands()
        box, new = split_islands(labels, 2, (7,))
        labels[box.slices] = new
        assert [np.count_nonzero(labels == v) for v in (2, 7)] == [27, 8]

    def test_a_kept_box_limits_the_search(self) -> None:
        assert keep_largest(islands(), 2, box=Box((2, 4, 4), (6, 10, 12))).box == Box((2, 4, 4), (4, 6, 6))

    def test_a_segment_without_voxels(self) -> None:
        assert keep_largest(islands(), 9).mask.size == 0
        assert fill_holes(islands(), 9).mask.size == 0
        assert fill_holes(islands(), 9, axis=1).mask.size == 0
        assert split_islands(islands(), 9, (1,)).labels.size == 0


@pytest.mark.parametrize("volume", [0.0, -1.0, np.nan])
def test_a_volume_that_no_island_has_is_refused(volume: float) -> None:
    with pytest.raises(UsageError, match="positive volume"):
        remove_small(islands(), 2, grid(SHAPE), volume)


def hollow_box() -> np.ndarray:
    """A box of label 4 with a cavity that holds a voxel of label 6, and a tunnel along y."""
    labels = np.zeros((8, 12, 13), np.uint16)
    labels[1:7, 2:10, 3:12] = 4
    labels[3:5, 4:6, 5:8] = 0
    labels[3, 4, 5] = 6
    labels[2:4, :, 10] = 0
    return labels


@pytest.mark.usefixtures("either_library")
class TestHoles:
    def test_a_cavity_is_filled_and_a_tunnel_stays(self) -> None:
        labels = hollow_box()
        expected = labels == 4
        expected[3:5, 4:6, 5:8] = True
        assert np.array_equal(fill_holes(labels, 4).expand(labels.shape), expected)

    def test_slices_across_the_tunnel_are_filled_too(self) -> None:
        labels = hollow_box()
        expected = np.zeros(labels.shape, bool)
        expected[1:7, 2:10, 3:12] = True
        assert np.array_equal(fill_holes(labels, 4, axis=1).expand(labels.shape), expected)

    def test_slices_along_the_tunnel_are_not(self) -> None:
        labels = hollow_box()
        filled = fill_holes(labels, 4, axis=0).expand(labels.shape)
        assert not filled[2:4, :, 10].any()
        assert filled[3, 4, 5]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_both_libraries_agree_on_noise(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 2, (7, 8, 9)).astype(np.uint8)
    fast = _all_of(labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_volseg.editing.fast.find_spec", lambda name: None)
        plain = _all_of(labels)
    assert all(np.array_equal(a, b) for a, b in zip(fast, plain, strict=True))
    assert np.array_equal(fast[2], ndimage.binary_fill_holes(labels))


def _all_of(labels: np.ndarray) -> list[np.ndarray]:
    shapes = [
        keep_largest(labels, 1),
        keep_largest(labels, 1, connectivity=26),
        fill_holes(labels, 1),
        fill_holes(labels, 1, axis=0),
    ]
    split = split_islands(labels, 1, tuple(range(2, 40)))
    return [shape.expand(labels.shape) for shape in shapes] + [split.labels]


def test_the_place_in_the_volume_does_not_matter() -> None:
    by, shape = (3, 20, 11), (15, 40, 50)
    near, far = keep_largest(islands(), 2), keep_largest(moved(islands(), by, shape), 2)
    assert far.box == near.box.shift(by)
    assert np.array_equal(far.mask, near.mask)


def test_boxes_are_found() -> None:
    labels = islands()
    assert find_boxes(labels) == {2: Box((0, 0, 1), (6, 9, 12)), 5: Box((0, 5, 7), (2, 9, 11))}
    assert find_box(labels, 5) == find_boxes(labels)[5]
    assert find_box(labels, 5, Box((1, 0, 0), (6, 7, 99))) == Box((1, 5, 7), (2, 7, 11))
    assert find_box(labels, 4) is None


def test_a_new_shape_takes_and_gives_in_one_step() -> None:
    labels = chiral()
    session = EditSession(Segmentation(labels, grid(labels.shape), SegmentTable((Segment(3, "Liver"),))))
    shape = BoxMask(Box((4, 4, 4), (8, 6, 6)), np.ones((4, 2, 2), bool))
    before = labels.copy()
    plan = session.plan_replace(*reshaped(labels, 3, shape), name="Test", author=Author("tool", "test"))
    assert plan is not None
    assert np.array_equal(labels, before)
    session.commit(plan)
    assert np.array_equal(labels == 3, shape.expand(labels.shape))
    session.undo()
    assert np.array_equal(labels, before)


def test_a_shape_beyond_the_volume_is_clipped() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    box, new = reshaped(labels, 1, BoxMask(Box((2, -2, 2), (6, 1, 3)), np.ones((4, 3, 1), bool)))
    assert box == Box((2, 0, 2), (4, 1, 3))
    assert new.all()
    assert shape_of(labels, 1).mask.size == 0


def test_scopes() -> None:
    assert scope_box(OnSlice(1, 4), SHAPE) == Box((0, 4, 0), (6, 5, 12))
    assert scope_box(Slab(2, -3, 4), SHAPE) == Box((0, 0, 0), (6, 10, 4))
    assert scope_box(InVolume(), SHAPE) == Box.whole(SHAPE)
    with pytest.raises(UsageError, match="lie outside"):
        scope_box(OnSlice(0, 6), SHAPE)
    with pytest.raises(UsageError, match="axis 3"):
        scope_box(OnSlice(3, 0), SHAPE)
