"""Correction tools: this project against cc3d, fill_voids, edt, SciPy and ITK.

    python benchmarks/editing.py --peers PYTHON [--slices 300] [--repeats 5] [--json FILE]

One organ of a large label volume is edited by this project and by libraries that are given the whole volume, one
after the other and again from the first; medians are printed. A ratio counts only where the results are equal voxel
by voxel. Filling between slices is compared with ITK, which runs in the peers' Python; ``README.md`` tells how to
make it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import cc3d
import edt
import fill_voids
import numpy as np
from editing_data import VALUE, drawn, stacks, volume
from open import machine
from scipy import ndimage

from napari_volseg.core import BoxMask, Geometry
from napari_volseg.editing import (
    fill_between,
    fill_holes,
    find_box,
    keep_largest,
    margin,
    smooth_gaussian,
    smooth_median,
)

HERE = Path(__file__).resolve().parent
SPACING = (1.5, 0.8, 0.8)
MARGIN_MM, SIGMA_MM, KERNEL_MM = 5.0, 1.5, 4.0
OURS, KEPT = "ours", "ours, box kept"
_PACKAGES = ("numpy", "scipy", "connected-components-3d", "fill-voids", "edt")

#: How many times faster than a library this project is to be.
BARS = {"cc3d": 3, "fill_voids": 3, "edt": 3, "scipy": 30, "itk": 30}
#: By how much the time for one organ may differ between a small and a large volume.
SAME = 1.2

Labels = np.ndarray
Tool = Callable[..., BoxMask]
Measured = dict[str, dict[str, list[dict[str, Any]]]]


def tools(geometry: Geometry) -> dict[str, Tool]:
    """Return the operations of this project by name, each taking labels and the organ's box or None."""
    return {
        "largest island": lambda labels, box: keep_largest(labels, VALUE, box=box),
        "holes": lambda labels, box: fill_holes(labels, VALUE, box=box),
        "margin": lambda labels, box: margin(labels, VALUE, geometry, MARGIN_MM, box=box),
        "median": lambda labels, box: smooth_median(labels, VALUE, geometry, KERNEL_MM, box=box),
        "gaussian": lambda labels, box: smooth_gaussian(labels, VALUE, geometry, SIGMA_MM, box=box),
    }


def _scipy_largest(mask: np.ndarray) -> np.ndarray:
    found, _ = ndimage.label(mask)
    sizes = np.bincount(found.ravel())
    sizes[0] = 0
    return found == sizes.argmax()


def _scipy_median(mask: np.ndarray) -> np.ndarray:
    size = [2 * max(0, round((KERNEL_MM / s - 1) / 2)) + 1 for s in SPACING]
    return ndimage.uniform_filter(mask.astype(np.float32), size, mode="nearest") > 0.5


def _scipy_gaussian(mask: np.ndarray) -> np.ndarray:
    sigmas = [SIGMA_MM / s for s in SPACING]
    return ndimage.gaussian_filter(mask.astype(np.float32), sigmas, mode="nearest", truncate=3.0) >= 0.5


#: Operation to library to a function of the whole volume's mask.
PEERS: Mapping[str, Mapping[str, Callable[[np.ndarray], np.ndarray]]] = {
    "largest island": {
        "cc3d": lambda mask: cc3d.largest_k(mask, k=1, connectivity=6) > 0,
        "scipy": _scipy_largest,
    },
    "holes": {"fill_voids": fill_voids.fill, "scipy": ndimage.binary_fill_holes},
    "margin": {
        "edt": lambda mask: edt.edt(~mask, anisotropy=SPACING, black_border=False, parallel=1) <= MARGIN_MM,
        "scipy": lambda mask: ndimage.distance_transform_edt(~mask, sampling=SPACING) <= MARGIN_MM,
    },
    "median": {"scipy": _scipy_median},
    "gaussian": {"scipy": _scipy_gaussian},
}


