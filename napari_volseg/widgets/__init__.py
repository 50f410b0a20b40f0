"""The Qt window: one panel whose sections follow the job, over the application's models and commands."""

from napari_volseg.widgets.main_panel import MainPanel
from napari_volseg.widgets.window import DOCK_NAME, ViewerPanel, create_window, delete_closed_windows

__all__ = ["DOCK_NAME", "MainPanel", "ViewerPanel", "create_window", "delete_closed_windows"]
