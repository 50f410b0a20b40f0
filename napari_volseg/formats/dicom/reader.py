"""DICOM in: the volumes that a scan found, loaded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray
from pydicom.uid import UID

from napari_volseg.core import (
    Answers,
    CancelToken,
    DecisionNeededError,
    Geometry,
    PreviewCallback,
    ProgressCallback,
    Provenance,
    RefusedError,
    Reorientation,
    Volume,
    no_progress,
)
from napari_volseg.formats.catalog import FoundVolume
from napari_volseg.formats.dicom.assembly import NAME, assemble
from napari_volseg.formats.dicom.decoding import start_ahead
from napari_volseg.formats.dicom.instances import Instance
from napari_volseg.formats.dicom.pixels import read_voxels
from napari_volseg.formats.dicom.stack import Stack
from napari_volseg.spatial import display_reorientation, reorient_geometry


def load(
    found: FoundVolume,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
    answers: Answers | None = None,
    preview: PreviewCallback | None = None,
) -> Volume:
    """Read the voxels of a series that was scanned.

    Parameters
    ----------
    found
        From a scan.
    progress, cancel
        Called and looked at after each image.
    answers
        To the decisions that the scan left open.
    preview
        Told of a 3D volume that is under way, unless its slices are interpolated.

    Raises
    ------
    DecisionNeededError
        Where a decision is still open, or an answer makes several volumes of one.
    RefusedError
        Where an image can't be decoded.
    """
    found = decided(found, answers or Answers())
    stack: Stack = found.source  # type: ignore[assignment]
    stored = found.geometry
    reorientation = display_reorientation(stored)

    def describe(voxels: NDArray[Any]) -> Volume:
        return _volume(found, stack, reorientation, voxels)

    return describe(read_voxels(stack, stored, reorientation, progress, cancel, describe, preview))


def _volume(found: FoundVolume, stack: Stack, reorientation: Reorientation, voxels: NDArray[Any]) -> Volume:
    """Return the volume of voxels on the display grid."""
    stored, first = found.geometry, stack.first_images[0]
    quantity, unit = _meaning(first)
    return Volume(
        voxels=voxels,
        geometry=reorient_geometry(stored, reorientation),
        modality=found.modality,
        quantity=quantity,
        unit=unit,
        name=found.description or f"{found.modality} {found.date}".strip(),
        provenance=Provenance(
            format=NAME,
            source_geometry=stored,
            reorientation=reorientation,
            paths=tuple(image.path for image in stack.first_images),
            uids=_uids(first, stored),
            details=_details(stack, stored),
            findings=found.findings,
        ),
        time=stack.time,
    )


def prepare(found: FoundVolume) -> None:
    """Start what loading will wait for: the process that undoes the compression of pixels."""
    stack: Stack = found.source  # type: ignore[assignment]
    if UID(stack.first_images[0].transfer_syntax).is_encapsulated:
        start_ahead(stack.first_images[0])


def decided(found: FoundVolume, answers: Answers) -> FoundVolume:
    """Return the volume as it is under answers to its open decisions.

    Raises
    ------
    DecisionNeededError
        Where a decision is still open, or an answer makes several volumes of one.
    RefusedError
        Where an answer is to refuse.
    """
    if not found.decisions:
        return found
    stack: Stack = found.source  # type: ignore[assignment]
    result = assemble(stack.candidates, answers=answers)
    volumes = [volume for volume in result.found if set(volume.paths) == set(found.paths)] or list(result.found)
    if not volumes:
        raise RefusedError(result.refused[0].reason, result.refused[0].code)
    for decision in volumes[0].decisions:
        raise decision.error()
    if len(volumes) > 1:
        choices = {volume.id: volume.description for volume in volumes}
        raise DecisionNeededError(
            f"{found.description!r} becomes {len(choices)} volumes: scan again with the same answers and choose one",
            choices,
        )
    lost = [finding for finding in found.findings if finding.code == "dicom.left_out"]  # the scan alone knows of it
    return replace(volumes[0], findings=(*lost, *volumes[0].findings))


def _meaning(first: Instance) -> tuple[str, str]:
    """Return quantity and unit: CT is HU unless its Rescale Type says otherwise (PS3.3 C.8.2.1.1)."""
    if first.modality == "CT" and first.rescale_type in ("", "HU"):
        return "HU", "HU"
    if first.modality == "PT" and first.units == "GML":
        return "SUV", "g/mL"
    return "arbitrary", {"BQML": "Bq/mL", "CNTS": "counts"}.get(first.units, "")


def _uids(first: Instance, stored: Geometry) -> dict[str, str]:
    uids = {
        "StudyInstanceUID": first.study_uid,
        "SeriesInstanceUID": first.series_uid,
        "SOPClassUID": first.sop_class_uid,
        "FrameOfReferenceUID": stored.frame_of_reference_uid,
    }
    return {keyword: uid for keyword, uid in uids.items() if uid}


def _details(stack: Stack, stored: Geometry) -> dict[str, Any]:
    images = stack.first_images
    middle = images[len(images) // 2]
    details: dict[str, Any] = {
        "series_description": middle.description,
        "date": middle.date,
        "image_type": middle.image_type,
        "photometric": middle.photometric,
        "windows": middle.windows,
    }
    if middle.padding is not None:
        details["padding"] = middle.padding * middle.slope + middle.intercept
    if middle.suv is not None:
        details["factor"] = middle.suv.factor
    if middle.colour:
        details["view_only"] = True
    if stack.uncalibrated:
        details["uncalibrated"] = True
    if images[0].tile is not None:
        details["mosaic"] = True
    elif images[0].frame is not None:
        details["frames"] = tuple(image.frame for image in images)
    if not stack.is_even:
        details["resampled"] = True
    elif len(images) < stored.shape[0]:
        details["empty_slices"] = tuple(sorted(set(range(stored.shape[0])) - set(map(int, stack.slots))))
    return details
