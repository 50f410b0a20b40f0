"""DICOM RT Structure Sets out: contours on the source's own slices, read back and filled before they count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from napari_volseg import __version__
from napari_volseg.core import Geometry, RefusedError, Segment, Segmentation, Volume
from napari_volseg.formats.dicom.assembly import NAME
from napari_volseg.formats.dicom.contours import outlines_of
from napari_volseg.formats.dicom.segmentation_export import (
    add_missing_elements,
    character_set,
    label_of,
    segments_with_voxels,
)
from napari_volseg.formats.dicom.segmentation_sources import SourceImages, refuse_without_source_slices, source_images
from napari_volseg.formats.dicom.structure_set_import import regions_of
from napari_volseg.formats.dicom.uids import complete_uids
from napari_volseg.formats.files import PathLike
from napari_volseg.formats.labels import require_same_grid
from napari_volseg.formats.publishing import Draft, publish, require_no_source, require_same_voxels
from napari_volseg.spatial import apply_reorientation, invert_reorientation

#: What is taken over from the source images: PS3.3 C.7.1.1 Patient, C.7.2.1 General Study.
_COPIED = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
)
_STUDY_COMPONENT = "1.2.840.10008.3.1.2.3.1"


def save_rtstruct(path: PathLike, segmentation: Segmentation, volume: Volume) -> Path:
    """Save labels as an RT Structure Set: closed planar contours on the slices of the volume's source images.

    Contours run halfway between voxel centres, so that whoever takes the voxels whose centres lie within gets the
    labels back exactly; a hole is joined to its outline by a keyhole. Regions of interest are the segments that have
    voxels, numbered from 1 in the order of the table.

    Parameters
    ----------
    path
        The file to write.
    segmentation
        On the volume's display grid.
    volume
        Loaded from a DICOM series whose files are still there.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    RefusedError
        Where the source isn't DICOM, its files are gone, the path is that of one of them, there is nothing to save,
        or the contours, read back and filled, give other labels.
    """
    target, origin = Path(path), volume.origin_provenance
    if origin.format != NAME:
        raise RefusedError(
            f"an RT Structure Set refers to DICOM images, and {volume.name} comes from {origin.format}: "
            "save the labels as NIfTI",
            "export.not_dicom",
        )
    require_no_source(target, volume)
    refuse_without_source_slices(origin)
    require_same_grid(segmentation.geometry, volume)
    segments = segments_with_voxels(segmentation)
    stored = apply_reorientation(segmentation.labels, invert_reorientation(origin.reorientation))
    sources = source_images(origin)
    sources.refuse_labels_beside_images(stored)

    def write(temporary: Path) -> None:
        built = _structure_set(stored, origin.source_geometry, segments, sources)
        built.save_as(temporary, enforce_file_format=True)

    def verify(written: Path) -> None:
        read = pydicom.dcmread(written)
        filled = _labels_within(read, origin.source_geometry, [segment.value for segment in segments])
        require_same_voxels(np.array_equal(filled, stored), target.name)

    publish([Draft(target, write, verify)])
    return target


def _labels_within(dataset: Dataset, stored: Geometry, values: Sequence[int]) -> NDArray[np.int64]:
    """Return labels on a grid (slices, rows, columns), given the label value of each region in their order."""
    labels = np.zeros(stored.shape, np.int64)
    for value, region in zip(values, regions_of(dataset, stored, "the file"), strict=True):
        labels[region.mask] = value
    return labels


def _structure_set(
    stored: NDArray[Any], geometry: Geometry, segments: Sequence[Segment], sources: SourceImages
) -> FileDataset:
    images = sources.datasets
    complete_uids(images, sources.paths)
    for image in images:
        add_missing_elements(image)
    references = _references(sources)
    made = _empty(images[0], segments)
    made.ReferencedFrameOfReferenceSequence = Items([_frame_of_reference(images, references)])
    made.StructureSetROISequence = Items([_roi(n, s, images[0]) for n, s in enumerate(segments, 1)])
    made.ROIContourSequence = Items(
        [_contours(n, s, stored, geometry, references) for n, s in enumerate(segments, 1)]
    )
    made.RTROIObservationsSequence = Items([_observation(n, s) for n, s in enumerate(segments, 1)])
    return made


def _empty(image: Dataset, segments: Sequence[Segment]) -> FileDataset:
    """Return a structure set of the patient and study of an image, without regions."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = RTStructureSetStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    # with explicit VR a contour ends at 64 KiB, some 2400 points (PS3.5 7.1.2)
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    if characters := character_set(image, segments):
        made.SpecificCharacterSet = characters
    for keyword in _COPIED:
        if keyword in image:
            made[keyword] = image[keyword]
    made.FrameOfReferenceUID = image.FrameOfReferenceUID
    made.PositionReferenceIndicator = image.get("PositionReferenceIndicator", "")
    now = datetime.now()
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.Modality, made.SeriesInstanceUID = "RTSTRUCT", generate_uid()
    made.SeriesNumber = int(image.get("SeriesNumber") or 0) + 2000
    made.SeriesDescription = "Structure set"
    made.OperatorsName = ""
    made.Manufacturer = made.ManufacturerModelName = "napari-volseg"
    made.SoftwareVersions = __version__
    made.InstanceCreationDate = made.StructureSetDate = now.strftime("%Y%m%d")
    made.InstanceCreationTime = made.StructureSetTime = now.strftime("%H%M%S")
    made.StructureSetLabel = "SEGMENTATION"
    made.ApprovalStatus = "UNAPPROVED"
    return made


