"""How long a click takes in 512 × 512 × 300 voxels, from the prompt to its mask, and how good the masks are.

::

    python benchmarks/click_latency.py [--engine network] [--device auto] [--json click-latency.json]

The organs of a torso phantom, brought to that grid, are segmented by the simulated user. The first answer of a
process, which loads and warms up the engine, is told apart.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import Geometry, PointPrompt, Volume
from napari_volseg.interactive import load_engine
from napari_volseg.interactive.click_weights import ClickWeights
from napari_volseg.interactive.network import NetworkModel
from napari_volseg.interactive.protocol import InteractiveModel
from napari_volseg.training.click_runs import run_clicks
from napari_volseg.training.phantoms import torso

SPACING = (1.0, 0.75, 0.75)


def case(shape: tuple[int, int, int], seed: int) -> tuple[Volume, NDArray[np.uint8]]:
    """Return a phantom's image and labels on a grid of the given shape."""
    phantom = torso(seed, spacing=(4.0, 3.0, 3.0), supersample=1)
    source = phantom.volume.voxels
    factors = [n / s for n, s in zip(shape, source.shape, strict=True)]
    image = np.empty(shape, np.int16)
    ndimage.zoom(source, factors, image, order=1, mode="grid-constant", grid_mode=True)
    image += np.random.default_rng(seed).normal(0, 8, shape).astype(np.int16)
    labels = ndimage.zoom(phantom.segmentation.labels, factors, order=0, mode="grid-constant", grid_mode=True)
    return Volume(image, Geometry.from_spacing(shape, SPACING), "CT", "HU"), labels


def engine_named(name: str, device: str) -> InteractiveModel:
    folder = Path(name)
    return NetworkModel(ClickWeights.of(folder), device) if folder.is_dir() else load_engine(name, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="default", help="its name, or a folder that train_clicks wrote")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--clicks", type=int, default=5)
    parser.add_argument("--organs", type=int, default=12)
    parser.add_argument("--small", action="store_true", help="a quarter of the grid's edges, to try the script")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    volume, labels = case((75, 128, 128) if options.small else (300, 512, 512), 11)
    model = engine_named(options.engine, options.device)
    start = time.perf_counter()
    warm = model.open(volume)
    x, y, z = volume.geometry.to_patient([n // 2 for n in labels.shape])
    warm.add(PointPrompt((float(x), float(y), float(z))))
    warm.result()
    first = time.perf_counter() - start
    values = np.unique(labels[labels > 0])[: options.organs]
    runs = [run_clicks(model, volume, labels == value, options.clicks) for value in values]
    by_click = np.array([run.seconds[: min(len(r.seconds) for r in runs)] for run in runs])
    seconds = np.concatenate([run.seconds for run in runs])
    dice = [np.mean([run.after(n + 1) for run in runs]) for n in range(options.clicks)]
    found = {
        "engine": model.card.id,
        "device": options.device,
        "clicks": len(seconds),
        "first_of_process_s": round(first, 3),
        "p50_s": round(float(np.percentile(seconds, 50)), 3),
        "p95_s": round(float(np.percentile(seconds, 95)), 3),
        "p50_by_click_s": np.round(np.median(by_click, 0), 3).tolist(),
        "dice_by_click": np.round(dice, 3).tolist(),
    }
    print(json.dumps(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
