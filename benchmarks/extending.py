"""A segment carried from its largest slice to its neighbours, beside optical flow alone (ILK of scikit-image).

::

    python benchmarks/extending.py --data FOLDER [--groups ct3,mr] [--part held-out] [--json extending.json]

Both fill up to ten slices to each side, within the structure's true first and last slice; Dice is that of these
slices without the drawn one. Without knowing where it ends, the second figure is how many slices too far or too
short it went on a side, in the mean.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from clicks import PARTS, Structure, structures
from numpy.typing import NDArray
from skimage.registration import optical_flow_ilk
from skimage.transform import warp

from napari_volseg.core import BoxMask
from napari_volseg.interactive import load_engine
from napari_volseg.interactive.extending import extended
from napari_volseg.interactive.looking import Network
from napari_volseg.interactive.network import NetworkModel

REACH = 10


def flow_alone(image: NDArray[np.float32], outline: NDArray[np.bool_], key: int, slices: range) -> NDArray[np.bool_]:
    """Return the outline carried from slice to slice as a soft mask."""
    found = np.zeros(image.shape, bool)
    for way in (1, -1):
        soft = outline.astype(np.float32)
        for index in range(key + way, slices.stop if way > 0 else slices.start - 1, way):
            flow = optical_flow_ilk(image[index], image[index - way], radius=7)
            rows, columns = np.mgrid[: soft.shape[0], : soft.shape[1]]
            soft = warp(soft, np.array([rows + flow[0], columns + flow[1]]), order=1, mode="edge")
            found[index] = soft > 0.5
    return found


def measured(case: Structure, network: Network | None) -> dict[str, float] | None:
    """Return the figures of a structure, None where it spans too few slices."""
    reference = case.reference
    areas = reference.sum((1, 2))
    key, filled = int(areas.argmax()), np.flatnonzero(areas)
    slices = range(max(int(filled.min()), key - REACH), min(int(filled.max()), key + REACH) + 1)
    if len(slices) < 4:
        return None
    image = case.volume.voxels.astype(np.float32)
    low, high = np.percentile(image, (1, 99))
    outline = np.zeros(reference.shape, bool)
    outline[key] = reference[key]
    drawn = BoxMask.of(outline)
    start = time.perf_counter()
    ours = extended(case.volume, drawn, 0, key, slices, network, stop=False).mask.expand(reference.shape)
    seconds = time.perf_counter() - start
    flow = flow_alone(np.clip((image - low) / (high - low), 0, 1), reference[key], key, slices)
    judged = [index for index in slices if index != key]
    free = range(max(0, key - REACH), min(len(reference), key + REACH + 1))
    ends = extended(case.volume, drawn, 0, key, free, network).ends
    true = (max(int(filled.min()), free.start), min(int(filled.max()), free.stop - 1))
    return {
        "dice": dice(ours[judged], reference[judged]),
        "flow": dice(flow[judged], reference[judged]),
        "beyond": (max(0, true[0] - ends[0]) + max(0, ends[1] - true[1])) / 2,
        "short": (max(0, ends[0] - true[0]) + max(0, true[1] - ends[1])) / 2,
        "seconds": seconds,
    }


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of real cases")
    parser.add_argument("--groups", default="ct3,mr,tumours-ct,tumours-t1,tumours-pet")
    parser.add_argument("--part", choices=PARTS, default="all")
    parser.add_argument("--no-network", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    engine = load_engine("network")
    assert isinstance(engine, NetworkModel)
    network = None if options.no_network else engine.network
    found: dict[str, dict[str, float]] = {}
    for group in options.groups.split(","):
        rows = [row for case in structures(group, options.data, options.part, 50) if (row := measured(case, network))]
        if not rows:
            continue
        found[group] = {name: round(float(np.mean([row[name] for row in rows])), 3) for name in rows[0]}
        found[group]["structures"] = len(rows)
        print(group, found[group], flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