def timed(work: Callable[[], Any]) -> tuple[dict[str, Any], Any]:
    """Return seconds of CPU and clock that a call took, and its result."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}, result


def measure_tools(shape: tuple[int, int, int], repeats: int) -> Measured:
    """Return operation to library to measurements on one large volume, taken in turns."""
    labels, geometry = volume(shape), Geometry.from_spacing(shape, SPACING)
    box = find_box(labels, VALUE)
    results: Measured = {name: {OURS: [], KEPT: [], **{peer: [] for peer in PEERS[name]}} for name in PEERS}
    for repeat in range(repeats):
        for name, tool in tools(geometry).items():
            print(f"repeat {repeat + 1}/{repeats}: {name}", file=sys.stderr)
            seconds, expected = timed(partial(tool, labels, None))
            results[name][OURS].append(seconds | {"agrees": True})
            results[name][KEPT].append(timed(partial(tool, labels, box))[0] | {"agrees": True})
            full = expected.expand(shape)
            for peer, work in PEERS[name].items():
                seconds, found = timed(lambda work=work: work(labels == VALUE))
                results[name][peer].append(seconds | {"agrees": bool(np.array_equal(found, full))})
    return results


def measure_places(shape: tuple[int, int, int], repeats: int) -> Measured:
    """Return operation to volume to measurements of the same organ in a small and in a large volume."""
    small = (128, 128, 128)
    cases = {}
    for where in (small, shape):
        labels, geometry = volume(where), Geometry.from_spacing(where, SPACING)
        cases["×".join(map(str, where))] = labels, tools(geometry), find_box(labels, VALUE)
    results: Measured = {name: {where: [] for where in cases} for name in PEERS}
    for _ in range(3 * repeats):
        for name in PEERS:
            for where, (labels, operations, box) in cases.items():
                results[name][where].append(timed(partial(operations[name], labels, box))[0])
    return results


def measure_between(peers: str, repeats: int) -> Measured:
    """Return stack to library to measurements of filling between slices, with their Dice to the truth."""
    results: Measured = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, truth in stacks().items():
            labels = drawn(truth)
            geometry = Geometry.from_spacing(labels.shape, (1.0, 0.8, 0.8))
            gaps = ~labels.any(axis=(1, 2))
            source, target = Path(folder, "source.npy"), Path(folder, "target.npy")
            np.save(source, labels)
            results[name] = {OURS: [], "itk": []}
            for repeat in range(repeats):
                print(f"repeat {repeat + 1}/{repeats}: between slices, {name}", file=sys.stderr)
                seconds, (box, new) = timed(partial(fill_between, labels, geometry, 0))
                found = labels.copy()
                found[box.slices] = new
                results[name][OURS].append(seconds | {"dice": dice(found[gaps], truth[gaps])})
                command = [peers, str(HERE / "editing_itk.py"), str(source), str(target)]
                seconds = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
                results[name]["itk"].append(seconds | {"dice": dice(np.load(target)[gaps], truth[gaps])})
    return results


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Dice coefficient of two masks."""
    first, second = a != 0, b != 0
    return 2 * np.count_nonzero(first & second) / max(1, np.count_nonzero(first) + np.count_nonzero(second))


def middle(runs: Sequence[Mapping[str, Any]], key: str = "cpu_s") -> float:
    """Return the median of a measure."""
    return median(run[key] for run in runs)


def table(measured: Measured) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| operation | by | CPU s | wall s | theirs / ours | result |"
    yield "|---|---|---|---|---|---|"
    for name, runs in measured.items():
        for who, of in runs.items():
            ratio = "" if who.startswith(OURS) else f"{middle(of) / middle(runs[OURS]):.0f}"
            result = f"Dice {middle(of, 'dice'):.3f}" if "dice" in of[0] else _agreement(of)
            yield f"| {name} | {who} | {middle(of):.3f} | {middle(of, 'wall_s'):.3f} | {ratio} | {result} |"


def _agreement(runs: Sequence[Mapping[str, Any]]) -> str:
    return "same" if all(run["agrees"] for run in runs) else "differs"


def verdicts(edited: Measured, places: Measured, between: Measured) -> Iterator[str]:
    """Yield one line per bar: reached, missed, or not judged."""
    for name, runs in [*edited.items(), *between.items()]:
        for peer, of in runs.items():
            if peer in BARS:
                text = f"{name}: at least {BARS[peer]} times as fast as {peer}"
                if "dice" not in of[0] and _agreement(of) == "differs":
                    yield f"- not judged (other voxels): {text}"
                else:
                    yield _verdict(text, middle(of) / middle(runs[OURS]), BARS[peer])
                if "dice" in of[0]:
                    better = middle(runs[OURS], "dice") / middle(of, "dice")
                    yield _verdict(f"{name}: Dice not below that of {peer}", better, 1.0)
    for name, runs in places.items():
        few, many = sorted(middle(of) for of in runs.values())
        yield _verdict(f"{name}: the same time in {' and '.join(runs)} within {SAME}", SAME / (many / few), 1.0)


def _verdict(name: str, value: float, least: float) -> str:
    return f"- {'reached' if value >= least else 'MISSED'}: {name} (is {value:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True, help="the Python that has ITK")
    parser.add_argument("--slices", type=int, default=300, help="of 512×512 (default 300)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write all measurements")
    arguments = parser.parse_args()
    before, shape = machine(), (arguments.slices, 512, 512)
    edited = measure_tools(shape, arguments.repeats)
    places = measure_places(shape, arguments.repeats)
    between = measure_between(arguments.peers, arguments.repeats)
    print(f"\n{'×'.join(map(str, shape))}, median of {arguments.repeats}\n", *table(edited), sep="\n")
    print("\nbetween slices\n", *table(between), sep="\n")
    print("", *verdicts(edited, places, between), sep="\n")
    report = {
        "machine": before,
        "versions": {name: version(name) for name in _PACKAGES},
        "shape": shape,
        "measurements": {"tools": edited, "places": places, "between": between},
    }
    print("", json.dumps({key: report[key] for key in ("machine", "versions")}, indent=1), sep="\n")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
