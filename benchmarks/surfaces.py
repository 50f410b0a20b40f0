"""How fast surfaces of segments are made: one organ against VTK's flying edges, many segments, and after a dab.

    python benchmarks/surfaces.py [--vtk PYTHON] [--segments 100] [--shape 600 512 512] [--json FILE]

``--vtk`` is a Python that has VTK, in an environment of its own. CPU time of the process, one thread each; the best
of five, in turns. VTK makes the surface of the voxels as it is, with normals; ours is relaxed, with normals and
light.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.app.surface_maker import MOST, SurfaceMaker
from napari_volseg.core import NEVER, Box, BoxMask, Geometry, SegmentTable, no_progress
from napari_volseg.spatial import normals, surface_of

VTK = """
import sys, time, numpy as np, vtk
from vtk.util.numpy_support import numpy_to_vtk
vtk.vtkSMPTools.Initialize(1)
mask = np.pad(np.load(sys.argv[1]), 1).view(np.uint8)
image = vtk.vtkImageData()
image.SetDimensions(mask.shape[::-1])
image.GetPointData().SetScalars(numpy_to_vtk(mask.ravel()))
edges = vtk.vtkFlyingEdges3D()
edges.SetInputData(image)
edges.SetValue(0, 0.5)
edges.ComputeNormalsOn()
edges.ComputeGradientsOff()
began = time.process_time()
edges.Update()
print(time.process_time() - began)
"""


def organ(shape: tuple[int, int, int] = (220, 260, 300)) -> NDArray[np.bool_]:
    """Return a lumpy ball (z, y, x), as large as a liver in a thin-sliced CT."""
    rng = np.random.default_rng(0)
    away = np.linalg.norm(np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")), axis=0)
    lumps = ndimage.zoom(rng.normal(size=(8, 8, 8)), [n / 8 for n in shape], order=1)
    return away + 0.12 * lumps < 0.8


def many(shape: tuple[int, int, int], count: int) -> tuple[NDArray[np.uint16], SegmentTable]:
    """Return labels (z, y, x) of balls of all sizes, and their table."""
    rng = np.random.default_rng(1)
    labels, table = np.zeros(shape, np.uint16), SegmentTable()
    for value in range(1, count + 1):
        radius = int(rng.integers(8, min(shape) // 8))
        ball = np.linalg.norm(np.indices((2 * radius + 1,) * 3) - radius, axis=0) <= radius
        start = [int(rng.integers(0, n - ball.shape[0])) for n in shape]
        labels[tuple(slice(a, a + n) for a, n in zip(start, ball.shape, strict=True))][ball] = value
        table = table.with_segment(table.new_segment())
    return labels, table


def against_vtk(python: str) -> dict[str, float]:
    """Return the seconds that an organ's surface takes, whole, as fine as it is shown, and with VTK."""
    mask = BoxMask.of(organ())
    geometry = Geometry.from_spacing(mask.box.stop)
    times: dict[str, list[float]] = {"ours, every voxel": [], "ours, as shown": [], "VTK": []}
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, mask.mask)
        for _ in range(5):
            for name, most in (("ours, every voxel", None), ("ours, as shown", MOST)):
                began = time.process_time()
                normals(surface_of(mask, geometry, most=most), geometry)
                times[name].append(time.process_time() - began)
            done = subprocess.run([python, "-c", VTK, file.name], capture_output=True, text=True, check=True)
            times["VTK"].append(float(done.stdout.split()[-1]))
    return {name: min(values) for name, values in times.items()}


def in_background(shape: tuple[int, int, int], count: int) -> dict[str, float]:
    """Return the seconds for all surfaces of a large CT, and for one of them after a dab."""
    labels, table = many(shape, count)
    maker = SurfaceMaker(labels, Geometry.from_spacing(shape))
    began = time.process_time()
    while maker.work(table, 1, 1.0, no_progress, NEVER):
        maker.scene(table)
    all_of_them = time.process_time() - began
    dabs, counts = [], np.bincount(labels.reshape(-1))[1:]
    small = int(np.argmin(np.where(counts > 0, counts, labels.size))) + 1
    middle = np.argwhere(labels == small).mean(0).astype(int)
    for k in range(5):
        place = np.add(middle, (0, 0, 6 + k))
        box = Box.of(place - 3, place + 4).clip(shape)
        labels[box.slices] = small
        began = time.process_time()
        maker.note([box])
        maker.work(table, small, 1.0, no_progress, NEVER)
        scene = maker.scene(table)
        dabs.append(time.process_time() - began)
    return {f"{count} segments": all_of_them, "after a dab": max(dabs), "vertices": float(len(scene.vertices))}


def main() -> None:
    """Measure, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vtk", help="a Python that has VTK")
    parser.add_argument("--segments", type=int, default=100)
    parser.add_argument("--shape", type=int, nargs=3, default=(600, 512, 512))
    parser.add_argument("--json", type=Path)
    wished = parser.parse_args()
    z, y, x = wished.shape
    found = in_background((z, y, x), wished.segments)
    if wished.vtk:
        found |= against_vtk(wished.vtk)
        found["ratio, as shown"] = found["ours, as shown"] / found["VTK"]
        found["ratio, every voxel"] = found["ours, every voxel"] / found["VTK"]
    for name, value in found.items():
        print(f"{name:22} {value:10.3f}")
    if wished.json:
        wished.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
