"""The child process of the fuzz test: opens mutated files and judges what comes of it.

``python fuzz_worker.py KIND FIRST LAST FOLDER`` writes one JSON object a line: each case before it is tried, each
problem, and at last how the run went. A case that takes longer than ten seconds ends the process. The kind "bombs"
opens each of those once.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fuzz_mutations
import nibabel as nib
import numpy as np
import pydicom
from bombs import BOMBS, ENTRIES
from dicom_factory import SERIES, Recipe, make_instance, save, write_series
from fuzz_mutations import Mutation, mutated
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from napari_volseg.core import Geometry, Segmentation, SegmentTable, VolsegError, Volume
from napari_volseg.formats import (
    Answers,
    FoundVolume,
    Scan,
    load,
    load_labels,
    open_volume,
    save_dicom_seg,
    save_labels_nifti,
    save_seg_nrrd,
    save_volume_metaimage,
    save_volume_nrrd,
    scan,
)
from napari_volseg.inference.runs import peak_memory_bytes

#: Longest time that one case may take, s.
HANG = 10.0
#: Address space that one worker may take beyond what its imports take, bytes.
MEMORY = 1 << 30
RECIPE = Recipe(shape=(4, 8, 6))
ANSWERS = Answers("empty", "resample", "first", "leave_out", "stack", "together")
#: Findings that say that the volume isn't where, or what, the raw tags say; and those that allow a small shift.
_ELSEWHERE = {"dicom.uncalibrated", "dicom.resampled"}
_SHIFTED = {"dicom.jitter", "dicom.orientation_varies", "dicom.cosines"}


@dataclass(frozen=True)
class Base:
    """Files to damage.

    Parameters
    ----------
    folder
        Holds them.
    files
        Of which one is damaged at a time, with its bytes.
    kinds
        Mutations that suit them.
    judge
        Opens them and yields what is wrong.
    """

    folder: Path
    files: dict[Path, bytes]
    kinds: Sequence[Mutation]
    judge: Callable[[Base, Path], Iterator[str]]

    @classmethod
    def of(cls, folder: Path, kinds: Sequence[Mutation], judge: Callable[[Base, Path], Iterator[str]]) -> Base:
        files = sorted(path for path in folder.iterdir() if not path.name.endswith(".json"))
        return cls(folder, {path: path.read_bytes() for path in files}, kinds, judge)


# -- DICOM ---------------------------------------------------------------------------------------------------


def dicom_bases(root: Path) -> list[Base]:
    kinds = fuzz_mutations.DICOM
    _series(root / "explicit")
    _series(root / "implicit", syntax=ImplicitVRLittleEndian)
    _series(root / "big", syntax=ExplicitVRBigEndian)
    _series(root / "deflated", syntax=DeflatedExplicitVRLittleEndian)
    for name, syntax in (("rle", RLELossless), ("jpeg2000", JPEG2000Lossless), ("jpegls", JPEGLSLossless)):
        _series(root / name, shape=(4, 32, 32))  # what encoders of JPEG 2000 need
        for path in (root / name).iterdir():
            dataset = pydicom.dcmread(path)
            with contextlib.suppress(RuntimeError, NotImplementedError):  # no encoder: it stays native
                dataset.compress(syntax, generate_instance_uid=False)
            dataset.save_as(path)
    _enhanced(root / "enhanced")
    compressed = "rle", "jpeg2000", "jpegls", "deflated"
    names = ("explicit", "enhanced", "implicit", "explicit", "big", "enhanced", "explicit", *compressed)
    return [*(Base.of(root / name, kinds, judge_dicom) for name in names), _segmentation(root)]


def _series(folder: Path, **changes: Any) -> None:
    for number, path in enumerate(write_series(folder, RECIPE.also(**changes))):
        path.rename(folder / f"{number}.dcm")


def _enhanced(folder: Path) -> None:
    stored = RECIPE.stored()
    dataset = make_instance(RECIPE, 0, stored[0])
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, orientation.ImageOrientationPatient = list(RECIPE.pixel_spacing), list(RECIPE.orientation)
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    frames = []
    for k in (2, 0, 3, 1):
        position, frame = Dataset(), Dataset()
        position.ImagePositionPatient = [float(value) for value in RECIPE.position(k)]
        frame.PlanePositionSequence = [position]
        frames.append(frame)
    dataset.NumberOfFrames = len(frames)
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = [shared], frames
    dataset.PixelData = b"".join(stored[k].astype("<i2").tobytes() for k in (2, 0, 3, 1))
    folder.mkdir()
    save(dataset, folder / "enhanced.dcm")


def _segmentation(root: Path) -> Base:
    volume = open_volume(root / "explicit")
    (root / "seg").mkdir()
    save_dicom_seg(root / "seg" / "seg.dcm", _labels(volume), volume)
    return Base.of(root / "seg", fuzz_mutations.DICOM, lambda base, path: judge_labels(path, volume))


def _labels(volume: Volume) -> Segmentation:
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[1:3, 2:4, 1:5], labels[0, 5:, :] = 1, 2
    return Segmentation(labels, volume.geometry, SegmentTable())


def judge_dicom(base: Base, _: Path) -> Iterator[str]:
    result = scan(base.folder)
    for refused in result.refused:
        yield from _not_a_sentence(refused.reason)
    for found in result.found[:3]:
        try:
            volume = load(found, answers=ANSWERS)
        except VolsegError as error:
            yield from _not_a_sentence(str(error))
            continue
        findings = volume.origin_provenance.findings
        told = {finding.code for finding in findings}
        warned = found.decisions or any(finding.severity == "warning" for finding in findings)
        if len(result.found) == 1 and not warned:
            yield from _silently_lost(base, result, found)
        if not told & _ELSEWHERE:
            yield from _disagreements(volume, told)


def _silently_lost(base: Base, result: Scan, found: FoundVolume) -> Iterator[str]:
    """Yield where a volume lacks images that were not listed as another series and of which it tells nothing."""
    others = [refused for refused in result.refused if refused.series_uid not in ("", SERIES)]
    whole = RECIPE.shape[0] - len(others)
    if found.slices < whole:
        refused = [(file.code, file.series_uid) for file in result.refused]
        yield f"{found.slices} of {whole} images open, nothing is told; refused {refused}, skipped {result.skipped}"


def _disagreements(volume: Volume, told: set[str]) -> Iterator[str]:
    """Yield where an opened volume is not what the raw tags say, read by pydicom alone."""
    tolerance = 0.12 if told & _SHIFTED else 0.0101
    for path in volume.origin_provenance.paths:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                planes = list(_planes(pydicom.dcmread(path, force=True)))
        except Exception:  # what pydicom itself can't read, it can't judge
            continue
        for position, orientation, spacing, values in planes:
            for row, column in ((0, 0), (values.shape[0] - 1, values.shape[1] - 1), (1, 2), (5, 1)):
                if row >= values.shape[0] or column >= values.shape[1]:
                    continue
                place = position + orientation[3:] * spacing[0] * row + orientation[:3] * spacing[1] * column
                wrong = _wrong_at(volume, place, float(values[row, column]), tolerance)
                if wrong:
                    yield f"{path.name} ({row}, {column}): {wrong}; findings {sorted(told)}"
                    return


def _planes(dataset: Dataset) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield position, unit orientation, spacing and values of each frame that has them all."""
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = (
            ExplicitVRBigEndian if not little else ImplicitVRLittleEndian if implicit else "1.2.840.10008.1.2.1"
        )
    if "ModalityLUTSequence" in dataset:
        pixels = apply_modality_lut(dataset.pixel_array, dataset).astype(float)
    else:
        slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
        pixels = dataset.pixel_array * (1.0 if slope is None else float(slope)) + float(intercept or 0)
    described = dataset.get("PerFrameFunctionalGroupsSequence")
    if described is None:
        frames = [([dataset], pixels)]
    else:
        shared = list(dataset.get("SharedFunctionalGroupsSequence") or ())
        pixels = pixels.reshape(-1, *pixels.shape[-2:])
        frames = [([groups, *shared, dataset], plane) for groups, plane in zip(described, pixels, strict=False)]
    for sources, plane in frames:
        position = _raw(sources, "PlanePositionSequence", "ImagePositionPatient")
        orientation = _raw(sources, "PlaneOrientationSequence", "ImageOrientationPatient")
        spacing = _raw(sources, "PixelMeasuresSequence", "PixelSpacing")
        if position is not None and orientation is not None and spacing is not None:
            lengths = np.repeat(np.linalg.norm(orientation.reshape(2, 3), axis=1), 3)
            yield position, orientation / lengths, spacing, plane


