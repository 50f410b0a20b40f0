"""From disk to array with affine: this project against SimpleITK, dicom2nifti, dcm2niix, pydicom and nibabel.

    python benchmarks/open.py --peers PYTHON [--slices 600] [--repeats 5] [--json FILE]

Generates a series as native DICOM, JPEG 2000 DICOM and .nii.gz in a temporary folder, reads each with each library in
a fresh process, one library after the other and again from the first, and prints medians. A ratio counts only where
the reader found the true corners and voxels in every repeat. ``README.md`` tells how to make the peers' environment.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

# This process imports no library of arrays: a child's peak of memory begins with that of its parent.

HERE = Path(__file__).resolve().parent
OURS = "ours"
#: Corners that differ by less (mm) agree.
CORNER_MM = 1e-2
_DICOM_READERS = (OURS, "simpleitk", "dicom2nifti", "dicom2nifti_file", "dcm2niix", "pydicom")
CASES = {
    "native": _DICOM_READERS,
    "jpeg2000": (OURS, "simpleitk", "dicom2nifti", "dcm2niix", "pydicom"),
    "volume.nii.gz": (OURS, "simpleitk", "nibabel"),
}
_PACKAGES = ("numpy", "pydicom", "pylibjpeg-openjpeg", "nibabel", "SimpleITK", "dicom2nifti", "dcm2niix")

#: Reader to measurements of one file, each as ``open_readers.py`` prints it, or {"error": text}.
Measured = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Bar:
    """What is to be reached: ``measure`` of ours at most ``limit`` times that of another reader."""

    case: str
    measure: str
    reader: str
    limit: float


BARS = (
    Bar("native", "cpu_s", "simpleitk", 0.5),
    Bar("native", "cpu_s", "dicom2nifti", 1 / 50),
    Bar("native", "cpu_s", "dicom2nifti_file", 1 / 50),
    Bar("jpeg2000", "wall_s", "pydicom", 0.6),
    Bar("volume.nii.gz", "cpu_s", "simpleitk", 0.8),
)
MAX_FIRST_SLICE = 0.05
MAX_GROWTH = 1.3


def measure(python: str, reader: str, source: Path) -> dict[str, Any]:
    """Return what one fresh process measured, or {"error": its last words}."""
    done = subprocess.run(
        [python, str(HERE / "open_readers.py"), reader, str(source)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure_all(folder: Path, peers: str, repeats: int) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return case to reader to measurements, taken in turns."""
    results: dict[str, dict[str, list[dict[str, Any]]]] = {
        case: {reader: [] for reader in readers} for case, readers in CASES.items()
    }
    for repeat in range(repeats):
        for case, readers in CASES.items():
            for reader in readers:
                print(f"repeat {repeat + 1}/{repeats}: {case} by {reader}", file=sys.stderr)
                python = sys.executable if reader == OURS else peers
                results[case][reader].append(measure(python, reader, folder / case))
    return results


def disagreement(runs: Sequence[Mapping[str, Any]], truth: Mapping[str, Any]) -> str:
    """Return how measurements differ from the truth, empty where they agree."""
    for run in runs:
        if "error" in run:
            return str(run["error"])
        pairs = zip(run["corners"], truth["corners"], strict=True)
        if any(abs(a - b) > CORNER_MM for found, true in pairs for a, b in zip(found, true, strict=True)):
            return "other corners"
        if run["fingerprint"] != truth["fingerprint"]:
            return "other voxels"
    return ""


def middle(runs: Sequence[Mapping[str, Any]], measure: str) -> float:
    """Return the median of a measure."""
    return median(run[measure] for run in runs)


