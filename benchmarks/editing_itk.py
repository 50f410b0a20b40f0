"""Fill between slices with ITK's morphological contour interpolation; run by ``editing.py`` in the peers' Python.

    python editing_itk.py SOURCE.npy TARGET.npy

Reads labels (z, y, x) with some slices drawn, writes them with all slices filled, and prints seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

import itk
import numpy as np


def main() -> None:
    source, target = sys.argv[1:]
    image = itk.image_from_array(np.load(source))
    interpolator = itk.MorphologicalContourInterpolator.New(image)
    interpolator.SetAxis(2)  # ITK counts axes as (x, y, z)
    cpu, wall = time.process_time(), time.perf_counter()
    interpolator.Update()
    seconds = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    np.save(target, itk.array_from_image(interpolator.GetOutput()))
    print(json.dumps(seconds | {"version": version("itk-morphologicalcontourinterpolation")}))


if __name__ == "__main__":
    main()
