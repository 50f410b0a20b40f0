"""What the user most likely wants to do next."""

from __future__ import annotations

from dataclasses import dataclass

from napari_volseg.app import COMMANDS, Application
from napari_volseg.app.doubts import doubts_of


@dataclass(frozen=True, slots=True)
class Hint:
    """One line that leads on.

    Parameters
    ----------
    text
        What to do.
    primary
        Object name of the button to highlight, empty for none.
    """

    text: str
    primary: str = ""


#: What to do with a tool that has just been taken in hand.
HINTS: dict[str, str] = {
    "box": "Drag from corner to corner of a box around a structure: the model outlines it",
    "lasso-prompt": "Draw around a structure, or with Shift or Alt around what does not belong to it",
    "fill": "Click into a region to give it to the active segment",
    "polygon": "Click the corners of an outline; with Shift or Alt at the first it is taken away",
    "livewire": "Click onto an edge and follow it; with Shift or Alt at the first point it is taken away",
    "lasso": "Draw around a structure with the left button; with Shift or Alt it is taken away",
    "scissors": "Draw around what is to be cut with the left button",
    "level": "Move onto an edge until the line fits, then click; with Shift or Alt it is taken away",
    "grow": "Click into a tissue; with Shift or Alt the region is taken away",
    "keep-island": "Click the island of the active segment that is to stay",
    "distance": "Drag from one point to another on a slice",
    "angle": "Drag the first arm of the angle, then click where the other one ends",
    "diameters": "Drag the longest diameter, then the one at right angles to it",
    "remove-island": "Click an island of the active segment that is to go",
}


def next_step(app: Application) -> Hint:
    """Return the next sensible action for where the user stands."""
    if app.preview.arriving is not None:
        return Hint("Look at what is there; tools can be taken in hand once the image is read")
    return _before_case(app) if app.case is None else _within_case(app)


def _before_case(app: Application) -> Hint:
    if app.jobs.shown:
        return Hint("Opening …")
    if app.scan_result is not None and len(app.scan_result.found) > 1:
        return Hint(f"Choose one of the {len(app.scan_result.found)} images in the list below")
    return Hint("Open an image to begin: a DICOM folder or a NIfTI file", "open.folder")


def _within_case(app: Application) -> Hint:
    assert app.clicks is not None
    if any(job.lane == "network" for job in app.jobs.shown) and not app.clicks.busy:
        return Hint("The model runs in the background: go on looking at the image meanwhile")
    if app.view.three_d and app.tools.tool == "click":
        return Hint("In 3D a click marks what is seen there, and a drag turns the view")
    if app.view.three_d and app.tools.tool not in ("navigate", "scissors"):
        slices = "press A, C or S" if app.view.layout == "one" else "click one beside it"
        return Hint(f"In 3D the left button turns the view; tools work on slices: {slices}")
    if app.tools.tool != "navigate" and (unseen := _unseen(app)):
        return Hint(unseen)
    match app.tools.tool:
        case "click" | "scribble":
            return _while_clicking(app)
        case "box" | "lasso-prompt" as tool:
            return _while_clicking(app) if app.clicks.prompts else Hint(HINTS[tool])
        case "brush":
            return Hint("Paint with the left button; the wheel changes the slice, [ and ] the size")
        case "eraser":
            return Hint("Erase the active segment with the left button")
        case "navigate":
            return _while_looking(app)
        case "polygon" | "livewire" as tool:
            return _while_outlining(app, HINTS[tool])
        case "scissors":
            where = "hold Space to turn the view" if app.view.three_d else "the cut goes through all slices"
            return Hint(f"{HINTS['scissors']}; {where}")
        case tool:
            return Hint(HINTS[tool])


def _unseen(app: Application) -> str:
    """Return what is to be done where nothing would be seen of the segment that tools act on, else nothing."""
    assert app.case is not None
    if not app.view.labels_visible:
        return "Segments are hidden and change all the same: show them [H]"
    active = app.case.active
    if active and not app.case.table[active].visible:
        return f"{app.case.table[active].name} is hidden and changes all the same: show it in the table below"
    return ""


def _while_outlining(app: Application, begin: str) -> Hint:
    outline = app.drawing.outline
    if outline is None:
        return Hint(begin)
    verb = "takes it away" if outline.takes_away else "fills it"
    return Hint(f"Set the next point: Enter or a double click {verb}, Backspace goes back, Escape abandons it")


def _while_clicking(app: Application) -> Hint:
    assert app.clicks is not None
    if app.clicks.prompts:
        return Hint("Click what is missing, or switch to Remove for what is too much; then accept", "click.accept")
    if name := _begun(app):
        return Hint(f"Click to go on with {name}, or press New segment for another structure", "segment.next")
    return Hint("Click inside a structure on any slice: it is outlined in 3D")


def _begun(app: Application) -> str:
    """Return the name of the active segment where it has voxels already, else nothing."""
    case, figures = app.case, app.figures
    if case is None or figures is None or not case.active:
        return ""
    known = figures.of(case.active)
    return case.table[case.active].name if known is not None and known.voxels else ""


def _while_looking(app: Application) -> Hint:
    assert app.case is not None
    if not len(app.case.table) and COMMANDS["segment.run"].why_not(app):
        return Hint("Choose a window; then take the click tool", "tool.click")
    if not len(app.case.table):
        return Hint("Choose a window; then run a model, or take the click tool", "segment.run")
    if doubts := doubts_of(app.case):
        name = app.case.table[doubts[0].value].name
        return Hint(f"{name} ends at an orange mark: go there [Ctrl+U], correct it or say it is right [Ctrl+Shift+U]")
    if not app.case.active:
        return Hint("Check the segments; select one in the table to correct it, or export", "export.nifti")
    name = app.case.table[app.case.active].name
    return Hint(f"Correct {name} with brush or clicks, begin a new segment, or export", "export.nifti")
