"""Files of a DICOM study: what each of them is, read from its header without pixels."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import MediaStorageDirectoryStorage

from napari_volseg.core import RefusedError
from napari_volseg.formats.catalog import RefusedFile
from napari_volseg.formats.dicom import frames, palette
from napari_volseg.formats.dicom.codestream import find_codestream, first_fragment, refuse_other_size
from napari_volseg.formats.dicom.directory import Directory, read_directory
from napari_volseg.formats.dicom.elements import Header, number, text
from napari_volseg.formats.dicom.encoding import (
    PREAMBLE_BYTES,
    PixelElement,
    refuse_inflating_bomb,
    refuse_missing_pixels,
    starts_like_a_dataset,
    transfer_syntax,
    version_of,
)
from napari_volseg.formats.dicom.instances import COLOURS, OVERLAY_ROWS, Instance, Opened, interpret
from napari_volseg.formats.dicom.marks import KEYWORDS as MARK_KEYWORDS
from napari_volseg.formats.dicom.mosaic import without_mosaics
from napari_volseg.formats.dicom.native import find_native_pixels
from napari_volseg.formats.dicom.uptake import KEYWORDS as UPTAKE_KEYWORDS
from napari_volseg.formats.dicom.uptake import PRIVATE_TAGS as UPTAKE_PRIVATE_TAGS
from napari_volseg.formats.dicom.walker import START_BYTES, packed, walk

_KEYWORDS = (
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "StudyDate", "SeriesDate",
    "AcquisitionDate", "ContentDate", "Modality", "SeriesDescription", "SliceThickness", "SpacingBetweenSlices",
    "EchoTime", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "ImagePositionPatient",
    "ImageOrientationPatient", "FrameOfReferenceUID", "SamplesPerPixel", "PhotometricInterpretation",
    "Rows", "Columns", "PixelSpacing", "ImagerPixelSpacing", "BitsAllocated", "BitsStored", "PixelRepresentation",
    "PixelPaddingValue", "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "RescaleIntercept",
    "RescaleSlope", "RescaleType", "ModalityLUTSequence", "Units", "BurnedInAnnotation",
    "LossyImageCompression", "AnatomicalOrientationType", "PatientID", "PatientName", "PatientBirthDate", "StackID",
    *frames.KEYWORDS, *MARK_KEYWORDS, *UPTAKE_KEYWORDS, *palette.KEYWORDS,
)  # fmt: skip
_PUBLIC_TAGS = [*(Tag(keyword) for keyword in _KEYWORDS), OVERLAY_ROWS]
_TAGS = [*_PUBLIC_TAGS, *UPTAKE_PRIVATE_TAGS]
_WALKED = packed(_PUBLIC_TAGS)
#: Endings of names that promise DICOM.
_ENDINGS = (".dcm", ".dicom", ".ima")
_GREY = ("MONOCHROME1", "MONOCHROME2", "")
#: Objects that hold no image: modality to what it is.
_NOT_IMAGES = {
    "RTSTRUCT": "a structure set", "SR": "a report", "PR": "a presentation state", "KO": "a key object selection",
    "REG": "a registration", "RTPLAN": "a treatment plan", "RTRECORD": "a treatment record", "DOC": "a document",
    "FID": "a set of fiducials",
}  # fmt: skip


def has_preamble(path: Path) -> bool:
    """Whether a file begins as PS3.10 says that a DICOM file does; OSError where it can't be read."""
    with path.open("rb", buffering=0) as stream:
        return stream.read(PREAMBLE_BYTES)[128:] == b"DICM"


def read_file(path: Path) -> tuple[Instance, ...] | Directory | RefusedFile | None:
    """Read the header of one file.

    Parameters
    ----------
    path
        Any file.

    Returns
    -------
    tuple of Instance, Directory, RefusedFile or None
        Its images; the files a DICOMDIR refers to; why DICOM is no image of use; None where it isn't DICOM.

    Raises
    ------
    OSError
        Where the file can't be read.
    """
    with path.open("rb", buffering=0) as raw:
        try:
            return _read(path, raw)
        except RefusedError as error:
            return RefusedFile(path, error.code, str(error))
        except Exception as error:  # pydicom raises whatever a damaged value leads it into; the scan must go on
            reason = f"{path.name} is damaged: its DICOM header can't be read ({error}); copy it again"
            return RefusedFile(path, "dicom.damaged", " ".join(reason.split()))


