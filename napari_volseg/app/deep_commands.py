"""Commands of the 3D view: from where it looks, at which plane it is cut open, and how it draws the image."""

from __future__ import annotations

from functools import partial
from typing import get_args

from napari_volseg.app.application import Application
from napari_volseg.app.command import Command, needs_case
from napari_volseg.app.layouts import bring_forward, views_shown
from napari_volseg.app.renderings import RENDERINGS
from napari_volseg.app.wishes import Cut, RenderingName, Side

SIDES: tuple[Side, ...] = get_args(Side)
CUTS: tuple[Cut, ...] = get_args(Cut)
CUT_KEYS: dict[Cut, str] = {
    "nothing": "Control-0",
    "axial": "Control-7",
    "coronal": "Control-8",
    "sagittal": "Control-9",
}
#: The words of each side, and its letter.
SIDE_WORDS: dict[Side, tuple[str, str]] = {
    "anterior": ("the front", "A"),
    "posterior": ("the back", "P"),
    "right": ("the patient's right", "R"),
    "left": ("the patient's left", "L"),
    "superior": ("the head", "S"),
    "inferior": ("the feet", "I"),
}


def look_from(app: Application, side: Side) -> None:
    """Turn the 3D view so that it looks from a side of the patient."""
    if not app.view.three_d or "3d" not in views_shown(app.view):
        bring_forward(app.view, "3d")
    app.turned.emit(side)


def set_cut(app: Application, cut: Cut) -> None:
    """Cut the 3D view open at a plane through the crosshair, or close it."""
    app.view.cut = cut


def set_rendering(app: Application, name: RenderingName) -> None:
    """Draw the image in 3D in one of the ways, and show it."""
    app.view.rendering = name
    app.view.image_in_3d = True


def toggle_image_in_3d(app: Application) -> None:
    """Leave the image out of 3D views, and show it again beside the surfaces of segments."""
    app.view.image_in_3d = not app.view.image_in_3d


def _needs(name: RenderingName, app: Application) -> str | None:
    reason = needs_case(app)
    if reason or app.case is None:
        return reason
    return None if RENDERINGS[name].suits(app.case.volume) else "values of its own need a CT: choose Surface"


def _cut_title(cut: Cut) -> str:
    return "Close 3D view" if cut == "nothing" else f"Cut 3D view at {cut} slice"


def deep_commands() -> list[Command]:
    """Return the commands of the 3D view."""
    sides = [
        Command(
            f"view.from-{side}",
            f"3D from {words}",
            partial(look_from, side=side),
            f"Control-{number}",
            needs_case,
            f"Turn the 3D view to look from {words} ({letter})",
        )
        for number, (side, (words, letter)) in enumerate(SIDE_WORDS.items(), 1)
    ]
    cuts = [
        Command(
            f"view.cut-{cut}",
            _cut_title(cut),
            partial(set_cut, cut=cut),
            CUT_KEYS[cut],
            needs_case,
            "Show the whole volume in 3D again"
            if cut == "nothing"
            else f"Leave out of the 3D view what lies before the {cut} slice, and show the slice there",
        )
        for cut in CUTS
    ]
    renderings = [
        Command(
            f"view.rendering-{name}",
            f"3D image: {rendering.title}",
            partial(set_rendering, name=name),
            "",
            partial(_needs, name),
            rendering.tip,
        )
        for name, rendering in RENDERINGS.items()
    ]
    return [
        Command(
            "view.image-3d",
            "Image in 3D",
            toggle_image_in_3d,
            "Shift-D",
            needs_case,
            "Show the image in 3D beside the segments; without a graphics card this is slow to turn",
        ),
        *sides,
        *cuts,
        *renderings,
    ]
