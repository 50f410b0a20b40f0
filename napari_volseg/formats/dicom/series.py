"""From a heap of images to the sets that may form one volume each."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np

from napari_volseg.core import Finding, RefusedError, Severity
from napari_volseg.formats.dicom.grid import along_normal
from napari_volseg.formats.dicom.instances import Instance

#: Modalities whose images often show text in their pixels.
_WITH_TEXT = ("US", "SC", "OT", "XC", "ES")
#: Units of PET whose meaning is known (PS3.3 C.8.9.1.1.3).
_PET_UNITS = ("BQML", "GML")
#: Direction cosines that differ by more belong to different volumes; by more than the second, it is told.
ORIENTATION_SPLIT = 1e-3
ORIENTATION_TOLD = 1e-4
#: From this difference on, a lone image is a localizer and not a slice that was turned.
ORIENTATION_OTHER = 0.05


def group_series(instances: Iterable[Instance]) -> list[list[Instance]]:
    """Return instances by Series Instance UID, in a fixed order.

    Where the Series Instance UID is empty, images that agree in folder, modality, description, date and frame
    of reference are taken for one series.
    """
    groups: dict[Hashable, list[Instance]] = {}
    for instance in instances:
        groups.setdefault(_series_key(instance), []).append(instance)
    return sorted(groups.values(), key=lambda group: (group[0].series_number or 0, str(group[0].path)))


def _series_key(instance: Instance) -> Hashable:
    if instance.series_uid:
        return instance.series_uid
    return (
        instance.path.parent,
        instance.modality,
        instance.description,
        instance.date,
        instance.frame_of_reference_uid,
    )


def by_patient(series: Sequence[Instance]) -> list[list[Instance]]:
    """Return images by what they say of patient and study, which one series has in common."""
    groups: dict[Hashable, list[Instance]] = {}
    for instance in series:
        groups.setdefault((instance.patient, instance.study_uid), []).append(instance)
    return list(groups.values())


def split_series(series: Sequence[Instance]) -> list[list[Instance]]:
    """Return the parts of a series that agree in matrix, pixel spacing, image type, echo time, unit and orientation.

    Raises
    ------
    RefusedError
        Where each slice lies in a plane of its own, or one is turned a little against the others.
    """
    alike: dict[Hashable, list[Instance]] = {}
    for instance in series:
        alike.setdefault(_likeness(instance), []).append(instance)
    parts = [part for group in alike.values() for part in _by_orientation(group)]
    if len(series) > 2 and len(parts) == len(series) and len(alike) == 1:
        raise RefusedError(
            f"each of {len(series)} slices lies in a plane of its own, as in a radial series, and a volume needs "
            "parallel ones: open a parallel reconstruction",
            "dicom.not_parallel",
        )
    _refuse_turned(parts)
    return sorted(parts, key=lambda part: -len(part))


def _refuse_turned(parts: Sequence[Sequence[Instance]]) -> None:
    """Refuse where a lone image is turned so little against others like it that it must belong to them."""
    lone = [part[0] for part in parts if len(part) == 1]
    for part in parts:
        for instance in lone:
            turned = _turn(part[0], instance)
            if ORIENTATION_SPLIT < turned < ORIENTATION_OTHER and _likeness(part[0]) == _likeness(instance):
                raise RefusedError(
                    f"{instance.path.name} is turned by {turned:.2g} (difference of direction cosines) against "
                    f"{part[0].path.name} where {ORIENTATION_SPLIT:g} is accepted: re-export the series",
                    "dicom.orientation_varies",
                )


def _turn(one: Instance, other: Instance) -> float:
    """Return the largest difference between two images' direction cosines."""
    return float(np.abs(np.subtract(one.orientation, other.orientation)).max())


def _likeness(instance: Instance) -> Hashable:
    spacing = tuple(round(step, 5) for step in instance.pixel_spacing)
    unplaced = set(instance.missing) & {"PixelSpacing", "ImageOrientationPatient"}
    return (
        instance.rows, instance.columns, spacing, instance.image_type, instance.echo_time, instance.stack,
        instance.photometric, instance.units, instance.suv, frozenset(unplaced),
    )  # fmt: skip


def _by_orientation(instances: Sequence[Instance]) -> list[list[Instance]]:
    parts: list[list[Instance]] = []
    for instance in instances:
        for part in parts:
            if _turn(part[0], instance) <= ORIENTATION_SPLIT:
                part.append(instance)
                break
        else:
            parts.append([instance])
    return parts


def sort_slices(instances: Sequence[Instance]) -> list[Instance]:
    """Return slices by their position along the normal."""
    places = along_normal(instances)
    order = sorted(range(len(instances)), key=lambda i: (places[i], str(instances[i].path), instances[i].frame or 0))
    return [instances[i] for i in order]


def without_copies(instances: Sequence[Instance]) -> tuple[list[Instance], tuple[Finding, ...]]:
    """Return sorted slices without files that are byte for byte copies of another at the same position."""
    namesakes = Counter(map(_name_and_place, instances))
    seen: set[tuple[bytes, int | None]] = set()
    kept: list[Instance] = []
    for instance in instances:
        if namesakes[_name_and_place(instance)] > 1:
            content = hashlib.sha256(instance.path.read_bytes()).digest(), instance.frame
            if content in seen:
                continue
            seen.add(content)
        kept.append(instance)
    dropped = len({instance.path for instance in instances}) - len({instance.path for instance in kept})
    if not dropped:
        return kept, ()
    return kept, (Finding("dicom.copies", f"{dropped} files are exact copies of others and were left out", "note"),)


