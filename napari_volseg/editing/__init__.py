"""The only writer of label voxels: sessions, steps, history, brushes and pure operations."""

from napari_volseg.editing.brushes import disc, path_discs, path_spheres, sphere
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
from napari_volseg.editing.history import DEFAULT_BYTE_BUDGET, History
from napari_volseg.editing.operations import fill_region, segment_mask
from napari_volseg.editing.packing import PackedArray, pack
from napari_volseg.editing.rules import AllOf, BackgroundOnly, Everywhere, Inside, OverwriteRule, WithinRange
from napari_volseg.editing.session import EditSession, Plan
from napari_volseg.editing.stroke import Stroke

__all__ = [
    "DEFAULT_BYTE_BUDGET",
    "AllOf",
    "Author",
    "BackgroundOnly",
    "Delta",
    "Description",
    "EditSession",
    "Everywhere",
    "History",
    "Inside",
    "Journal",
    "OverwriteRule",
    "PackedArray",
    "Plan",
    "PromptChange",
    "Step",
    "Stroke",
    "TableChange",
    "WithinRange",
    "disc",
    "fill_region",
    "make_delta",
    "pack",
    "path_discs",
    "path_spheres",
    "segment_mask",
    "sphere",
]
