"""A painted slice lies as the letters of its plane say."""

from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.core import Geometry, Volume, Window
from napari_volseg.viewer.picture import picture, picture_size

SHAPE = (4, 5, 6)


@pytest.fixture
def volume():
    """Values that tell the voxel (z, y, x) by their digits."""
    z, y, x = np.indices(SHAPE)
    return Volume((36 * z + 6 * y + x).astype(np.int16), Geometry.from_spacing(SHAPE, (3.0, 2.0, 1.0)))


def value(z, y, x):
    return 36 * z + 6 * y + x


@pytest.mark.parametrize(
    ("plane", "top_left", "top_right", "bottom_left"),
    [
        # seen from the feet: anterior (y 0) on top, the patient's right (x 0) on the left
        ("axial", value(2, 0, 0), value(2, 0, 5), value(2, 4, 0)),
        # from the front: superior (z 3) on top, the patient's right on the left
        ("coronal", value(3, 2, 0), value(3, 2, 5), value(0, 2, 0)),
        # superior on top, anterior on the left
        ("sagittal", value(3, 0, 2), value(3, 4, 2), value(0, 0, 2)),
    ],
)
def test_corners(volume, plane, top_left, top_right, bottom_left):
    grey = picture(volume, plane, 2, Window.between(0, 255))
    assert [grey[0, 0], grey[0, -1], grey[-1, 0]] == [top_left, top_right, bottom_left]


@pytest.mark.parametrize(
    ("plane", "size"), [("axial", (10.0, 6.0)), ("coronal", (12.0, 6.0)), ("sagittal", (12.0, 10.0))]
)
def test_size(volume, plane, size):
    assert picture_size(volume, plane) == pytest.approx(size)


def test_a_window_is_black_below_and_white_above(volume):
    grey = picture(volume, "axial", 0, Window.between(6, 12))
    assert grey[0].tolist() == [0] * 6
    assert grey[1].tolist() == [0, 42, 85, 127, 170, 212]
    assert (grey[2:] == 255).all()