def _raw(sources: Sequence[Dataset], group: str, keyword: str) -> np.ndarray | None:
    for source in sources:
        for item in (*(source.get(group) or ()), source):
            value = item.get(keyword)
            if value:
                return np.array([float(number) for number in value])
    return None


def _wrong_at(volume: Volume, place: np.ndarray, value: float, tolerance: float) -> str:
    index = np.rint(volume.geometry.to_index(place)).astype(int)
    shape = volume.geometry.shape
    if not ((index >= 0) & (index < shape)).all():
        return f"{place} mm is voxel {index} of {shape}"
    apart = float(np.linalg.norm(volume.geometry.to_patient(index) - place))
    if apart > tolerance + 1e-6 * float(np.abs(place).max()):
        return f"{place} mm is {apart:.3g} mm off"
    shown = np.asarray(volume.voxels[(..., *index)], float).ravel()
    if not np.isclose(shown, np.float32(value), rtol=1e-5, atol=1e-3, equal_nan=True).any():
        return f"{value} is shown as {shown}"
    return ""


# -- NIfTI and its like --------------------------------------------------------------------------------------


def nifti_bases(root: Path) -> list[Base]:
    values = RECIPE.stored().transpose(2, 1, 0)
    affine = np.array([[-1.5, 0.1, 0.2, 30], [0.1, -2, 0.1, 12], [-0.2, 0.1, 3, -140], [0, 0, 0, 1]])
    images = {
        "one": nib.Nifti1Image(values, affine),
        "two": nib.Nifti2Image(values, affine),
        "float": nib.Nifti1Image(values.astype(np.float32), affine),
        "time": nib.Nifti1Image(np.stack([values, values + 1], -1), affine),
        "big": nib.Nifti1Image(values, affine, nib.Nifti1Header(endianness=">")),
    }
    files = [*((name, ".nii") for name in images), ("one", ".nii.gz"), ("two", ".nii.gz")]
    bases = []
    for name, ending in files:
        path = root / f"{name}{ending.replace('.', '_')}" / f"{name}{ending}"
        path.parent.mkdir()
        images[name].header.set_xyzt_units("mm", "sec")
        nib.save(images[name], path)
        bases.append(Base.of(path.parent, fuzz_mutations.NIFTI, judge_nifti))
    volume = open_volume(root / "one_nii")
    (root / "labels").mkdir()
    save_labels_nifti(root / "labels" / "labels.nii.gz", _labels(volume), volume)
    bases.append(Base.of(root / "labels", fuzz_mutations.NIFTI, lambda base, path: judge_labels(path, volume)))
    return [*bases, *_text_bases(root, volume)]


