"""The one table of readers, and opening whatever a path holds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_volseg.core import (
    Answers,
    CancelToken,
    DecisionNeededError,
    PreviewCallback,
    Progress,
    ProgressCallback,
    RefusedError,
    UsageError,
    Volume,
    no_progress,
)
from napari_volseg.formats import archives, dicom, metaimage, nifti, nrrd
from napari_volseg.formats.catalog import FoundVolume, RefusedFile, Scan
from napari_volseg.formats.files import PathLike, list_files
from napari_volseg.formats.nifti_header import header_of_pair
from napari_volseg.formats.remembering import Remembered, ScanMemory

#: Formats of which each file is a volume: how to tell, and who looks at one.
_SINGLE_FILES = (
    (nifti.is_nifti, nifti.scan_file),
    (nrrd.is_nrrd, nrrd.scan_file),
    (metaimage.is_metaimage, metaimage.scan_file),
)
_RASTERS = {nrrd.NAME: nrrd.load, metaimage.NAME: metaimage.load}


def scan(
    path: PathLike | Sequence[PathLike],
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
    answers: Answers | None = None,
    room: Path | None = None,
    memory: ScanMemory | None = None,
) -> Scan:
    """Look at a file or at everything under a folder, and list the volumes in it.

    Only headers are read (and gzip data of unexpected length, to see whether it is whole). DICOM files are
    grouped into series and checked to form a grid.

    Parameters
    ----------
    path
        File, folder, or several of them.
    progress, cancel
        Called and looked at after each file.
    answers
        To decisions that DICOM series may need; what stays open is listed in the volumes' ``decisions``.
    room
        Private folder into which zip archives at ``path`` itself are unpacked; the caller removes it once nothing
        is read from it any more, exports included. Without it archives are refused.
    memory
        Where earlier scans are remembered: DICOM files of the same size and time are not read again.

    Raises
    ------
    UsageError
        For a path that does not exist.
    """
    listed = list_files(path)
    unpacked, parts = _unpacked(path, room, progress, cancel)
    tried = {one.archive for one in unpacked} | {file.path for file in parts[0].refused}
    files = [file for file in listed if file not in tried]
    files = _one_of_each_pair([*files, *(file for one in unpacked for file in one.files)])
    known, remembered = set(files), Remembered(memory)
    images: list[dicom.Instance] = []
    for number, file in enumerate(files):  # grows by what a DICOMDIR refers to
        if cancel is not None:
            cancel.check()
        outcome = _recall_or_examine(file, remembered)
        if isinstance(outcome, Scan):
            parts.append(outcome)
        elif isinstance(outcome, dicom.Directory):
            parts.append(Scan(refused=outcome.refused, skipped=1))
            files.extend(new for new in outcome.files if new not in known)
            known.update(outcome.files)
        else:
            images.extend(outcome)
        progress(Progress(number + 1, len(files), f"Reading headers: {file.name}"))
    remembered.save()
    parts.append(dicom.assemble(images, [refused for part in parts for refused in part.refused], answers))
    return archives.named_after(unpacked, _merged(parts))


def load(
    found: FoundVolume,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
    orientation: str | None = None,
    form: str | None = None,
    answers: Answers | None = None,
    preview: PreviewCallback | None = None,
) -> Volume:
    """Read the voxels of a found volume onto its display grid.

    Parameters
    ----------
    found
        From ``scan``.
    progress, cancel
        Called and looked at after each slice.
    orientation
        For files that give no directions (NIfTI without qform and sform, Analyze, NRRD without space): "RAS",
        "LAS" or "LPS".
    form
        For NIfTI whose sform and qform contradict each other: "sform" or "qform".
    answers
        To the decisions of a DICOM series.
    preview
        Told of a 3D volume as soon as its first slice is there, of DICOM the middle one; anew where the array
        changes because values don't fit its type.

    Raises
    ------
    RefusedError
        Where a file is damaged, missing a decoder, or changed since the scan.
    DecisionNeededError
        Where only the user can tell how the image lies; its ``keyword`` names the argument that answers.
    """
    if found.format == nifti.NAME:
        volume = nifti.load(found, progress, cancel, orientation, form, preview)
    elif found.format in _RASTERS:
        volume = _RASTERS[found.format](found, progress, cancel, orientation, preview)
    else:
        volume = dicom.load(found, progress, cancel, answers, preview)
    if found.archive is None:
        return volume
    return replace(volume, provenance=replace(volume.origin_provenance, archive=found.archive))


def prepare(result: Scan) -> None:
    """Start what loading the first volume of a scan will wait for; returns at once."""
    if result.found and result.found[0].format == dicom.NAME:
        dicom.prepare(result.found[0])


def open_volume(
    path: PathLike | Sequence[PathLike],
    volume_id: str | None = None,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
    orientation: str | None = None,
    form: str | None = None,
    answers: Answers | None = None,
    room: Path | None = None,
) -> Volume:
    """Open the volume at a path: the only one, or the one with ``volume_id``; ``room`` as in ``scan``.

    Raises
    ------
    DecisionNeededError
        Where there are several volumes and none was chosen (its choices are their ids), or a decision is open.
    RefusedError
        Where there is none, with the reason.
    UsageError
        For a path or an id that does not exist.
    """
    found = choose(scan(path, progress, cancel, answers, room), path, volume_id)
    return load(found, progress, cancel, orientation, form, answers)


def choose(result: Scan, path: PathLike | Sequence[PathLike], volume_id: str | None = None) -> FoundVolume:
    """Return the volume of a scan with this id, or its only one; errors as in ``open_volume``.

    Screenshots and the like, which have no place in the patient, don't stand in the way of an only volume.
    """
    choices = {found.id: describe(found) for found in result.found}
    if volume_id is not None and result.found:
        for found in result.found:
            if found.id == volume_id:
                return found
        raise UsageError(f"there is no volume {volume_id!r} in {path}: choose one of {', '.join(choices)}")
    placed = [found for found in result.found if not found.uncalibrated]
    if len(placed) == 1:
        return placed[0]
    if len(result.found) > 1:
        raise DecisionNeededError(
            f"{path} holds {len(choices)} volumes: choose one of {', '.join(choices)}", choices, "volume"
        )
    if not result.found:
        raise _nothing_to_open(result, path)
    return result.found[0]


def describe(found: FoundVolume) -> str:
    """Return one line about a found volume for lists and questions."""
    shape = " × ".join(map(str, found.shape))
    spacing = " × ".join(f"{step:.3g}" for step in found.spacing) + " mm"
    name = found.description or "without description"
    size = "no physical size" if found.uncalibrated else spacing
    return ", ".join(filter(None, (name, found.modality, shape, size, found.date)))


def _unpacked(
    path: PathLike | Sequence[PathLike],
    room: Path | None,
    progress: ProgressCallback,
    cancel: CancelToken | None,
) -> tuple[list[archives.Unpacked], list[Scan]]:
    """Return what came out of the archives that were asked for, and what was refused on the way."""
    roots = [path] if isinstance(path, str | os.PathLike) else list(path)
    unpacked: list[archives.Unpacked] = []
    refused: list[RefusedFile] = []
    for root in map(Path, roots):
        if room is None or not archives.is_zip(root):
            continue
        try:
            unpacked.append(archives.unpack(root, room, progress, cancel))
        except RefusedError as error:
            refused.append(RefusedFile(root, error.code, str(error)))
    return unpacked, [Scan(refused=(*refused, *(file for one in unpacked for file in one.refused)))]


def _one_of_each_pair(files: Sequence[Path]) -> list[Path]:
    present = set(files)
    return [file for file in files if header_of_pair(file) not in present]


def _recall_or_examine(file: Path, remembered: Remembered) -> Scan | tuple[dicom.Instance, ...] | dicom.Directory:
    images, version = remembered.recall(file)
    if images is not None:
        return images
    outcome = _examine(file)
    if isinstance(outcome, tuple):
        remembered.note(file, version, outcome)
    return outcome


def _examine(file: Path) -> Scan | tuple[dicom.Instance, ...] | dicom.Directory:
    """Return what one file is, judged by its content."""
    try:
        if not dicom.has_preamble(file):
            if archives.is_zip(file):
                return Scan(refused=(archives.closed(file),))
            for is_ours, scan_file in _SINGLE_FILES:
                if is_ours(file):
                    return scan_file(file)
        outcome = dicom.read_file(file)
    except OSError as error:
        reason = f"{file.name} can't be read ({error.strerror or error}): check its permissions"
        return Scan(refused=(RefusedFile(file, "path.unreadable", reason),))
    if isinstance(outcome, RefusedFile):
        return Scan(refused=(outcome,))
    return outcome if outcome is not None else Scan(skipped=1)


def _merged(parts: Sequence[Scan]) -> Scan:
    found = [volume for part in parts for volume in part.found]
    return Scan(
        found=tuple(replace(volume, id=str(number)) for number, volume in enumerate(found, 1)),
        refused=tuple(refused for part in parts for refused in part.refused),
        skipped=sum(part.skipped for part in parts),
    )


def _nothing_to_open(result: Scan, path: PathLike | Sequence[PathLike]) -> RefusedError:
    if not result.refused:
        return RefusedError(
            f"{path} holds no medical image ({result.skipped} other files): "
            "open a NIfTI, NRRD or MetaImage file, or a folder with DICOM files",
            "path.no_images",
        )
    first = result.refused[0]
    others = len(result.refused) - 1
    more = f" ({others} more files or series were refused, too)" if others else ""
    return RefusedError(first.reason + more, first.code)
