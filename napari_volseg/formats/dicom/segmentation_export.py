"""DICOM segmentations out: written with highdicom, read back by hand with pydicom and compared frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
from highdicom.color import CIELabColor
from highdicom.content import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from highdicom.seg import Segmentation as DicomSegmentation
from highdicom.sr.coding import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from skimage.color import rgb2lab

from napari_volseg import __version__
from napari_volseg.core import Code, Color, Geometry, RefusedError, Segment, Segmentation, Volume
from napari_volseg.formats.dicom.assembly import NAME
from napari_volseg.formats.dicom.segmentation_import import frames_of, read_binary_dataset, slice_of
from napari_volseg.formats.dicom.segmentation_sources import refuse_without_source_slices, source_images
from napari_volseg.formats.dicom.uids import complete_uids
from napari_volseg.formats.files import PathLike
from napari_volseg.formats.labels import present_values, require_same_grid, with_unnamed
from napari_volseg.formats.publishing import (
    Draft,
    publish,
    require_no_source,
    require_same_positions,
    require_same_voxels,
)
from napari_volseg.spatial import apply_reorientation, invert_reorientation

_DERIVED_UIDS = (
    "The source images had empty UIDs. Study, series, frame of reference or instance UIDs in this object were "
    "derived from the source files by hashing and do not match those of the original study."
)
_REQUIRED_ELEMENTS = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)


def save_dicom_seg(path: PathLike, segmentation: Segmentation, volume: Volume) -> Path:
    """Save labels as a BINARY DICOM segmentation that refers to the volume's source images.

    Segments are those that have voxels, numbered from 1 in the order of the table; frames without voxels are
    left out. Where the source has empty UIDs, stable ones are derived from the files and the object says so in
    its Derivation Description.

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
        Where the source isn't DICOM, its files are gone, the path is that of one of them, there is nothing to
        save, or the file reads back differently.
    """
    target = Path(path)
    origin = volume.origin_provenance
    if origin.format != NAME:
        raise RefusedError(
            f"a DICOM segmentation refers to DICOM images, and {volume.name} comes from {origin.format}: "
            "save the labels as NIfTI",
            "export.not_dicom",
        )
    require_no_source(target, volume)
    refuse_without_source_slices(origin)
    require_same_grid(segmentation.geometry, volume)
    segments = segments_with_voxels(segmentation)
    stored = apply_reorientation(segmentation.labels, invert_reorientation(origin.reorientation))
    numbered = _numbered(stored, segments)
    sources = source_images(origin)
    sources.refuse_labels_beside_images(numbered)

    def write(temporary: Path) -> None:
        built = _build(sources.datasets, sources.in_their_order(numbered), segments, sources.paths)
        sources.name_frames_of_the_file(built)
        built.save_as(temporary)

    def verify(written: Path) -> None:
        dataset = read_binary_dataset(written)
        read = _read_back(dataset, origin.source_geometry, sources.positions, target.name)
        names = [str(item.SegmentLabel) for item in dataset.SegmentSequence]
        meant = [label_of(segment) for segment in segments]
        require_same_voxels(np.array_equal(read, numbered) and names == meant, target.name)

    publish([Draft(target, write, verify)])
    return target


def segments_with_voxels(segmentation: Segmentation) -> list[Segment]:
    """Return the segments that have voxels, in the order of the table; RefusedError where none has."""
    present = present_values(segmentation.labels)
    segments = [segment for segment in with_unnamed(segmentation.table, present) if segment.value in present]
    if not segments:
        raise RefusedError(
            "there is no labelled voxel to save: a DICOM file of segments needs at least one", "export.empty"
        )
    return segments


def _numbered(labels: NDArray[Any], segments: Sequence[Segment]) -> NDArray[Any]:
    """Return labels with segment numbers 1, 2, … in place of label values."""
    numbers = np.zeros(max(segment.value for segment in segments) + 1, np.min_scalar_type(len(segments)))
    for number, segment in enumerate(segments, 1):
        numbers[segment.value] = number
    return numbers[labels]


def _build(
    images: list[Dataset], numbered: NDArray[Any], segments: Sequence[Segment], paths: Sequence[Path]
) -> DicomSegmentation:
    uids_derived = complete_uids(images, paths)
    for image in images:
        add_missing_elements(image)
    if len({image.FrameOfReferenceUID for image in images}) > 1:
        raise RefusedError(
            "the slices of the source name different frames of reference, to which no DICOM segmentation can refer: "
            "save the labels as NIfTI",
            "export.frame_of_reference",
        )
    dataset = _segmentation_object(images, numbered, segments)
    if uids_derived:
        dataset.DerivationDescription = _DERIVED_UIDS
    return dataset


def _segmentation_object(
    images: list[Dataset], numbered: NDArray[Any], segments: Sequence[Segment]
) -> DicomSegmentation:
    return DicomSegmentation(
        source_images=images,
        pixel_array=np.ascontiguousarray(numbered),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(number, segment) for number, segment in enumerate(segments, 1)],
        series_instance_uid=highdicom.UID(),
        series_number=_series_number(images[0]),
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="napari-volseg",
        manufacturer_model_name="napari-volseg",
        software_versions=__version__,
        device_serial_number="0",
        content_label="SEGMENTATION",
        content_description="Segmentation",
        omit_empty_frames=True,
        series_description="Segmentation",
        specific_character_set=character_set(images[0], segments),
    )


def add_missing_elements(image: Dataset) -> None:
    """Add, empty, what every image must have and highdicom copies (type 2 of PS3.3 C.7.1.1 and C.7.2.1)."""
    for keyword in _REQUIRED_ELEMENTS:
        if keyword not in image:
            setattr(image, keyword, "")


def character_set(image: Dataset, segments: Sequence[Segment]) -> Any:
    """Return the source's own character set, or UTF-8 where a segment's name needs it (PS3.3 C.12.1.1.2)."""
    texts = [text for segment in segments for text in (segment.name, segment.algorithm_name, segment.type.meaning)]
    return image.get("SpecificCharacterSet") if all(map(str.isascii, texts)) else "ISO_IR 192"


def _series_number(image: Dataset) -> int:
    """Return a series number that sorts behind the source's own."""
    return int(image.get("SeriesNumber") or 0) + 1000


