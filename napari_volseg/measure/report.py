"""Figures in a file, read back before it counts as saved."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from napari_volseg.core import Angle, Measurement, RefusedError, Segmentation, UsageError, Volume
from napari_volseg.measure.statistics import SegmentStatistics, segment_statistics

REPORT_VERSION = 1
#: Of one slice are points whose index along its axis differs by less.
SAME_SLICE = 1e-3


def write_report(
    path: str | Path,
    segmentation: Segmentation,
    volume: Volume,
    extra: Mapping[str, Any] | None = None,
    imported: Mapping[str, Any] | None = None,
    measurements: Sequence[Measurement] = (),
) -> Path:
    """Write volumes and intensities of all segments as CSV or JSON and return the path.

    The file is written beside its target, read back, compared and only then renamed over it.

    Parameters
    ----------
    path
        Ends in ``.csv`` or ``.json``.
    segmentation, volume
        What is measured; both on one grid.
    extra
        Further facts in JSON types, such as the model's name: under ``"extra"`` in JSON, a column each in CSV.
    imported
        What became of the image on its way in, in JSON types: under ``"import"`` in JSON; CSV has no place for it.
    measurements
        Under ``"measurements"`` in JSON; for CSV see ``write_measurements``.

    Raises
    ------
    UsageError
        For another ending, or for further facts that JSON can't hold.
    RefusedError
        Where the file can't be written or does not read back as it was meant.
    """
    target = Path(path)
    rows = segment_statistics(segmentation, volume)
    facts = _plain(extra or {})
    match target.suffix.lower():
        case ".csv":
            table = _table(rows, facts)
            _save(target, _to_csv(table), _from_csv, table)
        case ".json":
            document = _document(rows, volume, facts) | ({"import": _plain(imported)} if imported else {})
            if measurements:
                document["measurements"] = [_measured(m, volume) for m in measurements]
            _save(target, _to_json(document), json.loads, document)
        case suffix:
            raise UsageError(f'a report can\'t be written as "{suffix}": end its name in .csv or .json')
    return target


def write_measurements(path: str | Path, measurements: Sequence[Measurement], volume: Volume) -> Path:
    """Write distances, angles and diameters as CSV, a row each, and return the path; read back as a report is.

    Lengths are in mm, or in voxels where the image has no known physical size; points are patient (x, y, z), mm,
    LPS, and the slices, counted from 1, on which they lie are in the order (axial, coronal, sagittal).

    Raises
    ------
    RefusedError
        Where the file can't be written or does not read back as it was meant.
    """
    target = Path(path)
    rows = [_measured(measurement, volume) for measurement in measurements]
    table = [list(_MEASURED), *([_cell(row[name]) for name in _MEASURED] for row in rows)]
    _save(target, _to_csv(table), _from_csv, table)
    return target


_MEASURED = ("kind", "name", "length", "short", "unit", "degrees", "slices", "points")


def _measured(measurement: Measurement, volume: Volume) -> dict[str, Any]:
    """Return what is written of a measurement, in JSON types; None for what it does not have."""
    long, short = (*measurement.lengths, None, None)[:2]
    places = volume.geometry.to_index(measurement.points)
    slices = [round(float(p[0])) + 1 if float(np.ptp(p)) < SAME_SLICE else None for p in places.T]
    return {
        "kind": type(measurement).__name__.lower(),
        "name": measurement.name,
        "length": None if long is None else round(long, 4),
        "short": None if short is None else round(short, 4),
        "unit": "" if long is None else "mm" if volume.is_calibrated else "voxels",
        "degrees": round(measurement.degrees, 4) if isinstance(measurement, Angle) else None,
        "slices": slices,
        "points": [[round(c, 4) for c in point] for point in measurement.points],
    }


def _plain(extra: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(json.loads(json.dumps(dict(extra), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise UsageError(f"further facts can't be put into a report ({error}): use JSON types") from error


def _document(rows: tuple[SegmentStatistics, ...], volume: Volume, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "report_version": REPORT_VERSION,
        "volume": {
            "name": volume.name,
            "modality": volume.modality,
            "quantity": volume.quantity,
            "unit": volume.unit,
            "shape": list(volume.geometry.shape),
            "spacing_mm": list(volume.geometry.spacing) if volume.is_calibrated else None,
            "voxel_volume_mm3": volume.geometry.voxel_volume if volume.is_calibrated else None,
        },
        "segments": [_rounded(row) for row in rows],
        "extra": facts,
    }


def _to_json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _rounded(row: SegmentStatistics) -> dict[str, Any]:
    """Return the fields with figures of seven significant digits, free of the noise of binary fractions."""
    return {name: float(f"{v:.7g}") if isinstance(v, float) else v for name, v in asdict(row).items()}


def _table(rows: tuple[SegmentStatistics, ...], facts: dict[str, Any]) -> list[list[str]]:
    """Return header and rows as text; a figure that does not exist is an empty cell."""
    header = [*(f.name for f in fields(SegmentStatistics)), *facts]
    constant = [_cell(value) for value in facts.values()]
    return [header, *([_cell(value) for value in _rounded(row).values()] + constant for row in rows)]


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _to_csv(table: list[list[str]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(table)
    return buffer.getvalue()


def _from_csv(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def _save(target: Path, text: str, parse: Callable[[str], object], meant: object) -> None:
    """Write beside the target, read back, compare and rename."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if parse(part.read_bytes().decode("utf-8")) != meant:
            raise RefusedError(
                f"{target} did not read back as it was written: save to another disk", "report.differs"
            )
        part.replace(target)
    except OSError as error:
        raise RefusedError(
            f"{target} can't be written ({error.strerror}): choose a folder that is writable and not full",
            "report.unwritable",
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()
