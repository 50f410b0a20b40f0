"""Runs a model folder with every allocation failing in turn; `failing_allocations.c` is loaded into the process."""

from __future__ import annotations

import ctypes
import itertools
import json
import sys
import threading
from typing import Any

import numpy as np
import torch

from napari_volseg.core import Geometry, VolsegError, Volume
from napari_volseg.inference import NnunetModel

#: Smaller allocations are Python's own; they are no matter of the size of an image.
LEAST = 2048


def main() -> None:
    folder, lasting = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    allocations, model = ctypes.CDLL(None), NnunetModel(folder)
    allocations.arm_failure.argtypes = [ctypes.c_long, ctypes.c_size_t, ctypes.c_long]
    voxels = np.random.default_rng(0).normal(100, 30, (12, 20, 24)).astype(np.float32)
    volume = Volume(voxels, Geometry.from_spacing(voxels.shape, (0.5, 0.5, 0.5)), "MR")

    def labels() -> Any:
        return model.predict(volume, device="cpu", backend="torch").labels

    expected, threads = labels(), threading.active_count()
    assert len(np.unique(expected)) > 1
    counts, wrong = {"faults": 0, "completed": 0, "refused": 0}, []
    for which in itertools.count(1):
        found, problem = None, None
        allocations.arm_failure(which, LEAST, lasting)
        try:
            found = labels()
        except BaseException as error:
            problem = error
        if not allocations.disarm_failure():
            break
        counts["faults"] += 1
        if isinstance(problem, VolsegError) and "\n" not in str(problem):
            counts["refused"] += 1
        elif problem is None and np.array_equal(found, expected):
            counts["completed"] += 1
        else:
            wrong.append(f"{which}: {problem!r}"[:300])
        if threading.active_count() != threads:
            wrong.append(f"{which}: a thread was left behind")
    if not np.array_equal(labels(), expected):
        wrong.append("the model is another one afterwards")
    print(json.dumps({**counts, "wrong": wrong}))


if __name__ == "__main__":
    main()
