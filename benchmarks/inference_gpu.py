"""What a CUDA device makes of the inference engine: agreement with the CPU, and time beside that of the bare network.

::

    python benchmarks/inference_gpu.py --json inference-gpu.json

Each part tells its figures as soon as it has them; one that fails is told and the next goes on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import inference_data
import numpy as np
import torch

from napari_volseg.core import Geometry, Volume
from napari_volseg.inference import NnunetModel
from napari_volseg.inference.engine import prepare_volumes, reorientation_for
from napari_volseg.inference.sliding import WindowGrid
from napari_volseg.inference.stitching import LabelStitcher

PHANTOM = Path(__file__).parent.parent / "napari_volseg/inference/weights/phantom-organs"


def volume_of(image: np.ndarray, spacing: tuple[float, float, float]) -> Volume:
    return Volume(image, Geometry.from_spacing(image.shape, spacing), "CT", "HU")


def seconds(work: Callable[[], Any]) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def rounded(phases: Any) -> dict[str, float]:
    return {name: round(value, 3) for name, value in asdict(phases).items()}


def agreement() -> dict[str, Any]:
    """The demonstration network over a torso phantom, and the level sets at 25 segments, on both devices."""
    from napari_volseg.training.phantoms import torso

    volume = torso(2, spacing=(4.0, 3.0, 3.0), supersample=1).volume
    model = NnunetModel(PHANTOM)
    on_cpu, on_gpu = (model.predict(volume, device=d).labels for d in ("cpu", "cuda"))
    dice = [
        2.0 * ((on_cpu == v) & (on_gpu == v)).sum() / max(1, (on_cpu == v).sum() + (on_gpu == v).sum())
        for v in np.unique(on_cpu)
    ]
    return {"phantom_equal": float((on_cpu == on_gpu).mean()), "phantom_least_dice": float(min(dice))}


def ratio(segments: int, features: int, patch: tuple[int, int, int], shape: tuple[int, int, int]) -> dict[str, Any]:
    """Total time over the time of the same windows through the same network, and the network's rate."""
    model, folder = _model(segments, features, patch)
    image = _image(shape)
    volume = volume_of(image, (1.0, 0.75, 0.75))
    prepared = prepare_volumes([volume], reorientation_for(volume, model.card), model.plan, _never())
    grid = WindowGrid(prepared.shape, model.plan.patch_size)
    network = model.open_network(torch.device("cuda"), "torch").forward
    window = torch.zeros(1, 1, *patch, device="cuda")

    def forward() -> None:
        with torch.inference_mode():
            for _ in range(grid.windows):
                network(window)

    forward()
    model.predict(volume, device="cuda")
    totals = [seconds(lambda: model.predict(volume, device="cuda")) for _ in range(2)]
    report = model.predict(volume, device="cuda").report
    bare = seconds(forward)
    flops = _flops(model, patch)
    del folder
    return {
        "segments": segments,
        "windows": grid.windows,
        "total_s": totals,
        "forward_s": bare,
        "ratio": min(totals) / bare,
        "phases": rounded(report.seconds),
        "network_tflops": flops * grid.windows / bare / 1e12,
        "stitch_s": _stitching(grid, segments, image.shape),
    }


def _stitching(grid: WindowGrid, segments: int, shape: tuple[int, ...]) -> float:
    """The way from a band of logits to labels alone, scaled to the whole."""
    from napari_volseg.inference.outputs import Exclusive

    depth = min(grid.shape[0], 32)
    logits = torch.randn(segments, depth, *grid.shape[1:], device="cuda")
    labels = np.zeros((round(depth * shape[0] / grid.shape[0]), *shape[1:]), np.uint8)
    outputs = Exclusive(tuple(str(i) for i in range(segments)))
    stitcher = LabelStitcher((depth, *grid.shape[1:]), labels, outputs)
    return seconds(lambda: stitcher.add(0, logits)) * grid.shape[0] / depth


