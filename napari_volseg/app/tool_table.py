"""The tools that change segments at the press of a button, as one table.

Each is a function of ``editing`` with words and parameters. ``app.correcting`` runs them; panel, menu, keys and icons
follow this table.
"""

from __future__ import annotations

from functools import partial

from napari_volseg.app import tool_work as work
from napari_volseg.app.tool_types import Choice, Number, OtherSegment, Parameter, SegmentTool
from napari_volseg.app.wishes import Reach
from napari_volseg.editing import closing, intersect, margin, opening, smooth_gaussian, smooth_median, subtract

#: Intensities that can be typed in, in the unit of the image.
INTENSITIES = (-10_000_000.0, 10_000_000.0)

#: Places behind the point of such an intensity.
DECIMALS = 6

#: Largest distance, mm.
FARTHEST = 100.0

#: Largest label value that can be given: label arrays have two bytes a voxel.
LARGEST_LABEL = 65535


def _distance(label: str, default: float, low: float = 0.1, name: str = "mm") -> Number:
    return Number(name, label, "mm", default, low, FARTHEST, 0.5, 2)


_OTHER = OtherSegment("other", "Other segment")
_HOLES = Choice("holes", "Holes", (("closed", "Closed on all sides"), ("slices", "Seen on each slice")))
_SIDE = Choice(
    "side", "Wall", (("inside", "Within the segment"), ("outside", "Around it"), ("both", "Both, half each"))
)
_USE = Choice("use", "Use", (("add", "Add to the segment"), ("keep", "Keep of it only these"), ("set", "Replace it")))
_IMAGE = Choice("use", "Image", (("add", "Add to the segment"), ("new", "As a new segment"), ("set", "Replace it")))
_BEYOND = Choice("side", "New part", (("up", "To head, back or left"), ("down", "To feet, front or right")))
_ONWARD = Choice(
    "side", "To", (("both", "Both sides"), ("up", "Head, back or left"), ("down", "Feet, front or right"))
)
_DRAWN = Choice("drawn", "Drawn slices", (("keep", "Stay as they are"), ("anew", "Are drawn anew")))
_WHICH = Choice("which", "Fill", (("active", "Active segment"), ("all", "All segments")))
_RANGE: tuple[Parameter, ...] = (
    Number("low", "Lowest", "image", 100, *INTENSITIES, 10, DECIMALS),
    Number("high", "Highest", "image", 3000, *INTENSITIES, 10, DECIMALS),
)
_FROM_SLICE: tuple[Reach, ...] = ("slice", "slab")

