"""Names, colours and codes of segments beside a NIfTI label file, which has no room for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from napari_volseg.core import Code, RefusedError, Segment, SegmentTable, UsageError
from napari_volseg.core.segments import AlgorithmType, Status
from napari_volseg.formats.nifti import stem

_VERSION = 1


def sidecar_path(labels: Path) -> Path:
    """Return the path of the segment table that goes with a NIfTI label file."""
    return labels.with_name(f"{stem(labels)}.segments.json")


def write_table(path: Path, table: SegmentTable) -> None:
    """Write a segment table as JSON; field names follow DICOM-SEG."""
    content = {"version": _VERSION, "segments": [asdict(segment) for segment in table]}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_table(path: Path) -> SegmentTable:
    """Read a segment table.

    Raises
    ------
    RefusedError
        Where the file isn't one of ours.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return SegmentTable(tuple(_segment(entry) for entry in content["segments"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
        raise RefusedError(
            f"{path.name} is not a segment table ({error}): delete it to load the labels without names",
            "labels.sidecar",
        ) from error


def _segment(entry: Mapping[str, Any]) -> Segment:
    if entry["algorithm_type"] not in get_args(AlgorithmType) or entry["status"] not in get_args(Status):
        raise ValueError(f"unknown algorithm type or status in {entry}")
    red, green, blue = (int(channel) for channel in entry["color"])
    return Segment(
        value=int(entry["value"]),
        name=str(entry["name"]),
        color=(red, green, blue),
        category=Code(**entry["category"]),
        type=Code(**entry["type"]),
        algorithm_type=entry["algorithm_type"],
        algorithm_name=str(entry["algorithm_name"]),
        status=entry["status"],
        locked=bool(entry["locked"]),
        visible=bool(entry["visible"]),
        opacity=float(entry.get("opacity", 1.0)),
    )
