"""DICOM segmentations (BINARY) in, read by hand with pydicom: frames are placed by their own positions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, SegmentationStorage

from napari_volseg.core import (
    SAME_GRID_MM,
    Code,
    Color,
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
from napari_volseg.spatial import apply_reorientation

_LABEL_MAP_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")
_ALGORITHM_TYPES = ("MANUAL", "SEMIAUTOMATIC", "AUTOMATIC")


@dataclass(frozen=True, slots=True)
class Frame:
    """One plane of one segment.

    Parameters
    ----------
    segment
        Segment Number.
    matrix
        4×4, index (0, row, column) of the frame → patient (x, y, z), mm, LPS; the first column is not used.
    mask
        Boolean (rows, columns).
    """

    segment: int
    matrix: NDArray[np.float64]
    mask: NDArray[np.bool_]


def is_segmentation(path: Path) -> bool:
    """Whether a file is a DICOM segmentation."""
    try:
        header = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
        return header.get("SOPClassUID") in (SegmentationStorage, _LABEL_MAP_STORAGE)
    except Exception:  # the parser raises whatever a file that is something else, or damaged, leads it into
        return False


def read_segmentation(path: Path, volume: Volume) -> Segmentation:
    """Read a binary segmentation onto the display grid of its volume; label values are its segment numbers.

    Raises
    ------
    GeometryError
        Where a frame does not lie on a slice of the volume's stored grid.
    RefusedError
        For a segmentation of another kind, for one whose segments overlap, and for damaged files.
    """
    try:
        return _read(path, volume)
    except VolsegError:
        raise
    except Exception as error:  # elements are absent, or of another kind than they should be
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> RefusedError:
    reason = " ".join(str(error).split())[:200]
    return RefusedError(f"{path.name} is damaged ({reason}): export it again", "dicom.damaged")


def _read(path: Path, volume: Volume) -> Segmentation:
    dataset = read_binary_dataset(path)
    origin = volume.origin_provenance
    numbers = [int(item.SegmentNumber) for item in dataset.SegmentSequence]
    stored = np.zeros(origin.source_geometry.shape, np.min_scalar_type(max(numbers)))
    for frame in frames_of(dataset):
        plane = stored[slice_of(frame, origin.source_geometry, path.name)]
        if plane[frame.mask].any():
            raise RefusedError(
                f"{path.name} has segments that overlap, which one label array can't hold: load a segmentation "
                "without overlap",
                "labels.overlap",
            )
        plane[frame.mask] = frame.segment
    labels = np.ascontiguousarray(apply_reorientation(stored, origin.reorientation))
    return Segmentation(labels, volume.geometry, SegmentTable(tuple(map(_segment, dataset.SegmentSequence))))


def read_binary_dataset(path: Path) -> Dataset:
    """Read a DICOM segmentation file.

    Raises
    ------
    RefusedError
        Where it is damaged or not BINARY and uncompressed.
    """
    try:
        dataset = pydicom.dcmread(path)
        kind, bits, held = dataset.SegmentationType, dataset.BitsAllocated, len(dataset.PixelData)
        promised = int(dataset.NumberOfFrames) * int(dataset.Rows) * int(dataset.Columns)
    except Exception as error:  # the parser raises whatever a damaged file leads it into
        raise _damaged(path, error) from error
    if kind != "BINARY" or bits != 1 or dataset.file_meta.TransferSyntaxUID.is_compressed:
        raise RefusedError(
            f"{path.name} is a {kind} segmentation with {bits} bits a pixel: an uncompressed BINARY one is needed",
            "labels.segmentation_type",
        )
    if held * 8 < promised:
        raise RefusedError(f"{path.name} is incomplete: copy it again", "dicom.incomplete")
    return dataset


def frames_of(dataset: Dataset) -> Iterator[Frame]:
    """Yield the frames of a binary segmentation in file order."""
    shape = int(dataset.Rows), int(dataset.Columns)
    shared = dataset.SharedFunctionalGroupsSequence[0] if "SharedFunctionalGroupsSequence" in dataset else Dataset()
    packed = np.frombuffer(dataset.PixelData, np.uint8)
    for number, groups in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        yield Frame(
            segment=int(_group(groups, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber),
            matrix=_frame_matrix(groups, shared),
            mask=_unpack(packed, number * shape[0] * shape[1], shape),
        )


def _group(groups: Dataset, shared: Dataset, keyword: str) -> Dataset:
    holder = groups if keyword in groups else shared
    return holder[keyword].value[0]


def _frame_matrix(groups: Dataset, shared: Dataset) -> NDArray[np.float64]:
    position = _group(groups, shared, "PlanePositionSequence").ImagePositionPatient
    cosines = _group(groups, shared, "PlaneOrientationSequence").ImageOrientationPatient
    spacing = _group(groups, shared, "PixelMeasuresSequence").PixelSpacing
    matrix = np.eye(4)
    matrix[:3, 1] = np.asarray(cosines[3:], float) * float(spacing[0])
    matrix[:3, 2] = np.asarray(cosines[:3], float) * float(spacing[1])
    matrix[:3, 3] = np.asarray(position, float)
    return matrix


def _unpack(packed: NDArray[np.uint8], first: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the bits of one frame; frames are not aligned to bytes, the lowest bit comes first (PS3.5 8.1.1)."""
    count = shape[0] * shape[1]
    part = packed[first // 8 : (first + count + 7) // 8]
    bits = np.unpackbits(part, bitorder="little")[first % 8 : first % 8 + count]
    return bits.reshape(shape).view(np.bool_)


def slice_of(frame: Frame, stored: Geometry, name: str) -> int:
    """Return the slice of the stored grid on which a frame lies, corner by corner."""
    last_row, last_column = frame.mask.shape[0] - 1, frame.mask.shape[1] - 1
    corners = np.array([[0, r, c, 1] for r in (0, last_row) for c in (0, last_column)], float)
    index = stored.to_index((corners @ frame.matrix.T)[:, :3])
    number = round(float(index[0, 0]))
    expected = np.column_stack([np.full(4, number), corners[:, 1:3]])
    distance = float(np.abs((index - expected) * stored.spacing).max())
    # Positions in DICOM are decimal strings of at most 16 characters, and fitted grids average them.
    if frame.mask.shape != stored.shape[1:] or not 0 <= number < stored.shape[0] or distance > 100 * SAME_GRID_MM:
        raise GeometryError(
            f"{name} has a frame of {frame.mask.shape} pixels at {np.round(frame.matrix[:3, 3], 3).tolist()} mm "
            f"that lies on no slice of the image ({stored.shape} voxels): open the one that belongs to this image",
            "labels.mismatch",
        )
    return number


def _segment(item: Dataset) -> Segment:
    number = int(item.SegmentNumber)
    algorithm = str(item.get("SegmentAlgorithmType", ""))
    return Segment(
        value=number,
        name=str(item.get("SegmentLabel", "")).strip() or f"Segment {number}",
        color=_color(item) or color_for(number),
        category=_code(item.SegmentedPropertyCategoryCodeSequence[0]),
        type=_code(item.SegmentedPropertyTypeCodeSequence[0]),
        algorithm_type=algorithm if algorithm in _ALGORITHM_TYPES else "MANUAL",  # type: ignore[arg-type]
        algorithm_name=str(item.get("SegmentAlgorithmName", "")),
    )


def _code(item: Dataset) -> Code:
    return Code(str(item.CodeValue), str(item.CodingSchemeDesignator), str(item.CodeMeaning))


def _color(item: Dataset) -> Color | None:
    """Return the RGB colour of Recommended Display CIELab Value (PS3.3 C.10.7.1.1)."""
    value: Any = item.get("RecommendedDisplayCIELabValue")
    if value is None or len(value) != 3:
        return None
    from skimage.color import lab2rgb

    lab = np.asarray(value, float) / 65535 * (100, 255, 255) - (0, 128, 128)
    red, green, blue = (round(float(channel) * 255) for channel in lab2rgb(lab))
    return red, green, blue
