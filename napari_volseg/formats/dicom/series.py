"""From a heap of images to the sets that may form one volume each."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from napari_volseg.core import Finding, RefusedError
from napari_volseg.formats.dicom.grid import along_normal
from napari_volseg.formats.dicom.instances import Instance

#: Direction cosines that differ by more belong to different volumes; by more than the second, it is told.
ORIENTATION_SPLIT = 1e-3
ORIENTATION_TOLD = 1e-4


def group_series(instances: Iterable[Instance]) -> list[list[Instance]]:
    """Return instances by series, in a fixed order.

    Where the Series Instance UID is empty, images that agree in folder, modality, description, date and frame
    of reference are taken for one series.
    """
    groups: dict[Hashable, list[Instance]] = {}
    for instance in instances:
        groups.setdefault(_series_key(instance), []).append(instance)
    return sorted(groups.values(), key=lambda group: (group[0].series_number or 0, str(group[0].path)))


def _series_key(instance: Instance) -> Hashable:
    if instance.series_uid:
        return instance.study_uid, instance.series_uid
    return (
        instance.path.parent,
        instance.modality,
        instance.description,
        instance.date,
        instance.frame_of_reference_uid,
    )


def split_series(series: Sequence[Instance]) -> list[list[Instance]]:
    """Return the parts of a series that agree in matrix, pixel spacing, image type, echo time and orientation.

    Raises
    ------
    RefusedError
        Where each slice lies in a plane of its own.
    """
    alike: dict[Hashable, list[Instance]] = {}
    for instance in series:
        alike.setdefault(_likeness(instance), []).append(instance)
    parts = [part for group in alike.values() for part in _by_orientation(group)]
    if len(series) > 2 and len(parts) == len(series) and len(alike) == 1:
        raise RefusedError(
            f"each of {len(series)} slices lies in a plane of its own, as in a radial series: that is not a volume",
            "dicom.not_parallel",
        )
    return sorted(parts, key=lambda part: -len(part))


def _likeness(instance: Instance) -> Hashable:
    spacing = tuple(round(step, 5) for step in instance.pixel_spacing)
    return instance.rows, instance.columns, spacing, instance.image_type, instance.echo_time


def _by_orientation(instances: Sequence[Instance]) -> list[list[Instance]]:
    parts: list[list[Instance]] = []
    for instance in instances:
        for part in parts:
            if np.abs(np.subtract(part[0].orientation, instance.orientation)).max() <= ORIENTATION_SPLIT:
                part.append(instance)
                break
        else:
            parts.append([instance])
    return parts


def sort_slices(instances: Sequence[Instance]) -> list[Instance]:
    """Return slices by their position along the normal."""
    places = along_normal(instances)
    order = sorted(range(len(instances)), key=lambda i: (places[i], str(instances[i].path)))
    return [instances[i] for i in order]


def without_copies(instances: Sequence[Instance]) -> tuple[list[Instance], tuple[Finding, ...]]:
    """Return sorted slices without files that are byte for byte copies of another at the same position."""
    namesakes = Counter(map(_name_and_place, instances))
    seen: set[bytes] = set()
    kept: list[Instance] = []
    for instance in instances:
        if namesakes[_name_and_place(instance)] > 1:
            content = hashlib.sha256(instance.path.read_bytes()).digest()
            if content in seen:
                continue
            seen.add(content)
        kept.append(instance)
    dropped = len(instances) - len(kept)
    if not dropped:
        return kept, ()
    return kept, (Finding("dicom.copies", f"{dropped} files are exact copies of others and were left out", "note"),)


def _name_and_place(instance: Instance) -> Hashable:
    return instance.sop_instance_uid, instance.position


def common_findings(instances: Sequence[Instance], parts: int) -> tuple[Finding, ...]:
    """Return what is to be told about a part of a series, apart from its geometry."""
    findings: list[Finding] = []
    if parts > 1:
        findings.append(
            Finding(
                "dicom.split",
                f"the series was split into {parts} parts that differ in matrix, spacing, orientation, echo time "
                "or image type",
            )
        )
    spread = float(np.ptp([instance.orientation for instance in instances], axis=0).max())
    if spread > ORIENTATION_TOLD:
        findings.append(
            Finding("dicom.orientation_varies", f"direction cosines vary by {spread:.2g}; their mean is used")
        )
    if max(instance.oblique_by for instance in instances) > ORIENTATION_TOLD:
        findings.append(Finding("dicom.cosines", "direction cosines are not quite orthonormal; they were normalized"))
    if len({instance.frame_of_reference_uid for instance in instances}) > 1:
        findings.append(
            Finding(
                "dicom.frame_of_reference",
                "slices name different frames of reference: the volume can't be aligned with other series",
            )
        )
    if not all((i.study_uid and i.series_uid and i.sop_instance_uid) for i in instances):
        findings.append(
            Finding(
                "dicom.empty_uids",
                "study, series or instance UIDs are empty: an exported DICOM segmentation will refer to UIDs derived "
                "from the files, which a PACS can't match to the original series",
            )
        )
    if not all(instance.has_preamble for instance in instances):
        findings.append(
            Finding("dicom.no_preamble", "files have no DICOM preamble; their encoding was inferred", "note")
        )
    if any(instance.lossy for instance in instances):
        findings.append(
            Finding("dicom.lossy", "the images were compressed with loss: values differ from those measured")
        )
    if any(instance.burned_in for instance in instances):
        findings.append(Finding("dicom.burned_in", "the series says that text is burned into its pixels"))
    return tuple(findings)
