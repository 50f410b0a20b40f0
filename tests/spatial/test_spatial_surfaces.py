"""Surfaces of masks: what they enclose, where they lie, that they are closed, and which way they face."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_volseg.core import Box, BoxMask, CancelledError, CancelToken, Geometry
from napari_volseg.spatial import normals, surface_of, vertex_count


def oblique(shape, spacing, *, flip: bool = False) -> Geometry:
    """Return a grid turned by 30 degrees about all axes, left- or right-handed."""
    matrix = Geometry.from_spacing(shape, spacing, (-30.0, 12.0, 400.0)).matrix.copy()
    matrix[:3, :3] = Rotation.from_euler("xyz", (30, 20, -25), degrees=True).as_matrix() @ matrix[:3, :3]
    if flip:
        matrix[:3, 2] *= -1
    return Geometry(shape, matrix)


GRIDS = {
    "cubes": Geometry.from_spacing((66, 66, 66)),
    "thick slices": Geometry.from_spacing((34, 92, 92), (2.0, 0.7, 0.7)),
    "oblique": oblique((50, 60, 70), (1.4, 1.1, 0.9)),
    "mirrored": oblique((50, 60, 70), (1.4, 1.1, 0.9), flip=True),
}


def ball(geometry: Geometry, radius: float) -> tuple[BoxMask, np.ndarray]:
    """Return the voxels of a ball in the middle of a grid and its centre, patient (x, y, z)."""
    center = geometry.to_patient((np.array(geometry.shape) - 1) / 2)
    points = geometry.to_patient(np.moveaxis(np.indices(geometry.shape), 0, -1))
    return BoxMask.of(np.linalg.norm(points - center, axis=-1) <= radius), center


@pytest.mark.parametrize("name", GRIDS)
def test_a_ball_has_its_volume_its_area_and_its_place(name: str) -> None:
    geometry, radius = GRIDS[name], 25.0
    mask, center = ball(geometry, radius)
    surface = surface_of(mask, geometry)
    assert surface.volume(geometry) == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.005)
    assert surface.area(geometry) == pytest.approx(4 * np.pi * radius**2, rel=0.05)
    points = geometry.to_patient(surface.vertices)
    distances = np.linalg.norm(points - center, axis=1)
    assert np.abs(distances - radius).max() < max(geometry.spacing)
    outward = (points - center) / distances[:, None]
    assert (np.einsum("ij,ij->i", normals(surface, geometry), outward) > 0.7).all()


@pytest.mark.parametrize("name", GRIDS)
def test_a_brick_has_its_volume(name: str) -> None:
    geometry = GRIDS[name]
    box = Box.of([3, 4, 5], [n - 6 for n in geometry.shape])
    surface = surface_of(BoxMask(box, np.ones(box.shape, bool)), geometry)
    assert surface.volume(geometry) == pytest.approx(box.size * geometry.voxel_volume, rel=0.005)


def test_every_edge_has_two_triangles_that_run_along_it_in_opposite_directions() -> None:
    rng = np.random.default_rng(3)
    mask = BoxMask.of(rng.random((9, 11, 13)) < 0.5)
    faces = surface_of(mask, Geometry.from_spacing((9, 11, 13))).faces
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    there, back = ({tuple(e): n for e, n in zip(*np.unique(x, axis=0, return_counts=True), strict=True)} for x in
                   (edges, edges[:, ::-1]))  # fmt: skip
    assert there == back


def test_a_chiral_mask_lies_where_its_voxels_are() -> None:
    geometry = GRIDS["oblique"]
    full = np.zeros(geometry.shape, bool)
    for start, stop in (((4, 5, 6), (40, 12, 14)), ((4, 5, 6), (10, 40, 14)), ((4, 5, 6), (10, 12, 66))):
        full[Box(start, stop).slices] = True
    surface = surface_of(BoxMask.of(full), geometry)
    assert surface.vertices.min(0) == pytest.approx([3.5, 4.5, 5.5], abs=0.3)
    assert surface.vertices.max(0) == pytest.approx([39.5, 39.5, 65.5], abs=0.3)
    grown = ndimage.binary_dilation(full, np.ones((3, 3, 3)))
    shrunk = ndimage.binary_erosion(full, np.ones((3, 3, 3)))
    voxels = tuple(np.round(surface.vertices).astype(int).T)
    assert grown[voxels].all()
    assert not shrunk[voxels].any()


def test_a_segment_at_the_border_of_the_volume_is_closed() -> None:
    geometry = Geometry.from_spacing((20, 20, 20))
    box = Box.whole(geometry.shape)
    surface = surface_of(BoxMask(box, np.ones(box.shape, bool)), geometry)
    assert surface.volume(geometry) == pytest.approx(8000, rel=0.01)


@pytest.mark.parametrize("name", ["cubes", "thick slices", "oblique"])
def test_a_coarse_surface_has_fewer_vertices_and_nearly_the_same_volume(name: str) -> None:
    geometry = GRIDS[name]
    mask, _ = ball(geometry, 25.0)
    whole = surface_of(mask, geometry)
    assert len(whole.vertices) == vertex_count(mask)
    small = surface_of(mask, geometry, most=1500)
    assert 300 < len(small.vertices) <= 1800
    assert small.volume(geometry) == pytest.approx(whole.volume(geometry), rel=0.03)
    assert small.vertices.mean(0) == pytest.approx(whole.vertices.mean(0), abs=0.5)


def test_nothing_has_no_surface() -> None:
    geometry = Geometry.from_spacing((5, 5, 5))
    surface = surface_of(BoxMask.of(np.zeros((5, 5, 5), bool)), geometry)
    assert len(surface.faces) == surface.volume(geometry) == surface.area(geometry) == 0


def test_it_stops_when_asked() -> None:
    token = CancelToken()
    token.cancel()
    mask, _ = ball(GRIDS["cubes"], 10.0)
    with pytest.raises(CancelledError):
        surface_of(mask, GRIDS["cubes"], cancel=token)
