"""Segments, the table that names them, and the label array they live in. Field names follow DICOM-SEG."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from numpy.typing import NDArray

from napari_volseg.core.errors import GeometryError, UsageError
from napari_volseg.core.findings import Finding
from napari_volseg.core.geometry import Geometry

AlgorithmType = Literal["MANUAL", "SEMIAUTOMATIC", "AUTOMATIC"]
Status = Literal["not started", "in progress", "done", "flagged"]
Color = tuple[int, int, int]

#: Largest label value that the label arrays of the program hold.
MAX_LABEL = 2**31 - 1

#: Colour-blind-safe colours (Okabe and Ito, 2008), in the order in which new segments take them.
PALETTE: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
)


def color_for(value: int) -> Color:
    """Return the default RGB colour (0-255) of a label value: the palette first, then golden-angle hues."""
    if value - 1 < len(PALETTE):
        return PALETTE[max(0, value - 1)]
    hue = (value * 0.61803398875) % 1.0
    r, g, b = colorsys.hsv_to_rgb(hue, 0.55 + 0.2 * (value % 3) / 2, 0.95)
    return int(r * 255), int(g * 255), int(b * 255)


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (DICOM PS3.3 8.8).

    Parameters
    ----------
    value
        Code Value, such as ``"10200004"``.
    scheme
        Coding Scheme Designator, such as ``"SCT"`` (SNOMED CT).
    meaning
        Code Meaning, such as ``"Liver"``.
    """

    value: str
    scheme: str
    meaning: str


TISSUE = Code("85756007", "SCT", "Tissue")
ANATOMICAL_STRUCTURE = Code("123037004", "SCT", "Anatomical Structure")
LESION_CATEGORY = Code("49755003", "SCT", "Morphologically Abnormal Structure")


@dataclass(frozen=True, slots=True)
class Segment:
    """One label and what it stands for.

    Parameters
    ----------
    value
        Label value in the array, 1 to 2³¹ - 1; DICOM's Segment Number is given at export.
    name
        Segment Label.
    color
        RGB, 0-255.
    category, type
        Segmented Property Category and Type.
    algorithm_type, algorithm_name
        How the voxels came to be.
    status
        Where the annotator stands.
    locked
        Protected: no tool, model or click may overwrite its voxels.
    visible
        Whether it is drawn.
    opacity
        How strongly it is drawn beside others, above 0 to 1.
    """

    value: int
    name: str
    color: Color = (230, 159, 0)
    category: Code = ANATOMICAL_STRUCTURE
    type: Code = TISSUE
    algorithm_type: AlgorithmType = "MANUAL"
    algorithm_name: str = ""
    status: Status = "not started"
    locked: bool = False
    visible: bool = True
    opacity: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.value <= MAX_LABEL:
            raise UsageError(f"label value {self.value} is outside 1 to {MAX_LABEL}: choose another value")
        if not self.name.strip():
            raise UsageError(f"the segment with label {self.value} has no name: give it one")
        if not 0 < self.opacity <= 1:
            raise UsageError(f"an opacity of {self.opacity} is outside 0 to 1: choose more, or hide the segment")


@dataclass(frozen=True, slots=True)
class SegmentTable:
    """The segments of one segmentation in the order in which they are shown; every change is a new table."""

    segments: tuple[Segment, ...] = ()

    def __post_init__(self) -> None:
        values = [s.value for s in self.segments]
        if len(set(values)) != len(values):
            raise UsageError(f"label values {sorted(values)} are not unique: give each segment its own")

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)

    def __len__(self) -> int:
        return len(self.segments)

    def __contains__(self, value: object) -> bool:
        return any(s.value == value for s in self.segments)

    def __getitem__(self, value: int) -> Segment:
        """Return the segment with this label value."""
        for segment in self.segments:
            if segment.value == value:
                return segment
        raise UsageError(f"there is no segment with label {value}: the table holds {self.values}")

    @property
    def values(self) -> tuple[int, ...]:
        """Label values in table order."""
        return tuple(s.value for s in self.segments)

    @property
    def locked_values(self) -> tuple[int, ...]:
        """Label values that may not be overwritten."""
        return tuple(s.value for s in self.segments if s.locked)

    def next_value(self) -> int:
        """Return the smallest unused label value."""
        used = set(self.values)
        return next(v for v in range(1, MAX_LABEL + 2) if v not in used)

    def new_segment(self, name: str = "", **fields: Any) -> Segment:
        """Return (without adding it) a segment with the next value, its colour and a name."""
        value = self.next_value()
        fields.setdefault("color", color_for(value))
        return Segment(value, name or f"Segment {value}", **fields)

    def with_segment(self, segment: Segment) -> SegmentTable:
        """Return a table in which ``segment`` replaces the one of its value, or is appended."""
        if segment.value not in self:
            return SegmentTable((*self.segments, segment))
        return SegmentTable(tuple(segment if s.value == segment.value else s for s in self.segments))

    def without(self, value: int) -> SegmentTable:
        """Return a table without the segment of this value."""
        return SegmentTable(tuple(s for s in self.segments if s.value != value))

    def edited(self, value: int, **fields: Any) -> SegmentTable:
        """Return a table in which some fields of one segment are changed."""
        return self.with_segment(replace(self[value], **fields))


@dataclass(slots=True, eq=False)
class Segmentation:
    """A label array with its table and its grid.

    Parameters
    ----------
    labels
        Unsigned integers (z, y, x); only ``editing.EditSession`` writes to it.
    geometry
        The grid of the volume that was segmented.
    table
        What the labels mean.
    findings
        What was found, repaired or assumed where the labels were read from a file.
    """

    labels: NDArray[Any]
    geometry: Geometry
    table: SegmentTable = field(default_factory=SegmentTable)
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        if self.labels.shape != self.geometry.shape:
            raise GeometryError(
                f"labels of shape {self.labels.shape} do not match an image of shape {self.geometry.shape}: "
                "open the labels that belong to this image",
                "labels.mismatch",
            )
        if self.labels.dtype.kind != "u":
            raise UsageError(f"labels of type {self.labels.dtype} can't be edited: unsigned integers are needed")
