"""What a scan found, as patients, their studies and the series of these; nobody is named."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from napari_volseg.formats import FoundVolume, Scan


@dataclass(frozen=True, slots=True)
class Study:
    """Series that were made together.

    Parameters
    ----------
    title
        Days and modalities.
    series
        As they were found.
    """

    title: str
    series: tuple[FoundVolume, ...]


@dataclass(frozen=True, slots=True)
class Patient:
    """Whose studies were found.

    Parameters
    ----------
    title
        A number and the folder where the files lie, or that folder alone where no patient is known.
    studies
        As they were found.
    """

    title: str
    studies: tuple[Study, ...]


def patients_of(scan: Scan | None) -> tuple[Patient, ...]:
    """Return patients, studies and series in the order in which they were found."""
    found = scan.found if scan is not None else ()
    top = _folder_of(found)
    groups = _grouped(found, lambda volume: volume.patient or volume.study_uid or str(_parent(volume)))
    known = [group for group in groups if group[0].patient or group[0].study_uid]
    names = {id(group): f"Patient {number}" for number, group in enumerate(known, 1)}
    return tuple(_patient(names.get(id(group), ""), group, top) for group in groups)


def mark_of(volume: FoundVolume) -> str:
    """Return what tells a series from the others of its place, and neither names nor describes anybody: a digest."""
    digest = hashlib.blake2b(digest_size=16)
    geometry = volume.geometry
    first = volume.archive or volume.paths[0]
    for part in (volume.series_uid, first.name, volume.paths[0].name, str(geometry.shape)):
        digest.update(part.encode() + b"\0")
    digest.update(geometry.matrix.tobytes())
    return digest.hexdigest()


def nearest_to(opened: FoundVolume | None, found: Iterable[FoundVolume]) -> FoundVolume | None:
    """Return the series that is likeliest wanted beside an open one: of its study, else of its patient, else any."""

    def distance(volume: FoundVolume) -> int:
        if opened is None:
            return 0
        if volume.study_uid != opened.study_uid or _parent_of_study(volume) != _parent_of_study(opened):
            return 2 - (volume.patient == opened.patient)
        return 0

    others = [volume for volume in found if volume is not opened]
    return min(others, key=distance, default=opened)


def _parent_of_study(volume: FoundVolume) -> Path:
    """Return what holds the files of a study that has no UID."""
    return Path() if volume.study_uid else _parent(volume)


def _patient(name: str, group: tuple[FoundVolume, ...], top: Path) -> Patient:
    folder = _folder_of(group)
    below = "" if folder == top else str(folder.relative_to(top))
    title = " · ".join(filter(None, (name, below))) or folder.name
    studies = _grouped(group, lambda volume: volume.study_uid or str(_parent(volume)))
    return Patient(title, tuple(Study(_study_title(series), series) for series in studies))


def _study_title(series: Iterable[FoundVolume]) -> str:
    days = sorted({volume.date for volume in series if volume.date})
    modalities = dict.fromkeys(volume.modality for volume in series if volume.modality != "OT")
    when = " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "Without date"
    return " · ".join(filter(None, (when, ", ".join(modalities))))


def _grouped(
    volumes: Iterable[FoundVolume], key: Callable[[FoundVolume], str]
) -> tuple[tuple[FoundVolume, ...], ...]:
    groups: dict[str, list[FoundVolume]] = {}
    for volume in volumes:
        groups.setdefault(key(volume), []).append(volume)
    return tuple(map(tuple, groups.values()))


def _parent(volume: FoundVolume) -> Path:
    return (volume.archive or volume.paths[0]).parent


def _folder_of(volumes: Iterable[FoundVolume]) -> Path:
    """Return the folder in which all volumes lie."""
    parents = [str(_parent(volume)) for volume in volumes]
    return Path(os.path.commonpath(parents)) if parents else Path()
