"""Take pictures of the window on three screens, in both themes, with both Qt bindings, for docs/looks.md.

    make looks

Text and images are drawn twice as large on the screen of 3840 × 2160, as on desktops that have one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

SIZES = {"1366x768": 1, "1920x1080": 1, "3840x2160": 2}
THEMES = ("dark", "light")
BINDINGS = ("pyqt5", "pyqt6")
FOLDER = Path(__file__).resolve().parent / "images" / "looks"
COLORS = 255


def main() -> None:
    """Start a process for each binding, theme and screen, as Qt takes its binding and scale once."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for binding in BINDINGS:
        for theme in THEMES:
            for size, scale in SIZES.items():
                with tempfile.TemporaryDirectory() as own:
                    places = {"XDG_DATA_HOME": own, "XDG_CACHE_HOME": own, "NAPARI_CONFIG": f"{own}/settings.yaml"}
                    chosen = {"QT_API": binding, "QT_SCALE_FACTOR": str(scale)}
                    subprocess.run(
                        [sys.executable, __file__, size, theme, binding],
                        check=True,
                        env={**os.environ, **places, **chosen},
                    )


def take(size: str, theme: str, binding: str) -> None:
    """Segment the sample CT, cut the 3D view open, and take the picture."""
    from napari.settings import get_settings
    from PIL import Image
    from screenshots import pause, wait

    from napari_volseg.app import run_command, sample_path
    from napari_volseg.widgets import create_window
    from napari_volseg.widgets.window import delete_closed_windows

    get_settings().appearance.theme = theme
    _, app, panel = create_window()
    window = panel.window()
    width, height = (int(n) // SIZES[size] for n in size.split("x"))
    window.showFullScreen()
    window.resize(width, height)
    app.view.layout = "four"
    app.open_path(sample_path("torso-ct-dicom"))
    wait(lambda: app.case is not None and not app.jobs.active)
    app.tools.model = "phantom-organs"
    app.run_model()
    wait(lambda: not app.jobs.active)
    run_command(app, "view.3d")
    wait(lambda: not app.jobs.active)
    pause(4000)
    pane = panel.binding.shown["3d"]
    pane.viewer.scene.camera.set_view_direction((-0.3, 0.7, 0.4), (1.0, 0.0, 0.0))
    run_command(app, "view.cut-sagittal")
    run_command(app, "view.axial")
    pause(4000)
    path = FOLDER / f"{size}-{theme}-{binding}.png"
    window.grab().save(str(path))
    Image.open(path).convert("RGB").quantize(COLORS).save(path, optimize=True)
    window.close()
    delete_closed_windows()


if __name__ == "__main__":
    take(*sys.argv[1:]) if len(sys.argv) > 1 else main()