def _read(path: Path, raw: BinaryIO) -> tuple[Instance, ...] | Directory | RefusedFile | None:
    start = raw.read(START_BYTES)
    version = version_of(os.fstat(raw.fileno()))
    walked = walk(raw, start, _WALKED)
    if walked is not None and _is_plain(walked.header):
        pixels = PixelElement(walked.pixels_at, walked.head, version)
        return _images(path, raw, Opened(walked.header, walked.syntax, start, pixels))
    raw.seek(0)
    with io.BufferedReader(raw) as stream:  # type: ignore[type-var]
        return _read_unusual(path, stream, version)


def _is_plain(header: Header) -> bool:
    """Whether the header, without sequences and private elements, is enough to read one image."""
    return (
        bool(text(header, "SOPClassUID"))
        and header.get("NumberOfFrames") in (None, 1)
        and text(header, "Modality") != "PT"
        and text(header, "PhotometricInterpretation") != palette.PALETTE
    )


def _read_unusual(
    path: Path, stream: BinaryIO, version: tuple[int, int]
) -> tuple[Instance, ...] | Directory | RefusedFile | None:
    """Read by pydicom what is not encoded plainly."""
    start = stream.read(PREAMBLE_BYTES)
    has_preamble = start[128:132] == b"DICM"
    if not has_preamble and not starts_like_a_dataset(start):
        return _not_dicom(path)
    refuse_inflating_bomb(path, stream, len(start) if has_preamble else 0)
    header = pydicom.dcmread(stream, stop_before_pixels=True, force=not has_preamble, specific_tags=_TAGS)
    if not has_preamble and "SOPClassUID" not in header and "Rows" not in header:
        return _not_dicom(path)
    if header.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        return read_directory(path)
    if not text(header, "SOPClassUID"):
        header.SOPClassUID = header.file_meta.get("MediaStorageSOPClassUID", "")
    at = stream.tell()
    pixels = PixelElement(at, stream.read(12), version)
    return _images(path, stream, Opened(header, transfer_syntax(header), start, pixels))


def _images(path: Path, stream: BinaryIO, opened: Opened) -> tuple[Instance, ...] | RefusedFile:
    header = opened.header
    try:
        _refuse_non_images(path, header)
        _refuse_unsupported_images(path, header)
        refuse_missing_pixels(path, header, opened.pixels, opened.syntax)
        fragment = first_fragment(stream, opened.pixels, opened.syntax)
        refuse_other_size(path, header, fragment)
        opened = replace(
            opened,
            native=find_native_pixels(header, opened.pixels, opened.syntax),
            codestream=find_codestream(header, fragment, opened.pixels, opened.syntax),
        )
        singles = list(frames.single_frames(path, header)) if isinstance(header, Dataset) else [header]
        return without_mosaics(
            tuple(
                interpret(path, opened, single, n if len(singles) > 1 else None) for n, single in enumerate(singles)
            )
        )
    except RefusedError as error:
        return RefusedFile(path, error.code, str(error), text(header, "SeriesInstanceUID"))


def _not_dicom(path: Path) -> RefusedFile | None:
    """Return the refusal of a file that is DICOM by its name alone; other files are no concern."""
    if not path.name.lower().endswith(_ENDINGS):
        return None
    return RefusedFile(
        path, "dicom.not_dicom", f"{path.name} is not a DICOM file, or its begin is lost: copy it again"
    )


def _refuse_non_images(path: Path, header: Header) -> None:
    modality = text(header, "Modality")
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


def _refuse_unsupported_images(path: Path, header: Header) -> None:
    photometric = text(header, "PhotometricInterpretation")
    samples = number(path, header, "SamplesPerPixel") or 1
    if (samples, photometric) == (1, palette.PALETTE):
        palette.refuse_bad_palette(path, header)
    elif (samples, photometric) not in [*((1, grey) for grey in _GREY), *((3, colour) for colour in COLOURS)]:
        raise RefusedError(
            f"{path.name} is a colour image ({photometric}) of a kind that can't be shown: "
            "grey CT or MR images are needed",
            "dicom.color",
        )
    if number(path, header, "BitsAllocated") == 1:
        raise RefusedError(
            f"{path.name} holds one bit a pixel, which is a mask and no image: open the image it belongs to",
            "dicom.one_bit",
        )