def _name_and_place(instance: Instance) -> Hashable:
    return instance.sop_instance_uid, instance.position, instance.frame


def common_findings(instances: Sequence[Instance], parts: int) -> tuple[Finding, ...]:
    """Return what is to be told about a part of a series, apart from its geometry."""
    return tuple(
        finding
        for finding in (
            _split_finding(instances, parts),
            *_geometry_findings(instances),
            *_identity_findings(instances),
            *_value_findings(instances),
        )
        if finding is not None
    )


def _split_finding(instances: Sequence[Instance], parts: int) -> Finding | None:
    names = sorted({instance.path.name for instance in instances})
    which = f"this one is {' and '.join(names)}" if len(names) < 3 else f"this one has {len(names)} files"
    text = "parts that differ in matrix, spacing, orientation, echo time, unit or image type"
    return _if(parts > 1, "dicom.split", f"the series was split into {parts} {text}; {which}")


def _geometry_findings(instances: Sequence[Instance]) -> Iterator[Finding | None]:
    spread = float(np.ptp([instance.orientation for instance in instances], axis=0).max())
    yield _if(
        spread > ORIENTATION_TOLD,
        "dicom.orientation_varies",
        f"direction cosines vary by {spread:.2g}; their mean is used",
    )
    yield _if(
        max(instance.oblique_by for instance in instances) > ORIENTATION_TOLD,
        "dicom.cosines",
        "direction cosines are not quite orthonormal; they were normalized",
    )
    yield _if(
        len({instance.frame_of_reference_uid for instance in instances}) > 1,
        "dicom.frame_of_reference",
        "slices name different frames of reference: the volume can't be aligned with other series",
    )
    yield _if(
        any(instance.at_detector for instance in instances),
        "dicom.at_detector",
        "the spacing is that at the detector of a projection; in the patient, things are smaller",
    )
    yield _if(
        any(instance.quadruped for instance in instances),
        "dicom.quadruped",
        "the patient goes on four legs: left and right are right, but anterior and superior mean ventral and cranial",
    )


def _identity_findings(instances: Sequence[Instance]) -> Iterator[Finding | None]:
    yield _if(
        not all((i.study_uid and i.series_uid and i.sop_instance_uid) for i in instances),
        "dicom.empty_uids",
        "study, series or instance UIDs are empty: an exported DICOM segmentation will refer to UIDs derived "
        "from the files, which a PACS can't match to the original series",
    )
    owners = len(by_patient(instances))
    yield _if(
        owners > 1,
        "dicom.mixed_series",
        f"images of {owners} different patients or studies were taken for one series, as was answered",
    )
    yield _if(
        not all(instance.has_preamble for instance in instances),
        "dicom.no_preamble",
        "files have no DICOM preamble; their encoding was inferred",
        "note",
    )
    yield _if(
        any(instance.program for instance in instances),
        "dicom.executable_preamble",
        "files begin as programs do: don't run them; what is exported from them is clean",
    )


def _value_findings(instances: Sequence[Instance]) -> Iterator[Finding | None]:
    yield _if(
        any(instance.lossy for instance in instances),
        "dicom.lossy",
        "the images were compressed with loss: values differ from those measured",
    )
    yield _if(
        any(instance.burned_in for instance in instances),
        "dicom.burned_in",
        "the series says that text is burned into its pixels",
    )
    yield _if(
        any(instance.modality in _WITH_TEXT and not instance.burned_in for instance in instances),
        "dicom.may_show_text",
        f"{instances[0].modality} images often have text burned into their pixels, names included",
    )
    yield _if(
        any(instance.overlays for instance in instances), "dicom.overlays", "overlay planes are not shown", "note"
    )
    yield _if(
        any(instance.photometric == "MONOCHROME1" for instance in instances),
        "dicom.monochrome1",
        "low values are meant to be shown bright (MONOCHROME1); they are kept as stored",
        "note",
    )
    yield _if(
        any(instance.colour for instance in instances),
        "dicom.color",
        f"colour images ({instances[0].photometric}) are shown by their brightness, for viewing only",
    )
    yield _if(
        instances[0].tile is not None,
        "dicom.mosaic",
        "the slices were cut from Siemens mosaic images, in the place and order that the private headers tell",
        "note",
    )
    yield _if(
        any(instance.has_lut for instance in instances),
        "dicom.modality_lut",
        "values come from the file's modality lookup table",
        "note",
    )
    yield instances[0].suv.finding if instances[0].suv is not None else None
    yield _if(
        instances[0].modality == "PT" and instances[0].units not in _PET_UNITS,
        "dicom.quantity_unknown",
        f"PET values in unit '{instances[0].units}': what they measure is unknown",
    )
    yield _if(
        any(instance.bad_windows for instance in instances),
        "dicom.window_ignored",
        "windows without a positive width or a partner were ignored",
        "note",
    )


def _if(condition: bool, code: str, message: str, severity: Severity = "warning") -> Finding | None:
    return Finding(code, message, severity) if condition else None
