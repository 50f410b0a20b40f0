"""PET in standardized uptake values by body weight, where the header tells all that this takes.

After the vendor-neutral pseudo code of RSNA's Quantitative Imaging Biomarkers Alliance for SUVbw: activity per
volume, times the patient's weight, by the injected dose as it has decayed by the time to which the images were
corrected. Where a term is missing, implausible or contradicted by another, values stay what the file says, and the
reason is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import exp, log, log2
from typing import TYPE_CHECKING

from napari_volseg.core import Finding
from napari_volseg.core.findings import Severity
from napari_volseg.formats.dicom.uptake import Terms, Uptake, earliest

if TYPE_CHECKING:
    from napari_volseg.formats.dicom.instances import Instance

#: Plausible weights (kg), doses (Bq; a dose in MBq is below) and half-lives (s).
_WEIGHTS = (0.01, 700.0)
_DOSES = (1e5, 1e11)
_HALF_LIVES = (60.0, 1e6)
#: Plausible factors in Philips' private header; others are as good as none.
_FACTORS = (1e-9, 1e6)
#: An injection during the scan may begin this long after its start, s; half-lives that may pass before a scan.
_AFTER_START_S = 600.0
_MOST_HALF_LIVES = 8.0
#: Nuclides that live longer, s, are scanned days later: a time without a date doesn't tell when they were injected.
_NEEDS_DATE_S = 6 * 3600.0
#: The start of a scan as two tags tell it may differ by this share of the half-life (3.5 % of the value), or by 10 s.
_START_SHARE, _START_S = 0.05, 10.0
#: The longest time from Series Time to the first image, s, that nothing else has to confirm.
_LONGEST_GAP_S = 3600.0
#: Two statements of one time of the day may differ by this.
_SAME = timedelta(seconds=60)
_HALF_DAY, _DAY = timedelta(hours=12), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Suv:
    """What was made of the values of a PET series.

    Parameters
    ----------
    factor
        By which the file's values were multiplied.
    units
        Of the result, as Units names them (PS3.3 C.8.9.1.1.3).
    finding
        How it was computed, or what stood against it.
    """

    factor: float
    units: str
    finding: Finding


class _NotCertain(Exception):
    """A term of the SUV is missing, implausible or contradicted; the text says which."""

    def __init__(self, message: str, severity: Severity = "warning") -> None:
        super().__init__(message)
        self.severity: Severity = severity


def in_suv(images: Sequence[Instance]) -> list[Instance]:
    """Return the images of a series with values in SUV (g/mL) where their headers suffice; others as they are.

    The factor is part of slope, intercept and windows from here on.
    """
    made = {}
    for units in {image.units for image in images}:
        uptakes = [image.uptake for image in images if image.units == units]
        known = [uptake for uptake in uptakes if uptake is not None]
        made[units] = _suv(known, units) if len(known) == len(uptakes) else None
    return [image if suv is None else _multiplied(image, suv) for image in images for suv in (made[image.units],)]


def _multiplied(image: Instance, suv: Suv) -> Instance:
    factor = suv.factor
    return replace(
        image,
        slope=image.slope * factor,
        intercept=image.intercept * factor,
        windows=tuple((center * factor, width * factor, name) for center, width, name in image.windows),
        units=suv.units,
        uptake=None,
        suv=suv,
    )


def _suv(uptakes: Sequence[Uptake], units: str) -> Suv | None:
    """Return what can be made of values in ``units``; None where nothing is known of them."""
    if units == "GML":
        return _stored_suv(uptakes[0].terms.suv_type)
    if units == "BQML":
        return _from_activity(uptakes, 1.0, "Bq/mL")
    if units == "CNTS":
        return _from_counts(uptakes)
    return None


def _stored_suv(kind: str) -> Suv:
    if kind in ("", "BW"):
        text = "the file holds SUV by body weight" if kind else "the file holds SUV, taken for SUV by body weight"
        return Suv(1.0, "GML", Finding("dicom.suv", f"{text}; no factor was applied", "note"))
    text = f"the file holds SUV that are not by body weight (SUV Type {kind}); no factor was applied"
    return Suv(1.0, "GML", Finding("dicom.suv_type", text))


def _from_counts(uptakes: Sequence[Uptake]) -> Suv | None:
    """Return what Philips' private factors make of counts."""
    if factor := _common_factor(uptake.terms.philips_suv for uptake in uptakes):
        text = f"SUV by body weight (g/mL) = counts × {factor:.8g}, the factor in Philips' private header (7053,1000)"
        return Suv(factor, "GML", Finding("dicom.suv", text, "note"))
    if factor := _common_factor(uptake.terms.philips_activity for uptake in uptakes):
        return _from_activity(uptakes, factor, "counts")
    return None


