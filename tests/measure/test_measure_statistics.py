from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.core import Geometry, GeometryError, Segment, Segmentation, SegmentTable, UsageError, Volume
from napari_volseg.measure import segment_statistics

SHAPE = (6, 7, 8)
TABLE = SegmentTable((Segment(3, "Spleen"), Segment(1, "Liver"), Segment(9, "Absent")))


def sheared() -> Geometry:
    matrix = np.eye(4)
    matrix[:3, :3] = [[0.3, 0.1, 0.8], [0.5, 0.9, 0.0], [2.5, 0.0, 0.1]]
    return Geometry(SHAPE, matrix)


def case(geometry: Geometry, voxels: np.ndarray) -> tuple[Segmentation, Volume]:
    labels = np.zeros(SHAPE, np.uint16)
    labels[1:3, 2:5, 1:4] = 1
    labels[5, 6, 7] = 3
    return Segmentation(labels, geometry, TABLE), Volume(voxels, geometry, "CT", "HU", "HU")


def test_figures_follow_their_definitions_in_table_order() -> None:
    voxels = np.random.default_rng(0).normal(40, 10, SHAPE)
    segmentation, volume = case(Geometry.from_spacing(SHAPE, (5, 1, 1)), voxels)
    spleen, liver, absent = segment_statistics(segmentation, volume)
    inside = voxels[1:3, 2:5, 1:4]
    assert (spleen.value, liver.value, absent.value) == (3, 1, 9)
    assert liver.voxels == 18
    assert liver.volume_ml == pytest.approx(18 * 5 / 1000)
    assert (liver.min, liver.max, liver.unit) == (inside.min(), inside.max(), "HU")
    assert liver.mean == pytest.approx(inside.mean())
    assert liver.sd == pytest.approx(inside.std())
    assert liver.median == pytest.approx(np.median(inside))
    assert (liver.p5, liver.p95) == pytest.approx(tuple(np.percentile(inside, (5, 95))))
    assert (spleen.voxels, spleen.sd, spleen.mean) == (1, 0, voxels[5, 6, 7])
    assert (absent.voxels, absent.volume_ml, absent.mean, absent.max) == (0, 0, None, None)


def test_volume_of_a_sheared_grid_is_the_determinant() -> None:
    geometry = sheared()
    assert geometry.is_sheared
    spleen = segment_statistics(*case(geometry, np.zeros(SHAPE, np.int16)))[0]
    edges = geometry.matrix[:3, :3].T
    assert spleen.volume_ml == pytest.approx(abs(edges[0] @ np.cross(edges[1], edges[2])) / 1000)
    assert spleen.volume_ml < np.prod(geometry.spacing) / 1000 * 0.95


def test_voxels_that_are_not_numbers_count_for_the_volume_only() -> None:
    voxels = np.full(SHAPE, 7.0, np.float32)
    voxels[1, 2, 1] = np.nan
    voxels[5, 6, 7] = np.inf
    spleen, liver, _ = segment_statistics(*case(sheared(), voxels))
    assert (liver.voxels, liver.mean, liver.max) == (18, 7, 7)
    assert (spleen.voxels, spleen.mean) == (1, None)


def test_other_grids_and_time_series_are_refused() -> None:
    segmentation, _ = case(sheared(), np.zeros(SHAPE))
    with pytest.raises(GeometryError, match="do not lie on the grid"):
        segment_statistics(segmentation, Volume(np.zeros(SHAPE), Geometry.from_spacing(SHAPE)))
    with pytest.raises(UsageError, match="2 time points"):
        segment_statistics(segmentation, Volume(np.zeros((2, *SHAPE)), sheared()))


def test_an_empty_table_gives_no_figures() -> None:
    geometry = sheared()
    empty = Segmentation(np.zeros(SHAPE, np.uint8), geometry)
    assert segment_statistics(empty, Volume(np.zeros(SHAPE), geometry)) == ()
