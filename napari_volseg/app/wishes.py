"""What the user tunes: evented models that the panels show and the viewer follows."""

from __future__ import annotations

from typing import Any, Literal

from psygnal import EventedModel

from napari_volseg.core import Point, Window
from napari_volseg.editing import Level, Part

Tool = Literal[
    "navigate",
    "brush",
    "eraser",
    "fill",
    "click",
    "scribble",
    "box",
    "lasso-prompt",
    "polygon",
    "lasso",
    "livewire",
    "scissors",
    "level",
    "grow",
    "keep-island",
    "remove-island",
    "distance",
    "angle",
    "diameters",
]
Plane = Literal["axial", "coronal", "sagittal"]
#: What a view shows: slices of a plane, the volume, or slices of the second image in the plane in hand.
ViewName = Literal["axial", "coronal", "sagittal", "3d", "second"]
#: One view alone, both images beside each other, a large view beside three small ones, or four of the same size.
LayoutName = Literal["one", "two", "one-three", "four"]
#: Sides of the patient from which the 3D view looks.
Side = Literal["anterior", "posterior", "left", "right", "superior", "inferior"]
#: Plane of the crosshair at which the 3D view is cut open.
Cut = Literal["nothing", "axial", "coronal", "sagittal"]
#: Ways to draw the image in 3D.
RenderingName = Literal["projection", "surface", "bone", "skin", "lung"]
RuleName = Literal["everywhere", "background", "inside"]
Reach = Literal["slice", "slab", "volume"]

#: Smallest and largest brush radius, mm.
RADIUS_LIMITS = (0.5, 60.0)

#: How far tools may be set to reach from a slice or a click, mm.
DISTANCE_LIMITS = (0.0, 1000.0)


class ViewWishes(EventedModel):
    """How the case is looked at.

    Attributes
    ----------
    layout
        How many views are shown, and how they are laid out.
    layout_before
        The layout to go back to from one view alone.
    large
        The large view beside three small ones.
    plane
        The plane in hand: that of the one view, or of the view that was used last.
    three_d
        Whether the 3D view is the one in hand.
    zoom
        Pixels a mm in every plane; None where each of them is fitted into its view.
    center
        What every plane has in its middle, patient mm (x, y, z), LPS; None for the middle of the image.
    crosshair
        Whether each plane shows where the others cut it.
    image_in_3d
        Whether 3D views show the image beside the surfaces of segments; without surfaces they always do.
    rendering
        How 3D views draw the image.
    cut
        At which plane through the crosshair 3D views are cut open; what lies before it is left out.
    window
        Grey-level window, in the volume's unit.
    labels_opacity
        0 to 1.
    labels_visible
        Whether segments are drawn.
    report_shown
        Whether the import report is unfolded.
    history_shown
        Whether the list of steps is unfolded.
    sheet_shown
        Whether the sheet of keys and commands is open.
    studies_shown
        Whether the study browser is open.
    marked_step
        Position in the history that was asked for, None where nothing is marked.
    cursor_text
        What is under the cursor, for the status line.
    cursor
        The voxel (z, y, x) under the cursor, None where there is none.
    pointed
        The view over which the mouse is, whose cursor is told; None before it moved.
    index
        The voxel (z, y, x) in which the shown slices meet, None for the middle.
    """

    layout: LayoutName = "one"
    layout_before: LayoutName = "four"
    large: ViewName = "axial"
    plane: Plane = "axial"
    three_d: bool = False
    zoom: float | None = None
    center: Point | None = None
    crosshair: bool = True
    image_in_3d: bool = True
    rendering: RenderingName = "projection"
    cut: Cut = "nothing"
    window: Window = Window(40, 400, "Soft tissue")
    labels_opacity: float = 0.5
    labels_visible: bool = True
    report_shown: bool = False
    history_shown: bool = False
    sheet_shown: bool = False
    studies_shown: bool = False
    marked_step: int | None = None
    cursor_text: str = ""
    cursor: tuple[int, int, int] | None = None
    pointed: ViewName | None = None
    index: tuple[int, int, int] | None = None


class ToolWishes(EventedModel):
    """Which tool is in hand and how it acts.

    Attributes
    ----------
    tool
        What a press of the left button does.
    radius_mm
        Radius of brush, eraser and scribble, mm.
    hand_reach
        Whether tools of the hand act on the slice, on a slab about it, or in 3D (sphere, connected volume).
    hand_slab_mm
        How far that slab reaches to each side, mm.
    positive
        Whether clicks, scribbles and lassos around things add to the segment or take from it.
    rule
        What painting may overwrite: all, background, or the label that the stroke starts on.
    limit_to_range, range_low, range_high
        Paint only voxels whose value lies in this range, in the volume's unit.
    level_side
        Whether level tracing takes what is brighter than the level or what is darker.
    grow_by_tissue, tolerance
        Whether a region grows over the values of the tissue around the click, or over those that differ from that
        of the click by at most a tolerance, in the volume's unit.
    grow_mm
        How far from the click a region grows at most, mm.
    cut_part
        Whether scissors take away what lies inside of the lasso or what lies outside.
    cut_all
        Whether they cut all segments that are shown, or the active one.
    segment_tool
        Segment tool that the panel shows.
    settings
        What parameters of segment tools were set to, by ``"tool.parameter"``.
    reach
        How far segment tools act: on the shown slice, on a slab about it, or in the volume.
    slab_mm
        How far that slab reaches to each side, mm.
    previewing
        Whether it is shown what the segment tool would do.
    model, device
        Automatic model chosen in the panel and where networks run.
    engine
        Id of the engine that answers clicks.
    postprocess
        Whether what the model's card asks to be done to its labels is done.
    channels
        Images that the user chose for the channels of the model, by name of the channel: ``"open"``, ``"found 2"``,
        or the path of a file.
    """

    tool: Tool = "navigate"
    radius_mm: float = 6.0
    hand_reach: Reach = "slice"
    hand_slab_mm: float = 10.0
    positive: bool = True
    rule: RuleName = "everywhere"
    limit_to_range: bool = False
    range_low: float = -150.0
    range_high: float = 250.0
    level_side: Level = "bright"
    grow_by_tissue: bool = True
    tolerance: float = 50.0
    grow_mm: float = 50.0
    cut_part: Part = "inside"
    cut_all: bool = False
    segment_tool: str = "keep-largest"
    settings: dict[str, Any] = {}  # noqa: RUF012 - the model copies it
    reach: Reach = "volume"
    slab_mm: float = 10.0
    previewing: bool = False
    model: str = "ct-tissues"
    device: str = "auto"
    engine: str = "regions"
    postprocess: bool = True
    channels: dict[str, str] = {}  # noqa: RUF012 - the model copies it