def table(measured: Measured, truth: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a Markdown table on one file."""
    yield "| reader | CPU s | wall s | import CPU s | memory / array | type | CPU, ours / theirs |"
    yield "|---|---|---|---|---|---|---|"
    for reader, runs in measured.items():
        if wrong := disagreement(runs, truth):
            yield f"| {reader} | does not count: {wrong} | | | | | |"
            continue
        cells = [f"{middle(runs, key):.3f}" for key in ("cpu_s", "wall_s", "import_cpu_s")]
        cells.append(f"{middle(runs, 'peak_growth_bytes') / truth['bytes']:.2f}")
        cells.append(runs[0]["dtype"])
        ours_counts = reader != OURS and not disagreement(measured[OURS], truth)
        cells.append(f"{middle(measured[OURS], 'cpu_s') / middle(runs, 'cpu_s'):.2f}" if ours_counts else "")
        yield f"| {reader} | {' | '.join(cells)} |"


def verdicts(results: Mapping[str, Measured], truths: Mapping[str, Any]) -> Iterator[str]:
    """Yield one line per bar: reached, missed, or not judged."""
    for bar in BARS:
        runs, ours = results[bar.case][bar.reader], results[bar.case][OURS]
        name = f"{bar.case}: {bar.measure} at most {bar.limit:.2f} of {bar.reader}'s"
        if disagreement(ours, truths[bar.case]) or disagreement(runs, truths[bar.case]):
            yield f"- not judged (no agreement): {name}"
        else:
            yield _verdict(name, middle(ours, bar.measure) / middle(runs, bar.measure), bar.limit)
    for case, measured in results.items():
        ours = measured[OURS]
        if disagreement(ours, truths[case]):
            yield f"- not judged (no agreement): {case}, memory and type"
            continue
        growth = middle(ours, "peak_growth_bytes") / truths[case]["bytes"]
        yield _verdict(f"{case}: memory at most {MAX_GROWTH} of the array", growth, MAX_GROWTH)
        kept = all(run["dtype"] == "int16" for run in ours)
        yield f"- {'reached' if kept else 'MISSED'}: {case}: integers stay int16"
        if case == "volume.nii.gz":
            share = middle(ours, "first_slice_s") / middle(ours, "wall_s")
            yield _verdict(f"{case}: first slice within {MAX_FIRST_SLICE} of the whole", share, MAX_FIRST_SLICE)


def _verdict(name: str, value: float, limit: float) -> str:
    return f"- {'reached' if value <= limit else 'MISSED'}: {name} (is {value:.3f})"


def machine() -> dict[str, Any]:
    """Return what the figures were taken on."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "load_average": os.getloadavg(),
    }


def versions(python: str) -> dict[str, str]:
    """Return the versions of an interpreter and of the packages in it."""
    program = (
        "import json, platform, sys\nfrom importlib.metadata import PackageNotFoundError, version\n"
        "found = {'python': platform.python_version()}\nfor name in sys.argv[1:]:\n"
        "    try: found[name] = version(name)\n    except PackageNotFoundError: pass\nprint(json.dumps(found))"
    )
    return dict(json.loads(subprocess.check_output([python, "-c", program, *_PACKAGES], text=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True, help="the Python that has the other libraries")
    parser.add_argument("--slices", type=int, default=600, help="of 512×512 (default 600)")
    parser.add_argument("--jpeg2000-slices", type=int, help="fewer for JPEG 2000, which is slow (default: as many)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where to write all measurements")
    arguments = parser.parse_args()
    compressed = arguments.jpeg2000_slices or arguments.slices
    before = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generator = [sys.executable, str(HERE / "open_data.py"), name, str(arguments.slices), str(compressed)]
        subprocess.run(generator, check=True)
        truths = json.loads((folder / "truth.json").read_text())
        results = measure_all(folder, arguments.peers, arguments.repeats)
    for case, measured in results.items():
        count = compressed if case == "jpeg2000" else arguments.slices
        print(f"\n{case}, {count} slices, median of {arguments.repeats}\n", *table(measured, truths[case]), sep="\n")
    print("", *verdicts(results, truths), sep="\n")
    report = {
        "machine": before,
        "load_average_after": os.getloadavg(),
        "versions": {OURS: versions(sys.executable), "peers": versions(arguments.peers)},
        "slices": arguments.slices,
        "jpeg2000_slices": compressed,
        "truth": truths,
        "measurements": results,
    }
    print(
        "",
        json.dumps({key: report[key] for key in ("machine", "load_average_after", "versions")}, indent=1),
        sep="\n",
    )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
