from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tool_phantoms import chiral, grid, moved, sheared, without_fast_libraries

from napari_volseg.core import Box, BoxMask, Geometry, UsageError
from napari_volseg.editing import (
    closing,
    find_box,
    hollow,
    margin,
    opening,
    smooth_gaussian,
    smooth_jointly,
    smooth_median,
)

SHAPE = (9, 14, 17)
GRIDS = pytest.mark.parametrize("geometry", [grid(SHAPE), sheared(SHAPE)], ids=["anisotropic", "sheared"])


def distance_to(mask: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Brute force in patient space: distance of every voxel of the volume to the nearest true one, mm."""
    every = geometry.to_patient(np.stack(np.meshgrid(*(np.arange(n) for n in mask.shape), indexing="ij"), -1))
    best = np.full(mask.shape, np.inf)
    for point in geometry.to_patient(np.argwhere(mask)):
        best = np.minimum(best, np.linalg.norm(every - point, axis=-1))
    return best


def is_tight(shape: BoxMask) -> bool:
    return shape.mask.size == 0 or Box.of_mask(shape.mask) == Box.whole(shape.mask.shape)


@pytest.mark.usefixtures("either_library")
@GRIDS
class TestMargin:
    @pytest.mark.parametrize("mm", [0.75, 2.15, 5.05, 6.3])
    def test_growing_is_exact(self, geometry: Geometry, mm: float) -> None:
        labels = chiral()
        grown = margin(labels, 3, geometry, mm)
        assert np.array_equal(grown.expand(SHAPE), distance_to(labels == 3, geometry) <= mm)
        assert is_tight(grown)

    @pytest.mark.parametrize("mm", [0.75, 2.15, 5.05])
    def test_shrinking_is_exact(self, geometry: Geometry, mm: float) -> None:
        labels = chiral()
        shrunk = margin(labels, 3, geometry, -mm)
        assert np.array_equal(shrunk.expand(SHAPE), distance_to(labels != 3, geometry) > mm)
        assert is_tight(shrunk)

    def test_shells(self, geometry: Geometry) -> None:
        labels, mm = chiral(), 3.0
        segment, outside, inside = labels == 3, distance_to(labels == 3, geometry), distance_to(labels != 3, geometry)
        assert np.array_equal(hollow(labels, 3, geometry, mm, "inside").expand(SHAPE), segment & (inside <= mm))
        assert np.array_equal(hollow(labels, 3, geometry, mm, "outside").expand(SHAPE), ~segment & (outside <= mm))
        both = (outside <= mm / 2) & (inside <= mm / 2 + np.where(segment, 0, np.inf))
        assert np.array_equal(hollow(labels, 3, geometry, mm, "both").expand(SHAPE), both)

    def test_opening_and_closing(self, geometry: Geometry) -> None:
        labels, mm = chiral(), 2.15
        core = distance_to(labels != 3, geometry) > mm
        assert np.array_equal(opening(labels, 3, geometry, mm).expand(SHAPE), distance_to(core, geometry) <= mm)
        wide = distance_to(labels == 3, geometry) <= mm
        assert np.array_equal(closing(labels, 3, geometry, mm).expand(SHAPE), distance_to(~wide, geometry) > mm)


def test_a_cut_surface_at_the_border_of_the_volume_stays() -> None:
    labels = np.zeros((6, 8, 8), np.uint8)
    labels[:3, 2:7, 2:7] = 1
    shrunk = margin(labels, 1, grid(labels.shape, (1, 1, 1)), -1)
    assert shrunk.box == Box((0, 3, 3), (2, 6, 6))
    assert margin(np.ones_like(labels), 1, grid(labels.shape), -50).mask.all()


@pytest.mark.parametrize("spacing", [0.7, 0.8, 0.977, 1.1])
def test_a_distance_of_whole_voxels_reaches_the_last_one(spacing: float) -> None:
    labels = np.zeros((1, 1, 99), np.uint8)
    labels[0, 0, 49] = 1
    for count in range(1, 40):
        grown = margin(labels, 1, grid(labels.shape, (1.0, 1.0, spacing)), count * spacing)
        assert grown.box == Box((0, 0, 49 - count), (1, 1, 50 + count))


def test_no_margin_is_no_change() -> None:
    assert np.array_equal(margin(chiral(), 3, grid(SHAPE), 0.0).expand(SHAPE), chiral() == 3)
    assert margin(chiral(), 3, grid(SHAPE), -500).mask.size == 0
    assert margin(chiral(), 8, grid(SHAPE), 5).mask.size == 0


@pytest.mark.parametrize("mm", [0.0, -2.0, np.nan, np.inf])
def test_sizes_that_change_nothing_are_refused(mm: float) -> None:
    labels, geometry = chiral(), grid(SHAPE)
    with pytest.raises(UsageError, match="positive distance"):
        opening(labels, 3, geometry, mm)
    with pytest.raises(UsageError, match="positive distance"):
        hollow(labels, 3, geometry, mm, "both")
    with pytest.raises(UsageError, match="positive distance"):
        smooth_jointly(labels, geometry, mm)
    with pytest.raises(UsageError, match="finite distance"):
        margin(labels, 3, geometry, np.nan)


Tool = Callable[[np.ndarray, Geometry], BoxMask]
TOOLS: dict[str, Tool] = {
    "grow": lambda labels, geometry: margin(labels, 3, geometry, 2.0),
    "shrink": lambda labels, geometry: margin(labels, 3, geometry, -1.0),
    "hollow": lambda labels, geometry: hollow(labels, 3, geometry, 1.5, "both"),
    "open": lambda labels, geometry: opening(labels, 3, geometry, 1.2),
    "close": lambda labels, geometry: closing(labels, 3, geometry, 1.2),
    "median": lambda labels, geometry: smooth_median(labels, 3, geometry, 3.0),
    "gaussian": lambda labels, geometry: smooth_gaussian(labels, 3, geometry, 1.0),
}


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_the_place_in_the_volume_does_not_matter(tool: Tool) -> None:
    by, shape = (20, 3, 31), (40, 30, 60)
    padded = np.pad(chiral(), 5)
    near, far = tool(padded, grid(padded.shape)), tool(moved(padded, by, shape), grid(shape))
    assert far.box == near.box.shift(by)
    assert np.array_equal(far.mask, near.mask)
    assert is_tight(near)
    kept = tool(moved(padded, by, shape), grid(shape))
    assert np.array_equal(kept.mask, far.mask)


def test_only_the_kept_box_is_read() -> None:
    """What lies outside of the box that the caller keeps has no say, even if it carries the label."""
    labels = np.pad(chiral(), 5)
    box = find_box(labels, 3)
    expected = margin(labels, 3, grid(labels.shape), 2.0)
    labels[0, 0, 0] = 3
    kept = margin(labels, 3, grid(labels.shape), 2.0, box=box)
    assert kept.box == expected.box
    assert np.array_equal(kept.mask, expected.mask)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.3, 7.0), st.sampled_from([(5.0, 0.8, 0.7), (1.0, 1.0, 1.0)]))
@example(0, 2.5, (5.0, 0.8, 0.7))  # 0.7² + (3 · 0.8)² = 2.5²
def test_growing_and_shrinking_noise_is_exact_with_either_library(
    seed: int, mm: float, spacing: tuple[float, float, float]
) -> None:
    labels = (np.random.default_rng(seed).random((5, 8, 9)) < 0.06).astype(np.uint8)
    geometry = grid(labels.shape, spacing)
    outside, inside = distance_to(labels == 1, geometry), distance_to(labels == 0, geometry)
    apart = np.abs(np.array([outside, inside]) / mm - 1)
    # What lies at the distance itself belongs to it; what is nearer to it than single precision tells is not judged.
    assume(not ((apart > 1e-9) & (apart < 1e-4)).any())
    expected = outside <= mm * (1 + 1e-9), inside > mm * (1 + 1e-9)
    fast = margin(labels, 1, geometry, mm), margin(labels, 1, geometry, -mm)
    with pytest.MonkeyPatch.context() as patch:
        without_fast_libraries(patch)
        plain = margin(labels, 1, geometry, mm), margin(labels, 1, geometry, -mm)
    for result in (fast, plain):
        assert np.array_equal(result[0].expand(labels.shape), expected[0])
        assert np.array_equal(result[1].expand(labels.shape), expected[1])


def test_the_median_is_the_majority_of_a_cuboid() -> None:
    labels = (np.random.default_rng(5).random(SHAPE) < 0.5).astype(np.uint8)
    padded = np.pad(labels, ((1, 1), (3, 3), (3, 3)), mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, (1, 7, 7))[1:-1]
    expected = around.mean(axis=(-3, -2, -1)) > 0.5
    assert np.array_equal(smooth_median(labels, 1, grid(SHAPE), 5.2).expand(SHAPE), expected)


def test_a_gaussian_removes_specks_and_keeps_flat_faces() -> None:
    labels = np.zeros((20, 30, 30), np.uint8)
    labels[:, 5:20, :] = 1
    labels[10, 25, 15] = labels[10, 4, 15] = 1
    labels[12, 12, 12] = 0
    expected = np.zeros(labels.shape, bool)
    expected[:, 5:20, :] = True
    assert np.array_equal(smooth_gaussian(labels, 1, grid(labels.shape), 1.5).expand(labels.shape), expected)


def three_neighbours() -> np.ndarray:
    """Labels 1, 2 and 7 fill a block without gaps, with specks; 0 around."""
    labels = np.zeros((12, 40, 42), np.uint16)
    rng = np.random.default_rng(3)
    labels[2:10, 4:36, 4:38] = 1
    labels[2:10, 4:36, 20:38] = 2
    labels[2:10, 20:36, 10:30] = 7
    specks = (rng.random(labels.shape) < 0.1) & (labels != 0)
    labels[specks] = rng.choice([1, 2, 7], np.count_nonzero(specks))
    return labels


def test_neighbours_are_smoothed_without_gaps() -> None:
    labels = three_neighbours()
    box, new = smooth_jointly(labels, grid(labels.shape, (1.0, 0.8, 0.7)), 1.2)
    after = labels.copy()
    after[box.slices] = new
    interior = (slice(5, 7), slice(9, 31), slice(9, 33))
    assert (after[interior] != 0).all()
    assert set(np.unique(after)) == {0, 1, 2, 7}

    def borders(array: np.ndarray) -> int:
        return sum(int(np.count_nonzero(np.diff(array[interior].astype(int), axis=axis))) for axis in range(3))

    assert borders(after) < 0.5 * borders(labels)


def test_joint_smoothing_is_the_strongest_of_all() -> None:
    from scipy import ndimage

    labels, geometry = three_neighbours(), grid((12, 40, 42), (1.0, 0.8, 0.7))
    sigmas = [1.2 / s for s in geometry.spacing]
    every = [
        ndimage.gaussian_filter((labels == v).astype(float), sigmas, mode="nearest", truncate=3.0)
        for v in (0, 1, 2, 7)
    ]
    expected = np.take([0, 1, 2, 7], np.argmax(every, axis=0))
    box, new = smooth_jointly(labels, geometry, 1.2)
    after = np.zeros_like(labels)
    after[box.slices] = new
    assert np.count_nonzero(after != expected) <= 2  # ties


def test_alone_a_segment_is_smoothed_jointly_as_by_itself() -> None:
    labels, geometry = chiral(), grid(SHAPE)
    box, new = smooth_jointly(labels, geometry, 1.0)
    after = np.zeros(SHAPE, bool)
    after[box.slices] = new == 3
    assert np.array_equal(after, smooth_gaussian(labels, 3, geometry, 1.0).expand(SHAPE))


def test_smoothing_nothing() -> None:
    nothing = np.zeros(SHAPE, np.uint8)
    assert smooth_jointly(nothing, grid(SHAPE), 1.0).labels.size == 0
    assert smooth_median(nothing, 1, grid(SHAPE), 3.0).mask.size == 0
    assert smooth_gaussian(nothing, 1, grid(SHAPE), 3.0).mask.size == 0
