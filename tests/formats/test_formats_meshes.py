"""Surfaces in files: where they lie, what they enclose, which way they face, and that nothing else is left behind."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_volseg.core import Box, Geometry, RefusedError, Segmentation, SegmentTable, UsageError, Volume
from napari_volseg.formats import save_surfaces

RADIUS = 12.0
#: Patient (x, y, z), mm, of two balls from the middle: no mirror image and no quarter turn has both there.
PLACES = {"Liver, left": (14.0, -6.0, 9.0), "Spleen": (-13.0, 12.0, -5.0)}


def grid(kind: str) -> Geometry:
    matrix = Geometry.from_spacing((60, 80, 70), (1.4, 1.0, 1.1), (-30.0, 12.0, 700.0)).matrix.copy()
    match kind:
        case "oblique":
            matrix[:3, :3] = Rotation.from_euler("xyz", (30, 20, -25), degrees=True).as_matrix() @ matrix[:3, :3]
        case "mirrored":
            matrix[:3, 2] *= -1
        case "tilted":
            matrix[1, 0] += 0.4
    return Geometry((60, 80, 70), matrix)


def case(kind: str) -> tuple[Volume, Segmentation, dict[str, np.ndarray]]:
    geometry = grid(kind)
    middle = geometry.to_patient((np.array(geometry.shape) - 1) / 2)
    points = geometry.to_patient(np.moveaxis(np.indices(geometry.shape), 0, -1))
    labels, table, centers = np.zeros(geometry.shape, np.uint16), SegmentTable(), {}
    for name, place in PLACES.items():
        segment = table.new_segment(name)
        table = table.with_segment(segment)
        centers[name] = middle + place
        labels[np.linalg.norm(points - centers[name], axis=-1) <= RADIUS] = segment.value
    table = table.with_segment(table.new_segment("Nothing"))
    volume = Volume(np.zeros(geometry.shape, np.int16), geometry, "CT", "HU", "HU")
    return volume, Segmentation(labels, geometry, table), centers


def stl_triangles(path: Path) -> np.ndarray:
    data = path.read_bytes()
    assert b"SPACE=LPS" in data[:80]
    count = int.from_bytes(data[80:84], "little")
    assert len(data) == 84 + 50 * count
    return np.stack([np.frombuffer(data, "<f4", 9, 84 + 50 * i + 12).reshape(3, 3) for i in range(count)])


def ply_triangles(path: Path) -> tuple[np.ndarray, np.ndarray]:
    header, _, body = path.read_bytes().partition(b"end_header\n")
    vertices, faces = (int(re.search(rb"element %b (\d+)" % word, header)[1]) for word in (b"vertex", b"face"))
    points = np.stack([np.frombuffer(body, "<f4", 3, 15 * i) for i in range(vertices)])
    colors = np.stack([np.frombuffer(body, "u1", 3, 15 * i + 12) for i in range(vertices)])
    start = 15 * vertices
    corners = np.stack([np.frombuffer(body, "<i4", 3, start + 13 * i + 1) for i in range(faces)])
    return points[corners], colors[corners[:, 0]]


def obj_groups(path: Path) -> dict[str, np.ndarray]:
    points, groups, name = [], {}, ""
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "g":
            name = rest
        elif kind == "v":
            points.append([float(word) for word in rest.split()])
        elif kind == "f":
            groups.setdefault(name, []).append([int(word) - 1 for word in rest.split()])
    return {name: np.array(points)[np.array(faces)] for name, faces in groups.items()}


def volume_of(triangles: np.ndarray) -> float:
    a, b, c = np.moveaxis(triangles.astype(np.float64) - triangles.reshape(-1, 3).mean(0), 1, 0)
    return float((a * np.cross(b, c)).sum() / 6)


def near(triangles: np.ndarray, center: np.ndarray) -> np.ndarray:
    return triangles[np.linalg.norm(triangles.mean(1) - center, axis=1) < 1.5 * RADIUS]


@pytest.mark.parametrize("kind", ["straight", "oblique", "mirrored", "tilted"])
@pytest.mark.parametrize("ending", ["stl", "ply", "obj"])
def test_surfaces_lie_where_the_segments_are_and_face_outwards(ending, kind, tmp_path) -> None:
    volume, segmentation, centers = case(kind)
    path = save_surfaces(tmp_path / f"out.{ending}", segmentation, volume)
    match ending:
        case "stl":
            triangles = stl_triangles(path)
        case "ply":
            triangles, _ = ply_triangles(path)
        case _:
            triangles = np.concatenate(list(obj_groups(path).values()))
    for center in centers.values():
        part = near(triangles, center)
        assert np.abs(part.reshape(-1, 3).mean(0) - center).max() < 0.3
        assert volume_of(part) == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.01)
    assert sum(len(near(triangles, center)) for center in centers.values()) == len(triangles)


def test_colours_and_names_go_along(tmp_path) -> None:
    volume, segmentation, centers = case("oblique")
    triangles, colors = ply_triangles(save_surfaces(tmp_path / "out.ply", segmentation, volume))
    for segment in list(segmentation.table)[:2]:
        of_it = np.linalg.norm(triangles.mean(1) - centers[segment.name], axis=1) < 1.5 * RADIUS
        assert {tuple(color) for color in colors[of_it].tolist()} == {segment.color}
    path = save_surfaces(tmp_path / "out.obj", segmentation, volume)
    assert list(obj_groups(path)) == ["Liver_left", "Spleen"]
    assert "mtllib out.mtl" in path.read_text()
    assert re.findall(r"newmtl (\S+)", (tmp_path / "out.mtl").read_text()) == ["Liver_left", "Spleen"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mtl", "out.obj", "out.ply"]


@pytest.mark.parametrize(
    "names", [("Lesion", "Lesion", "Lesion"), ("Lesion", "Lesion", "Lesion_2"), ("Lesion_2", "Lesion", "Lesion")]
)
def test_segments_of_the_same_name_keep_apart(names, tmp_path) -> None:
    volume, segmentation, _ = case("straight")
    table = SegmentTable()
    for name in names:
        table = table.with_segment(table.new_segment(name))
    labels = segmentation.labels.copy()
    labels[:3, :3, :3] = 3
    path = save_surfaces(tmp_path / "out.obj", Segmentation(labels, segmentation.geometry, table), volume)
    assert len(obj_groups(path)) == 3


def test_a_segment_at_the_border_is_closed(tmp_path) -> None:
    volume, segmentation, _ = case("straight")
    labels = np.zeros_like(segmentation.labels)
    box = Box.of((0, 0, 0), (20, 30, 25))
    labels[box.slices] = 1
    triangles = stl_triangles(
        save_surfaces(tmp_path / "out.stl", Segmentation(labels, segmentation.geometry, segmentation.table), volume)
    )
    assert volume_of(triangles) == pytest.approx(box.size * volume.geometry.voxel_volume, rel=0.01)


def test_refusals_say_what_is_wrong_and_leave_nothing(tmp_path, monkeypatch) -> None:
    volume, segmentation, _ = case("straight")
    empty = Segmentation(np.zeros_like(segmentation.labels), segmentation.geometry, segmentation.table)
    with pytest.raises(UsageError, match="no segment has a voxel"):
        save_surfaces(tmp_path / "out.stl", empty, volume)
    with pytest.raises(UsageError, match=r"out\.vtk is no name for surfaces"):
        save_surfaces(tmp_path / "out.vtk", segmentation, volume)
    (tmp_path / "out.stl").write_bytes(b"before")
    right = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: right(self)[:-50])
    with pytest.raises(RefusedError, match="its surfaces differ"):
        save_surfaces(tmp_path / "out.stl", segmentation, volume)
    monkeypatch.undo()
    assert (tmp_path / "out.stl").read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["out.stl"]
