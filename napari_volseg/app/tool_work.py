"""The work of each segment tool: from a request to a function of ``editing``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

from napari_volseg.app.case import assisted
from napari_volseg.app.doubts import unsure_facts
from napari_volseg.app.tool_types import Redrawn, Request, Setting
from napari_volseg.core import BoxMask, CancelToken, Segment, SegmentTable, UsageError
from napari_volseg.editing import (
    AllOf,
    BackgroundOnly,
    CutPlane,
    Relabelled,
    beyond_plane,
    copy_slice,
    count_islands,
    fill_between,
    fill_holes,
    grow_from_seeds,
    hollow,
    keep_largest,
    margin,
    merge,
    mirrored,
    relabel,
    remove_small,
    reshaped,
    scope_box,
    shape_of,
    smooth_jointly,
    split_islands,
    subtract,
    suggest_range,
    threshold,
    union,
)
from napari_volseg.interactive import Extension, extended, installed_network

# -- islands and holes ------------------------------------------------------------------------------------------


def largest(request: Request, cancel: CancelToken) -> BoxMask:
    """Keep the largest island."""
    return keep_largest(request.labels, request.value, cancel=cancel)


def without_small(request: Request, cancel: CancelToken) -> BoxMask:
    """Remove the islands below a volume."""
    return remove_small(request.labels, request.value, request.geometry, request.number("volume"), cancel=cancel)


def islands_apart(request: Request, cancel: CancelToken) -> Redrawn:
    """Make the islands after the largest segments of their own."""
    islands = min(count_islands(request.labels, request.value), int(request.number("most")))
    cancel.check()
    table, new_values = request.table, []
    for _ in range(islands - 1):
        part = part_of(table, request.value)
        table = table.with_segment(part)
        new_values.append(part.value)
    return Redrawn(split_islands(request.labels, request.value, tuple(new_values), cancel=cancel), table)


def without_holes(request: Request, cancel: CancelToken) -> BoxMask:
    """Fill cavities, or the holes of slices: what is one slice has no cavities."""
    by_slice = request.settings["holes"] == "slices" or request.reach == "slice"
    return fill_holes(request.labels, request.value, axis=request.plane.axis if by_slice else None, cancel=cancel)


# -- shape ------------------------------------------------------------------------------------------------------


def in_mm(operation: Callable[..., BoxMask], request: Request, cancel: CancelToken) -> BoxMask:
    """Run an operation whose one parameter is a distance."""
    return operation(request.labels, request.value, request.geometry, request.number("mm"), cancel=cancel)


def all_smooth(request: Request, cancel: CancelToken) -> Relabelled:
    """Smooth all segments together."""
    return smooth_jointly(request.labels, request.geometry, request.number("mm"), cancel=cancel)


def shell(request: Request, cancel: CancelToken) -> BoxMask:
    """Hollow the segment out."""
    side: Any = request.settings["side"]
    return hollow(request.labels, request.value, request.geometry, request.number("mm"), side, cancel=cancel)


# -- intensities ------------------------------------------------------------------------------------------------


def in_range(request: Request, cancel: CancelToken) -> BoxMask:
    """Add what lies in a range, keep of the segment only that, or make it the segment."""
    shape, use = request.shape(), request.settings["use"]
    inside = shape if use == "keep" else None
    found = threshold(request.voxels, request.number("low"), request.number("high"), inside=inside, cancel=cancel)
    return union(shape, found) if use == "add" else found


def otsu(request: Request) -> dict[str, Setting]:
    """Suggest the range of what is bright, within the segment where only voxels of it are to stay."""
    shape = request.shape() if request.settings["use"] == "keep" and request.value else None
    inside = shape if shape is not None and shape.mask.any() else None
    low, high = suggest_range(request.voxels, inside=inside)
    return {"low": low, "high": high}


def from_seeds(request: Request, cancel: CancelToken) -> Relabelled:
    """Let all segments grow until they meet."""
    return grow_from_seeds(
        request.voxels,
        request.labels,
        request.geometry,
        request.number("mm"),
        background=int(request.settings["background"]) or None,
        smooth_mm=request.number("smooth"),
        cancel=cancel,
    )


# -- slices and planes ------------------------------------------------------------------------------------------


def between(request: Request, cancel: CancelToken) -> Relabelled:
    """Fill background alone, for what was drawn of other segments is known and what is filled is a guess."""
    values = None if request.settings["which"] == "all" else (request.value,)
    rule = AllOf((BackgroundOnly(), request.rule))
    return fill_between(request.labels, request.geometry, request.plane.axis, values=values, rule=rule, cancel=cancel)


def onward(request: Request, cancel: CancelToken) -> Redrawn:
    """Carry the outline on the shown slice to its neighbours; what is drawn stays, unless it is to be drawn anew."""
    plane = request.plane
    slices = _neighbours(request)
    shape = request.shape()
    outline = _on_slices(shape, plane.axis, range(plane.index, plane.index + 1))
    if not outline.mask.any():
        raise UsageError("the segment is not on this slice: draw its outline here, or go to a slice that has it")
    drawn = outline if request.settings["drawn"] == "anew" else shape
    volume = request.case.volume
    found = extended(volume, drawn, plane.axis, plane.index, slices, installed_network(), cancel=cancel)
    new = union(found.mask, subtract(shape, _on_slices(shape, plane.axis, slices)))
    facts = unsure_facts(request.value, plane, found.mask, found.unsure)
    table = assisted(request.table, request.value, "Extend to neighbours")
    return Redrawn(reshaped(request.labels, request.value, new), table, _where_it_ended(found), facts)


def _neighbours(request: Request) -> range:
    """Return the slices from which and to which an outline is carried, the shown one among them."""
    axis, index = request.plane.axis, request.plane.index
    steps = max(1, round(request.number("mm") / request.geometry.spacing[axis]))
    side = request.settings["side"]
    low = index if side == "up" else max(0, index - steps)
    high = index if side == "down" else min(request.labels.shape[axis] - 1, index + steps)
    return range(low, high + 1)


def _on_slices(shape: BoxMask, axis: int, slices: range) -> BoxMask:
    """Return what a shape has on some slices."""
    place = [slice(None)] * 3
    start = shape.box.start[axis]
    place[axis] = slice(max(0, slices.start - start), max(0, slices.stop - start))
    mask = shape.mask.copy()
    mask[tuple(place)] = False
    return BoxMask(shape.box, shape.mask & ~mask)


def _where_it_ended(found: Extension) -> str:
    """Return from where to where an outline was carried, and where that became unsure."""
    low, high = found.ends
    told = f"on slices {low} to {high}"
    if found.unsure:
        told += f", unsure from {' and '.join(map(str, found.unsure))} on: look there"
    return told


def copied(by: int, request: Request, cancel: CancelToken) -> BoxMask:
    """Lay the outline of the slice on the next, or on all of the slab on that side.

    ``by`` 1 is where the wheel turned down goes, -1 the other way: axial slices go from head to feet, against their
    index; the others with it.
    """
    plane = request.plane
    step = -by if plane.axis == 0 else by
    shape = request.shape()
    for to in _on_the_way(request, step):
        cancel.check()
        shape = union(shape, copy_slice(request.labels, request.value, plane, to))
    return shape


def _on_the_way(request: Request, step: int) -> range:
    """Return the slices of the request's scope on one side of the shown one; on one slice alone, the next."""
    plane = request.plane
    end = request.labels.shape[plane.axis] - 1 if step > 0 else 0
    if plane.index == end:
        raise UsageError(f"slice {plane.index} is the last one on this side: copy to the other side")
    last = plane.index + step
    if request.reach == "slab":
        slab = scope_box(request.scope, request.labels.shape)
        outmost = slab.stop[plane.axis] - 1 if step > 0 else slab.start[plane.axis]
        last = outmost if outmost != plane.index else last
    return range(plane.index + step, last + step, step)


