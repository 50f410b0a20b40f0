"""Steps as text and bytes, for whoever keeps them: no pickling, nothing runs on reading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

import numpy as np

from napari_volseg.core import Box, Code, Measurement, Prompt, RefusedError, Segment, SegmentTable, VolsegError
from napari_volseg.editing.delta import Author, Delta, MeasurementChange, PromptChange, TableChange, from_numpy
from napari_volseg.editing.packing import PackedArray

_PROMPT_TYPES = {kind.__name__: kind for kind in get_args(Prompt)}
_MEASUREMENT_TYPES = {kind.__name__: kind for kind in get_args(Measurement)}


class StepRecord(NamedTuple):
    """A step as it is stored: everything but voxels as JSON, and the packed voxels before and after."""

    header: str
    before: bytes
    after: bytes


def encode_step(step: Delta) -> StepRecord:
    """Return a step as text and bytes."""
    header = {
        "name": step.name,
        "author": asdict(step.author),
        "value": step.value,
        "box": [step.box.start, step.box.stop],
        "dtype": step.before.dtype,
        "packing": [step.before.method, step.after.method],
        "parameters": dict(step.parameters),
        "prompts": step.prompts and [_items_out(p) for p in (step.prompts.before, step.prompts.after)],
        "measurements": step.measurements
        and [_items_out(m) for m in (step.measurements.before, step.measurements.after)],
        "table": step.table and [_table_out(t) for t in (step.table.before, step.table.after)],
        "time": step.time,
    }
    return StepRecord(json.dumps(header, default=from_numpy), step.before.data, step.after.data)


def decode_step(record: StepRecord) -> Delta:
    """Return the step that was encoded.

    Raises
    ------
    RefusedError
        Where the record is damaged or comes from a newer release. The voxels are checked when they are unpacked.
    """
    try:
        return _step_in(json.loads(record.header), record)
    except (KeyError, TypeError, ValueError, VolsegError) as error:
        raise RefusedError(
            f"a stored step can't be read ({error!r}): its file is damaged or comes from a newer release",
            "session.damaged",
        ) from error


def encode_state(table: SegmentTable, prompts: tuple[Prompt, ...], measurements: tuple[Measurement, ...] = ()) -> str:
    """Return segments, prompts and measurements as text."""
    state = {
        "table": _table_out(table),
        "prompts": _items_out(prompts),
        "measurements": _items_out(measurements),
    }
    return json.dumps(state, default=from_numpy)


def decode_state(text: str) -> tuple[SegmentTable, tuple[Prompt, ...], tuple[Measurement, ...]]:
    """Return the segments, prompts and measurements that were encoded.

    Raises
    ------
    RefusedError
        Where the text is damaged or comes from a newer release.
    """
    try:
        stored = json.loads(text)
        measurements = _measurements_in(stored.get("measurements", []))
        return _table_in(stored["table"]), _prompts_in(stored["prompts"]), measurements
    except (KeyError, TypeError, ValueError, VolsegError) as error:
        raise RefusedError(
            f"stored segments can't be read ({error!r}): their file is damaged or comes from a newer release",
            "session.damaged",
        ) from error


def _step_in(header: Mapping[str, Any], record: StepRecord) -> Delta:
    box = Box.of(*header["box"])
    dtype = np.dtype(header["dtype"]).str
    before, after = (
        PackedArray(box.shape, dtype, method, data)
        for method, data in zip(header["packing"], record[1:], strict=True)
    )
    prompts, table, measurements = header["prompts"], header["table"], header.get("measurements")
    return Delta(
        header["name"],
        Author(**header["author"]),
        header["value"],
        box,
        before,
        after,
        MappingProxyType(header["parameters"]),
        PromptChange(*(_prompts_in(p) for p in prompts)) if prompts else None,
        TableChange(*(_table_in(t) for t in table)) if table else None,
        header["time"],
        MeasurementChange(*(_measurements_in(m) for m in measurements)) if measurements else None,
    )


def _items_out(items: tuple[Prompt, ...] | tuple[Measurement, ...]) -> list[dict[str, Any]]:
    return [{"type": type(item).__name__, **asdict(item)} for item in items]


def _prompts_in(stored: list[dict[str, Any]]) -> tuple[Prompt, ...]:
    return tuple(_PROMPT_TYPES[fields["type"]](**_fields(fields)) for fields in stored)


def _measurements_in(stored: list[dict[str, Any]]) -> tuple[Measurement, ...]:
    return tuple(_MEASUREMENT_TYPES[fields["type"]](**_fields(fields)) for fields in stored)


def _fields(stored: dict[str, Any]) -> dict[str, Any]:
    return {key: _tuples(value) for key, value in stored.items() if key != "type"}


def _table_out(table: SegmentTable) -> list[dict[str, Any]]:
    return [asdict(segment) for segment in table]


def _table_in(stored: list[dict[str, Any]]) -> SegmentTable:
    return SegmentTable(tuple(_segment_in(fields) for fields in stored))


def _segment_in(fields: dict[str, Any]) -> Segment:
    coded = {key: Code(**fields[key]) for key in ("category", "type")}
    return Segment(**{**fields, **coded, "color": tuple(fields["color"])})


def _tuples(value: Any) -> Any:
    """Return JSON's lists as the tuples that they were."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