def _text_bases(root: Path, volume: Volume) -> list[Base]:
    for name, ending, write in (("nrrd", ".nrrd", save_volume_nrrd), ("mha", ".mha", save_volume_metaimage)):
        (root / name).mkdir()
        write(root / name / f"a{ending}", volume)
    (root / "slicer").mkdir()
    save_seg_nrrd(root / "slicer" / "a.seg.nrrd", _labels(volume), volume)
    kinds = fuzz_mutations.TEXT
    return [
        Base.of(root / "nrrd", kinds, judge_opening),
        Base.of(root / "mha", kinds, judge_opening),
        Base.of(root / "slicer", kinds, lambda base, path: judge_labels(path, volume)),
    ]


def judge_opening(_: Base, path: Path) -> Iterator[str]:
    try:
        open_volume(path, orientation="LPS", answers=ANSWERS)
    except VolsegError as error:
        yield from _not_a_sentence(str(error))


def judge_labels(path: Path, volume: Volume) -> Iterator[str]:
    try:
        segmentation = load_labels(path, volume)
    except VolsegError as error:
        yield from _not_a_sentence(str(error))
        return
    if segmentation.labels.shape != volume.geometry.shape:
        yield f"labels have shape {segmentation.labels.shape}"


def judge_nifti(_: Base, path: Path) -> Iterator[str]:
    try:
        volume = open_volume(path, orientation="LAS", form="sform")
    except VolsegError as error:
        yield from _not_a_sentence(str(error))
        return
    if any(finding.severity == "warning" for finding in volume.origin_provenance.findings):
        return
    try:
        image = nib.load(path)
        values = np.asanyarray(image.dataobj)
    except Exception:  # what nibabel can't read, it can't judge
        return
    yield from _differences_from(values, image.affine, volume)


