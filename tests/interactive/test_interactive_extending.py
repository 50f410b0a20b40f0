"""An outline carried from one slice to its neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.core import BoxMask, CancelledError, CancelToken, Geometry, Volume
from napari_volseg.interactive import extended, installed_network

#: A frame that is turned, so that a mix-up of axes or frames shows.
TURN = np.array([[0.0, 0.8, 0.6], [0.0, -0.6, 0.8], [1.0, 0.0, 0.0]])
LENGTH, FIRST, LAST = 30, 4, 25


def slanted(axis):
    """A body whose outline wanders to one side, turns and grows along an axis, from `FIRST` to `LAST`; its image."""
    rows, columns = np.mgrid[:56, :64]
    slices = np.zeros((LENGTH, 56, 64), bool)
    for index in range(FIRST, LAST + 1):
        centre_row, centre_column = 20 + 0.6 * index, 40 - 0.8 * index
        angle = 0.05 * index
        a = (rows - centre_row) * np.cos(angle) + (columns - centre_column) * np.sin(angle)
        b = -(rows - centre_row) * np.sin(angle) + (columns - centre_column) * np.cos(angle)
        slices[index] = (a / (6 + 0.15 * index)) ** 2 + (b / 10) ** 2 <= 1
    image = np.where(slices, 60.0, -40.0) + np.random.default_rng(axis).normal(0, 8, slices.shape)
    spacing = np.array((2.0, 1.2, 1.2))[[0, 1, 2] if axis == 0 else [1, 0, 2] if axis == 1 else [1, 2, 0]]
    mask, image = np.moveaxis(slices, 0, axis), np.moveaxis(image, 0, axis)
    matrix = np.eye(4)
    matrix[:3, :3] = TURN * spacing
    matrix[:3, 3] = (-40, 12, 300)
    geometry = Geometry(mask.shape, matrix)
    return Volume(np.ascontiguousarray(image.astype(np.int16)), geometry, "CT", "HU"), mask


def only(mask, axis, slices):
    """What a mask has on some slices."""
    kept = np.zeros_like(mask)
    place = [slice(None)] * 3
    place[axis] = slices
    kept[tuple(place)] = mask[tuple(place)]
    return BoxMask.of(kept)


def by_slice(mask, axis):
    return np.moveaxis(mask, axis, 0)


def overlap(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("network", [False, True])
def test_an_outline_follows_a_body_that_wanders(axis, network):
    volume, truth = slanted(axis)
    drawn = only(truth, axis, [14])
    helper = installed_network() if network else None
    found = extended(volume, drawn, axis, 14, range(6, 23), helper).mask.expand(truth.shape)
    seen, wanted = by_slice(found, axis), by_slice(truth, axis)
    assert np.array_equal(seen[14], wanted[14])
    assert overlap(seen[6:23], wanted[6:23]) > 0.9
    assert min(overlap(seen[index], wanted[index]) for index in range(6, 23)) > 0.8
    assert not seen[:6].any()
    assert not seen[23:].any()


def test_it_ends_where_the_body_ends():
    volume, truth = slanted(0)
    found = extended(volume, only(truth, 0, [14]), 0, 14, range(LENGTH), None)
    low, high = found.ends
    assert abs(low - FIRST) <= 1
    assert abs(high - LAST) <= 1
    seen = found.mask.expand(truth.shape)
    assert not seen[: low - 1].any()
    assert not seen[high + 1 :].any()


def test_a_leap_in_size_is_marked_and_not_followed():
    volume, truth = slanted(0)
    image = volume.voxels.copy()
    image[18:] = 60
    leaping = Volume(image, volume.geometry, "CT", "HU")
    found = extended(leaping, only(truth, 0, [14]), 0, 14, range(10, 24), None)
    assert found.ends[1] < 23
    if found.unsure:
        assert found.ends[1] + 1 in found.unsure


def test_drawn_slices_stay_as_they_are_and_guide_what_follows():
    volume, truth = slanted(0)
    slices = truth.copy()
    slices[[i for i in range(LENGTH) if i not in (14, 18)]] = False
    slices[18] = np.roll(slices[18], (0, 9), (0, 1))
    found = extended(volume, BoxMask.of(slices), 0, 14, range(10, 22), None).mask.expand(truth.shape)
    assert np.array_equal(found[18], slices[18])
    assert np.array_equal(found[14], truth[14])
    assert overlap(found[16], truth[16]) > 0.9


def test_a_range_to_one_side_leaves_the_other():
    volume, truth = slanted(1)
    found = extended(volume, only(truth, 1, [14]), 1, 14, range(14, 18), None)
    assert found.ends == (14, 17)
    seen = by_slice(found.mask.expand(truth.shape), 1)
    assert not seen[:14].any()


def test_cancelling_stops_it():
    volume, truth = slanted(0)
    token = CancelToken()
    token.cancel()
    with pytest.raises(CancelledError):
        extended(volume, only(truth, 0, [14]), 0, 14, range(6, 23), None, cancel=token)