def mirror(request: Request, cancel: CancelToken) -> BoxMask | Redrawn:
    """Mirror the segment at the midline: add the image to it, replace it, or make it a segment of its own."""
    geometry, middle = request.geometry, int(request.settings["middle"])
    at = CutPlane.midline_of(shape_of(request.labels, middle), geometry) if middle else CutPlane.midline(geometry)
    image = mirrored(request.labels, request.value, geometry, at, cancel=cancel)
    match request.settings["use"]:
        case "add":
            return union(request.shape(), image)
        case "set":
            return image
    return _as_part(request, subtract(image, request.shape()))


def beyond(request: Request, _: CancelToken) -> Redrawn:
    """Make what lies beyond the shown slice a segment of its own."""
    whole = request.case.volume.geometry
    sign = 1.0 if request.settings["side"] == "up" else -1.0
    place = [0, 0, 0]
    place[request.plane.axis] = request.plane.index
    plane = CutPlane(whole.to_patient(place), sign * whole.inverse[request.plane.axis, :3])
    part = beyond_plane(request.labels, request.value, request.geometry, plane)
    return _as_part(request, part)


def _as_part(request: Request, shape: BoxMask) -> Redrawn:
    """Return labels in which a shape is a new segment, named after the active one."""
    part = part_of(request.table, request.value)
    new = request.labels[shape.box.slices].copy()
    new[shape.mask] = part.value
    return Redrawn(Relabelled(shape.box, new), request.table.with_segment(part))


def part_of(table: SegmentTable, value: int) -> Segment:
    """Return (without adding it) a segment that is named and coded after another one, with a number behind it."""
    names = {segment.name for segment in table}
    number = next(n for n in count(2) if f"{table[value].name} {n}" not in names)
    fresh = table.new_segment(f"{table[value].name} {number}")
    return replace(fresh, category=table[value].category, type=table[value].type)


# -- sets and labels --------------------------------------------------------------------------------------------


def join(request: Request, _: CancelToken) -> BoxMask:
    """Take in another segment."""
    return union(request.shape(), shape_of(request.labels, request.other))


def near_other(combine: Callable[[BoxMask, BoxMask], BoxMask], request: Request, cancel: CancelToken) -> BoxMask:
    """Combine the segment with what lies within a distance of another one."""
    near = margin(request.labels, request.other, request.geometry, request.number("mm"), cancel=cancel)
    cancel.check()
    return combine(request.shape(), near)


def merged(request: Request, _: CancelToken) -> Redrawn:
    """Take in another segment, which is no more then."""
    return Redrawn(merge(request.labels, [request.other], request.value), request.table.without(request.other))


def renumbered(request: Request, _: CancelToken) -> Redrawn:
    """Give the segment another label value."""
    value, table = int(request.number("value")), request.table
    if value in table and value != request.value:
        raise UsageError(f'label {value} is that of "{table[value].name}": choose one that is free, or merge the two')
    renamed = (replace(segment, value=value) if segment.value == request.value else segment for segment in table)
    return Redrawn(relabel(request.labels, {request.value: value}), SegmentTable(tuple(renamed)))
