"""DICOM in: series listed as volumes, and loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from napari_volseg.core import (
    CancelToken,
    Geometry,
    ProgressCallback,
    Provenance,
    RefusedError,
    Volume,
    no_progress,
)
from napari_volseg.formats.catalog import FoundVolume, RefusedFile, Scan
from napari_volseg.formats.dicom.grid import fit_grid
from napari_volseg.formats.dicom.instances import Instance
from napari_volseg.formats.dicom.pixels import read_voxels
from napari_volseg.formats.dicom.series import (
    common_findings,
    group_series,
    sort_slices,
    split_series,
    without_copies,
)
from napari_volseg.spatial import display_reorientation, reorient_geometry

NAME = "DICOM"


def assemble(instances: Iterable[Instance]) -> Scan:
    """Return the volumes that images form, and those that form none with the reason."""
    found: list[FoundVolume] = []
    refused: list[RefusedFile] = []
    for series in group_series(instances):
        try:
            parts = split_series(series)
        except RefusedError as error:
            refused.append(RefusedFile(series[0].path, error.code, _in_series(series[0], error)))
            continue
        for part in parts:
            try:
                found.append(_volume_of(part, len(parts), str(len(found) + 1)))
            except RefusedError as error:
                refused.append(RefusedFile(part[0].path, error.code, _in_series(part[0], error)))
    return Scan(tuple(found), tuple(refused))


def _in_series(instance: Instance, error: RefusedError) -> str:
    name = instance.description or instance.path.parent.name
    return f"series {name!r}: {error}"


def _volume_of(part: Sequence[Instance], parts: int, volume_id: str) -> FoundVolume:
    slices, copies = without_copies(sort_slices(part))
    geometry, findings = fit_grid(slices)
    first = slices[0]
    return FoundVolume(
        id=volume_id,
        format=NAME,
        paths=tuple(instance.path for instance in slices),
        description=first.description,
        modality=first.modality,
        geometry=geometry,
        date=first.date,
        findings=(*common_findings(slices, parts), *copies, *findings),
        source=tuple(slices),
    )


def load(found: FoundVolume, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None) -> Volume:
    """Read the voxels of a series that was scanned.

    Parameters
    ----------
    found
        From a scan.
    progress, cancel
        Called and looked at after each slice.

    Raises
    ------
    RefusedError
        Where a slice can't be decoded.
    """
    slices: tuple[Instance, ...] = found.source  # type: ignore[assignment]
    stored = found.geometry
    reorientation = display_reorientation(stored)
    voxels = read_voxels(slices, stored, reorientation, progress, cancel)
    quantity, unit = _meaning(slices[0])
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
            paths=found.paths,
            uids=_uids(slices[0], stored),
            details=_details(slices),
            findings=found.findings,
        ),
    )


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


def _details(slices: Sequence[Instance]) -> dict[str, Any]:
    middle = slices[len(slices) // 2]
    details: dict[str, Any] = {
        "series_description": middle.description,
        "date": middle.date,
        "image_type": middle.image_type,
        "windows": middle.windows,
    }
    if middle.padding is not None:
        details["padding"] = middle.padding * middle.slope + middle.intercept
    return details
