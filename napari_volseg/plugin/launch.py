"""Start the program as an application of its own."""

from __future__ import annotations

import gc
from pathlib import Path


def run_app(path: Path | None = None) -> int:
    """Open the window, with a file or folder where one is given, and return the exit code when it is closed."""
    import napari

    from napari_volseg.app.tour import is_first_start
    from napari_volseg.widgets import create_window, delete_closed_windows

    create_window(path, greet=is_first_start())
    gc.freeze()  # napari collects garbage whenever a layer leaves; what is loaded by now need not be looked at again
    napari.run()
    delete_closed_windows()
    return 0
