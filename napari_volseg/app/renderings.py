"""Ways to draw the image in 3D: a projection through the window, or the surface of what a value bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_volseg.app.wishes import RenderingName
from napari_volseg.core import Volume, Window

Rgb = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Rendering:
    """One way.

    Parameters
    ----------
    title, tip
        Words for the panel.
    kind
        A projection of what is brightest, the surface at the middle of the window, or a cloud that is the denser the
        nearer values are to the middle of the window.
    window
        In HU, for CT alone; None for the window in which the slices are shown.
    color
        Red, green and blue, 0 to 1; None for grey.
    """

    title: str
    tip: str
    kind: Literal["projection", "surface", "cloud"] = "projection"
    window: Window | None = None
    color: Rgb | None = None

    def suits(self, volume: Volume) -> bool:
        """Whether it can draw a volume; values of their own have a meaning in CT alone."""
        return self.window is None or volume.modality == "CT"

    def window_for(self, wished: Window) -> Window:
        """Return the window through which it draws, where slices are shown through ``wished``."""
        return self.window or wished


#: Edges of tissue in CT, HU: bone against soft tissue, skin against air, and what air there is within.
RENDERINGS: dict[RenderingName, Rendering] = {
    "projection": Rendering("Projection", "What is brightest along each line of sight, through the window"),
    "surface": Rendering(
        "Surface",
        "The surface at the middle of the window: drag the window to move it",
        "surface",
        None,
        (0.9, 0.85, 0.8),
    ),
    "bone": Rendering(
        "Bone",
        "The surface of what is denser than 220 HU",
        "surface",
        Window(220, 300, "Bone in 3D"),
        (0.95, 0.89, 0.76),
    ),
    "skin": Rendering(
        "Skin", "The surface of the body, at -350 HU", "surface", Window(-350, 500, "Skin in 3D"), (0.89, 0.69, 0.58)
    ),
    "lung": Rendering(
        "Lung", "Air within the body, as a cloud", "cloud", Window(-720, 360, "Lung in 3D"), (0.62, 0.78, 0.95)
    ),
}


def rendering_of(name: RenderingName, volume: Volume) -> Rendering:
    """Return the way to draw a volume that is wished, or the projection where it does not suit."""
    wished = RENDERINGS[name]
    return wished if wished.suits(volume) else RENDERINGS["projection"]
