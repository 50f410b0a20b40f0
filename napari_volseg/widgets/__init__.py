"""The Qt window: one panel whose sections follow the job, over the application's models and commands."""

from napari_volseg.widgets.adoption import VOLUME_KEY
from napari_volseg.widgets.main_panel import MainPanel
from napari_volseg.widgets.window import DOCK_NAME, ViewerPanel, create_window

__all__ = ["DOCK_NAME", "VOLUME_KEY", "MainPanel", "ViewerPanel", "create_window"]
