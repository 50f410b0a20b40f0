"""What things are: geometry, volumes, segments, windows, prompts, jobs, cards and errors."""

from napari_volseg.core.arriving import Arriving, PreviewCallback
from napari_volseg.core.boxes import Box, BoxMask
from napari_volseg.core.card_steps import CardStep, CheckSides, KeepLargest, RemoveSmall
from napari_volseg.core.cards import ModelCard
from napari_volseg.core.decisions import CHOICES, Answers, Decision, Inquiry
from napari_volseg.core.errors import (
    CancelledError,
    DecisionNeededError,
    GeometryError,
    RefusedError,
    UsageError,
    VolsegError,
)
from napari_volseg.core.findings import KINDS, Finding, Kind, Severity
from napari_volseg.core.geometry import SAME_GRID_MM, Geometry, opposite
from napari_volseg.core.jobs import NEVER, CancelToken, Progress, ProgressCallback, in_words, no_progress
from napari_volseg.core.measurements import Angle, Diameters, Distance, Measurement
from napari_volseg.core.prompts import (
    BoxPrompt,
    LassoPrompt,
    Point,
    PointPrompt,
    Prompt,
    ScribblePrompt,
    moved_prompt,
)
from napari_volseg.core.segments import (
    ANATOMICAL_STRUCTURE,
    LESION_CATEGORY,
    MAX_LABEL,
    TISSUE,
    Code,
    Color,
    Segment,
    Segmentation,
    SegmentTable,
    Status,
    color_for,
)
from napari_volseg.core.volume import Provenance, Reorientation, TimeAxis, Volume
from napari_volseg.core.windows import CT_WINDOWS, Window, auto_window

__all__ = [
    "ANATOMICAL_STRUCTURE",
    "CHOICES",
    "CT_WINDOWS",
    "KINDS",
    "LESION_CATEGORY",
    "MAX_LABEL",
    "NEVER",
    "SAME_GRID_MM",
    "TISSUE",
    "Angle",
    "Answers",
    "Arriving",
    "Box",
    "BoxMask",
    "BoxPrompt",
    "CancelToken",
    "CancelledError",
    "CardStep",
    "CheckSides",
    "Code",
    "Color",
    "Decision",
    "DecisionNeededError",
    "Diameters",
    "Distance",
    "Finding",
    "Geometry",
    "GeometryError",
    "Inquiry",
    "KeepLargest",
    "Kind",
    "LassoPrompt",
    "Measurement",
    "ModelCard",
    "Point",
    "PointPrompt",
    "PreviewCallback",
    "Progress",
    "ProgressCallback",
    "Prompt",
    "Provenance",
    "RefusedError",
    "RemoveSmall",
    "Reorientation",
    "ScribblePrompt",
    "Segment",
    "SegmentTable",
    "Segmentation",
    "Severity",
    "Status",
    "TimeAxis",
    "UsageError",
    "VolsegError",
    "Volume",
    "Window",
    "auto_window",
    "color_for",
    "in_words",
    "moved_prompt",
    "no_progress",
    "opposite",
]
