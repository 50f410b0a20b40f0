"""Images of a DICOM file: what its header says of each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from napari_volseg.core import RefusedError
from napari_volseg.formats.dicom.codestream import Codestream
from napari_volseg.formats.dicom.elements import Header, bad_value, number, numbers, size, text, texts
from napari_volseg.formats.dicom.encoding import PREAMBLE_BYTES, PixelElement, is_lossy, starts_like_a_program
from napari_volseg.formats.dicom.marks import Mark, read_marks
from napari_volseg.formats.dicom.mosaic import Tile
from napari_volseg.formats.dicom.native import NativePixels
from napari_volseg.formats.dicom.palette import PALETTE
from napari_volseg.formats.dicom.suv import Suv
from napari_volseg.formats.dicom.uptake import Uptake, read_uptake
from napari_volseg.formats.placement import FARTHEST_MM

#: Element that tells of overlay planes.
OVERLAY_ROWS = Tag(0x6000, 0x0010)
#: Colours of three samples a pixel, which are shown as grey.
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")

#: Modalities that measure in the patient: without Pixel Spacing such a file is broken.
_VOLUMETRIC = ("CT", "MR", "PT")
#: Directions of columns and rows that stand in where a file has none.
_NO_ORIENTATION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Instance:
    """One grey image, a file or a frame of one, as the header describes it.

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
        Distance between rows, then between columns, mm; 1 where it is among ``missing``.
    orientation
        Direction of increasing column index, then of increasing row index, (x, y, z), LPS: two unit vectors.
        Those of an axial image where it is among ``missing``.
    position
        Centre of the first pixel, (x, y, z), mm, LPS; the origin where it is among ``missing``.
    thickness, spacing_between
        Slice Thickness and Spacing Between Slices, mm; None where absent.
    slope, intercept, rescale_type
        Stored values to values.
    units
        Unit of a PET image.
    padding
        Stored value outside the field of view, None where absent.
    windows, bad_windows
        (centre, width, name) as the file suggests them, and whether some of them make no sense.
    has_preamble
        Whether the file has the 128 bytes and "DICM" in front.
    burned_in, lossy
        Whether the file says that text is burned into its pixels, and that it was compressed with loss.
    oblique_by
        How far the orientation is from two orthogonal unit vectors, as written.
    photometric, colour
        Photometric Interpretation, and whether a pixel has three samples, be it by a palette.
    has_lut
        Whether stored values become values through a modality lookup table instead of slope and intercept.
    overlays
        Whether there are overlay planes, which are not shown.
    at_detector
        Whether the spacing is that at the detector of a projection.
    program
        Whether the preamble begins as an executable file does.
    quadruped
        Whether left and right are meant as for an animal on four legs.
    patient
        Digest of what identifies the patient, empty where nothing does.
    frame
        Index in a multi-frame file or a mosaic, None in a file of a single image.
    stack
        Stack ID of a frame.
    marks
        What may tell images at one place apart.
    missing
        Keywords of PixelSpacing, ImageOrientationPatient and ImagePositionPatient that are absent.
    native
        Where the pixels stand, if they can be read without a decoder.
    codestream
        Where they stand, if OpenJPEG needs to know nothing else.
    tile
        Its place in a Siemens mosaic, from whose pixels it is cut; None for other images.
    uptake
        What the file says of a PET image's uptake, as long as nothing has been made of it.
    suv
        What was made of it.
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
    bad_windows: bool
    has_preamble: bool
    burned_in: bool
    lossy: bool
    oblique_by: float
    photometric: str
    colour: bool
    has_lut: bool
    overlays: bool
    at_detector: bool
    program: bool
    quadruped: bool
    patient: str
    frame: int | None
    stack: str
    marks: tuple[Mark | None, ...]
    missing: tuple[str, ...]
    native: NativePixels | None
    codestream: Codestream | None = None
    tile: Tile | None = None
    uptake: Uptake | None = None
    suv: Suv | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """The header of a file, and what else of it bears on how it is read."""

    header: Header
    syntax: str
    start: bytes
    pixels: PixelElement
    native: NativePixels | None = None
    codestream: Codestream | None = None

    @property
    def has_preamble(self) -> bool:
        """Whether the file begins as PS3.10 says."""
        return self.start[128:PREAMBLE_BYTES] == b"DICM"


