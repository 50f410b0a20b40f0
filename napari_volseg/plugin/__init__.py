"""What napari finds: readers, a writer, sample data and the panel; and the app that is started by itself."""

from napari_volseg.plugin.launch import run_app

__all__ = ["run_app"]
