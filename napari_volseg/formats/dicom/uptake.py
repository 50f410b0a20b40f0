"""What the header of a PET image says of patient, injection and times: the terms of its standardized uptake value.

They identify or describe the patient, so that they have no textual form and end where the factor is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from napari_volseg.formats.dicom.elements import text
from napari_volseg.formats.dicom.private import private_tags, private_value

#: What has to be read of the file for this.
KEYWORDS = (
    "PatientWeight", "CorrectedImage", "DecayCorrection", "DecayFactor", "SUVType", "SeriesTime", "AcquisitionTime",
    "FrameReferenceTime", "ActualFrameDuration", "TimezoneOffsetFromUTC", "RadiopharmaceuticalInformationSequence",
)  # fmt: skip
_CREATORS = {"GEMS_PETD_01": (0x0009, (0x0D,)), "Philips PET Private Group": (0x7053, (0x00, 0x09))}
PRIVATE_TAGS = private_tags(_CREATORS)


@dataclass(frozen=True, slots=True, repr=False)
class Terms:
    """What images of one series have in common; None or empty where the header doesn't say it.

    Parameters
    ----------
    weight
        Of the patient, kg.
    injections
        Number of radiopharmaceuticals that are described; what follows is of the first.
    dose, half_life
        Injected activity, Bq; half-life, s.
    injected_at, injected_time
        Begin of the injection with its date, and its time of the day alone.
    decay_correction
        START, ADMIN or NONE (PS3.3 C.8.9.1.1.6).
    corrections
        Values of Corrected Image.
    series_start
        Series Date and Series Time.
    ge_start
        Begin of the scan in GE's private header.
    suv_type
        By what stored SUV are normalized.
    philips_suv, philips_activity
        Philips' private factors from counts to SUV, g/mL, and to activity, Bq/mL.
    """

    weight: float | None
    injections: int
    dose: float | None
    half_life: float | None
    injected_at: datetime | None
    injected_time: timedelta | None
    decay_correction: str
    corrections: tuple[str, ...]
    series_start: datetime | None
    ge_start: datetime | None
    suv_type: str
    philips_suv: float | None
    philips_activity: float | None


@dataclass(frozen=True, slots=True, repr=False)
class Uptake:
    """What a PET image says of itself; None where it doesn't.

    Parameters
    ----------
    terms
        In common with its series.
    acquired
        Begin of its acquisition.
    duration
        Of it, s.
    reference
        Frame Reference Time, s.
    decay_factor
        By which it was corrected for decay.
    """

    terms: Terms
    acquired: datetime | None
    duration: float | None
    reference: float | None
    decay_factor: float | None


def read_uptake(header: Dataset) -> Uptake:
    """Return what the header of a PET image says."""
    sequence = header.get("RadiopharmaceuticalInformationSequence")
    items = list(sequence) if isinstance(sequence, Sequence) else []
    injection = items[0] if items else Dataset()
    terms = Terms(
        weight=_number(header, "PatientWeight"),
        injections=len(items),
        dose=_number(injection, "RadionuclideTotalDose"),
        half_life=_number(injection, "RadionuclideHalfLife"),
        injected_at=_moment(
            _text(injection, "RadiopharmaceuticalStartDateTime"), _text(header, "TimezoneOffsetFromUTC")
        ),
        injected_time=_time(_text(injection, "RadiopharmaceuticalStartTime")),
        decay_correction=_text(header, "DecayCorrection"),
        corrections=tuple(_text(header, "CorrectedImage").split("\\")),
        series_start=_date_and_time(header, "SeriesDate", "SeriesTime"),
        ge_start=_moment(_private_text(header, "GEMS_PETD_01", 0x0D), ""),
        suv_type=_text(header, "SUVType"),
        philips_suv=_finite(_private_text(header, "Philips PET Private Group", 0x00)),
        philips_activity=_finite(_private_text(header, "Philips PET Private Group", 0x09)),
    )
    duration, reference = _number(header, "ActualFrameDuration"), _number(header, "FrameReferenceTime")
    return Uptake(
        terms=terms,
        acquired=_date_and_time(header, "AcquisitionDate", "AcquisitionTime"),
        duration=None if duration is None else duration / 1000,
        reference=None if reference is None else reference / 1000,
        decay_factor=_number(header, "DecayFactor"),
    )


def _text(header: Dataset, keyword: str) -> str:
    """Return a text as it stands in the file; empty where there is none, be it absent or rubbish."""
    try:
        return text(header, keyword)
    except (ValueError, TypeError):
        return ""


def _number(header: Dataset, keyword: str) -> float | None:
    """Return a finite number; None where there is none, be it absent or rubbish."""
    try:
        return _finite(header.get(keyword))
    except (ValueError, TypeError, OverflowError):
        return None


def _finite(value: Any) -> float | None:
    try:
        number = float(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return number if isfinite(number) else None


def _private_text(header: Dataset, creator: str, element: int) -> str:
    value = private_value(header, _CREATORS, creator, element)
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value)).strip(" \0")


def _date_and_time(header: Dataset, date: str, time: str) -> datetime | None:
    day, moment = _day(_text(header, date)), _time(_text(header, time))
    return None if day is None or moment is None else day + moment


def _moment(value: str, zone: str) -> datetime | None:
    """Return the moment that a DT value gives (PS3.5 6.2), in the time zone of dates and times.

    Parameters
    ----------
    value
        Such as "20240229123000.00+0100".
    zone
        The time zone of the data set; where a value names another one, or where only one of both names any, what
        they have in common is not known and the value is not used.
    """
    at = max(value.rfind("+"), value.rfind("-"))
    stated = value[at:] if at > 0 else ""
    if stated and stated != zone:
        return None
    digits = value[:at] if at > 0 else value
    day, moment = _day(digits[:8]), _time(digits[8:])
    return None if day is None or moment is None else day + moment


def _day(value: str) -> datetime | None:
    digits = value.replace(".", "")
    try:
        return datetime.strptime(digits, "%Y%m%d") if len(digits) == 8 else None
    except ValueError:
        return None


def _time(value: str) -> timedelta | None:
    """Return the time since midnight that a TM value gives, of at least hours and minutes."""
    digits, _, fraction = value.replace(":", "").partition(".")
    if len(digits) not in (4, 6) or not digits.isdecimal() or not (fraction or "0").isdecimal():
        return None
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:] or 0)
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    return timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=int(fraction[:6].ljust(6, "0") or 0))


def earliest(uptakes: Iterable[Uptake]) -> Uptake | None:
    """Return the uptake of the image that was acquired first; None where an image doesn't say when it was."""
    dated = [(uptake.acquired or datetime.max, uptake) for uptake in uptakes]
    if any(moment == datetime.max for moment, _ in dated):
        return None
    return min(dated, key=lambda pair: pair[0])[1]
