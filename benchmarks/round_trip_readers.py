"""Reads labels by other people's libraries, for ``round_trip.py``; runs in the environment of the peers.

    python round_trip_readers.py FOLDER

Prints one JSON line for each file: reader, shape (k, j, i), the 4×4 from (k, j, i) to patient (x, y, z), mm, LPS, and
a digest of the values; or the reader's own words where it refuses.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Read = tuple[NDArray[np.generic], NDArray[np.float64]]


def digest(array: NDArray[np.generic]) -> str:
    """Return a digest of integers, whatever type holds them."""
    return hashlib.blake2b(np.ascontiguousarray(array.astype(np.int64)), digest_size=16).hexdigest()


def simpleitk(path: Path) -> Read:
    import SimpleITK

    image = SimpleITK.ReadImage(str(path))
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image), matrix[:, [2, 1, 0, 3]]


def pynrrd(path: Path) -> Read:
    import nrrd

    data, header = nrrd.read(str(path), index_order="C")
    assert header["space"] in ("left-posterior-superior", "LPS"), header["space"]
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(header["space directions"], float).T
    matrix[:3, 3] = header["space origin"]
    return data, matrix[:, [2, 1, 0, 3]]


READERS: dict[str, tuple[Callable[[Path], Read], ...]] = {
    ".nrrd": (simpleitk, pynrrd), ".mha": (simpleitk,), ".mhd": (simpleitk,), ".nii.gz": (simpleitk,),
}  # fmt: skip


def main() -> None:
    for path in sorted(Path(sys.argv[1]).iterdir()):
        for reader in next((found for ending, found in READERS.items() if path.name.endswith(ending)), ()):
            outcome: dict[str, object] = {"file": path.name, "reader": reader.__name__}
            try:
                array, matrix = reader(path)
                outcome |= {"shape": array.shape, "matrix": matrix.tolist(), "digest": digest(array)}
            except Exception as error:  # a refusal of theirs is a result
                outcome["error"] = " ".join(str(error).split())[-200:]
            print(json.dumps(outcome))


if __name__ == "__main__":
    main()
