"""The napari binding: the open case as layers, through napari's public API and without Qt."""

from napari_volseg.viewer.binding import ViewerBinding
from napari_volseg.viewer.fused import colour_bar
from napari_volseg.viewer.measures import seen_measurements
from napari_volseg.viewer.pane import Pane
from napari_volseg.viewer.planes import LAYOUTS, Layout, letters
from napari_volseg.viewer.sketches import canvas_lines, crosshair

__all__ = [
    "LAYOUTS",
    "Layout",
    "Pane",
    "ViewerBinding",
    "canvas_lines",
    "colour_bar",
    "crosshair",
    "letters",
    "seen_measurements",
]
