"""One DICOM file: what its header says of one image, read without its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import pydicom
from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from napari_volseg.core import RefusedError

_KEYWORDS = (
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "StudyDate", "SeriesDate",
    "AcquisitionDate", "ContentDate", "Modality", "SeriesDescription", "SliceThickness", "SpacingBetweenSlices",
    "EchoTime", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "ImagePositionPatient",
    "ImageOrientationPatient", "FrameOfReferenceUID", "SamplesPerPixel", "PhotometricInterpretation",
    "NumberOfFrames", "Rows", "Columns", "PixelSpacing", "BitsAllocated", "PixelRepresentation",
    "PixelPaddingValue", "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "RescaleIntercept",
    "RescaleSlope", "RescaleType", "ModalityLUTSequence", "Units", "BurnedInAnnotation",
    "LossyImageCompression",
)  # fmt: skip
_PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_GREY = ("MONOCHROME1", "MONOCHROME2", "")
_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)

#: Objects that hold no image: modality to what it is.
_NOT_IMAGES = {
    "RTSTRUCT": "a structure set", "SR": "a report", "PR": "a presentation state", "KO": "a key object selection",
    "REG": "a registration", "RTPLAN": "a treatment plan", "RTRECORD": "a treatment record", "DOC": "a document",
    "FID": "a set of fiducials",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Instance:
    """One single-frame grey image, as its header describes it.

    Parameters
    ----------
    path
        The file.
    sop_class_uid, sop_instance_uid, study_uid, series_uid, frame_of_reference_uid
        Empty where absent.
    transfer_syntax
        UID of the encoding of the pixels.
    modality, image_type, description, date
        Attributes of the series; the date is ISO.
    series_number, echo_time
        None where absent; the time is in ms.
    rows, columns
        Matrix.
    pixel_spacing
        Distance between rows, then between columns, mm.
    orientation
        Direction of increasing column index, then of increasing row index, (x, y, z), LPS: two unit vectors.
    position
        Centre of the first pixel, (x, y, z), mm, LPS.
    thickness, spacing_between
        Slice Thickness and Spacing Between Slices, mm; None where absent.
    slope, intercept, rescale_type
        Stored values to values.
    units
        Unit of a PET image.
    padding
        Stored value outside the field of view, None where absent.
    windows
        (centre, width, name) as the file suggests them.
    has_preamble
        Whether the file has the 128 bytes and "DICM" in front.
    burned_in, lossy
        Whether the file says that text is burned into its pixels, and that it was compressed with loss.
    oblique_by
        How far the orientation is from two orthogonal unit vectors, as written.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    transfer_syntax: str
    modality: str
    image_type: tuple[str, ...]
    description: str
    date: str
    series_number: int | None
    echo_time: float | None
    rows: int
    columns: int
    pixel_spacing: tuple[float, float]
    orientation: tuple[float, ...]
    position: tuple[float, ...]
    thickness: float | None
    spacing_between: float | None
    slope: float
    intercept: float
    rescale_type: str
    units: str
    padding: int | None
    windows: tuple[tuple[float, float, str], ...]
    has_preamble: bool
    burned_in: bool
    lossy: bool
    oblique_by: float


def read_instance(path: Path) -> Instance | None:
    """Read the header of one file.

    Parameters
    ----------
    path
        Any file.

    Returns
    -------
    Instance or None
        None where the file isn't DICOM or is a directory of other files.

    Raises
    ------
    RefusedError
        For DICOM that is not a single-frame grey image with a place in the patient.
    OSError
        Where the file can't be read.
    """
    try:
        return _read(path)
    except (RefusedError, OSError):
        raise
    except Exception as error:  # pydicom raises whatever a damaged value leads it into; the scan must go on
        raise RefusedError(
            f"{path.name} is damaged: its DICOM header can't be read ({error}); copy it again", "dicom.damaged"
        ) from error


def _read(path: Path) -> Instance | None:
    with path.open("rb") as stream:
        start = stream.read(132)
        has_preamble = start[128:] == b"DICM"
        if not has_preamble and not _starts_like_a_dataset(start):
            return None
        stream.seek(0)
        header = pydicom.dcmread(
            stream, stop_before_pixels=True, force=not has_preamble, specific_tags=list(_KEYWORDS)
        )
        if not has_preamble and "SOPClassUID" not in header and "Rows" not in header:
            return None
        if header.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            return None
        _refuse_non_images(path, header)
        _refuse_unsupported_images(path, header)
        syntax = transfer_syntax(header)
        _refuse_missing_pixels(path, header, stream, syntax)
    return _interpret(path, header, syntax, has_preamble)


def transfer_syntax(header: Dataset) -> str:
    """Return the transfer syntax UID, that of the parsed encoding where there is no meta header."""
    stated = str(header.file_meta.get("TransferSyntaxUID", ""))
    if stated:
        return stated
    implicit, little = header.original_encoding
    if not little:
        return str(ExplicitVRBigEndian)
    return str(ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)


