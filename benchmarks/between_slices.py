"""How well organs are filled between key slices.

    python benchmarks/between_slices.py [--data FOLDER] [--cases 6] [--every 6 12 24] [--json FILE]

Of the labels of each case, the axial slices at a regular distance are kept, and the rest is filled in, all segments
at once. Told are means of the Dice coefficient over segments on two key slices or more: from the first key slice of a
segment to its last, all slices, which is what a user who drew these ends with; the slices in between alone; and, with
nothing drawn there, also half a gap beyond either end.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np

from napari_volseg.core import Geometry
from napari_volseg.editing import fill_between

SAMPLES = Path(__file__).resolve().parent.parent / "sample_data"
#: Key distance in mm to the Dice that is asked for.
BARS = {6.0: 0.94, 12.0: 0.91, 24.0: 0.83}
SETS = {
    "abdominal CT": "totalsegmentator/**/example_seg_dicom.nii.gz",
    "MR slab": "totalsegmentator/**/example_seg_mr.nii.gz",
    "hippocampus": "hippocampus/**/labels/hippocampus_*.nii.gz",
    "heads": "synthseg-labelmaps/**/training_seg_*.nii.gz",
    "spinal cord": "spinalcord/t*/*seg*manual.nii.gz",
    "sarcoma": "ibsi/ibsi_validation/nifti/**/CT_mask.nii.gz",
}


def cases(data: Path | None, most: int) -> Iterator[tuple[str, Path]]:
    """Yield names of data sets and files of theirs."""
    yield "sample CT", SAMPLES / "torso-labels.nii.gz"
    yield "sample head", SAMPLES / "head-labels.nii.gz"
    for name, pattern in SETS.items() if data else ():
        yield from ((name, path) for path in sorted(data.glob(pattern))[:most])


def read(path: Path) -> tuple[np.ndarray, Geometry]:
    """Return labels (z, y, x) and their grid, axes as near to those of the patient as they come."""
    image = nib.as_closest_canonical(nib.load(path))
    labels = np.ascontiguousarray(np.asarray(image.dataobj).T.astype(np.uint16))
    spacing = tuple(float(s) for s in image.header.get_zooms()[2::-1])
    return labels, Geometry.from_spacing(labels.shape, spacing)


def measure(truth: np.ndarray, geometry: Geometry, every_mm: float) -> tuple[list[dict], float]:
    """Return what became of each segment, and the CPU seconds that filling took."""
    step = round(every_mm / geometry.spacing[0])
    if step < 2:
        return [], 0.0
    keys = np.arange(step // 2, len(truth), step)
    drawn = np.zeros_like(truth)
    drawn[keys] = truth[keys]
    before = time.process_time()
    found = fill_between(drawn, geometry, 0)
    seconds = time.process_time() - before
    drawn[found.box.slices] = found.labels
    rows = [_segment(int(v), truth, drawn, keys) for v in np.unique(truth[keys]) if v]
    return [row for row in rows if row], seconds


def _segment(value: int, truth: np.ndarray, found: np.ndarray, keys: np.ndarray) -> dict | None:
    on = [k for k in keys if (truth[k] == value).any()]
    if len(on) < 2:
        return None
    meant, got = truth == value, found == value
    inner = np.arange(on[0], on[-1] + 1)
    between = np.setdiff1d(inner, keys)
    half = (keys[1] - keys[0]) // 2
    beyond = np.arange(max(0, on[0] - half), min(len(truth), on[-1] + half + 1))
    places = {"whole": inner, "between": between, "beyond": beyond}
    return {"value": value, "keys": len(on), **{name: dice(meant[of], got[of]) for name, of in places.items()}}


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Dice coefficient of two masks, 1 where both are empty."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of real cases")
    parser.add_argument("--cases", type=int, default=6, help="of each data set, at most")
    parser.add_argument(
        "--every", type=float, nargs="+", default=list(BARS), help="mm from one key slice to the next"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, dict[float, list[dict]]] = defaultdict(lambda: defaultdict(list))
    took: dict[tuple[str, float], float] = defaultdict(float)
    for name, path in cases(options.data, options.cases):
        truth, geometry = read(path)
        for every in options.every:
            rows, seconds = measure(truth, geometry, every)
            results[name][every] += rows
            took[name, every] += seconds
    print("| labels | key slice every mm | segments | Dice | bar | between | with ends | on 4 key slices | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, of in results.items():
        for every, rows in of.items():
            print(line(name, every, rows, took[name, every]))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def line(name: str, every: float, rows: list[dict], seconds: float) -> str:
    """Return a line of the table."""
    if not rows:
        return f"| {name} | {every:g} | 0 | | | | | | |"
    whole, between, beyond = (np.mean([row[key] for row in rows]) for key in ("whole", "between", "beyond"))
    long = [row["whole"] for row in rows if row["keys"] >= 4]
    bar = BARS.get(every)
    met = "" if bar is None else f"{'reached' if whole >= bar else 'MISSED'} {bar}"
    lasting = f"{np.mean(long):.3f} ({len(long)})" if long else ""
    means = f"{whole:.3f} | {met} | {between:.3f} | {beyond:.3f}"
    return f"| {name} | {every:g} | {len(rows)} | {means} | {lasting} | {seconds:.2f} |"


if __name__ == "__main__":
    main()