def _description(number: int, segment: Segment) -> SegmentDescription:
    algorithm = None
    if segment.algorithm_type != "MANUAL":
        algorithm = AlgorithmIdentificationSequence(
            name=segment.algorithm_name or "napari-volseg",
            family=codes.cid7162.ArtificialIntelligence,
            version=__version__,
        )
    description = SegmentDescription(
        segment_number=number,
        segment_label=label_of(segment),
        segmented_property_category=_concept(segment.category),
        segmented_property_type=_concept(segment.type),
        algorithm_type=SegmentAlgorithmTypeValues[segment.algorithm_type],
        algorithm_identification=algorithm,
        display_color=_cielab(segment.color),
    )
    if algorithm is not None:
        # Its name is all we know; the optional sequence would claim a family of algorithms (CID 7162) beyond that.
        del description.SegmentationAlgorithmIdentificationSequence
    return description


def label_of(segment: Segment) -> str:
    """Return the name as a Segment Label, which is at most 64 characters without backslash (VR LO, PS3.5 6.2)."""
    return segment.name.replace("\\", "/").strip()[:64]


def _concept(code: Code) -> CodedConcept:
    return CodedConcept(code.value, code.scheme, code.meaning)


def _cielab(color: Color) -> CIELabColor:
    lightness, a, b = (float(value) for value in rgb2lab(np.asarray(color, float) / 255))
    return CIELabColor(lightness, a, b)


def _read_back(dataset: Dataset, stored: Geometry, positions: NDArray[np.float64], name: str) -> NDArray[Any]:
    """Return segment numbers on the stored grid, every frame placed by the position that it states.

    Raises
    ------
    RefusedError
        Where that position is not, within 1e-3 mm, the position (n, 3) of the source image of its slice.
    """
    read = np.zeros(stored.shape, np.uint16)
    for frame in frames_of(dataset):
        number = slice_of(frame, stored, name)
        require_same_positions(frame.matrix[:3, 3], positions[number], name)
        read[number][frame.mask] = frame.segment
    return read
