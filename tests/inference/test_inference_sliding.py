"""Sliding window and stitching against the plain computation that they replace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.transform import resize

from napari_volseg.inference.fused import compiled_winners
from napari_volseg.inference.outputs import Exclusive, Regions
from napari_volseg.inference.sliding import (
    MonaiWindows,
    WindowGrid,
    Windows,
    gaussian_profile,
    stream_logits,
    window_starts,
)
from napari_volseg.inference.stitching import LabelStitcher

FOUR = Exclusive(("background", "a", "b", "c"))
COMPILED = pytest.mark.parametrize(
    "compiled", [False, pytest.param(True, marks=pytest.mark.skipif(compiled_winners() is None, reason="no numba"))]
)


def collect(
    network: Callable[[torch.Tensor], torch.Tensor], image: NDArray[np.float32], grid: WindowGrid, channels: int
) -> torch.Tensor:
    blocks, expected = [], 0
    for first, planes in stream_logits(network, torch.from_numpy(image)[None], grid, channels, lambda: None):
        assert first == expected
        expected += planes.shape[1]
        blocks.append(planes.clone())
    return torch.cat(blocks, 1).movedim(1, grid.axis + 1)


def test_window_starts_follow_nnunets_rule() -> None:
    assert window_starts(110, 64) == (0, 23, 46)
    assert window_starts(64, 64) == (0,)
    assert window_starts(65, 64) == (0, 1)
    assert window_starts(128, 64, step=1.0) == (0, 64)


def test_windows_cover_the_image() -> None:
    for size in range(8, 60):
        starts = window_starts(size, 8)
        assert starts[0] == 0
        assert starts[-1] == size - 8
        assert max(np.diff(starts), default=0) <= 4


def test_the_window_weight_is_nnunets() -> None:
    profile = gaussian_profile(32)
    assert profile.argmax() == 16
    assert profile.max() == 1.0
    np.testing.assert_allclose(profile[[12, 20]], np.exp(-0.5), rtol=1e-3)
    assert profile.min() > 0


@pytest.mark.parametrize("shape", [(11, 9, 13), (3, 9, 5), (8, 8, 8), (30, 8, 4)])
def test_a_pointwise_network_gives_what_one_pass_gives(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def network(window: torch.Tensor) -> torch.Tensor:
        return torch.cat((window * 2, torch.ones_like(window), window**2), 1)

    logits = collect(network, image, WindowGrid(shape, (6, 8, 8)), 3)
    np.testing.assert_allclose(logits, np.stack((image * 2, np.ones(shape), image**2)), atol=1e-5)


RULES = (Windows(), MonaiWindows(0.25), MonaiWindows(0.6, True), MonaiWindows(0.7))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [(40, 8, 9), (41, 8, 9), (9, 47, 12)])
@COMPILED
def test_beginning_in_the_midst_gives_the_same_to_the_last_bit(rule: Any, size: Any, compiled: bool) -> None:
    torch.manual_seed(1)
    network = torch.nn.Conv3d(1, 4, 3, padding=1).requires_grad_(False)
    image = torch.randn(1, *size)
    grid = WindowGrid(size, (6, 6, 6), rule)
    order = [grid.axis, *(axis for axis in range(3) if axis != grid.axis)]
    shape = tuple(size[axis] for axis in order)
    out = (shape[0] * 5 // 3, shape[1] + 2, shape[2] - 1)

    def label(passes: tuple[range, ...]) -> tuple[NDArray[Any], int, list[tuple[int, int]]]:
        labels, runs, told = np.full(out, 99, np.uint8), [0], []
        seam = None
        for rows in passes:
            begin = grid.starts[grid.axis][rows.start]
            stitcher = LabelStitcher(shape, labels, FOUR, begin=begin, compiled=compiled)
            head = None

            def count() -> None:
                runs[0] += 1

            for first, planes in stream_logits(network, image, grid, 4, count, rows=rows):
                head = planes[:, :1].clone() if head is None else head
                told.append(stitcher.add(first, planes))
            if seam is not None:
                told.append(stitcher.close(*seam))
            seam = begin, head
        return labels, runs[0], told

    expected, windows, _ = label((grid.rows,))
    assert windows == grid.windows == grid.windows_of(grid.rows)
    turned = 0
    for plane in range(shape[0]):
        passes = grid.passes(plane)
        labels, windows, told = label(passes)
        np.testing.assert_array_equal(labels, expected)
        assert windows == sum(grid.windows_of(rows) for rows in passes)
        seen = [index for begin, end in told for index in range(begin, end)]
        assert sorted(seen) == list(range(out[0]))
        if len(passes) > 1:
            turned += 1
            first = next((begin, end) for begin, end in told if end > begin)
            assert first[0] <= np.ceil(plane * 5 / 3) + 2
            assert windows <= 1.25 * grid.windows
    assert turned > shape[0] // 3 or rule == MonaiWindows(0.7)


@pytest.mark.parametrize("rule", [Windows(), MonaiWindows(0.5), MonaiWindows(0.5, True)])
def test_a_window_that_is_skipped_counts_as_zeros(rule: Any) -> None:
    grid = WindowGrid((16, 12, 8), (8, 8, 8), rule)
    skip = np.random.default_rng(0).random([len(starts) for starts in grid.starts]) < 0.4
    numbers = iter(np.flatnonzero(~skip).tolist())
    image = torch.zeros(1, *grid.shape)

    def answers(window: torch.Tensor) -> torch.Tensor:
        return window + 1 + next(numbers)

    found = torch.cat([p.clone() for _, p in stream_logits(answers, image, grid, 1, lambda: None, skip=skip)], 1)
    values = iter(np.where(skip.ravel(), 0, 1 + np.arange(skip.size)).tolist())
    blocks = stream_logits(lambda window: window + next(values), image, grid, 1, lambda: None)
    torch.testing.assert_close(found, torch.cat([p.clone() for _, p in blocks], 1))
    assert grid.count(skip, grid.rows) == skip.sum() > 0


def test_a_run_is_turned_only_where_it_helps() -> None:
    grid = WindowGrid((60, 6, 6), (6, 6, 6))
    assert grid.passes(None) == grid.passes(0) == grid.passes(4) == (grid.rows,)
    assert grid.passes(30) == (range(10, 19), range(10))
    short = WindowGrid((9, 6, 6), (6, 6, 6))
    assert all(short.passes(plane) == (short.rows,) for plane in range(9))


def test_windows_are_blended_by_their_weights() -> None:
    grid = WindowGrid((10, 4, 4), (4, 4, 4))
    total, weights = np.zeros(10), np.zeros(10)
    for value, start in enumerate(grid.starts[0], 1):
        total[start : start + 4] += value * gaussian_profile(4)
        weights[start : start + 4] += gaussian_profile(4)
    count = iter(range(1, 100))
    logits = collect(lambda window: torch.full_like(window, next(count)), np.zeros((10, 4, 4), np.float32), grid, 1)
    np.testing.assert_allclose(logits[0, :, 1, 2], total / weights, rtol=1e-5)


@pytest.mark.parametrize("shape", [(12, 17, 9), (5, 6, 7), (7, 11, 13)])
@pytest.mark.parametrize("rows", [1, 3, 7])
@COMPILED
def test_labels_are_those_of_the_interpolated_logits(shape: tuple[int, int, int], rows: int, compiled: bool) -> None:
    logits = np.random.default_rng(0).normal(size=(4, 7, 11, 8)).astype(np.float32)
    labels = np.zeros(shape, np.uint8)
    stitcher = LabelStitcher(logits.shape[1:], labels, FOUR, compiled=compiled)
    for first in range(0, 7, rows):
        stitcher.add(first, torch.from_numpy(logits[:, first : first + rows]))
    large = np.stack([resize(c, shape, order=1, mode="edge", anti_aliasing=False) for c in logits])
    np.testing.assert_array_equal(labels, large.argmax(0))


@pytest.mark.parametrize("axis", [0, 1, 2])
@COMPILED
def test_along_a_coarse_axis_the_nearest_logits_count(axis: int, compiled: bool) -> None:
    shape = (9, 9, 9)
    logits = np.random.default_rng(0).normal(size=(3, 6, 6, 6)).astype(np.float32)
    labels = np.zeros(shape, np.uint8)
    LabelStitcher((6, 6, 6), labels, Exclusive(("",) * 3), axis, compiled=compiled).add(0, torch.from_numpy(logits))
    nearest = np.take(logits, np.floor((np.arange(9) + 0.5) * 6 / 9).astype(int), axis + 1)
    large = np.stack([resize(c, shape, order=1, mode="edge", anti_aliasing=False) for c in nearest])
    np.testing.assert_array_equal(labels, large.argmax(0))


@COMPILED
def test_regions_paint_one_over_the_other(compiled: bool) -> None:
    logits = np.random.default_rng(0).normal(size=(3, 5, 6, 7)).astype(np.float32)
    shape, labels = (8, 9, 7), np.zeros((8, 9, 7), np.uint16)
    LabelStitcher((5, 6, 7), labels, Regions(("a", "b", "c"), (700, 2, 1)), compiled=compiled).add(
        0, torch.from_numpy(logits)
    )
    expected = np.zeros(shape, int)
    for value, channel in zip((700, 2, 1), logits, strict=True):
        expected[resize(channel, shape, order=1, mode="edge", anti_aliasing=False) > 0] = value
    np.testing.assert_array_equal(labels, expected)


@COMPILED
def test_the_first_of_equal_logits_wins(compiled: bool) -> None:
    labels = np.full((2, 3, 3), 9, np.uint8)
    LabelStitcher((2, 3, 3), labels, FOUR, compiled=compiled).add(
        0, torch.tensor([0.0, 1.0, 1.0, 0.5]).reshape(4, 1, 1, 1).expand(4, 2, 3, 3)
    )
    assert (labels == 1).all()


def test_planes_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="planes of shape"):
        LabelStitcher((2, 3, 3), np.zeros((2, 3, 3), np.uint8), FOUR).add(0, torch.zeros(4, 2, 3, 9))


def test_bands_advance_along_the_axis_that_leaves_least_open() -> None:
    grid = WindowGrid((20, 64, 30), (10, 8, 10))
    assert grid.axis == 1
    assert grid.open_voxels == 20 * 8 * 30
    image = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    np.testing.assert_allclose(collect(lambda window: window * 3, image, grid, 1)[0], image * 3, atol=1e-5)


def test_a_window_of_one_voxel_never_overlaps() -> None:
    grid = WindowGrid((5, 16, 16), (1, 8, 8))
    assert grid.windows == 5 * 3 * 3


def test_memory_holds_one_window_of_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    zeros = torch.zeros

    def watched(shape: Any, **options: Any) -> torch.Tensor:
        sizes.append(int(np.prod(shape)))
        return zeros(shape, **options)

    monkeypatch.setattr(torch, "zeros", watched)
    collect(lambda window: window, np.zeros((64, 8, 8), np.float32), WindowGrid((64, 8, 8), (4, 8, 8)), 1)
    assert max(sizes) == 4 * 8 * 8


@pytest.mark.parametrize("shape", [(20, 33, 17), (5, 16, 40)])
@pytest.mark.parametrize("overlap", [0.25, 0.5])
@pytest.mark.parametrize("mode", ["constant", "gaussian"])
def test_monais_rule_gives_what_monai_gives(shape: tuple[int, int, int], overlap: float, mode: str) -> None:
    inferers = pytest.importorskip("monai.inferers")
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 3, 5, padding=2)  # windows differ where they overlap
    image = torch.randn(shape)
    grid = WindowGrid(shape, (8, 16, 16), MonaiWindows(overlap, mode == "gaussian"))
    with torch.no_grad():
        expected = inferers.sliding_window_inference(image[None, None], (8, 16, 16), 1, network, overlap, mode)[0]
        found = collect(network, image.numpy(), grid, 3)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
