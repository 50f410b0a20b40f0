"""From the images of a scan to the volumes they form, asking where only the user can tell."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Answers, Finding, Inquiry, RefusedError
from napari_volseg.formats.catalog import FoundVolume, RefusedFile, Scan
from napari_volseg.formats.dicom.grid import Spread, along_normal, even_runs, fit_grid, spread_of
from napari_volseg.formats.dicom.instances import Instance
from napari_volseg.formats.dicom.marks import KEYWORDS
from napari_volseg.formats.dicom.pixels import refuse_missing_decoders
from napari_volseg.formats.dicom.series import (
    by_patient,
    common_findings,
    group_series,
    sort_slices,
    split_series,
    without_copies,
)
from napari_volseg.formats.dicom.stack import Column, Stack, columns_of, first_of, images_of
from napari_volseg.formats.dicom.suv import in_suv

NAME = "DICOM"

#: Numbers of missing slices that are listed, of gaps that may be as wide as a wrong tag says.
_LISTED = 10
#: Reasons of refusal that no slice of an image has.
_NO_SLICES = ("dicom.segmentation", "dicom.directory_outside", "dicom.directory_missing")
_INSTANCE_NUMBER = KEYWORDS.index("InstanceNumber")


def assemble(
    instances: Iterable[Instance], refused: Iterable[RefusedFile] = (), answers: Answers | None = None
) -> Scan:
    """Return the volumes that images form, and those that form none with the reason.

    Parameters
    ----------
    instances
        All images of a scan.
    refused
        Files of the same scan that are no use; the volumes of their series say so.
    answers
        To decisions that some series need; what stays open is listed in the volumes' ``decisions``.
    """
    left_out: dict[str, list[RefusedFile]] = {}
    for file in refused:
        left_out.setdefault(file.series_uid, []).append(file)
    found: list[FoundVolume] = []
    failed: list[RefusedFile] = []
    nameless = [file for file in left_out.pop("", []) if _may_be_slice(file)]
    for series in group_series(instances):
        folders = {image.path.parent for image in series}
        losses = [file for file in nameless if file.path.parent in folders]
        losses += left_out.get(series[0].series_uid, [])
        outcomes = list(_volumes_of_series(series, Inquiry(answers or Answers())))
        broken = [part[0] for part, outcome in outcomes if isinstance(outcome, RefusedError)]
        for part, outcome in outcomes:
            if isinstance(outcome, RefusedError):
                reason = _in_series(part[0], outcome)
                failed.append(RefusedFile(part[0].path, outcome.code, reason, part[0].series_uid))
            elif not (outcome.slices == 1 and any(_split_off(part[0], first) for first in broken)):
                findings = (*_losses(losses), *outcome.findings)
                found.append(replace(outcome, id=str(len(found) + 1), findings=findings))
    return Scan(tuple(found), tuple(failed))


def _split_off(instance: Instance, other: Instance) -> bool:
    """Whether a lone image is a slice that a wrong tag split off from images that form no volume."""
    return (instance.rows, instance.columns, instance.image_type, instance.photometric) == (
        other.rows,
        other.columns,
        other.image_type,
        other.photometric,
    )


def _in_series(instance: Instance, error: RefusedError) -> str:
    name = instance.description or instance.path.parent.name
    return f"series {name!r}: {error}"


def _may_be_slice(file: RefusedFile) -> bool:
    """Whether a refused file that doesn't name its series may be a slice of another one in its folder."""
    return file.code.startswith(("dicom.", "path.")) and file.code not in _NO_SLICES


def _losses(files: Sequence[RefusedFile]) -> tuple[Finding, ...]:
    if not files:
        return ()
    which = "of the series" if all(file.series_uid for file in files) else "in its folder that may belong to it"
    count = f"{len(files)} files {which} are" if len(files) > 1 else f"a file {which} is"
    return (Finding("dicom.left_out", f"{count} left out; {files[0].reason}"),)


