from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tool_phantoms import chiral, grid, moved, sheared

from napari_volseg.core import Box, CancelledError, CancelToken, Geometry, UsageError
from napari_volseg.editing import (
    InVolume,
    OnSlice,
    ScreenView,
    Slab,
    column_of_sight,
    cut_out,
    fill_outline,
    follow_edge,
)

SHAPE = (9, 14, 17)
GRIDS = pytest.mark.parametrize("geometry", [grid(SHAPE), sheared(SHAPE)], ids=["anisotropic", "sheared"])
#: An L: differs from its mirror images.
CHIRAL_OUTLINE = np.array([(2.3, 2.4), (2.3, 9.7), (5.6, 9.7), (5.6, 5.2), (10.8, 5.2), (10.8, 2.4)])


def within(points: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Brute force, even-odd rule: points (..., 2) within a polygon."""
    inside = np.zeros(points.shape[:-1], bool)
    for (a, b), (c, d) in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        x, y = points[..., 0], points[..., 1]
        crosses = (a > x) != (c > x)
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= crosses & (y < (d - b) * (x - a) / (c - a) + b)
    return inside


def indices(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)


@GRIDS
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_voxels_with_their_centre_in_the_outline_are_filled(geometry: Geometry, axis: int) -> None:
    vertices = np.insert(CHIRAL_OUTLINE * (0.6 if axis else 1), axis, 4.0, axis=1)
    found = fill_outline(geometry, geometry.to_patient(vertices), OnSlice(axis, 4)).expand(SHAPE)
    plane = np.delete(indices(), axis, axis=-1)
    expected = within(plane, np.delete(vertices, axis, axis=1)) & (indices()[..., axis] == 4)
    assert expected.any()
    assert np.array_equal(found, expected)


@GRIDS
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_outline_goes_through_several_slices(geometry: Geometry, axis: int) -> None:
    vertices = geometry.to_patient(np.insert(CHIRAL_OUTLINE * (0.6 if axis else 1), axis, 4.0, axis=1))
    flat = fill_outline(geometry, vertices, OnSlice(axis, 4)).expand(SHAPE).any(axis=axis, keepdims=True)
    for scope, slices in ((Slab(axis, 3, 6), range(3, 6)), (InVolume(), range(SHAPE[axis]))):
        expected = flat & np.isin(indices()[..., axis], list(slices))
        assert np.array_equal(fill_outline(geometry, vertices, OnSlice(axis, 4), scope).expand(SHAPE), expected)


def test_an_outline_is_clipped_to_the_slice() -> None:
    vertices = grid(SHAPE).to_patient([(4, -5, -5), (4, -5, 5.5), (4, 3.5, 5.5), (4, 3.5, -5)])
    assert fill_outline(grid(SHAPE), vertices, OnSlice(0, 4)).box == Box((4, 0, 0), (5, 4, 6))
    assert fill_outline(grid(SHAPE), vertices + np.array([0, 500, 0]), OnSlice(0, 4)).mask.size == 0


@pytest.mark.parametrize("count", [0, 1, 2])
def test_outlines_that_enclose_nothing_are_refused(count: int) -> None:
    with pytest.raises(UsageError, match="at least three"):
        fill_outline(grid(SHAPE), np.zeros((count, 3)), OnSlice(0, 4))
    with pytest.raises(UsageError, match="at least three"):
        cut_out(chiral(), 3, grid(SHAPE), front(grid(SHAPE)), np.zeros((count, 2)))


def disc_image(shape: tuple[int, int, int], radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: shape[1], : shape[2]]
    plane = np.where(np.hypot(rows - shape[1] / 2, columns - shape[2] / 2) < radius, 60.0, -100.0)
    return (plane + np.random.default_rng(0).normal(0, 8, shape)).astype(np.int16)


def test_a_path_follows_the_edge_instead_of_the_chord() -> None:
    voxels = disc_image((3, 160, 180), 50)
    start, stop = (1, 80, 40), (1, 30, 90)
    path = follow_edge(voxels, grid(voxels.shape), start, stop, OnSlice(0, 1))
    assert path[0].tolist() == list(start)
    assert path[-1].tolist() == list(stop)
    assert (path[:, 0] == 1).all()
    assert np.abs(np.hypot(path[:, 1] - 80, path[:, 2] - 90) - 50).max() < 3
    assert np.abs(np.diff(path, axis=0)).max() <= 1


@pytest.mark.parametrize("axis", [1, 2])
def test_a_path_on_other_slices(axis: int) -> None:
    voxels = np.moveaxis(disc_image((3, 160, 180), 50), 0, axis)
    start, stop = np.insert([80.0, 40.0], axis, 1), np.insert([30.0, 90.0], axis, 1)
    path = np.delete(follow_edge(voxels, grid(voxels.shape, (1, 1, 1)), start, stop, OnSlice(axis, 1)), axis, axis=1)
    assert np.abs(np.hypot(path[:, 0] - 80, path[:, 1] - 90) - 50).max() < 3


def test_where_nothing_is_to_be_seen_the_path_is_straight() -> None:
    path = follow_edge(np.zeros((1, 50, 60)), grid((1, 50, 60), (1, 1, 1)), (0, 5, 7), (0, 45, 47), OnSlice(0, 0))
    assert np.array_equal(path[:, 1] - 5, path[:, 2] - 7)
    same = follow_edge(np.zeros((1, 50, 60)), grid((1, 50, 60)), (0, 5, 7), (0, 5, 7), OnSlice(0, 0))
    assert same.tolist() == [[0, 5, 7], [0, 5, 7]]


def test_points_beyond_the_slice_are_moved_to_its_border() -> None:
    path = follow_edge(np.zeros((2, 20, 30)), grid((2, 20, 30)), (1, -5, 4), (1, 10, 99), OnSlice(0, 1))
    assert path[0].tolist() == [1, 0, 4]
    assert path[-1].tolist() == [1, 10, 29]


def test_long_paths_keep_to_the_edge() -> None:
    voxels, geometry = disc_image((1, 512, 512), 200), grid((1, 512, 512))
    for angle in (1.0, 1.6, 2.2):
        stop = (0, 256 + 200 * np.sin(angle), 256 + 200 * np.cos(angle))
        path = follow_edge(voxels, geometry, (0, 256, 456), stop, OnSlice(0, 0))
        assert np.abs(np.hypot(path[:, 1] - 256, path[:, 2] - 256) - 200).max() < 8


def test_a_path_is_not_drawn_to_a_stronger_edge_far_away() -> None:
    """The border of an organ, 60 against -100, within a body whose skin is ten times as sharp."""
    voxels = disc_image((1, 200, 220), 40).astype(float)
    rows, columns = np.mgrid[:200, :220]
    voxels[0][np.hypot(rows - 100, columns - 110) > 75] = -1700
    path = follow_edge(voxels, grid(voxels.shape, (1, 1, 1)), (0, 100, 70), (0, 60, 110), OnSlice(0, 0))
    assert np.abs(np.hypot(path[:, 1] - 100, path[:, 2] - 110) - 40).max() < 3


def front(geometry: Geometry) -> ScreenView:
    """Seen from anterior: u runs towards the patient's left, v downwards, both in mm from voxel (0, 0, 0)."""
    return ScreenView.parallel(geometry.origin, (1, 0, 0), (0, 0, -1), (0, 1, 0))


@GRIDS
@pytest.mark.parametrize("part", ["inside", "outside"])
def test_a_lasso_cuts_through_at_any_depth(geometry: Geometry, part: str) -> None:
    labels, view = chiral(), front(geometry)
    middle = view.project(geometry.to_patient((4.2, 6.1, 7.3)))
    lasso = middle + (CHIRAL_OUTLINE - 4) * (0.5, 0.9)
    seen = geometry.to_patient(indices()) - geometry.origin
    inside = within(np.stack([seen[..., 0], -seen[..., 2]], -1), lasso)
    expected = (labels == 3) & (inside if part == "inside" else ~inside)
    assert 0 < np.count_nonzero(expected) < np.count_nonzero(labels)
    assert np.array_equal(cut_out(labels, 3, geometry, view, lasso, part).expand(SHAPE), expected)


def test_what_is_filled_lies_in_the_box() -> None:
    geometry, box = grid(SHAPE), Box((1, 2, 3), (8, 30, 12))
    lasso = [(-1, 5), (20, 5), (20, -22), (-1, -22)]
    found = column_of_sight(geometry, front(geometry), lasso, box)
    assert found.box == Box((1, 2, 3), (5, 14, 12))
    assert found.mask.all()


def test_a_slanted_line_of_sight() -> None:
    """Looking along a direction that is not at right angles to the screen, points slide along it, not across."""
    view = ScreenView.parallel((1, 2, 3), (2, 0, 0), (0, 0, -1), (1, 1, 0))
    assert view.project((1, 2, 3)) == pytest.approx((0, 0))
    assert view.project((3, 2, 3)) == pytest.approx((1, 0))
    assert view.project((1 + 7, 2 + 7, 3)) == pytest.approx((0, 0))


def test_perspective_and_what_lies_behind_the_viewer() -> None:
    """A camera at the middle of the volume that looks to posterior sees nothing in front of it, on neither side."""
    geometry = grid((5, 40, 50), (1, 1, 1))
    labels = np.ones(geometry.shape, np.uint8)
    eye = geometry.to_patient((2, 20, 25))
    matrix = np.array([[1, 0, 0, -eye[0]], [0, 0, -1, eye[2]], [0, 1, 0, -eye[1]]])
    view = ScreenView(matrix)
    lasso = [(-0.5, -9), (0.5, -9), (0.5, 9), (-0.5, 9)]
    inside = cut_out(labels, 1, geometry, view, lasso).expand(geometry.shape)
    outside = cut_out(labels, 1, geometry, view, lasso, "outside").expand(geometry.shape)
    assert not (inside | outside)[:, :21].any()
    assert (inside ^ outside)[:, 21:].all()
    for y in (25, 35):
        assert np.flatnonzero(inside[2, y]).tolist() == [x for x in range(50) if abs(x - 25) < (y - 20) / 2]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_any_lasso_holds_what_brute_force_holds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lasso = rng.uniform(-12, 25, (rng.integers(3, 12), 2))
    geometry = Geometry.from_spacing((2, 30, 40), (1, 0.77, 0.71), (0.003, 0.007, 0))
    view = ScreenView.parallel((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    found = column_of_sight(geometry, view, lasso, Box.whole(geometry.shape)).expand(geometry.shape)
    assert np.array_equal(found, within(geometry.to_patient(indices(geometry.shape))[..., :2], lasso))


def test_cutting_does_not_depend_on_the_place_in_the_volume() -> None:
    by, shape = (20, 3, 31), (40, 30, 60)
    view = front(grid(SHAPE))
    lasso = view.project(grid(SHAPE).to_patient((4, 6, 7))) + (CHIRAL_OUTLINE - 4) * (0.51, 2.03)
    near = cut_out(chiral(), 3, grid(SHAPE), view, lasso)
    step = view.project(grid(shape).to_patient(by)) - view.project(grid(shape).to_patient((0, 0, 0)))
    far = cut_out(moved(chiral(), by, shape), 3, grid(shape), view, lasso + step)
    assert far.box == near.box.shift(by)
    assert np.array_equal(far.mask, near.mask)


def test_views_that_show_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="within the screen"):
        ScreenView.parallel((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0))
    with pytest.raises(UsageError, match="3×4"):
        ScreenView(np.eye(3))
    with pytest.raises(UsageError, match="3×4"):
        ScreenView(np.full((3, 4), np.nan))


@GRIDS
def test_several_segments_are_cut_and_others_stay(geometry: Geometry) -> None:
    labels = chiral()
    labels[2:6, 3:9, 4:8] = 7
    labels[0, 0, :] = 9
    view = front(geometry)
    lasso = view.project(geometry.to_patient((4.2, 6.1, 7.3))) + (CHIRAL_OUTLINE - 4) * (0.5, 0.9)
    alone = [cut_out(labels, value, geometry, view, lasso).expand(SHAPE) for value in (3, 7)]
    assert all(mask.any() for mask in alone)
    assert np.array_equal(cut_out(labels, [3, 7], geometry, view, lasso).expand(SHAPE), alone[0] | alone[1])
    assert cut_out(labels, [5], geometry, view, lasso).mask.size == 0


def test_cutting_tells_how_far_it_is_and_stops_when_asked() -> None:
    told, token, lasso = [], CancelToken(), [(0, 0), (9, 0), (0, -9)]
    cut_out(chiral(), 3, grid(SHAPE), front(grid(SHAPE)), lasso, progress=told.append)
    assert [(p.done, p.total) for p in told] == [(k, 5) for k in range(5)]
    token.cancel()
    with pytest.raises(CancelledError):
        cut_out(chiral(), 3, grid(SHAPE), front(grid(SHAPE)), lasso, cancel=token)


def test_parallel_lines_of_sight_make_the_view_along_them() -> None:
    rng = np.random.default_rng(1)
    points, along = rng.normal(0, 50, (9, 3)), np.array([1.0, 2.0, -2.0])
    view, screen = ScreenView.through(points, np.broadcast_to(along, points.shape))
    assert view.project(points + 7 * along) == pytest.approx(screen)
    distances = np.linalg.norm(np.cross(points - points[0], along / 3), axis=1)
    assert np.linalg.norm(screen - screen[0], axis=1) == pytest.approx(distances)


def test_lines_of_sight_from_one_eye_make_the_view_of_that_eye() -> None:
    rng = np.random.default_rng(2)
    eye, points = np.array([30.0, -400.0, 90.0]), rng.normal(0, 60, (12, 3))
    view, screen = ScreenView.through(eye + (points - eye) * rng.uniform(0.2, 3, (12, 1)), points - eye)
    assert view.project(points) == pytest.approx(screen)
    assert np.isnan(view.project(2 * eye - points)).all()
    assert view.project(eye + (points - eye) * 0.01) == pytest.approx(screen)


def test_no_lines_of_sight_are_no_view() -> None:
    with pytest.raises(UsageError, match="draw a lasso"):
        ScreenView.through(np.empty((0, 3)), np.empty((0, 3)))
    with pytest.raises(UsageError, match="draw a lasso"):
        ScreenView.through([(1, 2, 3)], [(0, 0, 0)])
