"""Labels out through every writer and back through other people's readers: where do they land?

    python benchmarks/round_trip.py --peers PYTHON [--every N] [--json FILE]

Images in all 48 orders of axes, straight, oblique and sheared, with spacings from 0.1 to 10 mm and offsets to 1.5 m,
carry labels with the values 0, 1, 254, 255, 256, 65535 and 65536. Each is opened, its labels are written as .nii.gz,
.seg.nrrd, .mha and .mhd, and read by nibabel, SimpleITK and pynrrd. DICOM series in all 24 orders of rows and
columns, straight, oblique and tilted, are written as DICOM-SEG and read by highdicom. Ends with code 1 where a corner
is 1 µm or more off, or a label differs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom
import nibabel
import numpy as np
from numpy.typing import NDArray
from round_trip_readers import digest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "formats"))

from dicom_factory import Recipe, rotated, write_series  # noqa: E402

from napari_volseg.core import Geometry, Segmentation, SegmentTable, Volume  # noqa: E402
from napari_volseg.formats import (  # noqa: E402
    open_volume,
    save_dicom_seg,
    save_labels_metaimage,
    save_labels_nifti,
    save_seg_nrrd,
)

#: A corner that is farther off, mm, is in the wrong place.
CORNER_MM = 1e-3
VALUES = (0, 1, 254, 255, 256, 65535, 65536)
SHAPE = (5, 6, 7)
PLACES = (((0.1, 0.1, 0.1), 0.0), ((0.7, 0.8, 5.0), -1500.0), ((10.0, 10.0, 10.0), 1500.0), ((3.0, 0.1, 10.0), 733.3))
KINDS = ("straight", "oblique", "sheared")
WRITERS = {
    ".nii.gz": save_labels_nifti, ".seg.nrrd": save_seg_nrrd,
    ".mha": save_labels_metaimage, ".mhd": save_labels_metaimage,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """An image of which labels are written: its name, and what readers have to find on its stored grid (k, j, i)."""

    name: str
    matrix: NDArray[np.float64]
    labels: NDArray[np.int64]


def turn(degrees: float) -> NDArray[np.float64]:
    """Return a rotation about an axis that is none of the patient's."""
    rows = np.reshape(rotated(degrees), (2, 3))
    return np.vstack([rows, np.cross(*rows)]).T


def matrices() -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield names and 4×4 matrices from index (k, j, i) to patient (x, y, z), mm, LPS."""
    for number, (order, signs) in enumerate(
        itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))
    ):
        for kind, (place, (spacing, offset)) in itertools.product(KINDS, enumerate(PLACES)):
            columns = np.eye(3)[:, order] * signs
            if kind != "straight":
                columns = turn(17.0) @ columns
            if kind == "sheared":
                columns[:, 0] += 0.21 * columns[:, 1]
            matrix = np.eye(4)
            matrix[:3, :3] = columns * spacing
            matrix[:3, 3] = offset * np.array([1, -1, 0.6])
            yield f"{number:02d}-{kind}-{place}", matrix


def stored_labels() -> NDArray[np.int64]:
    """Return chiral labels (k, j, i) that hold all values."""
    return np.random.default_rng(5).choice(VALUES, SHAPE)


def make_case(folder: Path, name: str, matrix: NDArray[np.float64]) -> Case:
    """Write an image, label it and write the labels in every format."""
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(np.zeros(SHAPE[::-1], np.int16), ras)
    image.set_sform(ras, 1)
    image.set_qform(None, 0)
    path = folder / f"{name}.image.nii"
    nibabel.save(image, path)
    volume, wanted = open_volume(path), stored_labels()
    for ending, write in WRITERS.items():
        write(folder / f"{name}{ending}", labelled(volume, wanted), volume)
    path.unlink()
    # The file keeps its affine in single precision: that is where the image is.
    exact = np.diag([-1.0, -1.0, 1.0, 1.0]) @ nibabel.Nifti1Image(np.zeros(1), ras.astype(np.float32)).affine
    return Case(name, exact[:, [2, 1, 0, 3]], wanted)


def labelled(volume: Volume, wanted: NDArray[np.int64]) -> Segmentation:
    """Return labels on the display grid that stand where ``wanted`` has them on the stored grid."""
    stored: Geometry = volume.origin_provenance.source_geometry
    index = np.stack(np.meshgrid(*map(np.arange, volume.geometry.shape), indexing="ij"), -1)
    at = np.rint(stored.to_index(volume.geometry.to_patient(index))).astype(int)
    return Segmentation(wanted[tuple(np.moveaxis(at, -1, 0))].astype(np.uint32), volume.geometry, SegmentTable())


def corners_apart(shape: tuple[int, ...], one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the largest distance between the corners of one array by two matrices, mm."""
    ends = np.array([[*corner, 1] for corner in itertools.product(*((0, n - 1) for n in shape))])
    return float(np.linalg.norm((ends @ (one - other).T)[:, :3], axis=1).max())