def _common_factor(stated: Iterable[float | None]) -> float | None:
    """Return the plausible factor that all images state; None where there is none."""
    factor, *others = set(stated)
    return factor if not others and factor is not None and _FACTORS[0] <= factor <= _FACTORS[1] else None


def _from_activity(uptakes: Sequence[Uptake], to_activity: float, unit: str) -> Suv:
    """Return SUV of values that ``to_activity`` makes Bq/mL, or Bq/mL with the reason why there is no SUV."""
    times = "" if to_activity == 1 else f" (Bq/mL = counts × {to_activity:.8g}, from Philips' private header)"
    try:
        factor, how = _suv_factor(uptakes)
    except _NotCertain as reason:
        text = f"values are in Bq/mL{times} and not in SUV: {reason}"
        return Suv(to_activity, "BQML", Finding("dicom.no_suv", text, reason.severity))
    factor *= to_activity
    text = f"SUV by body weight (g/mL) = {unit} × {factor:.8g}{times}, from weight and injected dose, {how}"
    return Suv(factor, "GML", Finding("dicom.suv", text, "note"))


def _suv_factor(uptakes: Sequence[Uptake]) -> tuple[float, str]:
    """Return the factor from Bq/mL to SUV, g/Bq, and how the dose's decay was taken into account."""
    if len({uptake.terms for uptake in uptakes}) > 1:
        raise _NotCertain("images of the series disagree about weight, injection or decay correction")
    terms = uptakes[0].terms
    _require_corrections(terms)
    weight = _required(terms.weight, "Patient's Weight", _WEIGHTS)
    dose = _required(terms.dose, "Radionuclide Total Dose", _DOSES)
    if terms.decay_correction == "ADMIN":
        return weight * 1000 / dose, "to whose time the images are decay-corrected"
    half_life = _required(terms.half_life, "Radionuclide Half Life", _HALF_LIVES)
    start, source = _scan_start(uptakes, half_life)
    return weight * 1000 / (dose * 2 ** (-_passed(terms, start, half_life) / half_life)), (
        f"decayed to the start of the scan ({source})"
    )


def _require_corrections(terms: Terms) -> None:
    if terms.injections > 1:
        raise _NotCertain("several radiopharmaceuticals are described")
    if terms.decay_correction not in ("START", "ADMIN"):
        stated = terms.decay_correction or "absent"
        raise _NotCertain(f"Decay Correction is {stated}, START or ADMIN is needed", "note")
    corrected = set(terms.corrections)
    if "ATTN" not in corrected or not corrected & {"DECY", "DECAY"}:
        raise _NotCertain("Corrected Image doesn't name both attenuation (ATTN) and decay (DECY)", "note")


def _required(value: float | None, name: str, limits: tuple[float, float]) -> float:
    """Return a value within limits; what it is stays unsaid, since it describes the patient."""
    if value is None:
        raise _NotCertain(f"{name} is absent", "note")
    if not limits[0] <= value <= limits[1]:
        raise _NotCertain(f"{name} is implausible (from {limits[0]:g} to {limits[1]:g} is expected)")
    return value


