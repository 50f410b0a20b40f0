"""The only writer of label voxels: sessions, steps, history, brushes and pure operations."""

from napari_volseg.editing.between_slices import fill_between
from napari_volseg.editing.brushes import Brush, disc, path_discs, path_spheres, sphere
from napari_volseg.editing.combine import copy_slice, intersect, merge, relabel, subtract, union
from napari_volseg.editing.cuts import CutPlane, beyond_plane, mirrored
from napari_volseg.editing.delta import (
    Author,
    Delta,
    Description,
    Journal,
    PromptChange,
    Step,
    TableChange,
    make_delta,
)
from napari_volseg.editing.fast import Connectivity
from napari_volseg.editing.growing import (
    Between,
    Level,
    Tolerance,
    grow_from_seeds,
    grow_region,
    range_around,
    trace_level,
)
from napari_volseg.editing.history import DEFAULT_BYTE_BUDGET, History
from napari_volseg.editing.islands import (
    count_islands,
    fill_holes,
    keep_island,
    keep_largest,
    remove_small,
    split_islands,
)
from napari_volseg.editing.morphology import Side, closing, hollow, margin, opening
from napari_volseg.editing.operations import fill_region
from napari_volseg.editing.outlines import fill_outline, follow_edge
from napari_volseg.editing.packing import PackedArray, pack
from napari_volseg.editing.rules import AllOf, BackgroundOnly, Everywhere, Inside, OverwriteRule, WithinRange
from napari_volseg.editing.scissors import Part, ScreenView, column_of_sight, cut_out
from napari_volseg.editing.scopes import InVolume, OnSlice, Scope, Slab, repeated, scope_box, slab_about
from napari_volseg.editing.session import EditSession, Plan
from napari_volseg.editing.shapes import Relabelled, find_box, find_boxes, reshaped, restrained, shape_of, union_of
from napari_volseg.editing.sides import Misplaced, misplaced_islands
from napari_volseg.editing.smoothing import smooth_gaussian, smooth_jointly, smooth_median
from napari_volseg.editing.stroke import Stroke
from napari_volseg.editing.thresholds import suggest_range, threshold

__all__ = [
    "DEFAULT_BYTE_BUDGET",
    "AllOf",
    "Author",
    "BackgroundOnly",
    "Between",
    "Brush",
    "Connectivity",
    "CutPlane",
    "Delta",
    "Description",
    "EditSession",
    "Everywhere",
    "History",
    "InVolume",
    "Inside",
    "Journal",
    "Level",
    "Misplaced",
    "OnSlice",
    "OverwriteRule",
    "PackedArray",
    "Part",
    "Plan",
    "PromptChange",
    "Relabelled",
    "Scope",
    "ScreenView",
    "Side",
    "Slab",
    "Step",
    "Stroke",
    "TableChange",
    "Tolerance",
    "WithinRange",
    "beyond_plane",
    "closing",
    "column_of_sight",
    "copy_slice",
    "count_islands",
    "cut_out",
    "disc",
    "fill_between",
    "fill_holes",
    "fill_outline",
    "fill_region",
    "find_box",
    "find_boxes",
    "follow_edge",
    "grow_from_seeds",
    "grow_region",
    "hollow",
    "intersect",
    "keep_island",
    "keep_largest",
    "make_delta",
    "margin",
    "merge",
    "mirrored",
    "misplaced_islands",
    "opening",
    "pack",
    "path_discs",
    "path_spheres",
    "range_around",
    "relabel",
    "remove_small",
    "repeated",
    "reshaped",
    "restrained",
    "scope_box",
    "shape_of",
    "slab_about",
    "smooth_gaussian",
    "smooth_jointly",
    "smooth_median",
    "sphere",
    "split_islands",
    "subtract",
    "suggest_range",
    "threshold",
    "trace_level",
    "union",
    "union_of",
]