def _starts_like_a_dataset(start: bytes) -> bool:
    """Whether bytes begin with an element of group 0002 or 0008, as a file without preamble does."""
    return len(start) >= 8 and start[:2] in (b"\x02\x00", b"\x08\x00") and start[3] == 0


def _refuse_non_images(path: Path, header: Dataset) -> None:
    modality = _text(header, "Modality")
    if modality == "SEG":
        raise RefusedError(
            f"{path.name} is a DICOM segmentation: open its image series first, then load it as labels",
            "dicom.segmentation",
        )
    if modality in _NOT_IMAGES:
        raise RefusedError(
            f"{path.name} is {_NOT_IMAGES[modality]}, not an image: open an image series", "dicom.not_an_image"
        )
    if "Rows" not in header or "Columns" not in header:
        raise RefusedError(
            f"{path.name} holds no image: it is another kind of DICOM object or an incomplete copy; "
            "open an image series",
            "dicom.not_an_image",
        )


def _refuse_unsupported_images(path: Path, header: Dataset) -> None:
    frames = _number(path, header, "NumberOfFrames") or 1
    if frames > 1:
        raise RefusedError(
            f"{path.name} is a multi-frame image ({frames:g} frames), which can't be opened yet: "
            "convert it to single-frame DICOM or NIfTI",
            "dicom.multiframe",
        )
    if "MOSAIC" in _texts(header, "ImageType"):
        raise RefusedError(
            f"{path.name} is a Siemens mosaic (many slices tiled in one image), which can't be opened yet: "
            "convert it to NIfTI",
            "dicom.mosaic",
        )
    photometric = _text(header, "PhotometricInterpretation")
    if (_number(path, header, "SamplesPerPixel") or 1) != 1 or photometric not in _GREY:
        raise RefusedError(
            f"{path.name} is a colour image ({photometric}): grey CT or MR images are needed", "dicom.color"
        )
    if "ModalityLUTSequence" in header:
        raise RefusedError(
            f"{path.name} maps its values through a modality lookup table, which isn't supported: "
            "re-export it with rescale slope and intercept",
            "dicom.modality_lut",
        )


def _refuse_missing_pixels(path: Path, header: Dataset, stream: BinaryIO, syntax: str) -> None:
    """Refuse a file that holds fewer pixel bytes than its header promises, before memory is asked for."""
    if syntax == DeflatedExplicitVRLittleEndian:
        return
    order: Literal["little", "big"] = "big" if syntax == ExplicitVRBigEndian else "little"
    start = stream.tell()
    raw = stream.read(4)
    tag = (int.from_bytes(raw[:2], order) << 16) | int.from_bytes(raw[2:], order)
    if tag not in _PIXEL_TAGS:
        raise RefusedError(f"{path.name} holds no pixels: copy it again", "dicom.no_pixels")
    if syntax in _NATIVE:
        bits = int(_number(path, header, "BitsAllocated") or 0)
        promised = _size(path, header, "Rows") * _size(path, header, "Columns") * bits // 8
        held = path.stat().st_size - start - (8 if syntax == ImplicitVRLittleEndian else 12)
        if held < promised:
            raise RefusedError(
                f"{path.name} is incomplete: it holds {held} of {promised} bytes of pixels; copy it again",
                "dicom.incomplete",
            )


def _interpret(path: Path, header: Dataset, syntax: str, has_preamble: bool) -> Instance:
    spacing = _spacing(path, header)
    orientation, oblique_by = _orientation(path, header)
    meta = header.file_meta
    series_number = _number(path, header, "SeriesNumber")
    padding = header.get("PixelPaddingValue")
    slope = _number(path, header, "RescaleSlope")
    return Instance(
        path=path,
        sop_class_uid=_text(header, "SOPClassUID") or str(meta.get("MediaStorageSOPClassUID", "")),
        sop_instance_uid=_text(header, "SOPInstanceUID"),
        study_uid=_text(header, "StudyInstanceUID"),
        series_uid=_text(header, "SeriesInstanceUID"),
        frame_of_reference_uid=_text(header, "FrameOfReferenceUID"),
        transfer_syntax=syntax,
        modality=_text(header, "Modality") or "OT",
        image_type=_texts(header, "ImageType"),
        description=_text(header, "SeriesDescription"),
        date=_date(header),
        series_number=None if series_number is None else int(series_number),
        echo_time=_number(path, header, "EchoTime"),
        rows=_size(path, header, "Rows"),
        columns=_size(path, header, "Columns"),
        pixel_spacing=spacing,
        orientation=orientation,
        position=_position(path, header),
        thickness=_number(path, header, "SliceThickness"),
        spacing_between=_number(path, header, "SpacingBetweenSlices"),
        slope=1.0 if slope is None else slope,
        intercept=_number(path, header, "RescaleIntercept") or 0.0,
        rescale_type=_text(header, "RescaleType"),
        units=_text(header, "Units"),
        padding=padding if isinstance(padding, int) else None,
        windows=_windows(path, header),
        has_preamble=has_preamble,
        burned_in=_text(header, "BurnedInAnnotation") == "YES",
        lossy=_text(header, "LossyImageCompression") == "01",
        oblique_by=oblique_by,
    )


