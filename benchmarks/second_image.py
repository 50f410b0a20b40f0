"""Time of sampling a second image on the grid of a large CT: the work ahead of showing it, and each slice of a plane.

    .venv/bin/python benchmarks/second_image.py [--shape 600 512 512] [--repeats 8]

Processor time of the calling thread, milliseconds; slices are sampled on the thread of the interface.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from napari_volseg.app import Case
from napari_volseg.app.fusion import Fused, fuse
from napari_volseg.core import Geometry, Volume

SECOND_SHAPE, SECOND_SPACING, TURN = (300, 400, 400), (2.0, 1.1, 1.1), 0.2
SPACING = (1.0, 0.8, 0.8)
PLANES = ("axial", "coronal", "sagittal")


def main() -> None:
    """Print one line for an upright and one for an oblique second image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(600, 512, 512))
    parser.add_argument("--repeats", type=int, default=8)
    arguments = parser.parse_args()
    reference = Geometry.from_spacing(arguments.shape, SPACING)
    case = Case(Volume(np.zeros(reference.shape, np.int16), reference, "CT", "HU", "HU"))
    for name, second in {"upright": upright(), "oblique": oblique()}.items():
        made: list[Fused] = []
        ahead = milliseconds(lambda second=second, made=made: made.append(fuse(second, case)))
        told = ", ".join(f"{plane} {slice_time(made[0], i, arguments.repeats):.1f}" for i, plane in enumerate(PLANES))
        print(f"{name}: ahead {ahead:.0f}, a slice {told} ms")


def upright() -> Volume:
    """Return a second image along the axes of the first."""
    geometry = Geometry.from_spacing(SECOND_SHAPE, SECOND_SPACING)
    return Volume(np.random.default_rng(0).random(SECOND_SHAPE, np.float32), geometry, "PT", "SUV", "g/mL")


def oblique() -> Volume:
    """Return the same one, turned about the patient's long axis."""
    image = upright()
    cos, sin = np.cos(TURN), np.sin(TURN)
    matrix = image.geometry.matrix.copy()
    matrix[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ matrix[:3, :3]
    return Volume(image.voxels, Geometry(SECOND_SHAPE, matrix), "PT", "SUV", "g/mL")


def slice_time(fused: Fused, axis: int, repeats: int) -> float:
    """Return the median time of a middle slice normal to an axis, ms."""
    places = [np.arange(n) for n in fused.reference.shape]
    places[axis] = np.array([fused.reference.shape[axis] // 2])
    return median(milliseconds(lambda: fused.part(places)) for _ in range(repeats))


def milliseconds(call: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    begun = time.thread_time()
    call()
    return 1000 * (time.thread_time() - begun)


if __name__ == "__main__":
    main()
