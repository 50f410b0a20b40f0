from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from tool_phantoms import ANISOTROPIC, grid, moved

from napari_volseg.core import Box, Geometry, UsageError
from napari_volseg.editing import Everywhere, fill_between, find_boxes
from napari_volseg.editing.fast import distance_inside

Stack = np.ndarray


def discs(centers: Iterable[tuple[float, float]], radius: float, shape: tuple[int, int] = (90, 100)) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.logical_or.reduce([(rows - r) ** 2 + (columns - c) ** 2 <= radius**2 for r, c in centers])


def stack(slice_of: Callable[[int], np.ndarray], count: int = 25) -> Stack:
    return np.stack([slice_of(k) for k in range(count)])


def drawn_every(truth: Stack, step: int, value: int = 1, axis: int = 0) -> np.ndarray:
    """Labels that hold every ``step``-th slice of a truth along an axis, and the last."""
    labels = np.zeros(truth.shape, np.uint16)
    source, target = np.moveaxis(truth, axis, 0), np.moveaxis(labels, axis, 0)
    for k in {*range(0, len(source), step), len(source) - 1}:
        target[k][source[k]] = value
    return labels


def filled(labels: np.ndarray, geometry: Geometry | None = None, axis: int = 0, **options: object) -> np.ndarray:
    before = labels.copy()
    box, new = fill_between(labels, geometry or grid(labels.shape, (3, 1, 1)), axis, **options)  # type: ignore[arg-type]
    assert np.array_equal(labels, before)
    before[box.slices] = new
    return before


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def ball(k: int) -> np.ndarray:
    return discs([(45, 50)], np.sqrt(max(1.0, 30**2 - (2.5 * (k - 12)) ** 2)))


@pytest.mark.usefixtures("either_library")
class TestShapes:
    def test_a_cylinder_is_filled_exactly(self) -> None:
        truth = stack(lambda k: discs([(30, 40)], 12))
        assert np.array_equal(filled(drawn_every(truth, 6)) == 1, truth)

    def test_one_that_moves_by_more_than_its_width_is_moved(self) -> None:
        truth = stack(lambda k: discs([(10 + 3 * k, 30 + 2 * k)], 6))
        assert dice(filled(drawn_every(truth, 8)) == 1, truth) > 0.98

    def test_two_that_cross_the_picture_keep_apart(self) -> None:
        truth = stack(lambda k: discs([(12 + 2.5 * k, 30), (78 - 2.5 * k, 70)], 6))
        assert dice(filled(drawn_every(truth, 8)) == 1, truth) > 0.98

    @pytest.mark.parametrize("speed", [1.2, 2.0])
    def test_one_that_splits_becomes_both(self, speed: float) -> None:
        truth = stack(lambda k: discs([(30 + k, 50 - speed * k), (30 + k, 50 + speed * k)], 9), 20)
        assert dice(filled(drawn_every(truth, 8)) == 1, truth) > 0.965
        assert dice(filled(drawn_every(truth[::-1], 8)) == 1, truth[::-1]) > 0.965

    def test_several_slices_give_curvature(self) -> None:
        truth = stack(ball)
        labels = drawn_every(truth, 6)
        alone = labels.copy()
        alone[:6] = alone[13:] = 0
        assert dice((filled(labels) == 1)[7:12], truth[7:12]) > dice((filled(alone) == 1)[7:12], truth[7:12])
        assert dice(filled(labels) == 1, truth) > 0.95

    def test_a_part_that_ends_tapers_off_half_way(self) -> None:
        truth = np.zeros((9, 40, 60), bool)
        truth[:, 10:20, 5:25] = True
        truth[0, 10:20, 35:55] = True
        found = filled(drawn_every(truth, 8)) == 1
        assert found[:, 10:20, 5:25].all()
        areas = found[:, :, 30:].sum(axis=(1, 2)).tolist()
        assert areas[0] > areas[1] > areas[3] > 0
        assert areas[4:] == [0] * 5

    def test_a_hole_stays_a_hole(self) -> None:
        truth = stack(lambda k: discs([(45, 50)], 25) & ~discs([(45, 55)], 8))
        assert np.array_equal(filled(drawn_every(truth, 6)) == 1, truth)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_axis(axis: int) -> None:
    truth = stack(lambda k: discs([(12 + k, 40)], 8, (40, 60)))
    turned = np.ascontiguousarray(np.moveaxis(truth, 0, axis))
    spacing = tuple(np.insert([1.0, 1.0], axis, 5.0))
    found = filled(drawn_every(turned, 6, axis=axis), grid(turned.shape, spacing), axis)
    upright = filled(drawn_every(truth, 6), grid(truth.shape, (5, 1, 1)))
    assert np.array_equal(np.moveaxis(found, axis, 0), upright)