def _volumes_of_series(
    series: Sequence[Instance], inquiry: Inquiry
) -> Iterator[tuple[Sequence[Instance], FoundVolume | RefusedError]]:
    """Yield each part of a series with the volume it forms, or why it forms none."""
    try:
        halves = _by_patient_if_wanted(series, inquiry)
    except RefusedError as error:
        yield series, error
        return
    for half in halves:
        try:
            parts = split_series(in_suv(half))
        except RefusedError as error:
            yield half, error
            continue
        for part in parts:
            try:
                for volume in _volumes_of_part(part, len(parts), inquiry.branch()):
                    yield part, _with_candidates(volume, series if inquiry.unanswered else part)
            except RefusedError as error:
                yield part, error


def _with_candidates(volume: FoundVolume, images: Sequence[Instance]) -> FoundVolume:
    if not volume.decisions:
        return volume
    stack: Stack = volume.source  # type: ignore[assignment]
    return replace(volume, source=replace(stack, candidates=tuple(images)))


def _by_patient_if_wanted(series: Sequence[Instance], inquiry: Inquiry) -> list[list[Instance]]:
    groups = by_patient(series)
    if len(groups) == 1:
        return groups
    answer = inquiry.ask(
        "on_mixed_series",
        "dicom.mixed_series",
        f"files with the same series UID name {len(groups)} different patients or studies, the first two in "
        f"{groups[0][0].path.name} and {groups[1][0].path.name}",
    )
    return [list(series)] if answer == "together" else groups


def _volumes_of_part(part: Sequence[Instance], parts: int, inquiry: Inquiry) -> list[FoundVolume]:
    refuse_missing_decoders(part)
    placed, findings = _placed(part, inquiry)
    uncalibrated = bool(placed[0].missing)
    slices, copies = without_copies(sort_slices(placed))
    columns, time, order = columns_of(slices, along_normal(slices), inquiry)
    findings = (*findings, *common_findings(slices, parts), *copies, *order)
    volumes = []
    for block in _blocks(columns, inquiry):
        spread = spread_of(_places(block))
        stack = Stack(tuple(block), tuple(spread.slots.tolist()), time, uncalibrated)
        volumes.append(_volume(stack, findings, inquiry))
    if len(volumes) > 1:
        total = len(volumes)
        return [replace(v, description=f"{v.description} ({n} of {total})") for n, v in enumerate(volumes, 1)]
    return volumes


def _placed(part: Sequence[Instance], inquiry: Inquiry) -> tuple[Sequence[Instance], tuple[Finding, ...]]:
    """Return images that all have a place, be it a made-up one."""
    unplaced = [image for image in part if image.missing]
    if not unplaced:
        return part, ()
    if len(unplaced) < len(part) and all(image.missing == ("ImagePositionPatient",) for image in unplaced):
        names = ", ".join(image.path.name for image in unplaced[:3])
        text = f"{len(unplaced)} of {len(part)} images have no Image Position (Patient), such as {names}"
        inquiry.ask("on_missing_position", "dicom.no_position", text)
        return [image for image in part if not image.missing], (Finding("dicom.no_position", f"left out: {text}"),)
    lacking = ", ".join(sorted({keyword for image in unplaced for keyword in image.missing}))
    inquiry.ask(
        "on_no_geometry",
        _no_geometry_code(unplaced),
        f"{unplaced[0].path.name} has no {lacking}, so its size and place are unknown",
    )
    finding = Finding(
        "dicom.uncalibrated", f"no physical size or place is known ({lacking} absent): nothing is in mm"
    )
    return _stacked(part), (finding,)


def _no_geometry_code(images: Sequence[Instance]) -> str:
    for keyword, code in (
        ("ImageOrientationPatient", "dicom.no_orientation"),
        ("ImagePositionPatient", "dicom.no_position"),
    ):
        if keyword in images[0].missing:
            return code
    return "dicom.no_spacing"


