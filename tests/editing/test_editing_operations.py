from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.core import Box, UsageError
from napari_volseg.editing import (
    BackgroundOnly,
    Everywhere,
    InVolume,
    OnSlice,
    Relabelled,
    WithinRange,
    fill_region,
    restrained,
    shape_of,
)


def ring() -> np.ndarray:
    """A closed square ring of label 4 in slices 1 to 3, closed by lids in slices 0 and 4."""
    labels = np.zeros((5, 9, 10), np.uint16)
    labels[:, 2:7, 3:8] = 4
    labels[1:4, 3:6, 4:7] = 0
    return labels


@pytest.mark.usefixtures("either_library")
class TestFill:
    def test_the_hole_of_a_slice(self) -> None:
        region = fill_region(ring(), (2, 4, 5), OnSlice(0, 2))
        assert region.box == Box((2, 3, 4), (3, 6, 7))
        assert region.mask.all()

    def test_the_hole_in_space(self) -> None:
        region = fill_region(ring(), (2, 4, 5), InVolume())
        assert region.box == Box((1, 3, 4), (4, 6, 7))
        assert region.mask.all()

    def test_the_outside_does_not_enter(self) -> None:
        labels = ring()
        region = fill_region(labels, (0, 0, 0), InVolume()).expand(labels.shape)
        expected = labels == 0
        expected[1:4, 3:6, 4:7] = False
        assert np.array_equal(region, expected)

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_a_slice_along_each_axis(self, axis: int) -> None:
        labels = ring()
        region = fill_region(labels, (2, 4, 5), OnSlice(axis, (2, 4, 5)[axis]))
        assert region.box.shape[axis] == 1
        assert np.count_nonzero(region.mask) == 9

    def test_a_segment_is_a_region_too(self) -> None:
        labels = ring()
        assert np.array_equal(fill_region(labels, (0, 2, 3), InVolume()).expand(labels.shape), labels == 4)

    def test_voxels_that_share_no_face_are_apart(self) -> None:
        labels = np.eye(4, dtype=np.uint8)[None]
        assert fill_region(labels, (0, 1, 1), InVolume()).box == Box((0, 1, 1), (1, 2, 2))


def test_a_seed_outside_is_refused() -> None:
    with pytest.raises(UsageError, match="outside"):
        fill_region(ring(), (5, 0, 0), InVolume())
    with pytest.raises(UsageError, match="outside"):
        fill_region(ring(), (0, -1, 0), OnSlice(0, 0))


def test_the_shape_of_a_segment_is_tight() -> None:
    labels = ring()
    assert shape_of(labels, 4).box == Box((0, 2, 3), (5, 7, 8))
    assert shape_of(labels, 9).mask.size == 0


def test_only_changes_that_rules_allow_are_left() -> None:
    labels = np.zeros((2, 3, 6), np.uint16)
    labels[1, 1] = (0, 0, 5, 5, 6, 6)
    wanted = Relabelled(Box((1, 1, 0), (2, 2, 6)), np.array([[[6, 0, 0, 5, 5, 0]]], np.uint16))
    bright = np.zeros(labels.shape)
    bright[1, 1] = (0, 0, 9, 0, 9, 0)
    box, left = restrained(labels, wanted, gain=BackgroundOnly(), lose=WithinRange(5, 10, bright))
    assert box == Box((1, 1, 0), (2, 2, 3))
    assert left.tolist() == [[[6, 0, 0]]]
    box, left = restrained(labels, wanted, gain=WithinRange(5, 10, bright), lose=Everywhere())
    assert box == Box((1, 1, 2), (2, 2, 6))
    assert left.tolist() == [[[0, 5, 5, 0]]]


def test_locked_segments_neither_gain_nor_lose() -> None:
    labels = np.array([[[0, 5, 6, 5]]], np.uint16)
    wanted = Relabelled(Box((0, 0, 0), (1, 1, 4)), np.array([[[6, 0, 5, 5]]], np.uint16))
    everywhere = Everywhere()
    box, left = restrained(labels, wanted, gain=everywhere, lose=everywhere, locked=(6,))
    assert (box, left.tolist()) == (Box((0, 0, 1), (1, 1, 2)), [[[0]]])
    box, left = restrained(labels, wanted, gain=everywhere, lose=everywhere, locked=(5, 6))
    assert (box.size, left.size) == (0, 0)
