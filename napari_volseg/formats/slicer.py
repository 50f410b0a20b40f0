"""Segmentations as 3D Slicer keeps them (.seg.nrrd): label layers, and in the header what each label stands for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from napari_volseg.core import (
    MAX_LABEL,
    SAME_GRID_MM,
    Code,
    Color,
    GeometryError,
    RefusedError,
    Segment,
    Segmentation,
    SegmentTable,
    UsageError,
    Volume,
    color_for,
)
from napari_volseg.core.segments import AlgorithmType, Status
from napari_volseg.formats.files import PathLike
from napari_volseg.formats.labels import (
    TABLE_SIZE,
    as_labels,
    present_values,
    require_same_grid,
    table_for,
    with_unnamed,
)
from napari_volseg.formats.nrrd import read_header
from napari_volseg.formats.placement import as_image
from napari_volseg.formats.publishing import Draft, publish, require_same_voxels
from napari_volseg.formats.raster import Raster, read_raster
from napari_volseg.formats.raster_export import nrrd_draft, smallest
from napari_volseg.spatial import apply_reorientation, invert_reorientation

_STATUS_TAG = "Segmentation.Status"
_STATUSES: dict[Status, str] = {
    "not started": "notstarted",
    "in progress": "inprogress",
    "done": "completed",
    "flagged": "flagged",
}
_TERMS = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGIONS = "Anatomic codes - DICOM master list"
_ALGORITHM_TAG, _ALGORITHM_NAME_TAG = "napari-volseg.AlgorithmType", "napari-volseg.AlgorithmName"


@dataclass(frozen=True, slots=True)
class _Stored:
    """A segment as the file has it: the layer and the value of its voxels, and what it stands for."""

    layer: int
    value: int
    segment: Segment


def save_seg_nrrd(path: PathLike, segmentation: Segmentation, volume: Volume) -> Path:
    """Save labels as a segmentation for 3D Slicer, on the grid that the volume was stored on.

    Parameters
    ----------
    path
        Ends in .seg.nrrd.
    segmentation
        On the volume's display grid.
    volume
        What was segmented.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UsageError
        For another ending.
    RefusedError
        Where labels and volume don't match, or the file can't be written or reads back differently.
    """
    target = Path(path)
    if not target.name.lower().endswith(".seg.nrrd"):
        raise UsageError(f"{target.name} can't be written as segmentation: give a name that ends in .seg.nrrd")
    require_same_grid(segmentation.geometry, volume)
    labels, table = smallest(segmentation.labels), table_for(segmentation)
    stored = apply_reorientation(labels, invert_reorientation(volume.origin_provenance.reorientation))
    draft = nrrd_draft(target, labels, volume, dict(_keys(table, stored)))

    def verify(written: Path) -> None:
        draft.verify(written)
        raster = read_header(written)
        read = [entry.segment for entry in _entries(raster)]
        same = [_essence(segment) for segment in read] == [_essence(segment) for segment in table]
        require_same_voxels(same, target.name)

    publish([Draft(target, draft.write, verify)])
    return target


def read_seg_nrrd(raster: Raster, volume: Volume) -> Segmentation:
    """Read a segmentation onto the display grid of its volume; one that was cropped is put where it belongs.

    Label values are kept where each segment has its own, else segments are counted from 1.

    Raises
    ------
    GeometryError
        Where its voxels are not those of the volume.
    RefusedError
        Where segments overlap, and for damaged files.
    """
    raster = replace(raster, placement=as_image(raster.placement, volume, raster.path.name))
    read = read_raster(raster)
    layers = as_labels(read.voxels.reshape(-1, *read.voxels.shape[-3:]), raster.path.name)
    entries = _entries(raster)
    values = [entry.value for entry in entries]
    if len(set(values)) < len(values):
        entries_to = {(e.layer, e.value): number for number, e in enumerate(entries, 1)}
    else:
        entries_to = {(e.layer, e.value): e.value for e in entries}
    labels = np.zeros(volume.geometry.shape, np.uint32)
    part = labels[_place_within(read, volume, raster.path.name)]
    for number, layer in enumerate(layers):
        targets = {value: target for (of_layer, value), target in entries_to.items() if of_layer == number}
        _add(part, _relabelled(layer, targets), raster.path.name)
    table = SegmentTable(tuple(replace(e.segment, value=entries_to[(e.layer, e.value)]) for e in entries))
    return Segmentation(smallest(labels), volume.geometry, with_unnamed(table, present_values(labels)))


def _relabelled(layer: NDArray[Any], targets: Mapping[int, int]) -> NDArray[np.uint32]:
    """Return a layer with its values replaced by ``targets``; values without one stay what they are."""
    if int(layer.max(initial=0)) < TABLE_SIZE:
        table = np.arange(TABLE_SIZE, dtype=np.uint32)
        known = {value: target for value, target in targets.items() if value < TABLE_SIZE}
        table[[*known]] = [*known.values()]
        return table[layer]
    values, where = np.unique(layer, return_inverse=True)
    new = np.array([targets.get(value, value) for value in values.tolist()], np.uint32)
    return new[where].reshape(layer.shape)


def _add(part: NDArray[np.uint32], labels: NDArray[np.uint32], name: str) -> None:
    if ((part > 0) & (labels > 0)).any():
        raise RefusedError(
            f"{name} has segments that overlap, which one label array can't hold: load a segmentation without "
            "overlap",
            "labels.overlap",
        )
    np.maximum(part, labels, out=part)


def _place_within(read: Volume, volume: Volume, name: str) -> tuple[slice, ...]:
    """Return where the grid of a segmentation, whole or cropped, lies in that of its volume, voxel on voxel."""
    first = np.rint(volume.geometry.to_index(read.geometry.origin)).astype(int)
    slices = tuple(slice(int(f), int(f) + n) for f, n in zip(first, read.geometry.shape, strict=True))
    inside = (first >= 0).all() and (first + read.geometry.shape <= np.asarray(volume.geometry.shape)).all()
    last = np.asarray(read.geometry.shape) - 1
    unit = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(-1, 3)
    apart = np.abs(volume.geometry.to_patient(first + unit * last) - read.geometry.corners()).max()
    if not inside or apart >= SAME_GRID_MM:
        raise GeometryError(
            f"{name} doesn't lie on the voxels of {volume.name} (corners up to {apart:.3g} mm off): open the labels "
            "that belong to this image, or export them on its grid",
            "labels.mismatch",
        )
    return slices


def _entries(raster: Raster) -> list[_Stored]:
    """Return the segments that a header names, in its order.

    Files before Slicer 4.11 give neither label values nor layers: each segment then has a layer to itself.
    """
    numbers = sorted(int(found[1]) for key in raster.fields if (found := re.fullmatch(r"Segment(\d{1,6})_ID", key)))
    entries = [_entry(raster, number, order) for order, number in enumerate(numbers)]
    if len({(entry.layer, entry.value) for entry in entries}) < len(entries):
        raise RefusedError(
            f"{raster.path.name} gives two segments the same layer and label value: export it again", "nrrd.segments"
        )
    return entries


def _entry(raster: Raster, number: int, order: int) -> _Stored:
    def of(name: str, default: str = "") -> str:
        return raster.fields.get(f"Segment{number}_{name}", default)

    try:
        value = int(of("LabelValue", "1"))
        layer = int(of("Layer", "0" if of("LabelValue") else str(order)))
        color = _color(of("Color")) or color_for(order + 1)
    except ValueError as error:
        raise RefusedError(
            f"{raster.path.name} describes segment {number} with {error}: export it again", "nrrd.segments"
        ) from error
    if not 1 <= value <= MAX_LABEL or not 0 <= layer < raster.layers * raster.volumes:
        raise RefusedError(
            f"{raster.path.name} keeps segment {number} as value {value} of layer {layer}, which is not in the file: "
            "export it again",
            "nrrd.segments",
        )
    tags = dict(tag.split(":", 1) for tag in of("Tags").split("|") if ":" in tag)
    name = of("Name").strip() or f"Segment {value}"
    return _Stored(layer, value, _with_tags(Segment(value, name, color), tags))


def _with_tags(segment: Segment, tags: Mapping[str, str]) -> Segment:
    category, type_ = _codes(tags.get("TerminologyEntry", ""))
    status = next((ours for ours, theirs in _STATUSES.items() if theirs == tags.get(_STATUS_TAG)), segment.status)
    algorithm: Any = tags.get(_ALGORITHM_TAG)
    return replace(
        segment,
        category=category or segment.category,
        type=type_ or segment.type,
        status=status,
        algorithm_type=algorithm if algorithm in get_args(AlgorithmType) else segment.algorithm_type,
        algorithm_name=tags.get(_ALGORITHM_NAME_TAG, ""),
    )


def _codes(terminology: str) -> tuple[Code | None, Code | None]:
    """Return category and type of a terminology entry: context ~ category ~ type ~ ..., each scheme^value^meaning."""
    parts = [part.split("^") for part in terminology.split("~")[1:3]]
    codes = [Code(part[1], part[0], part[2]) if len(part) == 3 and all(part) else None for part in parts]
    return (codes[0], codes[1]) if len(codes) == 2 else (None, None)


def _color(text: str) -> Color | None:
    """Return RGB, 0-255, of three fractions."""
    if not text:
        return None
    red, green, blue = (round(255 * min(1.0, max(0.0, float(word)))) for word in text.split())
    return red, green, blue


def _essence(segment: Segment) -> tuple[int, str, Color]:
    return segment.value, segment.name.strip(), segment.color


def _keys(table: SegmentTable, stored: NDArray[Any]) -> Iterator[tuple[str, str]]:
    boxes = find_objects(stored)
    yield "Segmentation_ContainedRepresentationNames", "Binary labelmap|"
    yield "Segmentation_MasterRepresentation", "Binary labelmap"
    yield "Segmentation_SourceRepresentation", "Binary labelmap"
    yield "Segmentation_ReferenceImageExtentOffset", "0 0 0"
    for number, segment in enumerate(table):
        box = boxes[segment.value - 1] if segment.value <= len(boxes) else None
        for name, value in _segment_keys(segment, box):
            yield f"Segment{number}_{name}", value


def _segment_keys(segment: Segment, box: tuple[slice, ...] | None) -> Iterator[tuple[str, str]]:
    extent = [bound for axis in reversed(box) for bound in (axis.start, axis.stop - 1)] if box else [0, -1] * 3
    yield "ID", f"Segment_{segment.value}"
    yield "Name", segment.name
    yield "NameAutoGenerated", "0"
    yield "Color", " ".join(repr(channel / 255) for channel in segment.color)
    yield "ColorAutoGenerated", "0"
    yield "LabelValue", str(segment.value)
    yield "Layer", "0"
    yield "Extent", " ".join(map(str, extent))
    yield "Tags", _tags(segment)


def _tags(segment: Segment) -> str:
    terms = "~".join([_TERMS, _coded(segment.category), _coded(segment.type), "^^", _REGIONS, "^^", "^^"])
    tags = {
        _STATUS_TAG: _STATUSES[segment.status],
        "TerminologyEntry": terms,
        _ALGORITHM_TAG: segment.algorithm_type,
        _ALGORITHM_NAME_TAG: segment.algorithm_name.replace("|", " "),
    }
    return "".join(f"{name}:{value}|" for name, value in tags.items())


def _coded(code: Code) -> str:
    return "^".join(re.sub(r"[\^~|]", " ", part) for part in (code.scheme, code.value, code.meaning))
