"""What became of an image on its way in, as one thing: told in the panel, by ``info``, and in exported reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import not_
from typing import Any, Literal

import numpy as np

from napari_volseg.core import Finding, Geometry, Kind, Severity, Volume
from napari_volseg.formats.catalog import FoundVolume, RefusedFile

#: Refused files that are named; of more, the number is told.
LISTED = 20

EntryKind = Literal[Kind, "undecided", "refused"]

#: Kinds of entries in the order in which they are told, with their headings.
HEADINGS: dict[EntryKind, str] = {
    "undecided": "To be decided",
    "decided": "Decided",
    "left_out": "Left out",
    "assumed": "Assumed",
    "repaired": "Repaired",
    "found": "Found",
    "refused": "Refused in the same place",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an import report.

    Parameters
    ----------
    kind
        One of ``HEADINGS``.
    code
        Stable identifier.
    message
        One sentence.
    severity
        ``"warning"`` or ``"note"``.
    """

    kind: EntryKind
    code: str
    message: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was found in an image's files, and what was repaired, assumed, decided and left out.

    Parameters
    ----------
    facts
        The image as stored, in JSON types: ``format``, ``archive``, ``files``, ``slices``, ``shape`` and
        ``spacing_mm`` in (z, y, x), ``axis_codes``, ``oblique_degrees``, ``tilt_degrees``, ``modality``,
        ``quantity``, ``unit`` and ``time``; None where not known.
    entries
        In the order of ``HEADINGS``.
    """

    facts: Mapping[str, Any]
    entries: tuple[Entry, ...]

    @property
    def warnings(self) -> int:
        """Number of entries that are warnings."""
        return sum(entry.severity == "warning" for entry in self.entries)

    def of_kind(self, kind: EntryKind) -> tuple[Entry, ...]:
        """Return the entries of one kind."""
        return tuple(entry for entry in self.entries if entry.kind == kind)

    def as_dict(self) -> dict[str, Any]:
        """Return it in JSON types: the facts, and the entries of each kind under its name."""
        told: dict[str, Any] = {
            kind: [{"code": e.code, "message": e.message, "severity": e.severity} for e in self.of_kind(kind)]
            for kind in HEADINGS
        }
        return {"facts": dict(self.facts), **told}

    def fact_lines(self) -> tuple[str, ...]:
        """Return the facts in a few lines for people."""
        return tuple(_fact_lines(self.facts))

    def as_text(self) -> str:
        """Return all of it for people, as plain text."""
        lines = [*self.fact_lines()]
        for kind, heading in HEADINGS.items():
            entries = self.of_kind(kind)
            lines += ["", heading] * bool(entries)
            lines += [f"- {'warning: ' * (e.severity == 'warning')}{e.message} ({e.code})" for e in entries]
        return "\n".join(lines) + "\n"


def import_report(image: Volume | FoundVolume, refused: Sequence[RefusedFile] = ()) -> ImportReport:
    """Return the report of an image.

    Parameters
    ----------
    image
        What was opened, or only found: values then count as unknown.
    refused
        Files of the same scan that could not be used. Those of the image's own series are told as left out.
    """
    if isinstance(image, Volume):
        source = image.origin_provenance
        facts, findings, uid = _facts_of_volume(image), source.findings, source.uids.get("SeriesInstanceUID", "")
    else:
        facts, findings, uid = _facts_of_found(image), image.findings, image.series_uid
    decisions = image.decisions if isinstance(image, FoundVolume) else ()
    own = [bool(uid) and file.series_uid == uid for file in refused]
    untold = [file for file in compress(refused, own) if not any(file.reason in f.message for f in findings)]
    entries = [
        *(Entry("undecided", decision.code, decision.question, "warning") for decision in decisions),
        *map(_of_finding, findings),
        *_of_files("left_out", untold),
        *_of_files("refused", [*compress(refused, map(not_, own))]),
    ]
    order = list(HEADINGS)
    return ImportReport(facts, tuple(sorted(entries, key=lambda entry: order.index(entry.kind))))


def _of_finding(finding: Finding) -> Entry:
    return Entry(finding.kind, finding.code, finding.message, finding.severity)


def _of_files(kind: EntryKind, files: Sequence[RefusedFile]) -> Iterator[Entry]:
    """Yield a note per file: the reader's own finding warns of what is lost to the image."""
    for file in files[:LISTED]:
        name = file.path.name
        yield Entry(kind, file.code, file.reason if name in file.reason else f"{name}: {file.reason}", "note")
    if (more := len(files) - LISTED) > 0:
        yield Entry(kind, "more", f"{more} more file{'s' * (more > 1)}", "note")


def _facts_of_volume(volume: Volume) -> dict[str, Any]:
    source = volume.origin_provenance
    time = volume.time and {"name": volume.time.name, "unit": volume.time.unit, "values": list(volume.time.values)}
    return {
        "format": source.format,
        "archive": source.archive.name if source.archive else None,
        "files": len(set(source.paths)),
        **_facts_of_grid(source.source_geometry, volume.is_calibrated),
        "modality": volume.modality,
        "quantity": volume.quantity,
        "unit": volume.unit,
        "time": time,
    }


def _facts_of_found(found: FoundVolume) -> dict[str, Any]:
    unknown = dict.fromkeys(("quantity", "unit", "time"))
    grid = _facts_of_grid(found.geometry, not found.uncalibrated)
    archive = found.archive.name if found.archive else None
    return {
        "format": found.format,
        "archive": archive,
        "files": len(set(found.paths)),
        **grid,
        "modality": found.modality,
        **unknown,
    }


def _facts_of_grid(grid: Geometry, calibrated: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"slices": grid.shape[0], "shape": list(grid.shape)}
    placed = {
        "spacing_mm": list(grid.spacing),
        "axis_codes": grid.axis_codes,
        "oblique_degrees": round(grid.obliquity, 3),
        "tilt_degrees": round(_tilt(grid), 3),
    }
    return facts | (placed if calibrated else dict.fromkeys(placed))


def _tilt(grid: Geometry) -> float:
    """Return the angle between the way from slice to slice and the normal of the slices, degrees."""
    normal = np.cross(grid.direction[:, 1], grid.direction[:, 2])
    cosine = abs(float(grid.direction[:, 0] @ normal / np.linalg.norm(normal)))
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def _fact_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    files = facts["files"]
    origin = [facts["format"] + f" from {facts['archive']}" * bool(facts["archive"])] + [
        f"{files} file{'s' * (files > 1)}"
    ] * bool(files)
    values = facts["modality"] if facts["modality"] != "OT" else "modality unknown"
    yield ", ".join([*origin, values + f", values in {facts['unit']}" * bool(facts["unit"])])
    yield f"{' × '.join(map(str, facts['shape']))} voxels (z, y, x) as stored"
    if facts["spacing_mm"] is None:
        yield "no physical size or place known"
    else:
        step = " × ".join(f"{length:.4g}" for length in facts["spacing_mm"])
        yield f"spacing {step} mm, axes {facts['axis_codes']}, {_directions(facts)}"
    if facts["time"]:
        yield _time_line(facts["time"])


def _directions(facts: Mapping[str, Any]) -> str:
    angles = {"oblique by": facts["oblique_degrees"], "gantry tilt of": facts["tilt_degrees"]}
    told = [f"{what} {angle:.3g}°" for what, angle in angles.items() if angle >= 0.01]
    return ", ".join(told) or "straight"


def _time_line(time: Mapping[str, Any]) -> str:
    values = time["values"]
    return f"{len(values)} volumes along {time['name']}, {values[0]:g} to {values[-1]:g} {time['unit']}".rstrip()
