"""RT Structure Sets in: the voxels whose centres lie within the contours, on the slices that these belong to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage

from napari_volseg.core import (
    Code,
    Finding,
    Geometry,
    GeometryError,
    RefusedError,
    Segment,
    Segmentation,
    SegmentTable,
    VolsegError,
    Volume,
    color_for,
)
from napari_volseg.formats.dicom.contours import mask_within
from napari_volseg.spatial import apply_reorientation

#: How far from a slice, in slices, a contour may lie that belongs to it: a point of it, and its points on average.
_BETWEEN, _OFF = 0.45, 0.3
_ALGORITHM_TYPES = ("MANUAL", "SEMIAUTOMATIC", "AUTOMATIC")


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A region of interest on a grid.

    Parameters
    ----------
    segment
        Its name and colour.
    mask
        Its voxels (slices, rows, columns).
    """

    segment: Segment
    mask: NDArray[np.bool_]


def is_structure_set(path: Path) -> bool:
    """Whether a file is an RT Structure Set."""
    try:
        header = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
        return bool(header.get("SOPClassUID") == RTStructureSetStorage)
    except Exception:  # the parser raises whatever a file that is something else, or damaged, leads it into
        return False


def read_structure_set(path: Path, volume: Volume) -> Segmentation:
    """Read the closed planar contours of a structure set onto the display grid of its volume.

    Label values are counted from 1 in the order of the regions. Where regions overlap, voxels go to the one with
    fewer voxels, and a finding names them.

    Raises
    ------
    GeometryError
        Where a contour does not lie on a slice of the volume's stored grid.
    RefusedError
        Where it holds no closed contour, and for damaged files.
    """
    try:
        regions = regions_of(pydicom.dcmread(path), volume.origin_provenance.source_geometry, path.name)
    except VolsegError:
        raise
    except Exception as error:  # elements are absent, or of another kind than they should be
        reason = " ".join(str(error).split())[:200]
        raise RefusedError(f"{path.name} is damaged ({reason}): export it again", "dicom.damaged") from error
    if not regions:
        raise RefusedError(f"{path.name} holds no closed contour: open one that does", "labels.no_contours")
    stored, findings = _merged(regions, path.name)
    labels = np.ascontiguousarray(apply_reorientation(stored, volume.origin_provenance.reorientation))
    table = SegmentTable(tuple(region.segment for region in regions))
    return Segmentation(labels, volume.geometry, table, findings)


def regions_of(dataset: Dataset, stored: Geometry, name: str) -> list[Region]:
    """Return the regions of a structure set that have closed contours, on the grid of its images, in their order."""
    by_number = {int(item.ROINumber): item for item in dataset.StructureSetROISequence}
    codes = {
        int(item.ReferencedROINumber): item.RTROIIdentificationCodeSequence[0]
        for item in dataset.get("RTROIObservationsSequence") or ()
        if item.get("RTROIIdentificationCodeSequence")
    }
    found: list[Region] = []
    for item in dataset.ROIContourSequence:
        mask = _filled(item, stored, name)
        if mask is not None:
            number = int(item.ReferencedROINumber)
            segment = _segment(len(found) + 1, by_number[number], item, codes.get(number))
            found.append(Region(segment, mask))
    return found


def _filled(region: Dataset, stored: Geometry, name: str) -> NDArray[np.bool_] | None:
    """Return the voxels within the closed contours of a region; None where it has none."""
    by_slice: dict[int, list[NDArray[np.float64]]] = {}
    for contour in region.get("ContourSequence") or ():
        if str(contour.ContourGeometricType) in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
            index = stored.to_index(_points_of(contour))
            by_slice.setdefault(_slice_of(index, stored, name), []).append(index[:, 1:])
    if not by_slice:
        return None
    mask = np.zeros(stored.shape, bool)
    for number, polygons in by_slice.items():
        mask[number] = mask_within(polygons, stored.shape[1:])
    return mask


def _points_of(contour: Dataset) -> NDArray[np.float64]:
    """Return the points of a contour, (n, 3), patient (x, y, z), mm, LPS."""
    data = contour.ContourData
    if isinstance(data, bytes):  # over 64 KiB with explicit VR, its VR is UN (PS3.5 6.2.2)
        data = data.decode("ascii").split("\\")
    return np.array(data, float).reshape(-1, 3)


def _slice_of(index: NDArray[np.float64], stored: Geometry, name: str) -> int:
    middle = float(index[:, 0].mean())
    number = round(middle)
    apart = float(np.abs(index[:, 0] - number).max())
    if not 0 <= number < stored.shape[0] or apart > _BETWEEN or abs(middle - number) > _OFF:
        raise GeometryError(
            f"{name} has a contour at slice {middle:.2f} of the image ({stored.shape[0]} slices, counted from 0), "
            "and a contour has to lie on a slice: open the one that belongs to this image",
            "labels.mismatch",
        )
    return number


def _merged(regions: list[Region], name: str) -> tuple[NDArray[Any], tuple[Finding, ...]]:
    """Return one label array, in which smaller regions lie over larger ones, and what is to be told of that."""
    stored = np.zeros(regions[0].mask.shape, np.min_scalar_type(len(regions)))
    overlapping: set[str] = set()
    for region in sorted(regions, key=lambda region: -int(region.mask.sum())):
        below = np.unique(stored[region.mask])
        if below.any():
            overlapping |= {region.segment.name, *(regions[value - 1].segment.name for value in below if value)}
        stored[region.mask] = region.segment.value
    if not overlapping:
        return stored, ()
    words = ", ".join(sorted(overlapping))
    message = f"regions of {name} overlap ({words}): voxels of several went to the one with fewer voxels"
    return stored, (Finding("labels.overlap", message),)


def _segment(value: int, roi: Dataset, region: Dataset, code: Dataset | None) -> Segment:
    color = tuple(int(channel) for channel in region.get("ROIDisplayColor") or ())
    algorithm = str(roi.get("ROIGenerationAlgorithm", ""))
    plain = Segment(value, str(roi.get("ROIName", "")).strip() or f"Segment {value}", color_for(value))
    return Segment(
        value,
        plain.name,
        color if len(color) == 3 else plain.color,
        type=plain.type if code is None else Code(code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning),
        algorithm_type=algorithm if algorithm in _ALGORITHM_TYPES else "MANUAL",  # type: ignore[arg-type]
    )
