"""Surfaces of segments out: STL, PLY and OBJ, in patient mm, for printing, planning and 3D Slicer.

All hold patient (x, y, z), mm, LPS, as DICOM has it, and say so in the words that 3D Slicer looks for
(``SPACE=LPS``). Surfaces are closed, smoothed within half a voxel, and their triangles are counter-clockwise where
seen from outside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from napari_volseg.core import Box, BoxMask, Color, RefusedError, Segmentation, UsageError, Volume
from napari_volseg.formats.files import PathLike
from napari_volseg.formats.labels import require_same_grid
from napari_volseg.formats.publishing import Draft, publish, require_no_source
from napari_volseg.spatial import surface_of

MESH_ENDINGS = (".stl", ".ply", ".obj")
_SPACE = "SPACE=LPS"
#: A triangle of a binary STL file: normal, three corners, and two bytes that nobody uses.
_STL = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("unused", "<u2")])
_STL_HEADER = 80
_PLY_VERTEX = np.dtype([("place", "<f4", 3), ("color", "u1", 3)])
_PLY_FACE = np.dtype([("count", "u1"), ("corners", "<i4", 3)])
#: Rounding of the text of an OBJ file, mm.
_OBJ_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """The surface of a segment.

    Parameters
    ----------
    name, color
        Of the segment.
    points
        (n, 3) float32, patient (x, y, z), mm, LPS.
    faces
        (m, 3) int32, counter-clockwise where seen from outside.
    """

    name: str
    color: Color
    points: NDArray[np.float32]
    faces: NDArray[np.int32]

    @property
    def triangles(self) -> NDArray[np.float32]:
        """Corners of all triangles, (m, 3, 3)."""
        return self.points[self.faces]


def meshes_of(segmentation: Segmentation) -> list[Mesh]:
    """Return the surface of every segment that has voxels, in the order of the table."""
    labels, geometry = segmentation.labels, segmentation.geometry
    boxes = find_objects(labels)
    found = []
    for segment in segmentation.table:
        slices = boxes[segment.value - 1] if segment.value <= len(boxes) else None
        if slices is not None:
            box = Box.of([s.start for s in slices], [s.stop for s in slices])
            surface = surface_of(BoxMask(box, labels[slices] == segment.value), geometry)
            points = geometry.to_patient(surface.vertices.astype(np.float64)).astype(np.float32)
            found.append(Mesh(segment.name, segment.color, points, surface.faces))
    return found


def save_surfaces(path: PathLike, segmentation: Segmentation, volume: Volume) -> Path:
    """Save the surfaces of all segments in one file.

    STL holds all triangles and nothing else, PLY a colour for each vertex, OBJ a group for each segment, with its
    colours in an .mtl file beside it.

    Parameters
    ----------
    path
        Ends in .stl, .ply or .obj.
    segmentation
        On the volume's display grid.
    volume
        What was segmented.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UsageError
        For another ending, and where no segment has a voxel.
    RefusedError
        Where labels and volume don't match, or the file can't be written or reads back differently.
    """
    target = Path(path)
    write = _WRITERS.get(target.suffix.lower())
    if write is None:
        raise UsageError(f"{target.name} is no name for surfaces: let it end in one of {', '.join(MESH_ENDINGS)}")
    require_same_grid(segmentation.geometry, volume)
    require_no_source(target, volume)
    meshes = meshes_of(segmentation)
    if not meshes:
        raise UsageError("no segment has a voxel yet, so there is no surface: segment something first")
    publish(write(target, meshes))
    return target


def _stl(target: Path, meshes: Sequence[Mesh]) -> list[Draft]:
    triangles = np.concatenate([mesh.triangles for mesh in meshes])

    def write(path: Path) -> None:
        rows = np.zeros(len(triangles), _STL)
        rows["corners"], rows["normal"] = triangles, _normals(triangles)
        header = f"napari-volseg, mm, {_SPACE}".encode().ljust(_STL_HEADER)
        path.write_bytes(header + np.uint32(len(rows)).tobytes() + rows.tobytes())

    def verify(path: Path) -> None:
        data = path.read_bytes()[_STL_HEADER:]
        count = int.from_bytes(data[:4], "little")
        _require(count == len(triangles) and len(data) == 4 + count * _STL.itemsize, target)
        _require(np.array_equal(np.frombuffer(data[4:], _STL)["corners"], triangles), target)

    return [Draft(target, write, verify)]


def _ply(target: Path, meshes: Sequence[Mesh]) -> list[Draft]:
    points, faces = _joined(meshes)
    vertices = np.zeros(len(points), _PLY_VERTEX)
    vertices["place"] = points
    vertices["color"] = np.concatenate(
        [np.tile(np.array(mesh.color, np.uint8), (len(mesh.points), 1)) for mesh in meshes]
    )
    rows = np.zeros(len(faces), _PLY_FACE)
    rows["count"], rows["corners"] = 3, faces

    def write(path: Path) -> None:
        path.write_bytes(_ply_header(len(vertices), len(rows)) + vertices.tobytes() + rows.tobytes())

    def verify(path: Path) -> None:
        _, _, body = path.read_bytes().partition(b"end_header\n")
        middle = vertices.nbytes
        _require(len(body) == middle + rows.nbytes, target)
        _require(np.array_equal(np.frombuffer(body[:middle], _PLY_VERTEX)["place"], points), target)
        _require(np.array_equal(np.frombuffer(body[middle:], _PLY_FACE)["corners"], faces), target)

    return [Draft(target, write, verify)]


def _ply_header(vertices: int, faces: int) -> bytes:
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment napari-volseg, mm, {_SPACE}",
        f"element vertex {vertices}",
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {channel}" for channel in ("red", "green", "blue")),
        f"element face {faces}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    return ("\n".join(lines) + "\n").encode()


def _obj(target: Path, meshes: Sequence[Mesh]) -> list[Draft]:
    names = _distinct([re.sub(r"\W+", "_", mesh.name).strip("_") or "segment" for mesh in meshes])
    colors = target.with_suffix(".mtl")

    def write(path: Path) -> None:
        path.write_text("\n".join(_obj_lines(names, meshes, colors.name)) + "\n", encoding="utf-8")

    def verify(path: Path) -> None:
        points, faces = _read_obj(path)
        meant_points, meant_faces = _joined(meshes)
        _require(points.shape == meant_points.shape and np.array_equal(faces, meant_faces), target)
        _require(bool(np.abs(points - meant_points).max() < _OBJ_ROUNDING), target)

    materials = "".join(_material(name, mesh.color) for name, mesh in zip(names, meshes, strict=True))

    def verify_colors(path: Path) -> None:
        _require(path.read_text(encoding="utf-8") == materials, colors)

    return [
        Draft(target, write, verify),
        Draft(colors, lambda path: _write_text(path, materials), verify_colors),
    ]


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _material(name: str, color: Color) -> str:
    channels = " ".join(f"{channel / 255:.4f}" for channel in color)
    return f"newmtl {name}\nKd {channels}\n"


def _obj_lines(names: Sequence[str], meshes: Sequence[Mesh], colors: str) -> Iterator[str]:
    yield f"# napari-volseg, mm, {_SPACE}"
    yield f"mtllib {colors}"
    first = 1
    for name, mesh in zip(names, meshes, strict=True):
        yield f"g {name}"
        yield f"usemtl {name}"
        yield from (f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.points.tolist())
        yield from (f"f {a} {b} {c}" for a, b, c in (mesh.faces + first).tolist())
        first += len(mesh.points)


def _read_obj(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    points, faces = [], []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            kind, _, rest = line.partition(" ")
            if kind == "v":
                points.append([float(word) for word in rest.split()])
            elif kind == "f":
                faces.append([int(word) - 1 for word in rest.split()])
    return np.array(points), np.array(faces)


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names, with a number behind those that came before."""
    made: list[str] = []
    for name in names:
        numbered = (f"{name}_{n}" for n in count(2))
        made.append(name if name not in made else next(other for other in numbered if other not in (*made, *names)))
    return made


def _joined(meshes: Sequence[Mesh]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return the points of all meshes, and their faces, numbered through."""
    firsts = np.cumsum([0, *(len(mesh.points) for mesh in meshes[:-1])])
    faces = [mesh.faces + first for mesh, first in zip(meshes, firsts, strict=True)]
    return np.concatenate([mesh.points for mesh in meshes]), np.concatenate(faces).astype(np.int32)


def _normals(triangles: NDArray[np.float32]) -> NDArray[np.float32]:
    first, second, third = np.moveaxis(triangles.astype(np.float64), 1, 0)
    facing = np.cross(second - first, third - first)
    lengths = np.linalg.norm(facing, axis=1, keepdims=True)
    return (facing / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _require(equal: bool, target: Path) -> None:
    if not equal:
        raise RefusedError(
            f"{target} was not saved: read back, its surfaces differ from those that were meant; check the disk",
            "export.surfaces_differ",
        )


_WRITERS: dict[str, Callable[[Path, Sequence[Mesh]], list[Draft]]] = {".stl": _stl, ".ply": _ply, ".obj": _obj}