def matrix_rate() -> dict[str, Any]:
    """The measured rate of products of float16 matrices."""
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.float16)
    for _ in range(3):
        a @ a
    taken = seconds(lambda: [a @ a for _ in range(10)]) / 10
    return {"fp16_matrix_tflops": 2 * 8192**3 / taken / 1e12}


def five_parts(shape: tuple[int, int, int]) -> dict[str, Any]:
    """Five networks of 25 segments, one after the other over one image that is prepared once."""
    from napari_volseg.inference.engine import Run, run_network
    from napari_volseg.inference.preprocessing import SharedImage

    model, folder = _model(25, 32, (128, 128, 128), stages=6)
    volume = volume_of(_image(shape), (1.0, 0.7, 0.7))
    run_network(
        model.plan, model.card, model.open_network, [volume_of(_image((128, 160, 160)), (1.5,) * 3)], Run("cuda")
    )
    shared, start, parts = SharedImage(), time.perf_counter(), []
    for _ in range(5):
        begin = time.perf_counter()
        found = run_network(model.plan, model.card, model.open_network, [volume], Run("cuda", shared=shared))
        parts.append(round(time.perf_counter() - begin, 2))
    del folder
    taken = time.perf_counter() - start
    return {"shape": shape, "seconds": taken, "parts": parts, "last": rounded(found.report.seconds)}


def _model(
    segments: int, features: int, patch: tuple[int, int, int], stages: int = 4
) -> tuple[NnunetModel, tempfile.TemporaryDirectory[str]]:
    """Return a network with random weights in a folder of its own."""
    folder = tempfile.TemporaryDirectory()
    plans = inference_data.make_plans(features)
    configuration = plans["configurations"]["3d_fullres"]
    configuration["patch_size"] = list(patch)
    kwargs = configuration["architecture"]["arch_kwargs"]
    kwargs["n_stages"] = stages
    kwargs["features_per_stage"] = [min(320, features * 2**stage) for stage in range(stages)]
    kwargs["kernel_sizes"] = [[3, 3, 3]] * stages
    kwargs["strides"] = [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1)
    kwargs["n_conv_per_stage"] = [2] * stages
    kwargs["n_conv_per_stage_decoder"] = [2] * (stages - 1)
    inference_data.write_random(Path(folder.name), plans, segments)
    return NnunetModel(Path(folder.name)), folder


def _image(shape: tuple[int, int, int]) -> np.ndarray:
    block = inference_data.make_image((64, 64, 64)).astype(np.int16)
    tiles = [-(-n // 64) for n in shape]
    return np.ascontiguousarray(np.tile(block, tiles)[tuple(slice(n) for n in shape)])


def _flops(model: NnunetModel, patch: tuple[int, int, int]) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    network = model.open_network(torch.device("cuda"), "torch").forward
    with torch.inference_mode(), counter:
        network(torch.zeros(1, 1, *patch, device="cuda"))
    return float(counter.get_total_flops())


def _never() -> Any:
    from napari_volseg.core import CancelToken

    return CancelToken()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script")
    options = parser.parse_args()
    small = options.small
    shape, patch = ((40, 96, 96), (32, 32, 32)) if small else ((300, 420, 420), (128, 128, 128))
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "matrix": matrix_rate,
        "agreement": agreement,
        "25 segments": lambda: ratio(25, 32, patch, shape),
        "60 segments": lambda: ratio(60, 32, patch, shape),
        "five parts": lambda: five_parts((64, 96, 96) if small else (600, 512, 512)),
    }
    found: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    for name, part in parts.items():
        start = time.perf_counter()
        try:
            found[name] = part()
        except Exception:
            found[name] = {"failed": traceback.format_exc()[-1500:]}
        found[name]["taken_s"] = round(time.perf_counter() - start, 1)
        print(json.dumps({name: found[name]}), flush=True)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
