"""Our engine, nnunetv2's predictor and MONAI's sliding window over the same image with the same weights.

Every measurement is a fresh process; engines take turns. Run it with the interpreter that has the peers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from inference_data import PATCH, SPACING, STEPS, make_image, write_folder

from napari_volseg.inference.memory import memory_need
from napari_volseg.inference.sliding import WindowGrid

ENGINES = (
    "nnunetv2",
    "ours",
    "ours, OpenVINO",
    "forward",
    "forward, OpenVINO",
    "windows, MONAI",
    "windows, ours",
    "export, nnunetv2",
    "export, nnunetv2 torch",
    "export, ours",
)

Figures = dict[str, dict[str, float]]


def measure(engine: str, folder: Path, image: Path, labels: Path, threads: int) -> dict[str, float]:
    """Return wall seconds, CPU seconds and peak bytes of one run in a process of its own."""
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{here.parent}", "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, here / "inference_worker.py", engine, folder, image, labels, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{engine} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def run(segments: int, options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Return medians of all engines at a number of segments, and how far their labels agree."""
    folder = write_folder(work / f"levels-{segments}", segments, options.features)
    image = work / "image.npy"
    np.save(image, make_image(tuple(options.shape)))
    taken: dict[str, list[dict[str, float]]] = {engine: [] for engine in options.engines}
    for repeat in range(options.repeats):
        for engine, figures in taken.items():
            figures.append(measure(engine, folder, image, work / f"{engine}.npy", options.threads))
            print(segments, repeat, engine, {k: round(v, 2) for k, v in figures[-1].items()}, flush=True)
    medians = {e: {key: median(f[key] for f in figures) for key in figures[0]} for e, figures in taken.items()}
    return {"segments": segments, "medians": medians, "agreement": agreement(work, segments, options.engines)}


def scaling(options: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """Return medians of our engine and of the forward pass alone, at few and many segments, interleaved."""
    options.engines = ["ours", "forward"]
    results = [run(segments, options, work) for segments in options.segments]
    few, many = results[0]["medians"], results[-1]["medians"]
    for key in ("cpu", "wall"):
        beside = [m["ours"][key] - m["forward"][key] for m in (few, many)]
        ratio = (few["forward"][key] + beside[1]) / few["ours"][key]
        print(f"{key}: beside the network {beside[0]:.2f} and {beside[1]:.2f} s, as the same network {ratio:.2f}")
    return results


def slices(options: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """Return the peak memory of our engine in ever longer volumes, and what is left without image and labels."""
    segments, (depth, *plane) = options.segments[-1], options.shape
    folder, found = write_folder(work / "long", segments, options.features), []
    for shape in ((depth * n, *plane) for n in (1, 2, 4)):
        np.save(work / "long.npy", make_image(shape))
        figures = measure("ours", folder, work / "long.npy", work / "labels.npy", options.threads)
        need = memory_need(grid_over(shape), shape, 1, segments, blended=min(segments, options.features))
        rest = figures["peak"] - need.image - need.labels
        found.append({"slices": shape[0], "segments": segments, "rest": rest, "formula": need.peak, **figures})
        print(
            f"{shape[0]} slices: {figures['peak'] / 1e6:.0f} MB, {rest / 1e6:.0f} without image and labels",
            flush=True,
        )
    return found


def grid_over(shape: tuple[int, ...]) -> WindowGrid:
    """Return the windows over an image of a shape (z, y, x)."""
    z, y, x = (round(n * old / new) for n, old, new in zip(shape, STEPS, SPACING, strict=True))
    return WindowGrid((z, y, x), PATCH)


def agreement(work: Path, segments: int, engines: list[str]) -> dict[str, dict[str, float]]:
    """Return, per pair of label arrays that should agree, mean and worst Dice and the share of equal voxels."""
    pairs = (("ours", "nnunetv2"), ("ours, OpenVINO", "nnunetv2"), ("windows, ours", "windows, MONAI"))
    found = {}
    for one, other in pairs:
        if {one, other} <= set(engines):
            a, b = np.load(work / f"{one}.npy"), np.load(work / f"{other}.npy")
            both, sizes = np.bincount(a[a == b], minlength=segments), np.zeros(segments)
            sizes += np.bincount(a.ravel(), minlength=segments) + np.bincount(b.ravel(), minlength=segments)
            dices = [2 * n / size for n, size in zip(both[1:], sizes[1:], strict=True) if size]
            equal = float(np.mean(a == b))
            found[f"{one} / {other}"] = {"mean": float(np.mean(dices)), "worst": min(dices), "equal": equal}
    return found


def summary(result: dict[str, Any], shape: tuple[int, int, int], features: int) -> str:
    """Return the figures that the documentation quotes."""
    m: Figures = result["medians"]
    segments = result["segments"]
    need = memory_need(grid_over(shape), shape, 1, segments, blended=min(segments, features))
    lines = [f"{result['segments']} segments; formula {need.peak / 1e6:.0f} MB"]
    for what, top, bottom in (
        ("end to end, nnunetv2 / ours", "nnunetv2", "ours"),
        ("end to end, nnunetv2 / ours on OpenVINO", "nnunetv2", "ours, OpenVINO"),
        ("total / forward, torch", "ours", "forward"),
        ("total / forward, OpenVINO", "ours, OpenVINO", "forward, OpenVINO"),
        ("forward, torch / OpenVINO", "forward", "forward, OpenVINO"),
        ("windows, ours / MONAI", "windows, ours", "windows, MONAI"),
        ("export, nnunetv2 / ours", "export, nnunetv2", "export, ours"),
        ("export, torch planner / ours", "export, nnunetv2 torch", "export, ours"),
    ):
        if top in m and bottom in m:
            ratios = (f"{key} {m[top][key] / m[bottom][key]:.2f}" for key in ("cpu", "wall", "peak"))
            lines.append(f"  {what}: {', '.join(ratios)}")
    return "\n".join([*lines, *(f"  {pair}: {d}" for pair, d in result["agreement"].items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=int, nargs="+", default=[2, 25, 60])
    parser.add_argument("--shape", type=int, nargs=3, default=[144, 216, 144], help="of the image, (z, y, x)")
    parser.add_argument("--features", type=int, default=8, help="of the network's first stage")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--scaling", action="store_true", help="from the first to the last number of segments")
    parser.add_argument("--slices", action="store_true", help="memory in volumes of 1, 2 and 4 times the slices")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as work:
        if options.scaling or options.slices:
            results = (scaling if options.scaling else slices)(options, Path(work))
            options.segments = []
        for segments in options.segments:
            results.append(run(segments, options, Path(work)))
            print(summary(results[-1], tuple(options.shape), options.features), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
