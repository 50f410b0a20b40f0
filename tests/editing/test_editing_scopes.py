from __future__ import annotations

import numpy as np
import pytest
from tool_phantoms import grid, sheared

from napari_volseg.core import UsageError
from napari_volseg.editing import OnSlice, Slab, slab_about

SHAPE = (9, 14, 17)


@pytest.mark.parametrize(
    ("mm", "slab"),
    [(0, (4, 5)), (4.99, (4, 5)), (5, (3, 6)), (5 + 1e-12, (3, 6)), (9.9, (3, 6)), (10, (2, 7)), (100, (0, 9))],
)
def test_a_slab_holds_the_slices_within_a_distance(mm: float, slab: tuple[int, int]) -> None:
    assert slab_about(grid(SHAPE), OnSlice(0, 4), mm) == Slab(0, *slab)


def test_slices_of_a_sheared_grid_are_apart_at_a_right_angle() -> None:
    geometry = sheared(SHAPE)
    across = np.cross(geometry.matrix[:3, 1], geometry.matrix[:3, 2])
    apart = abs(geometry.matrix[:3, 0] @ across) / np.linalg.norm(across)
    assert apart < geometry.spacing[0]
    assert slab_about(geometry, OnSlice(0, 4), 2 * apart) == Slab(0, 2, 7)
    assert slab_about(geometry, OnSlice(0, 4), 1.99 * apart) == Slab(0, 3, 6)


@pytest.mark.parametrize("mm", [-1.0, float("nan"), float("inf")])
def test_what_is_no_distance_is_refused(mm: float) -> None:
    with pytest.raises(UsageError, match="finite distance"):
        slab_about(grid(SHAPE), OnSlice(0, 4), mm)