def interpret(path: Path, opened: Opened, header: Header, frame: int | None) -> Instance:
    """Return the image that a header describes.

    Parameters
    ----------
    path, opened
        The file.
    header
        Its header, or that of one of its frames.
    frame
        Which one, None where the file is a single image.

    Raises
    ------
    RefusedError
        For a value that makes no sense.
    """
    spacing, at_detector = _spacing(path, header)
    orientation, oblique_by = _orientation(path, header)
    position = _position(path, header)
    windows, bad_windows = _windows(path, header)
    syntax = opened.syntax
    series_number = number(path, header, "SeriesNumber")
    padding = header.get("PixelPaddingValue")
    slope = number(path, header, "RescaleSlope")
    return Instance(
        path=path,
        sop_class_uid=text(header, "SOPClassUID"),
        sop_instance_uid=text(header, "SOPInstanceUID"),
        study_uid=text(header, "StudyInstanceUID"),
        series_uid=text(header, "SeriesInstanceUID"),
        frame_of_reference_uid=text(header, "FrameOfReferenceUID"),
        transfer_syntax=syntax,
        modality=text(header, "Modality") or "OT",
        image_type=texts(header, "ImageType"),
        description=text(header, "SeriesDescription"),
        date=_date(header),
        series_number=None if series_number is None else int(series_number),
        echo_time=number(path, header, "EchoTime"),
        rows=size(path, header, "Rows"),
        columns=size(path, header, "Columns"),
        pixel_spacing=spacing or (1.0, 1.0),
        orientation=orientation or _NO_ORIENTATION,
        position=position or (0.0, 0.0, 0.0),
        thickness=number(path, header, "SliceThickness"),
        spacing_between=number(path, header, "SpacingBetweenSlices"),
        slope=1.0 if slope is None else slope,
        intercept=number(path, header, "RescaleIntercept") or 0.0,
        rescale_type=text(header, "RescaleType"),
        units=text(header, "Units"),
        padding=padding if isinstance(padding, int) else None,
        windows=windows,
        bad_windows=bad_windows,
        has_preamble=opened.has_preamble,
        burned_in=text(header, "BurnedInAnnotation") == "YES",
        lossy=text(header, "LossyImageCompression") == "01" or is_lossy(syntax),
        oblique_by=oblique_by,
        photometric=text(header, "PhotometricInterpretation"),
        colour=text(header, "PhotometricInterpretation") in (*COLOURS, PALETTE),
        has_lut="ModalityLUTSequence" in header,
        overlays=OVERLAY_ROWS in header,
        at_detector=at_detector,
        program=opened.has_preamble and starts_like_a_program(opened.start),
        quadruped=text(header, "AnatomicalOrientationType") == "QUADRUPED",
        patient=_patient(header),
        frame=frame,
        stack=text(header, "StackID"),
        marks=read_marks(header),
        missing=tuple(
            keyword
            for keyword, value in (
                ("PixelSpacing", spacing),
                ("ImageOrientationPatient", orientation),
                ("ImagePositionPatient", position),
            )
            if value is None
        ),
        native=opened.native,
        codestream=opened.codestream,
        uptake=read_uptake(header) if isinstance(header, Dataset) and text(header, "Modality") == "PT" else None,
    )


def _spacing(path: Path, header: Header) -> tuple[tuple[float, float] | None, bool]:
    """Return the spacing, None where the file has none, and whether it is that at the detector."""
    keyword = "PixelSpacing"
    values = numbers(path, header, keyword)
    screenshot = text(header, "PhotometricInterpretation") in (*COLOURS, PALETTE)
    if values is None and text(header, "Modality") in _VOLUMETRIC and not screenshot:
        raise RefusedError(
            f"{path.name} has no Pixel Spacing, so its size in mm is unknown: re-export it from the scanner or PACS",
            "dicom.no_spacing",
        )
    if values is None:
        keyword = "ImagerPixelSpacing"
        values = numbers(path, header, keyword)
    if values is None:
        return None, False
    if len(values) != 2 or min(values) <= 0:
        raise bad_value(path, header, keyword, "two positive numbers in mm are needed")
    return (values[0], values[1]), keyword == "ImagerPixelSpacing"


def _position(path: Path, header: Header) -> tuple[float, ...] | None:
    values = numbers(path, header, "ImagePositionPatient")
    if values is not None and len(values) != 3:
        raise bad_value(path, header, "ImagePositionPatient", "three numbers in mm are needed")
    if values is not None and max(map(abs, values)) > FARTHEST_MM:
        raise bad_value(path, header, "ImagePositionPatient", f"numbers within {FARTHEST_MM:g} mm are needed")
    return values


def _orientation(path: Path, header: Header) -> tuple[tuple[float, ...] | None, float]:
    """Return the normalized orientation, None where there is none, and how far from orthonormal it was written."""
    values = numbers(path, header, "ImageOrientationPatient")
    if values is None:
        return None, 0.0
    if len(values) != 6:
        raise bad_value(path, header, "ImageOrientationPatient", "six direction cosines are needed")
    normalized, error = _normalized(values)
    if error > 1e-3:
        raise bad_value(path, header, "ImageOrientationPatient", "two orthogonal unit vectors are needed")
    return normalized, error


@lru_cache(maxsize=256)
def _normalized(cosines: tuple[float, ...]) -> tuple[tuple[float, ...], float]:
    """Return six direction cosines as two unit vectors, and how far they were from being orthonormal."""
    pair = np.asarray(cosines).reshape(2, 3)
    lengths = np.linalg.norm(pair, axis=1)
    error = max(float(np.abs(lengths - 1).max()), abs(float(pair[0] @ pair[1])))
    if error > 1e-3:
        return cosines, error
    return tuple((pair / lengths[:, None]).reshape(-1).tolist()), error


def _patient(header: Header) -> str:
    """Return a digest that tells patients apart and names none."""
    identity = "\\".join(text(header, keyword) for keyword in ("PatientID", "PatientName", "PatientBirthDate"))
    return hashlib.sha256(identity.encode()).hexdigest()[:16] if identity.strip("\\") else ""


def _windows(path: Path, header: Header) -> tuple[tuple[tuple[float, float, str], ...], bool]:
    """Return the windows that make sense, and whether there were others."""
    try:
        centers = numbers(path, header, "WindowCenter") or ()
        widths = numbers(path, header, "WindowWidth") or ()
    except RefusedError:
        return (), True
    names = (*texts(header, "WindowCenterWidthExplanation"), *[""] * len(centers))
    good = tuple((c, w, name or "From file") for c, w, name in zip(centers, widths, names, strict=False) if w > 0)
    return good, len(good) < max(len(centers), len(widths))


def _date(header: Header) -> str:
    for keyword in ("SeriesDate", "AcquisitionDate", "ContentDate", "StudyDate"):
        digits = text(header, keyword).replace(".", "")
        if len(digits) == 8 and digits.isdigit():
            return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
    return ""