def nibabel_outcome(path: Path) -> dict[str, Any]:
    """Return what nibabel reads, as ``round_trip_readers`` prints it."""
    image = nibabel.load(path)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    data = np.asarray(image.dataobj).T
    told = {"file": path.name, "reader": "nibabel", "shape": data.shape}
    return {**told, "matrix": lps[:, [2, 1, 0, 3]], "digest": digest(data)}


def verdict(case: Case, outcome: dict[str, Any]) -> str:
    """Return "right", "refused", or what is wrong."""
    if "error" in outcome:
        return "refused"
    if tuple(outcome["shape"]) != SHAPE or outcome["digest"] != digest(case.labels):
        return "labels differ"
    apart = corners_apart(SHAPE, np.asarray(outcome["matrix"]), case.matrix)
    return "right" if apart < CORNER_MM else f"corner {apart:.2g} mm off"


def segmentation_cases() -> Iterator[tuple[str, Recipe]]:
    """Yield DICOM series in all orders of rows and columns."""
    axes = [sign * np.eye(3)[axis] for axis in range(3) for sign in (1, -1)]
    for row, column in itertools.permutations(axes, 2):
        if abs(row @ column) > 0:
            continue
        for kind, (place, (spacing, offset)) in itertools.product(KINDS, enumerate(PLACES)):
            pair = np.array([row, column])
            pair = pair if kind == "straight" else pair @ turn(17.0).T
            step = np.cross(*pair) * spacing[0] + (0.21 * spacing[0] * pair[1] if kind == "sheared" else 0)
            yield f"{kind}-{place}", Recipe(
                orientation=tuple(pair.reshape(-1)), pixel_spacing=spacing[1:], step=tuple(step),
                origin=(offset, -offset, 0.6 * offset),
            )  # fmt: skip


def judge_segmentation(folder: Path, recipe: Recipe) -> str:
    """Write labels of a DICOM series as DICOM-SEG and look up each of them by highdicom's own place of it."""
    write_series(folder, recipe)
    volume = open_volume(folder)
    labels = np.random.default_rng(6).choice([0, 1, 2, 7], volume.geometry.shape).astype(np.uint8)
    path = save_dicom_seg(folder / "seg.dcm", Segmentation(labels, volume.geometry, SegmentTable()), volume)
    read = highdicom.seg.segread(path)
    worst, told = 0.0, np.zeros_like(labels)
    for frame, group in enumerate(read.PerFrameFunctionalGroupsSequence):
        place = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        value = sorted({*np.unique(labels)} - {0})[number - 1]
        rows, columns = np.nonzero(read.get_stored_frame(frame + 1))
        row_step, column_step = recipe.row_and_column[1], recipe.row_and_column[0]
        patient = (
            place + np.outer(rows * recipe.pixel_spacing[0], row_step)
            + np.outer(columns * recipe.pixel_spacing[1], column_step)
        )  # fmt: skip
        index = volume.geometry.to_index(patient)
        nearest = np.rint(index).astype(int)
        apart = np.linalg.norm(volume.geometry.to_patient(nearest) - patient, axis=-1)
        worst = max([worst, *apart])
        told[tuple(nearest.T)] = value
    if not np.array_equal(told, labels):
        return "labels differ"
    return "right" if worst < CORNER_MM else f"voxel {worst:.2g} mm off"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True, help="interpreter with SimpleITK and pynrrd")
    parser.add_argument("--every", type=int, default=1, help="take every Nth case only")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    counts: Counter[tuple[str, str, str, str]] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = {case: make_case(folder, case, m) for case, m in list(matrices())[:: arguments.every]}
        outcomes = [nibabel_outcome(path) for path in folder.glob("*.nii.gz")]
        command = [arguments.peers, str(HERE / "round_trip_readers.py"), name]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        outcomes += map(json.loads, printed.splitlines())
        for outcome in outcomes:
            case, _, ending = outcome["file"].partition(".")
            counts[ending, outcome["reader"], case.split("-")[1], verdict(cases[case], outcome)] += 1
    for kind, recipe in list(segmentation_cases())[:: arguments.every]:
        with tempfile.TemporaryDirectory() as name:
            counts["dcm", "highdicom", kind.split("-")[0], judge_segmentation(Path(name), recipe)] += 1
    rows = [(*key, count) for key, count in sorted(counts.items())]
    for row in rows:
        print("  ".join(map(str, row)))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows))
    sys.exit(any(row[3] not in ("right", "refused") for row in rows))


if __name__ == "__main__":
    main()
