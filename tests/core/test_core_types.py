import numpy as np
import pytest

from napari_volseg.core import (
    Box,
    BoxMask,
    CancelledError,
    CancelToken,
    Geometry,
    GeometryError,
    Progress,
    Segment,
    Segmentation,
    SegmentTable,
    TimeAxis,
    UsageError,
    Volume,
    Window,
    auto_window,
    color_for,
)


def test_boxes_clip_pad_join_and_meet():
    box = Box((2, 3, 4), (5, 6, 9))
    assert box.shape == (3, 3, 5)
    assert box.pad((1, 0, 2)) == Box((1, 3, 2), (6, 6, 11))
    assert box.pad(9).clip((6, 7, 8)) == Box.whole((6, 7, 8))
    assert box.union(Box((0, 4, 4), (3, 5, 5))) == Box((0, 3, 4), (5, 6, 9))
    assert box.intersect(Box((9, 9, 9), (10, 10, 10))).size == 0


def test_a_mask_is_cut_to_its_tight_box_and_seen_in_others():
    full = np.zeros((6, 7, 8), bool)
    full[1, 2, 3] = full[4, 2, 7] = True
    cut = BoxMask.of(full)
    assert cut.box == Box((1, 2, 3), (5, 3, 8))
    assert np.array_equal(cut.expand(full.shape), full)
    other = Box((3, 0, 5), (6, 7, 8))
    assert np.array_equal(cut.within(other), full[other.slices])
    assert BoxMask.of(np.zeros((3, 3, 3), bool)).box.size == 0


def test_box_around_points_includes_them():
    box = Box.around(np.array([[1.4, 2.0, 3.9]]), (1, 1, 0))
    assert box == Box((0, 1, 3), (4, 4, 5))


def test_volumes_are_read_only_and_fit_their_grid():
    voxels = np.zeros((2, 3, 4), np.int16)
    volume = Volume(voxels, Geometry.from_spacing((2, 3, 4)))
    with pytest.raises(ValueError, match="read-only"):
        volume.voxels[0, 0, 0] = 1
    assert voxels.flags.writeable
    with pytest.raises(GeometryError, match="do not fill"):
        Volume(voxels, Geometry.from_spacing((2, 3, 5)))


def test_a_time_point_of_a_series_is_a_volume():
    voxels = np.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4)
    volume = Volume(voxels, Geometry.from_spacing((2, 3, 4)), time=TimeAxis("time", "s", (0, 1)))
    assert np.array_equal(volume.at_time(1).voxels, voxels[1])
    assert volume.at_time(1).time is None


def test_segment_tables_are_changed_by_copy():
    table = SegmentTable((Segment(1, "Liver"), Segment(3, "Spleen")))
    assert table.next_value() == 2
    grown = table.with_segment(table.new_segment())
    assert grown.values == (1, 3, 2)
    assert grown[2].color == color_for(2)
    assert grown.edited(3, locked=True).locked_values == (3,)
    assert grown.without(1).values == (3, 2)
    assert len(table) == 2
    with pytest.raises(UsageError, match="no segment with label 9"):
        table[9]
    with pytest.raises(UsageError, match="not unique"):
        SegmentTable((Segment(1, "a"), Segment(1, "b")))


def test_labels_must_match_their_image():
    with pytest.raises(GeometryError, match=r"\(2, 3, 4\)"):
        Segmentation(np.zeros((2, 3, 4), np.uint8), Geometry.from_spacing((2, 3, 5)))
    with pytest.raises(UsageError, match="float32"):
        Segmentation(np.zeros((2, 3, 4), np.float32), Geometry.from_spacing((2, 3, 4)))


def test_windows_have_limits_and_a_positive_width():
    assert Window(40, 400).limits == (-160, 240)
    assert Window.between(-10, 30).center == 10
    with pytest.raises(UsageError, match="width"):
        Window(40, 0)


def test_the_automatic_window_leaves_air_and_padding_out():
    rng = np.random.default_rng(0)
    voxels = np.concatenate([np.zeros(50_000), rng.normal(500, 50, 20_000), np.full(10_000, -2000)])
    low, high = auto_window(voxels, padding=-2000).limits
    assert 300 < low < 450
    assert 550 < high < 750
    assert auto_window(np.full(10, np.nan)).width > 0
    assert auto_window(np.full(10, 7)).width > 0


def test_cancelling_is_seen_by_the_job():
    token = CancelToken()
    token.check()
    token.cancel()
    with pytest.raises(CancelledError):
        token.check()
    assert Progress(1, 4).fraction == 0.25
    assert Progress(0, 0).fraction == 0