def _scan_start(uptakes: Sequence[Uptake], half_life: float) -> tuple[datetime, str]:
    """Return the time to which images are decay-corrected, and where it stands.

    Series Time is that time, unless a workstation wrote the series anew: then it comes after the first image.
    """
    first = earliest(uptakes)
    if first is None or first.acquired is None:
        raise _NotCertain("Acquisition Date or Acquisition Time is absent", "note")
    terms, second = first.terms, timedelta(seconds=1)
    computed = _computed_start(first, half_life)
    if terms.series_start is not None and terms.series_start <= first.acquired + second:
        gap = (first.acquired - terms.series_start).total_seconds()
        if computed is None and gap > _LONGEST_GAP_S:
            raise _NotCertain("Series Time lies more than an hour before the first Acquisition Time")
        _require_agreement(terms.series_start, computed, half_life, "Series Time")
        return terms.series_start, "Series Time"
    if terms.ge_start is not None and terms.ge_start <= first.acquired + second:
        _require_agreement(terms.ge_start, computed, half_life, "the scan's time in GE's private header")
        return terms.ge_start, "the scan's time in GE's private header"
    if computed is None:
        raise _NotCertain("neither Series Time nor Decay Factor nor Frame Reference Time tell when the scan began")
    return computed, "from the first Acquisition Time and its decay"


def _require_agreement(start: datetime, computed: datetime | None, half_life: float, name: str) -> None:
    tolerance = max(_START_SHARE * half_life, _START_S)
    if computed is not None and abs((start - computed).total_seconds()) > tolerance:
        raise _NotCertain(f"{name} contradicts Acquisition Time and Decay Factor")


def _computed_start(first: Uptake, half_life: float) -> datetime | None:
    """Return the time to which an image is decay-corrected, from its acquisition and its decay factor.

    That factor is for the moment at which activity is at its mean over the frame. Frame Reference Time, where it
    stands in for the factor, is that moment or the begin of the frame, as makers will have it.
    """
    if first.acquired is None:
        return None
    if first.decay_factor is not None and first.decay_factor >= 1:
        since = half_life * log2(first.decay_factor)
    elif first.reference is not None and first.reference >= 0:
        since = first.reference
    else:
        return None
    back = since - _mean_activity_at(first.duration or 0.0, half_life)
    if abs(back) > _DAY.total_seconds():
        return None
    return first.acquired - timedelta(seconds=max(back, 0.0))


def _mean_activity_at(duration: float, half_life: float) -> float:
    """Return when, from the begin of a frame of ``duration`` s, activity is at its mean, s."""
    decay = log(2) * duration / half_life
    return 0.0 if not 1e-6 < decay < 100 else log(decay / (1 - exp(-decay))) * half_life / log(2)


def _passed(terms: Terms, start: datetime, half_life: float) -> float:
    """Return the time from injection to the start of the scan, s."""
    at, time = terms.injected_at, terms.injected_time
    if at is None and time is None:
        raise _NotCertain("Radiopharmaceutical Start Time is absent", "note")
    if at is None and half_life > _NEEDS_DATE_S:
        raise _NotCertain("a nuclide that lives this long needs Radiopharmaceutical Start DateTime", "note")
    since = start - at if at is not None else _since_time(start, time or timedelta())
    if at is not None and time is not None and abs(_around_midnight(since - _since_time(start, time))) > _SAME:
        raise _NotCertain("Radiopharmaceutical Start Time and Start DateTime contradict each other")
    seconds = since.total_seconds()
    if not -_AFTER_START_S <= seconds <= _MOST_HALF_LIVES * half_life:
        raise _NotCertain("the time from injection to scan is implausible")
    return seconds


def _since_time(start: datetime, time: timedelta) -> timedelta:
    """Return how long before ``start`` it was ``time`` of the day, be it the day before."""
    return _around_midnight(start - start.replace(hour=0, minute=0, second=0, microsecond=0) - time)


def _around_midnight(difference: timedelta) -> timedelta:
    """Return a difference of times of the day, from -12 h to +12 h."""
    return (difference + _HALF_DAY) % _DAY - _HALF_DAY
