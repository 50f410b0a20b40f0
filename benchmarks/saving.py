"""Saving labels as .nii.gz: this project against SimpleITK.

    python benchmarks/saving.py --peers PYTHON [--data FOLDER] [--slices 300] [--repeats 5] [--json FILE]

Label maps are a synthetic body of organs with rough borders and, of a folder of real cases, the largest of each data
set. CPU seconds are counted, from labels of 16 bits in memory, as the app keeps them, to a file in the smallest type.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import nibabel as nib
import numpy as np

from napari_volseg.core import Geometry, Segment, Segmentation, SegmentTable, Volume
from napari_volseg.formats import save_labels_nifti, streams
from napari_volseg.formats.publishing import Draft

#: Real label maps, under the folder of data.
REAL = {
    "abdomen, 31 organs": "totalsegmentator/**/example_seg_dicom.nii.gz",
    "head, 54 structures": "synthseg-labelmaps/**/training_seg_01.nii.gz",
}
#: How much faster than SimpleITK writing is to be, and how much larger files may be.
FASTER, LARGER = 6.0, 1.4
THEIRS = """
import json, sys, time, os
import numpy as np, SimpleITK as sitk
labels = np.load(sys.argv[1])
before = time.process_time()
image = sitk.GetImageFromArray(labels.astype(sys.argv[3]))
sitk.WriteImage(image, sys.argv[2], useCompression=True)
print(json.dumps([time.process_time() - before, os.path.getsize(sys.argv[2])]))
"""


def body(shape: tuple[int, int, int], organs: int = 25) -> np.ndarray:
    """Return labels (z, y, x) of bumpy ellipsoids with noise at their borders."""
    rng = np.random.default_rng(0)
    out = np.zeros(shape, np.uint8)
    for value in range(1, organs + 1):
        radii, center = rng.uniform(15, 80, 3), rng.uniform(0, 1, 3) * shape
        low = np.maximum(0, center - 1.1 * radii).astype(int)
        high = np.minimum(shape, center + 1.1 * radii + 1).astype(int)
        z, y, x = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        radius = sum(((g - c) / r) ** 2 for g, c, r in zip((z, y, x), center, radii, strict=True))
        rough = 0.08 * np.sin(x / 3) * np.sin(y / 4) * np.sin(z / 5) + rng.normal(0, 0.02, radius.shape)
        out[tuple(slice(a, b) for a, b in zip(low, high, strict=True))][radius + rough < 1] = value
    return out


def label_maps(data: Path | None, shape: tuple[int, int, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and labels (z, y, x) of 16 bits."""
    yield "synthetic, 25 organs", body(shape).astype(np.uint16)
    for name, pattern in REAL.items() if data else ():
        for path in sorted(data.glob(pattern))[:1]:
            yield name, np.ascontiguousarray(np.asarray(nib.load(path).dataobj).T.astype(np.uint16))


class Stopwatch:
    """CPU seconds of the parts of a save."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def around(self, part: str, work: Callable[..., object]) -> Callable[..., object]:
        def measured(*of: object, **named: object) -> object:
            before = time.process_time()
            result = work(*of, **named)
            self.seconds[part] += time.process_time() - before
            return result

        return measured


def ours(labels: np.ndarray, target: Path) -> tuple[float, float, float, int]:
    """Return CPU seconds of writing, of writing and reading back, of the whole call, and the size of the file."""
    geometry = Geometry.from_spacing(labels.shape, (1.0, 1.0, 1.0))
    table = SegmentTable(tuple(Segment(int(v), f"Segment {v}") for v in np.unique(labels) if v))
    segmentation = Segmentation(labels, geometry, table)
    volume = Volume(np.broadcast_to(np.int16(0), labels.shape), geometry, "CT", "HU", "HU", "benchmark")
    watch, honest = Stopwatch(), Draft.__init__

    def watched(self: Draft, place: Path, write: Callable, verify: Callable) -> None:
        honest(self, place, watch.around("write", write), watch.around("verify", verify))

    Draft.__init__ = watched
    try:
        watch.around("all", save_labels_nifti)(target, segmentation, volume)
    finally:
        Draft.__init__ = honest
    written, verified = watch.seconds["write"], watch.seconds["verify"]
    return written, written + verified, watch.seconds["all"], target.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True, help="the Python that has SimpleITK")
    parser.add_argument("--data", type=Path, help="folder of real cases")
    parser.add_argument("--slices", type=int, default=300, help="of the synthetic labels, 512×512 (default 300)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lines, results = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for name, labels in label_maps(options.data, (options.slices, 512, 512)):
            source = Path(folder, "labels.npy")
            np.save(source, labels)
            kind = str(np.min_scalar_type(int(labels.max())))
            command = [options.peers, "-c", THEIRS, str(source), str(Path(folder, "theirs.nii.gz")), kind]
            theirs, with_isal, with_zlib = [], [], []
            for repeat in range(options.repeats):
                print(f"{name}: {repeat + 1}/{options.repeats}", file=sys.stderr)
                theirs.append(json.loads(subprocess.check_output(command, text=True)))
                with_isal.append(ours(labels, Path(folder, "ours.nii.gz")))
                fast, streams._compressobj = streams._compressobj, zlib.compressobj
                with_zlib.append(ours(labels, Path(folder, "ours.nii.gz")))
                streams._compressobj = fast
            results[name] = {"SimpleITK": theirs, "ISA-L": with_isal, "zlib": with_zlib}
            lines += rows(name, theirs, with_isal, with_zlib)
    print(
        "| labels | by | write CPU s | and read back | whole call | size MB | faster | with reading back | larger |"
    )
    print("|---|---|---|---|---|---|---|---|---|", *lines, sep="\n")
    print(f"\nasked for: at least {FASTER} times as fast, at most {LARGER} times as large")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def rows(name: str, theirs: list, with_isal: list, with_zlib: list) -> Iterator[str]:
    """Yield the lines of a table for one label map."""
    seconds, size = (median(run[i] for run in theirs) for i in (0, 1))
    yield f"| {name} | SimpleITK | {seconds:.3f} | | | {size / 1e6:.3f} | | | |"
    for who, runs in (("ours, ISA-L", with_isal), ("ours, zlib", with_zlib)):
        write, verify, whole, held = (median(run[i] for run in runs) for i in range(4))
        ratios = f"{seconds / write:.1f} | {seconds / verify:.1f} | {held / size:.2f}"
        yield f"| {name} | {who} | {write:.3f} | {verify:.3f} | {whole:.3f} | {held / 1e6:.3f} | {ratios} |"


if __name__ == "__main__":
    main()
