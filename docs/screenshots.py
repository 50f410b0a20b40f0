"""Take the README's pictures from the running app on the sample CT.

    make screenshots

Each picture shows the real window after the steps that its caption tells.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent / "images"
SIZE = (1366, 768)
#: Milliseconds that the window gets to draw before a picture, and seconds that work may take.
PAUSE, PATIENCE = 1500, 300


def main() -> None:
    """Do the main job once and take a picture after each step."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as own:
        os.environ.update(XDG_DATA_HOME=own, NAPARI_CONFIG=f"{own}/settings.yaml")
        take_pictures()


def take_pictures() -> None:
    """Open, segment, click, correct and look at one image and at two, in one window."""
    from napari_volseg.app import run_command, sample_path
    from napari_volseg.formats import load_labels, open_volume
    from napari_volseg.widgets import create_window

    viewer, app, panel = create_window()
    app.view.layout = "one"
    window = panel.window()
    window.resize(*SIZE)

    def picture(name: str) -> None:
        pause(PAUSE)
        window.grab().save(str(FOLDER / f"{name}.png"))

    app.open_path(sample_path("torso-ct-dicom"))
    wait(lambda: app.case is not None and not app.jobs.active)
    truth = load_labels(sample_path("torso-ct").with_name("torso-labels.nii.gz"), app.case.volume)
    named = {segment.name: segment.value for segment in truth.table}
    go_to(viewer, app, center(truth.labels == named["Spleen"]))
    app.case.add_segment("Spleen")
    click(app, center(truth.labels == named["Spleen"]))
    app.tools.tool = "click"
    picture("click")

    app.undo()
    app.undo()
    app.tools.model = "phantom-organs"
    app.run_model()
    wait(lambda: not app.jobs.active)
    app.tools.tool = "navigate"
    go_to(viewer, app, center(truth.labels == named["Liver"]))
    picture("segmented")
    run_command(app, "view.layout-four")
    run_command(app, "view.3d")
    pause(PAUSE)
    run_command(app, "view.axial")
    picture("views")
    run_command(app, "view.layout-one")
    run_command(app, "view.3d")
    picture("3d")
    viewer.scene.camera.set_view_direction((-0.3, 0.7, 0.4), (1.0, 0.0, 0.0))
    run_command(app, "view.cut-sagittal")
    picture("cut")
    run_command(app, "view.cut-nothing")
    run_command(app, "view.axial")
    app.open_path(sample_path("head-mr-t1"))
    wait(lambda: app.case.volume.name == "head-mr-t1" and not app.jobs.active)
    app.fusion.open_volume(open_volume(sample_path("head-mr-flair")))
    wait(lambda: not app.jobs.active)
    run_command(app, "view.layout-two")
    picture("side-by-side")
    viewer.close()


def center(mask: np.ndarray) -> np.ndarray:
    """Return the voxel (z, y, x) of a mask that lies closest to its centre of mass."""
    inside = np.argwhere(mask)
    return inside[((inside - inside.mean(0)) ** 2).sum(1).argmin()]


def go_to(viewer, app, index: np.ndarray) -> None:
    """Show the slice of a voxel (z, y, x)."""
    viewer.dims.set_point(
        range(3), [float(i * s) for i, s in zip(index, app.case.volume.geometry.spacing, strict=True)]
    )


def click(app, index: np.ndarray) -> None:
    """Click a voxel (z, y, x) and wait for the answer."""
    x, y, z = (float(c) for c in app.case.volume.geometry.to_patient(index))
    app.click((x, y, z))
    wait(lambda: not app.jobs.active)


def wait(condition: Callable[[], object]) -> None:
    """Let the window run until something is true."""
    for _ in range(PATIENCE * 20):
        if condition():
            return
        pause(50)
    raise TimeoutError(f"not done after {PATIENCE} s")


def pause(milliseconds: int) -> None:
    """Let the window run for a while."""
    from qtpy.QtTest import QTest

    QTest.qWait(milliseconds)


if __name__ == "__main__":
    main()