def _stacked(part: Sequence[Instance]) -> list[Instance]:
    """Return images in the order of their numbers, 1 mm apart, as if they were axial."""
    last = (float("inf"),)
    ordered = sorted(
        part, key=lambda image: (image.marks[_INSTANCE_NUMBER] or last, str(image.path), image.frame or 0)
    )
    missing = ordered[0].missing or ("ImagePositionPatient",)
    return [
        replace(image, position=(0.0, 0.0, float(n)), orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), missing=missing,
                thickness=None, spacing_between=1.0, frame_of_reference_uid="")
        for n, image in enumerate(ordered)
    ]  # fmt: skip


def _places(columns: Sequence[Column]) -> NDArray[np.float64]:
    return along_normal([first_of(column) for column in columns])


def _blocks(columns: list[Column], inquiry: Inquiry) -> list[list[Column]]:
    """Return the columns as one block, or as several where the user wants gaps to part them."""
    spread = spread_of(_places(columns))
    holes = sum(image is None for column in columns for image in column)
    if not spread.is_even:
        question = (
            f"slices are unevenly spaced, from {spread.shortest:.4g} to {spread.longest:.4g} mm apart, "
            "and form no grid"
        )
        answer = inquiry.ask("on_uneven_spacing", "dicom.uneven_spacing", question)
    elif spread.missing or holes:
        answer = inquiry.ask("on_missing_slice", "dicom.missing_slices", _missing_question(columns, spread, holes))
    else:
        return [columns]
    if answer != "blocks":
        return [columns]
    whole = [column for column in columns if None not in column] or columns
    return [whole[run] for run in even_runs(_places(whole))]


def _missing_question(columns: Sequence[Column], spread: Spread, holes: int) -> str:
    if not spread.missing:
        return f"{_are(holes, 'image')} missing from a series of {len(columns[0])} images at each position"
    at = int(np.flatnonzero(np.diff(spread.slots) > 1)[0])
    gap = float(spread.slots[at + 1] - spread.slots[at]) * spread.step
    return (
        f"{_are(spread.missing, 'slice')} missing, the first after {first_of(columns[at]).path.name} "
        f"(a gap of {gap:.4g} mm where {spread.step:.4g} mm is usual)"
    )


def _are(count: int, what: str) -> str:
    return f"{count} {what}s are" if count > 1 else f"1 {what} is"


def _volume(stack: Stack, findings: tuple[Finding, ...], inquiry: Inquiry) -> FoundVolume:
    slots = np.repeat(stack.slots, [len(images_of([column])) for column in stack.columns])
    geometry, told = fit_grid(stack.images, slots, int(stack.slots[-1] + 1e-6) + 1)
    first = stack.first_images[0]
    return FoundVolume(
        id="",
        format=NAME,
        paths=stack.files(),
        description=first.description,
        modality=first.modality,
        geometry=geometry,
        date=first.date,
        findings=(*inquiry.decided, *findings, *_filled(stack, geometry.shape[0]), *told),
        source=stack,
        decisions=tuple(inquiry.unanswered),
        uncalibrated=stack.uncalibrated,
        series_uid=first.series_uid,
        study_uid=first.study_uid,
        patient=first.patient,
    )


def _filled(stack: Stack, slices: int) -> Iterator[Finding]:
    if not stack.is_even:
        yield Finding(
            "dicom.resampled", f"{len(stack.columns)} unevenly spaced slices were interpolated to {slices} even ones"
        )
    elif missing := slices - len(stack.columns):
        filled = set(map(int, stack.slots))
        numbers = [*itertools.islice((n for n in range(slices) if n not in filled), _LISTED + 1)]
        yield Finding("dicom.empty_slices", f"{_are(missing, 'slice')} missing and left empty: {_listed(numbers)}")
    holes = sum(image is None for column in stack.columns for image in column)
    if holes:
        yield Finding("dicom.empty_slices", f"{_are(holes, 'image')} missing and left empty")


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:_LISTED])) + (", …" if len(numbers) > _LISTED else "")
