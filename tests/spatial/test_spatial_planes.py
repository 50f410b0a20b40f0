"""Letters and plane axes, judged by where voxels lie in the patient."""

from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.core import Geometry, UsageError
from napari_volseg.spatial import PLANES, Letters, edge_letters, plane_axis, reorient_geometry, reorientation_to

DISPLAY = Geometry.from_spacing((4, 5, 6), (3, 1, 1))


def test_letters_of_the_three_planes_as_radiologists_expect_them() -> None:
    assert edge_letters(DISPLAY, "axial") == Letters(top="A", bottom="P", left="R", right="L")
    assert edge_letters(DISPLAY, "coronal") == Letters(top="S", bottom="I", left="R", right="L")
    assert edge_letters(DISPLAY, "sagittal") == Letters(top="S", bottom="I", left="A", right="P")


@pytest.mark.parametrize("codes", ["SPL", "IAR", "LSA", "PRI"])
def test_letters_do_not_depend_on_how_the_file_was_stored(codes: str) -> None:
    stored = reorient_geometry(DISPLAY, reorientation_to(DISPLAY, codes))
    for plane in PLANES:
        assert edge_letters(stored, plane) == edge_letters(DISPLAY, plane)


def test_plane_axis_is_the_normal() -> None:
    assert [plane_axis(DISPLAY, plane) for plane in PLANES] == [0, 1, 2]
    stored = reorient_geometry(DISPLAY, reorientation_to(DISPLAY, "LSA"))
    assert [plane_axis(stored, plane) for plane in PLANES] == [1, 2, 0]


@pytest.mark.parametrize(("degrees", "top", "right"), [(10, "A", "L"), (30, "AL", "LP"), (-30, "AR", "LA")])
def test_oblique_planes_take_a_second_letter(degrees: float, top: str, right: str) -> None:
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    matrix = DISPLAY.matrix.copy()
    matrix[:3, :3] = turn @ matrix[:3, :3]
    letters = edge_letters(Geometry(DISPLAY.shape, matrix), "axial")
    assert (letters.top, letters.right) == (top, right)


def test_an_unknown_plane_is_refused() -> None:
    with pytest.raises(UsageError, match="not a plane"):
        plane_axis(DISPLAY, "transverse")