def _references(sources: SourceImages) -> dict[int, Dataset]:
    """Return what refers to the image of each stored slice that has one."""
    found = {}
    for place, number in enumerate(sources.slices):
        image = sources.datasets[0 if sources.frames else place]
        reference = Dataset()
        reference.ReferencedSOPClassUID = image.SOPClassUID
        reference.ReferencedSOPInstanceUID = image.SOPInstanceUID
        if sources.frames:
            reference.ReferencedFrameNumber = sources.frames[place] + 1
        found[number] = reference
    return found


def _frame_of_reference(images: Sequence[Dataset], references: Mapping[int, Dataset]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = images[0].SeriesInstanceUID
    series.ContourImageSequence = Items(list(references.values()))
    study = Dataset()
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = _STUDY_COMPONENT, images[0].StudyInstanceUID
    study.RTReferencedSeriesSequence = Items([series])
    frame = Dataset()
    frame.FrameOfReferenceUID = images[0].FrameOfReferenceUID
    frame.RTReferencedStudySequence = Items([study])
    return frame


def _roi(number: int, segment: Segment, image: Dataset) -> Dataset:
    roi = Dataset()
    roi.ROINumber = number
    roi.ReferencedFrameOfReferenceUID = image.FrameOfReferenceUID
    roi.ROIName = label_of(segment)
    roi.ROIGenerationAlgorithm = segment.algorithm_type
    return roi


def _contours(
    number: int, segment: Segment, stored: NDArray[Any], geometry: Geometry, references: Mapping[int, Dataset]
) -> Dataset:
    region = Dataset()
    region.ROIDisplayColor = list(segment.color)
    mask = stored == segment.value
    slices = np.flatnonzero(mask.any((1, 2)))
    region.ContourSequence = Items(
        [
            _contour(polygon, int(place), geometry, references[int(place)])
            for place in slices
            for polygon in outlines_of(mask[place])
        ]
    )
    region.ReferencedROINumber = number
    return region


def _contour(polygon: NDArray[np.float64], place: int, geometry: Geometry, reference: Dataset) -> Dataset:
    index = np.column_stack([np.full(len(polygon), place), polygon])
    contour = Dataset()
    contour.ContourImageSequence = Items([reference])
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints = len(polygon)
    contour.ContourData = [f"{value:.4f}" for value in geometry.to_patient(index).ravel()]
    return contour


def _observation(number: int, segment: Segment) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = segment.type.value, segment.type.scheme
    code.CodeMeaning = segment.type.meaning
    seen = Dataset()
    seen.ObservationNumber = seen.ReferencedROINumber = number
    seen.RTROIIdentificationCodeSequence = Items([code])
    seen.RTROIInterpretedType = ""
    seen.ROIInterpreter = ""
    return seen
