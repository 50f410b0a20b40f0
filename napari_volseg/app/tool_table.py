"""The tools that change segments at the press of a button, as one table.

Each is a function of ``editing`` with words and parameters. ``app.correcting`` runs them; panel, menu and keys read
this table.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from napari_volseg.app.tool_types import Choice, Number, OtherSegment, Parameter, Request, SegmentTool, Setting
from napari_volseg.core import BoxMask, CancelToken, UsageError
from napari_volseg.editing import (
    AllOf,
    BackgroundOnly,
    InVolume,
    Relabelled,
    Scope,
    closing,
    copy_slice,
    fill_between,
    fill_holes,
    hollow,
    intersect,
    keep_largest,
    margin,
    opening,
    remove_small,
    scope_box,
    shape_of,
    smooth_gaussian,
    smooth_jointly,
    smooth_median,
    subtract,
    suggest_range,
    threshold,
    union,
)

#: Intensities that can be typed in, in the unit of the image.
INTENSITIES = (-10_000_000.0, 10_000_000.0)

#: Places behind the point of such an intensity.
DECIMALS = 6

#: Largest distance, mm.
FARTHEST = 100.0


def _in_mm(operation: Callable[..., BoxMask], request: Request, _: CancelToken) -> BoxMask:
    """Run an operation whose one parameter is a distance."""
    return operation(request.labels, request.value, request.geometry, request.number("mm"))


def _largest(request: Request, _: CancelToken) -> BoxMask:
    return keep_largest(request.labels, request.value)


def _without_small(request: Request, _: CancelToken) -> BoxMask:
    return remove_small(request.labels, request.value, request.geometry, request.number("volume"))


def _without_holes(request: Request, _: CancelToken) -> BoxMask:
    labels, value, plane = request.labels, request.value, request.plane
    match request.settings["scope"]:
        case "slice":
            on_slice = fill_holes(labels, value, axis=plane.axis, box=scope_box(plane, labels.shape))
            return union(request.shape(), on_slice)
        case "slices":
            return fill_holes(labels, value, axis=plane.axis)
    return fill_holes(labels, value)


def _all_smooth(request: Request, _: CancelToken) -> Relabelled:
    return smooth_jointly(request.labels, request.geometry, request.number("mm"))


def _shell(request: Request, _: CancelToken) -> BoxMask:
    side: Any = request.settings["side"]
    return hollow(request.labels, request.value, request.geometry, request.number("mm"), side)


def _in_range(request: Request, cancel: CancelToken) -> BoxMask:
    """Add what lies in a range, keep of the segment only that, or make it the segment; beyond the scope all stays."""
    scope, shape, use = _scope(request), request.shape(), request.settings["use"]
    cancel.check()
    inside = shape if use == "keep" else None
    found = threshold(
        request.case.volume.voxels, request.number("low"), request.number("high"), scope=scope, inside=inside
    )
    if use == "add":
        return union(shape, found)
    looked_at = scope_box(scope, request.labels.shape)
    return union(subtract(shape, BoxMask(looked_at, np.ones(looked_at.shape, bool))), found)


def _otsu(request: Request) -> dict[str, Setting]:
    """Suggest the range of what is bright, within the segment where only voxels of it are to stay."""
    shape = request.shape() if request.settings["use"] == "keep" and request.value else None
    inside = shape if shape is not None and shape.mask.any() else None
    low, high = suggest_range(request.case.volume.voxels, scope=_scope(request), inside=inside)
    return {"low": low, "high": high}


def _scope(request: Request) -> Scope:
    return request.plane if request.settings["scope"] == "slice" else InVolume()


def _between(request: Request, _: CancelToken) -> Relabelled:
    """Fill background alone, for what was drawn of other segments is known and what is filled is a guess."""
    values = None if request.settings["which"] == "all" else (request.value,)
    rule = AllOf((BackgroundOnly(), request.rule))
    return fill_between(request.labels, request.geometry, request.plane.axis, values=values, rule=rule)


def _copy(by: int, request: Request, _: CancelToken) -> BoxMask:
    """Lay the outline of the slice on a neighbour: ``by`` 1 is the next, as the wheel turned down goes, -1 the last.

    Axial slices go from head to feet, against their index; the others with it.
    """
    plane = request.plane
    to = plane.index + (-by if plane.axis == 0 else by)
    if not 0 <= to < request.labels.shape[plane.axis]:
        raise UsageError(f"slice {plane.index} is the last one on this side: copy to the other side")
    return union(request.shape(), copy_slice(request.labels, request.value, plane, to))


def _join(request: Request, _: CancelToken) -> BoxMask:
    return union(request.shape(), shape_of(request.labels, request.other))


def _near_other(combine: Callable[[BoxMask, BoxMask], BoxMask], request: Request, cancel: CancelToken) -> BoxMask:
    near = margin(request.labels, request.other, request.geometry, request.number("mm"))
    cancel.check()
    return combine(request.shape(), near)


def _distance(label: str, default: float, low: float = 0.1) -> Number:
    return Number("mm", label, "mm", default, low, FARTHEST, 0.5, 2)


_OTHER = OtherSegment("other", "Other segment")
_HOLES = Choice(
    "scope", "Holes", (("volume", "Closed in 3D"), ("slices", "On every slice"), ("slice", "On this slice"))
)
_REACH = Choice("scope", "Where", (("volume", "Whole volume"), ("slice", "This slice")))
_SIDE = Choice(
    "side", "Wall", (("inside", "Within the segment"), ("outside", "Around it"), ("both", "Both, half each"))
)
_USE = Choice("use", "Use", (("add", "Add to the segment"), ("keep", "Keep of it only these"), ("set", "Replace it")))
_WHICH = Choice("which", "Fill", (("active", "Active segment"), ("all", "All segments")))
_RANGE: tuple[Parameter, ...] = (
    Number("low", "Lowest", "image", 100, *INTENSITIES, 10, DECIMALS),
    Number("high", "Highest", "image", 3000, *INTENSITIES, 10, DECIMALS),
)

_ROWS = (
    SegmentTool("keep-largest", "Keep largest island", "Erase all of the segment but its largest island", _largest),
    SegmentTool(
        "remove-small",
        "Remove small islands",
        "Erase the islands of the segment that are smaller than a volume; 1000 mm³ are 1 mL",
        _without_small,
        (Number("volume", "Smaller than", "mm³", 1000, 0.001, 10_000_000, 100, 3),),
    ),
    SegmentTool(
        "fill-holes",
        "Fill holes",
        "Give what the segment encloses to it: cavities, or the holes that are seen on slices of the shown plane",
        _without_holes,
        (_HOLES,),
    ),
    SegmentTool(
        "smooth-median",
        "Smooth by median",
        "Round corners and drop details smaller than the kernel; the volume stays about the same",
        partial(_in_mm, smooth_median),
        (_distance("Kernel", 5),),
    ),
    SegmentTool(
        "smooth-opening",
        "Smooth by opening",
        "Erase what a ball does not fit into: spikes, bridges, specks",
        partial(_in_mm, opening),
        (_distance("Radius", 3),),
    ),
    SegmentTool(
        "smooth-closing",
        "Smooth by closing",
        "Fill clefts and gaps that a ball can't enter",
        partial(_in_mm, closing),
        (_distance("Radius", 3),),
    ),
    SegmentTool(
        "smooth-gaussian",
        "Smooth by Gaussian",
        "Round the surface most evenly; convex parts shrink a little",
        partial(_in_mm, smooth_gaussian),
        (_distance("Standard deviation", 2),),
    ),
    SegmentTool(
        "smooth-all",
        "Smooth all segments",
        "Smooth all segments together, so that neighbours neither overlap nor part; locked ones stay",
        _all_smooth,
        (_distance("Standard deviation", 2),),
        "all",
    ),
    SegmentTool(
        "margin",
        "Margin",
        "Grow the segment on all sides by a distance, or shrink it where the distance is negative",
        partial(_in_mm, margin),
        (_distance("Distance", 3, -FARTHEST),),
    ),
    SegmentTool(
        "hollow",
        "Hollow",
        "Turn the segment into a shell of a thickness",
        _shell,
        (_distance("Thickness", 3), _SIDE),
    ),
    SegmentTool(
        "threshold",
        "Threshold",
        "Find the voxels with values in a range, on the slice or in the volume",
        _in_range,
        (*_RANGE, _REACH, _USE),
        "segment",
        suggest=_otsu,
    ),
    SegmentTool(
        "fill-between",
        "Fill between slices",
        "Fill the slices of the shown plane that lie between drawn ones; other segments keep their voxels",
        _between,
        (_WHICH,),
        on_slice=True,
        key="G",
    ),
    SegmentTool(
        "copy-next",
        "Copy to next slice",
        "Lay the outline on the shown slice upon the next one, as the wheel turned down: to feet, back or left",
        partial(_copy, 1),
        on_slice=True,
    ),
    SegmentTool(
        "copy-previous",
        "Copy to previous slice",
        "Lay the outline on the shown slice upon the one before, as the wheel turned up: to head, front or right",
        partial(_copy, -1),
        on_slice=True,
    ),
    SegmentTool(
        "union",
        "Union",
        "Give all voxels of another segment to the active one",
        _join,
        (_OTHER,),
    ),
    SegmentTool(
        "subtract",
        "Subtract",
        "Erase of the segment what lies within a distance of another one",
        partial(_near_other, subtract),
        (_OTHER, _distance("Within", 3)),
    ),
    SegmentTool(
        "intersect",
        "Intersect",
        "Keep of the segment only what lies within a distance of another one",
        partial(_near_other, intersect),
        (_OTHER, _distance("Within", 3)),
    ),
)

#: All of them by identifier, in the order in which lists show them.
SEGMENT_TOOLS: dict[str, SegmentTool] = {tool.id: tool for tool in _ROWS}
