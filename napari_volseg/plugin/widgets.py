"""The panel as napari's Plugins menu makes it."""

from __future__ import annotations

from napari.viewer import Viewer

from napari_volseg.widgets import ViewerPanel


class SegmentationPanel(ViewerPanel):
    """The panel in a viewer that the user already has.

    Parameters
    ----------
    napari_viewer
        The viewer, or napari's proxy of it.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__(getattr(napari_viewer, "__wrapped__", napari_viewer))
