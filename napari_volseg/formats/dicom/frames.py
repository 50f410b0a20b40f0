"""Frames of an enhanced multi-frame object, each as the header of a classic single image (PS3.3 C.7.6.16)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from napari_volseg.core import RefusedError
from napari_volseg.formats.dicom.elements import number

#: The functional groups that describe a frame, and what is read of each.
_GROUPS = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope", "RescaleType"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation"),
    "FrameContentSequence": ("StackID", "TemporalPositionIndex", "DimensionIndexValues"),
    "MRDiffusionSequence": ("DiffusionBValue",),
    "CardiacSynchronizationSequence": ("NominalCardiacTriggerDelayTime",),
}
_FRAME_TYPES = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence")
_PLACE = {tag_for_keyword(keyword) for keyword in ("StackID", "InStackPositionNumber", "ImagePositionPatient")}

#: What has to be read of the file for this.
KEYWORDS = (
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "DimensionIndexSequence", "NumberOfFrames",
)  # fmt: skip


def single_frames(path: Path, header: Dataset) -> Iterator[Dataset]:
    """Yield one header for each frame, or the header itself where it describes a single image.

    Raises
    ------
    RefusedError
        Where frames have no description of their own, or not each of them has.
    """
    count = int(number(path, header, "NumberOfFrames") or 1)
    described = header.get("PerFrameFunctionalGroupsSequence")
    if described is None:
        if count > 1:
            raise RefusedError(
                f"{path.name} is a multi-frame image ({count} frames) that doesn't say where its frames lie: "
                "convert it to enhanced or single-frame DICOM",
                "dicom.multiframe",
            )
        yield header
        return
    if len(described) != count:
        raise RefusedError(
            f"{path.name} promises {count} frames and describes {len(described)}: copy it again", "dicom.frames"
        )
    shared = Dataset()
    shared.update({tag: element for tag, element in header.items() if element.tag not in _FUNCTIONAL_GROUPS})
    for groups in header.get("SharedFunctionalGroupsSequence") or ():
        shared.update(_flattened(groups))
    dimensions = _dimensions_beside_place(header)
    for groups in described:
        frame = Dataset()
        frame.update(shared)
        frame.update(_flattened(groups))
        index = frame.get("DimensionIndexValues")
        if index is not None:
            values = [index] if isinstance(index, int) else list(index)
            frame.DimensionIndexValues = [values[d] for d in dimensions if d < len(values)] or None
        yield frame


_FUNCTIONAL_GROUPS = {tag_for_keyword(keyword) for keyword in KEYWORDS[:2]}


def _flattened(groups: Dataset) -> Dataset:
    """Return what is read of functional groups without their nesting."""
    flat = Dataset()
    for keyword, wanted in _GROUPS.items():
        for item in groups.get(keyword) or ():
            flat.update({element.tag: element for element in item if element.keyword in wanted})
    for keyword in _FRAME_TYPES:
        for item in groups.get(keyword) or ():
            if item.get("FrameType"):
                flat.ImageType = item.FrameType
    for item in groups.get("MREchoSequence") or ():
        if item.get("EffectiveEchoTime") is not None:
            flat.add(DataElement(tag_for_keyword("EchoTime") or 0, "DS", float(item.EffectiveEchoTime)))
    return flat


def _dimensions_beside_place(header: Dataset) -> tuple[int, ...]:
    """Return which dimension indices tell frames at one place apart."""
    dimensions = header.get("DimensionIndexSequence") or ()
    return tuple(n for n, item in enumerate(dimensions) if item.get("DimensionIndexPointer") not in _PLACE)