def _differences_from(values: np.ndarray, affine: np.ndarray, volume: Volume) -> Iterator[str]:
    values = values.reshape(*values.shape, *[1] * (3 - values.ndim))
    stored = Geometry.from_ras_ijk(affine, values.shape[:3])
    for index in ((0, 0, 0), tuple(n - 1 for n in values.shape[:3]), tuple(n // 2 for n in values.shape[:3])):
        place = stored.to_patient(index[::-1])
        value = values[index] if values.ndim == 3 else values[index].ravel()[0]
        wrong = _wrong_at(volume, place, float(value), 1e-3)
        if wrong:
            yield f"nibabel at {index}: {wrong}"
            return


def _not_a_sentence(message: str) -> Iterator[str]:
    if "\n" in message or len(message) > 900:
        yield f"message of {len(message)} characters: {message[:200]!r}"


# -- running -------------------------------------------------------------------------------------------------

MAKERS = {"dicom": dicom_bases, "nifti": nifti_bases}


def run(kind: str, first: int, last: int, root: Path) -> None:
    """Try the cases from ``first`` to before ``last``."""
    bases = MAKERS[kind](root)
    _limit_memory()
    started, slowest, opened = time.monotonic(), 0.0, 0
    for case in range(first, last):
        rng = np.random.default_rng([len(kind), ord(kind[0]), case])
        base = bases[case % len(bases)]
        path = list(base.files)[int(rng.integers(len(base.files)))]
        what, damaged = mutated(rng, base.files[path], base.kinds)
        _say(case=case, file=f"{base.folder.name}/{path.name}", what=what)
        path.write_bytes(damaged)
        faulthandler.dump_traceback_later(HANG, exit=True)
        before = time.monotonic()
        for problem in _problems(base, path):
            _say(case=case, problem=problem)
        slowest = max(slowest, time.monotonic() - before)
        faulthandler.cancel_dump_traceback_later()
        path.write_bytes(base.files[path])
        opened += 1
    _say(done=opened, seconds=time.monotonic() - started, slowest=slowest, peak=_peak())


def _problems(base: Base, path: Path) -> list[str]:
    try:
        return list(base.judge(base, path))
    except VolsegError as error:
        return list(_not_a_sentence(str(error)))
    except BaseException as error:  # whatever else escapes is the finding
        where = traceback.format_tb(error.__traceback__)[-3:]
        return [f"{type(error).__name__} escaped: {error}\n{''.join(where)}"]


def run_bombs(root: Path) -> None:
    """Open each bomb, which shall be refused."""
    for name, make in BOMBS.items():
        (root / name).mkdir()
        make(root / name)
    _limit_memory()
    for name in BOMBS:
        faulthandler.dump_traceback_later(HANG, exit=True)
        before = time.monotonic()
        outcome = _refusal(root / name / ENTRIES.get(name, "."))
        _say(bomb=name, outcome=outcome, seconds=time.monotonic() - before, peak=_peak())
        faulthandler.cancel_dump_traceback_later()


def _refusal(path: Path) -> str:
    try:
        open_volume(path)
    except VolsegError as error:
        return f"refused: {error}"
    except BaseException as error:  # whatever else escapes is the finding
        return f"{type(error).__name__} escaped: {error}"
    return "opened"


def _peak() -> int:
    """Return the most memory that this process and those that it ended have held, bytes."""
    return max(peak_memory_bytes(), 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _limit_memory() -> None:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))


def _say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    faulthandler.enable()
    warnings.simplefilter("ignore")
    if sys.argv[1] == "bombs":
        run_bombs(Path(sys.argv[4]))
    else:
        run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
