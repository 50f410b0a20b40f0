from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_volseg.core import BoxMask, Geometry, Segment, Segmentation, SegmentTable, UsageError
from napari_volseg.editing import Author, EditSession, disc, path_discs, path_spheres, sphere

SHAPE = (24, 60, 50)


def anisotropic() -> Geometry:
    return Geometry.from_spacing(SHAPE, (3.0, 0.8, 1.1), (-20, 40, 7))


def oblique_sheared() -> Geometry:
    """Turned by 30° and 20°, anisotropic, with the gantry-tilt shear of 18°."""
    a, b, tilt = np.radians((30, 20, 18))
    turn_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    columns = np.array([[0, 0, 1.1], [3.0 * np.tan(tilt), 0.8, 0], [3.0, 0, 0]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn_z @ turn_x @ columns
    matrix[:3, 3] = (12, -30, 5)
    return Geometry(SHAPE, matrix)


GRIDS = pytest.mark.parametrize("geometry", [anisotropic(), oblique_sheared()], ids=["anisotropic", "sheared"])


def indices() -> np.ndarray:
    return np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1)


def distance_to_line(geometry: Geometry, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Brute force, point by point in patient space: distance of every voxel to the line's dense samples, mm."""
    points = geometry.to_patient(indices())
    best = np.full(SHAPE, np.inf)
    for t in np.linspace(0, 1, 400):
        best = np.minimum(best, np.linalg.norm(points - geometry.to_patient(start + t * (stop - start)), axis=-1))
    return best


@GRIDS
def test_a_sphere_is_every_voxel_within_the_radius_in_patient_mm(geometry: Geometry) -> None:
    center = np.array((11.3, 29.6, 24.2))
    distance = np.linalg.norm(geometry.to_patient(indices()) - geometry.to_patient(center), axis=-1)
    assert np.array_equal(sphere(geometry, center, 9.0).expand(SHAPE), distance <= 9.0)


@GRIDS
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_disc_lies_in_its_slice_and_is_round_in_patient_mm(geometry: Geometry, axis: int) -> None:
    center = np.array((11.0, 29.0, 24.0))
    mask = disc(geometry, center + 0.3 * np.eye(3)[axis], 7.93, axis).expand(SHAPE)
    distance = np.linalg.norm(geometry.to_patient(indices()) - geometry.to_patient(center), axis=-1)
    in_slice = indices()[..., axis] == center[axis]
    assert np.array_equal(mask, in_slice & (distance <= 7.93))


@GRIDS
def test_volumes_and_areas_are_those_of_ball_and_circle(geometry: Geometry) -> None:
    center, radius = (11.5, 29.5, 24.5), 15.0
    volume = sphere(geometry, center, radius).mask.sum() * geometry.voxel_volume
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.02)
    in_plane = geometry.matrix[:3, 1:3]
    pixel = np.linalg.norm(np.cross(in_plane[:, 0], in_plane[:, 1]))
    assert disc(geometry, center, radius, 0).mask.sum() * pixel == pytest.approx(np.pi * radius**2, rel=0.02)


@GRIDS
def test_a_path_is_a_capsule(geometry: Geometry) -> None:
    start, stop = np.array((5.0, 10.0, 8.0)), np.array((17.0, 45.0, 40.0))
    mask = path_spheres(geometry, start, stop, 4.0).expand(SHAPE)
    distance = distance_to_line(geometry, start, stop)
    assert mask[distance <= 3.98].all()
    assert not mask[distance > 4.02].any()


@GRIDS
def test_a_path_of_discs_stays_in_the_slice_of_its_end(geometry: Geometry) -> None:
    start, stop = np.array((4.0, 10.0, 8.0)), np.array((7.0, 45.0, 40.0))
    mask = path_discs(geometry, start, stop, 4.0, 0).expand(SHAPE)
    distance = distance_to_line(geometry, np.array((7.0, 10.0, 8.0)), stop)
    in_slice = indices()[..., 0] == 7
    assert mask[in_slice & (distance <= 3.98)].all()
    assert not mask[~in_slice | (distance > 4.02)].any()


coordinates = st.tuples(*(st.floats(-10, n + 10) for n in SHAPE))


@settings(max_examples=60, deadline=None)
@given(coordinates, coordinates, st.floats(0.05, 12), st.booleans())
def test_paths_are_clipped_connected_and_hold_both_ends(
    start: tuple[float, ...], stop: tuple[float, ...], radius: float, flat: bool
) -> None:
    geometry = oblique_sheared()
    start = (stop[0], *start[1:]) if flat else start
    patch = path_discs(geometry, start, stop, radius, 0) if flat else path_spheres(geometry, start, stop, radius)
    assert patch.box.clip(SHAPE) == patch.box
    mask = patch.expand(SHAPE)
    for end in (start, stop):
        if geometry.contains(end):
            assert mask[tuple(np.round(end).astype(int))]
    if geometry.contains(start) and geometry.contains(stop):
        assert ndimage.label(mask, np.ones((3, 3, 3)))[1] == 1


def test_a_brush_thinner_than_a_voxel_draws_a_line_without_gaps() -> None:
    mask = path_discs(anisotropic(), (3, 2, 2), (3, 50, 33), 0.01, 0).expand(SHAPE)
    assert mask.any(axis=(0, 2)).sum() == 49
    assert mask.sum() < 100


def test_one_wholly_outside_is_empty() -> None:
    patch = sphere(anisotropic(), (-50, 20, 20), 5.0)
    assert isinstance(patch, BoxMask)
    assert patch.mask.size == 0


@pytest.mark.parametrize("radius", [0.0, -1.0, np.nan, np.inf])
def test_a_radius_that_paints_nothing_is_refused(radius: float) -> None:
    with pytest.raises(UsageError, match="positive radius"):
        disc(anisotropic(), (3, 3, 3), radius, 0)


def test_a_dab_costs_what_it_covers_however_large_the_volume_is() -> None:
    geometry = Geometry.from_spacing((300, 512, 512), (2.5, 0.7, 0.7))
    labels = np.zeros(geometry.shape, np.uint16)
    session = EditSession(Segmentation(labels, geometry, SegmentTable((Segment(1, "Liver"),))))
    stroke = session.stroke(1, name="Brush", author=Author("hand", "test"))
    tracemalloc.start()
    for i in range(20):
        stroke.add(path_discs(geometry, (150, 200 + i, 200), (150, 201 + i, 203), 10.0, 0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < labels[0].nbytes
    step = stroke.finish()
    assert step is not None
    assert step.nbytes < 10_000
