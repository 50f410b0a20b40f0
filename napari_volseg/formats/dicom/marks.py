"""What tells images at one place apart: time, cardiac phase, diffusion weighting."""

from __future__ import annotations

from dataclasses import dataclass

from napari_volseg.formats.dicom.elements import Header

#: Value of a mark: one number, or several that are compared in order.
Mark = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a mark stands for.

    Parameters
    ----------
    keyword
        Element that holds it.
    name, unit
        Of the axis that it spans.
    """

    keyword: str
    name: str
    unit: str = ""


#: In the order in which they are believed; the last three only order images.
MEANINGS = (
    Meaning("TemporalPositionIdentifier", "temporal position"),
    Meaning("TemporalPositionIndex", "temporal position"),
    Meaning("TriggerTime", "trigger time", "ms"),
    Meaning("NominalCardiacTriggerDelayTime", "trigger time", "ms"),
    Meaning("FrameReferenceTime", "time", "ms"),
    Meaning("DiffusionBValue", "b-value", "s/mm²"),
    Meaning("DimensionIndexValues", "dimension index"),
    Meaning("AcquisitionNumber", "acquisition"),
    Meaning("AcquisitionTime", "acquisition time"),
    Meaning("InstanceNumber", "image"),
)
KEYWORDS = tuple(meaning.keyword for meaning in MEANINGS)


def read_marks(header: Header) -> tuple[Mark | None, ...]:
    """Return the mark of each of ``MEANINGS``, None where the header has none that is a number."""
    return tuple(_mark(header, keyword) for keyword in KEYWORDS)


def _mark(header: Header, keyword: str) -> Mark | None:
    try:
        value = header.get(keyword)
        if value is None or value == "":
            return None
        if isinstance(value, str | int | float):
            return (float(value),)
        return tuple(float(item) for item in value) or None
    except (ValueError, TypeError, OverflowError):
        return None