def test_neighbours_are_filled_together_without_overlap_or_gap() -> None:
    truth = np.zeros((13, 40, 50), np.uint16)
    for k in range(13):
        truth[k, 5:35, 5 : 20 + k] = 2
        truth[k, 5:35, 20 + k : 45] = 9
    labels = np.zeros_like(truth)
    labels[::6] = truth[::6]
    found = filled(labels)
    assert set(np.unique(found)) == {0, 2, 9}
    assert (found[:, 5:35, 5:45] != 0).all()
    assert np.count_nonzero(found != truth) < 0.02 * np.count_nonzero(truth)
    assert set(np.unique(filled(labels, values=[9])[3])) == {0, 9}


def test_two_that_change_places_do_not_stay_where_they_were() -> None:
    labels = np.zeros((9, 40, 100), np.uint16)
    left, right = (slice(15, 25), slice(10, 20)), (slice(15, 25), slice(80, 90))
    labels[0][left] = labels[8][right] = 1
    labels[0][right] = labels[8][left] = 2
    found = filled(labels)[4]
    assert not found[left].any()
    assert not found[right].any()
    assert (found[15:25, 46:54] != 0).all()


def test_only_background_is_filled_unless_told_otherwise() -> None:
    truth = stack(lambda k: discs([(30, 40)], 12))
    labels = drawn_every(truth, 6)
    labels[1:4, 28:32, 38:42] = 5
    assert (filled(labels)[1:4, 28:32, 38:42] == 5).all()
    assert not (filled(labels, values=[1], rule=Everywhere()) == 5).any()


def test_a_segment_without_gaps_stays() -> None:
    labels = np.zeros((10, 20, 20), np.uint8)
    labels[2:7, 5:9, 6:11] = 1
    labels[8, 2:4, 2:4] = 2
    assert np.array_equal(filled(labels), labels)
    assert fill_between(np.zeros_like(labels), grid(labels.shape), 0).labels.size == 0


def test_pixels_that_are_not_square() -> None:
    """An L loses width by equal mm on all sides, in pixels of 0.5 mm × 1 mm."""
    near = np.zeros((80, 60), bool)
    near[10:70, 10:20] = near[10:30, 10:50] = True
    depth = distance_inside(near, (0.5, 1.0))
    labels = np.stack([near, *[np.zeros_like(near)] * 5, depth > 3.0]).astype(np.uint8)
    middle = filled(labels, grid(labels.shape, (3.0, 0.5, 1.0)))[3] == 1
    assert middle[depth > 2.2].all()
    assert not middle[depth < 1.3].any()


def test_the_place_in_the_volume_and_kept_boxes_do_not_matter() -> None:
    truth = stack(lambda k: discs([(12 + 2 * k, 40)], 8, (70, 60)))
    labels, by, shape = drawn_every(truth, 6), (9, 31, 4), (60, 120, 90)
    near = fill_between(labels, grid(labels.shape), 0)
    far_labels = moved(labels, by, shape)
    far = fill_between(far_labels, grid(shape), 0)
    kept = fill_between(far_labels, grid(shape), 0, boxes=find_boxes(far_labels))
    for result in (far, kept):
        assert result.box == near.box.shift(by)
        assert np.array_equal(result.labels, near.labels)
    assert near.box == Box.of_mask(labels != 0)


def test_an_axis_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="axis 3"):
        fill_between(np.zeros((2, 2, 2), np.uint8), grid((2, 2, 2), ANISOTROPIC), 3)


@pytest.mark.parametrize(("step_mm", "least"), [(6, 0.98), (12, 0.96), (24, 0.91)])
def test_organs_of_the_sample(sample_data: object, step_mm: int, least: float) -> None:
    """Mean Dice of organs that reach over three drawn slices, between the first and the last of them."""
    import nibabel as nib

    image = nib.as_closest_canonical(nib.load(f"{sample_data}/torso-labels.nii.gz"))
    truth = np.ascontiguousarray(np.asarray(image.dataobj).astype(np.uint16).T)
    spacing = tuple(float(s) for s in image.header.get_zooms()[2::-1])
    step, labels, ranges = round(step_mm / spacing[0]), np.zeros_like(truth), {}
    for value, box in find_boxes(truth).items():
        keys = list(range(box.start[0] + step // 2, box.stop[0], step))
        for k in keys:
            labels[k][truth[k] == value] = value
        if len(keys) > 2:
            ranges[value] = slice(keys[0], keys[-1] + 1)
    found = filled(labels, grid(truth.shape, spacing))
    scores = [dice(found[part] == value, truth[part] == value) for value, part in ranges.items()]
    assert len(scores) >= 9
    assert np.mean(scores) > least
