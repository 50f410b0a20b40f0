"""Histograms of image values."""

from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.measure import histogram_of


def test_every_value_is_counted_where_it_lies():
    values = np.repeat([-1000.0, 0.0, 500.0], [5, 3, 2])
    histogram = histogram_of(values, bins=100)
    assert histogram.counts.sum() == 10
    centers = np.linspace(histogram.low, histogram.high, 101)[:-1] + (histogram.high - histogram.low) / 200
    assert centers[histogram.counts > 0] == pytest.approx([-1000, 0, 500], abs=16)
    assert histogram.counts[histogram.counts > 0].tolist() == [5, 3, 2]
    assert histogram.heights.max() == 1
    assert histogram.heights.min() == 0
    assert histogram.heights.shape == histogram.counts.shape


def test_values_in_steps_are_not_drawn_as_a_comb():
    histogram = histogram_of(np.repeat(np.arange(0.0, 400.0, 4.0), 50))
    inner = histogram.heights[20:-20]
    assert inner.min() > 0.6 * inner.max()


def test_few_extreme_values_leave_the_others_their_room():
    values = np.r_[np.linspace(-1000, 1000, 100_000), 30_000.0]
    histogram = histogram_of(values)
    assert histogram.high < 1200
    assert histogram.counts.sum() == len(values)


@pytest.mark.parametrize("values", [np.array([]), np.full(4, np.nan), np.full((2, 3), 7), np.array([np.inf, 7.0])])
def test_it_has_a_width_whatever_the_values(values):
    histogram = histogram_of(values)
    assert histogram.high > histogram.low
    assert np.isfinite(histogram.heights).all()
