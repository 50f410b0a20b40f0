from __future__ import annotations

import numpy as np
import pytest
from tool_phantoms import chiral

from napari_volseg.core import Box, BoxMask, GeometryError, UsageError
from napari_volseg.editing import InVolume, OnSlice, Slab, shape_of, suggest_range, threshold
from napari_volseg.editing.scopes import Scope

SHAPE = (9, 14, 17)


def ct() -> np.ndarray:
    """Air, and the chiral segment at 40 to 60 HU with a calcification of 300."""
    rng = np.random.default_rng(1)
    voxels = rng.integers(-1010, -990, SHAPE).astype(np.int16)
    inside = chiral() == 3
    voxels[inside] = rng.integers(40, 61, np.count_nonzero(inside))
    voxels[3, 4, 5] = 300
    return voxels


@pytest.mark.parametrize(
    ("scope", "part"),
    [
        (InVolume(), np.s_[:]),
        (OnSlice(0, 4), np.s_[4:5]),
        (OnSlice(2, 9), np.s_[:, :, 9:10]),
        (Slab(1, 5, 9), np.s_[:, 5:9]),
    ],
)
def test_a_range_in_a_scope(scope: Scope, part: tuple[slice, ...]) -> None:
    found = threshold(ct(), 40, 60, scope=scope)
    expected = np.zeros(SHAPE, bool)
    expected[part] = (chiral() == 3)[part]
    expected[3, 4, 5] = False
    assert np.array_equal(found.expand(SHAPE), expected)
    assert Box.of_mask(found.mask) == Box.whole(found.mask.shape)


def test_both_bounds_belong_to_the_range() -> None:
    voxels = np.arange(8, dtype=np.int16).reshape(2, 2, 2)
    assert threshold(voxels, 2, 5).expand(voxels.shape).ravel().tolist() == [2 <= v <= 5 for v in range(8)]


def test_inside_of_a_segment() -> None:
    voxels = ct()
    voxels[0, 0, 0] = 300
    found = threshold(voxels, 200, 400, inside=shape_of(chiral(), 3))
    assert found.box == Box((3, 4, 5), (4, 5, 6))
    assert threshold(voxels, 200, 400, scope=OnSlice(0, 8), inside=shape_of(chiral(), 3)).mask.size == 0


def test_nan_is_in_no_range() -> None:
    voxels = np.full((2, 2, 2), np.nan, np.float32)
    voxels[1, 0, 1] = 0
    assert threshold(voxels, -np.inf, np.inf).box == Box((1, 0, 1), (2, 1, 2))


def test_nothing_in_range() -> None:
    assert threshold(ct(), 2000, 3000).mask.size == 0


@pytest.mark.parametrize(("low", "high"), [(5, 4), (np.nan, 4), (4, np.nan)])
def test_an_empty_range_is_refused(low: float, high: float) -> None:
    with pytest.raises(UsageError, match="lower bound first"):
        threshold(ct(), low, high)


def test_a_segment_of_another_volume_is_refused() -> None:
    beyond = BoxMask(Box((0, 0, 0), (10, 1, 1)), np.ones((10, 1, 1), bool))
    with pytest.raises(GeometryError, match="leaves a volume"):
        threshold(ct(), 0, 1, inside=beyond)


def test_the_suggested_range_divides_tissue_from_air() -> None:
    low, high = suggest_range(ct())
    assert -990 < low < 40
    assert high == 300
    assert np.array_equal(threshold(ct(), low, high).expand(SHAPE), chiral() == 3)


def test_the_suggestion_looks_at_its_region_only() -> None:
    voxels = ct().astype(np.float32)
    voxels[2:6, 3:9, 4:7] = 120
    voxels[0, 0, 0] = np.nan
    low, _ = suggest_range(voxels, inside=shape_of(chiral(), 3))
    assert 60 < low < 120


def test_one_intensity_has_no_range() -> None:
    with pytest.raises(UsageError, match="single intensity"):
        suggest_range(np.zeros((3, 3, 3)))
    with pytest.raises(UsageError, match="single intensity"):
        suggest_range(np.full((3, 3, 3), np.nan))