def _spacing(path: Path, header: Dataset) -> tuple[float, float]:
    values = _numbers(path, header, "PixelSpacing")
    if values is None:
        raise RefusedError(
            f"{path.name} has no Pixel Spacing, so its size in mm is unknown: re-export it from the scanner or PACS",
            "dicom.no_spacing",
        )
    if len(values) != 2 or min(values) <= 0:
        raise _bad_value(path, header, "PixelSpacing", "two positive numbers in mm are needed")
    return values[0], values[1]


def _position(path: Path, header: Dataset) -> tuple[float, ...]:
    values = _numbers(path, header, "ImagePositionPatient")
    if values is None:
        raise RefusedError(
            f"{path.name} has no Image Position (Patient), so its place in the patient is unknown: "
            "re-export the series with positions",
            "dicom.no_position",
        )
    if len(values) != 3:
        raise _bad_value(path, header, "ImagePositionPatient", "three numbers in mm are needed")
    return values


def _orientation(path: Path, header: Dataset) -> tuple[tuple[float, ...], float]:
    """Return the normalized orientation, and how far from orthonormal it was written."""
    values = _numbers(path, header, "ImageOrientationPatient")
    if values is None:
        raise RefusedError(
            f"{path.name} has no Image Orientation (Patient), so left and right are unknown: "
            "re-export the series with orientation",
            "dicom.no_orientation",
        )
    if len(values) != 6:
        raise _bad_value(path, header, "ImageOrientationPatient", "six direction cosines are needed")
    pair = np.asarray(values).reshape(2, 3)
    lengths = np.linalg.norm(pair, axis=1)
    error = max(float(np.abs(lengths - 1).max()), abs(float(pair[0] @ pair[1])))
    if error > 1e-3:
        raise _bad_value(path, header, "ImageOrientationPatient", "two orthogonal unit vectors are needed")
    return tuple((pair / lengths[:, None]).reshape(-1).tolist()), error


def _windows(path: Path, header: Dataset) -> tuple[tuple[float, float, str], ...]:
    try:
        centers = _numbers(path, header, "WindowCenter") or ()
        widths = _numbers(path, header, "WindowWidth") or ()
    except RefusedError:
        return ()
    names = (*_texts(header, "WindowCenterWidthExplanation"), *[""] * len(centers))
    return tuple((c, w, name or "From file") for c, w, name in zip(centers, widths, names, strict=False) if w > 0)


def _date(header: Dataset) -> str:
    for keyword in ("SeriesDate", "AcquisitionDate", "ContentDate", "StudyDate"):
        digits = _text(header, keyword).replace(".", "")
        if len(digits) == 8 and digits.isdigit():
            return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
    return ""


def _texts(header: Dataset, keyword: str) -> tuple[str, ...]:
    value = header.get(keyword)
    if value is None:
        return ()
    values = [value] if isinstance(value, str) else value
    return tuple(str(item).strip() for item in values)


def _text(header: Dataset, keyword: str) -> str:
    return "\\".join(_texts(header, keyword))


def _numbers(path: Path, header: Dataset, keyword: str) -> tuple[float, ...] | None:
    """Return the finite numbers of an element; None where it is absent or empty."""
    try:
        value = header.get(keyword)
        if value is None or value == "":
            return None
        numbers = tuple(float(item) for item in (value if np.iterable(value) else [value]))
    except (ValueError, TypeError, OverflowError) as error:
        raise _bad_value(path, header, keyword, "numbers are needed") from error
    if not np.isfinite(numbers).all():
        raise _bad_value(path, header, keyword, "finite numbers are needed")
    return numbers or None


def _number(path: Path, header: Dataset, keyword: str) -> float | None:
    values = _numbers(path, header, keyword)
    return values[0] if values else None


def _size(path: Path, header: Dataset, keyword: str) -> int:
    value = _number(path, header, keyword)
    if not value or value < 1:
        raise _bad_value(path, header, keyword, "a positive number is needed")
    return int(value)


def _bad_value(path: Path, header: Dataset, keyword: str, need: str) -> RefusedError:
    name = dictionary_description(keyword)
    raw = header.get_item(tag_for_keyword(keyword) or 0)
    value = getattr(raw, "value", b"")
    if isinstance(value, bytes):
        shown = value.decode("ascii", "replace")
    else:
        shown = "\\".join(map(str, value)) if np.iterable(value) and not isinstance(value, str) else str(value)
    return RefusedError(
        f"{path.name} has a {name} of '{' '.join(shown.split())}': {need}; re-export it", "dicom.bad_value"
    )
