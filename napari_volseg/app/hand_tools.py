"""The tools that are taken in hand: what each is called, its key, and what it does."""

from __future__ import annotations

from dataclasses import dataclass

from napari_volseg.app.wishes import Tool


@dataclass(frozen=True, slots=True)
class HandTool:
    """What the left button of the mouse can do.

    Parameters
    ----------
    name
        What lists call it.
    key
        Takes it in hand, in napari's notation.
    tip
        What it does, for tooltips.
    """

    name: str
    key: str
    tip: str


_OR_TAKE = "or, with Shift or Alt, take it away"

HAND_TOOLS: dict[Tool, HandTool] = {
    "navigate": HandTool("Move", "N", "Move and zoom the view"),
    "click": HandTool("Click", "K", "Click into a structure: the model outlines it"),
    "scribble": HandTool("Scribble", "J", "Draw a line through a structure: the model outlines it"),
    "box": HandTool("Box", "Shift-B", "Draw a box around a structure on a slice: the model outlines it"),
    "lasso-prompt": HandTool(
        "Lasso prompt", "Shift-J", "Draw a line around a structure on a slice: the model outlines it"
    ),
    "brush": HandTool("Brush", "B", "Paint the active segment"),
    "eraser": HandTool("Eraser", "E", "Erase the active segment"),
    "fill": HandTool("Fill", "F", "Fill the region under the cursor with the active segment"),
    "polygon": HandTool("Polygon", "P", f"Set the corners of an outline and fill it {_OR_TAKE}"),
    "lasso": HandTool("Lasso", "L", f"Draw an outline free hand and fill it {_OR_TAKE}"),
    "livewire": HandTool("Livewire", "Shift-L", f"Draw an outline that keeps to edges and fill it {_OR_TAKE}"),
    "scissors": HandTool("Scissors", "Shift-S", "Cut through the volume with a lasso over a slice or the 3D view"),
    "level": HandTool("Trace level", "O", f"Fill what the contour line under the cursor encloses {_OR_TAKE}"),
    "grow": HandTool("Grow region", "M", f"Fill the connected region of a tissue {_OR_TAKE}"),
    "keep-island": HandTool("Keep island", "Shift-K", "Click one island of the active segment to remove its others"),
    "remove-island": HandTool("Remove island", "Shift-E", "Click an island of the active segment to remove it"),
    "distance": HandTool("Distance", "Shift-M", "Measure a distance: drag from point to point"),
    "angle": HandTool("Angle", "Shift-A", "Measure an angle: drag the first arm, then click where the other ends"),
    "diameters": HandTool(
        "Diameters", "Shift-R", "Measure two diameters: drag the longest, then the one at right angles to it (RECIST)"
    ),
}