_ROWS = (
    SegmentTool(
        "threshold",
        "Threshold",
        "Find the voxels with values in a range",
        work.in_range,
        (*_RANGE, _USE),
        "segment",
        by_voxel=True,
        suggest=work.otsu,
    ),
    SegmentTool(
        "grow-seeds",
        "Grow from seeds",
        "Let all segments grow from what is drawn of them until they meet along edges of the image",
        work.from_seeds,
        (
            _distance("Farthest", 20),
            _distance("Smooth image", 1, 0, "smooth"),
            OtherSegment("background", "Background", "No segment"),
        ),
        "all",
    ),
    SegmentTool(
        "keep-largest", "Keep largest island", "Erase all of the segment but its largest island", work.largest
    ),
    SegmentTool(
        "remove-small",
        "Remove small islands",
        "Erase the islands of the segment that are smaller than a volume; 1000 mm³ are 1 mL",
        work.without_small,
        (Number("volume", "Smaller than", "mm³", 1000, 0.001, 10_000_000, 100, 3),),
    ),
    SegmentTool(
        "split-islands",
        "Split islands",
        "Make the islands of the segment segments of their own; the largest stays",
        work.islands_apart,
        (Number("most", "At most", "", 10, 2, 1000, 1, 0),),
    ),
    SegmentTool(
        "fill-holes",
        "Fill holes",
        "Give what the segment encloses to it: cavities, or the holes that are seen on slices of the shown plane",
        work.without_holes,
        (_HOLES,),
    ),
    SegmentTool(
        "smooth-median",
        "Smooth by median",
        "Round corners and drop details smaller than the kernel; the volume stays about the same",
        partial(work.in_mm, smooth_median),
        (_distance("Kernel", 5),),
    ),
    SegmentTool(
        "smooth-opening",
        "Smooth by opening",
        "Erase what a ball does not fit into: spikes, bridges, specks",
        partial(work.in_mm, opening),
        (_distance("Radius", 3),),
    ),
    SegmentTool(
        "smooth-closing",
        "Smooth by closing",
        "Fill clefts and gaps that a ball can't enter",
        partial(work.in_mm, closing),
        (_distance("Radius", 3),),
    ),
    SegmentTool(
        "smooth-gaussian",
        "Smooth by Gaussian",
        "Round the surface most evenly; convex parts shrink a little",
        partial(work.in_mm, smooth_gaussian),
        (_distance("Standard deviation", 2),),
    ),
    SegmentTool(
        "smooth-all",
        "Smooth all segments",
        "Smooth all segments together, so that neighbours neither overlap nor part; locked ones stay",
        work.all_smooth,
        (_distance("Standard deviation", 2),),
        "all",
    ),
    SegmentTool(
        "margin",
        "Margin",
        "Grow the segment on all sides by a distance, or shrink it where the distance is negative",
        partial(work.in_mm, margin),
        (_distance("Distance", 3, -FARTHEST),),
    ),
    SegmentTool(
        "hollow",
        "Hollow",
        "Turn the segment into a shell of a thickness",
        work.shell,
        (_distance("Thickness", 3), _SIDE),
    ),
    SegmentTool(
        "fill-between",
        "Fill between slices",
        "Fill the slices of the shown plane that lie between drawn ones; other segments keep their voxels",
        work.between,
        (_WHICH,),
        on_slice=True,
        confined="in effect",
        key="G",
    ),
    SegmentTool(
        "extend",
        "Extend to neighbours",
        "Carry the outline on the shown slice to the slices beside it, by what the image shows there",
        work.onward,
        (_distance("As far as", 30), _ONWARD, _DRAWN),
        reaches=("volume",),
        on_slice=True,
        key="Alt-G",
    ),
    SegmentTool(
        "copy-next",
        "Copy to next slice",
        "Lay the outline on the shown slice upon the next one, as the wheel turned down: to feet, back or left",
        partial(work.copied, 1),
        reaches=_FROM_SLICE,
        on_slice=True,
        confined="by itself",
        key="Shift-Down",
    ),
    SegmentTool(
        "copy-previous",
        "Copy to previous slice",
        "Lay the outline on the shown slice upon the one before, as the wheel turned up: to head, front or right",
        partial(work.copied, -1),
        reaches=_FROM_SLICE,
        on_slice=True,
        confined="by itself",
        key="Shift-Up",
    ),
    SegmentTool(
        "mirror",
        "Mirror",
        "Reflect the segment from left to right at the middle of the image or of another segment",
        work.mirror,
        (OtherSegment("middle", "Middle of", "The image"), _IMAGE),
        confined="in effect",
    ),
    SegmentTool(
        "split-plane",
        "Split at the slice",
        "Cut the segment in two at the shown slice: what lies beyond becomes a segment of its own",
        work.beyond,
        (_BEYOND,),
        reaches=("volume", "slab"),
        on_slice=True,
    ),
    SegmentTool("union", "Union", "Give all voxels of another segment to the active one", work.join, (_OTHER,)),
    SegmentTool(
        "subtract",
        "Subtract",
        "Erase of the segment what lies within a distance of another one",
        partial(work.near_other, subtract),
        (_OTHER, _distance("Within", 3)),
    ),
    SegmentTool(
        "intersect",
        "Intersect",
        "Keep of the segment only what lies within a distance of another one",
        partial(work.near_other, intersect),
        (_OTHER, _distance("Within", 3)),
    ),
    SegmentTool(
        "merge",
        "Merge",
        "Make another segment a part of the active one and take it off the table",
        work.merged,
        (_OTHER,),
    ),
    SegmentTool(
        "relabel",
        "Relabel",
        "Give the segment another label value; its name and colour stay",
        work.renumbered,
        (Number("value", "Label value", "", 100, 1, LARGEST_LABEL, 1, 0),),
    ),
)

#: All of them by identifier, in the order in which lists show them.
SEGMENT_TOOLS: dict[str, SegmentTool] = {tool.id: tool for tool in _ROWS}
