"""Take the pictures of the tools of the hand for docs/tools.md from the running app on the sample CT.

    scripts/on_display.sh .venv/bin/python docs/drawn_pictures.py

Each picture shows the canvas while a tool is used, and what came of it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from screenshots import center, go_to, pause, wait

FOLDER = Path(__file__).resolve().parent / "images" / "tools"
SIZE = (1100, 700)
#: Of each half of a picture, pixels, and how far apart they are.
HALF, GAP = (280, 220), 6
COLORS = 64
#: Milliseconds that the window gets to draw before a picture.
PAUSE = 700

Points = Sequence[tuple[float, float]]

#: Around the middle of the liver, voxels to the back and to the left.
OUTLINE: Points = ((-22, -30), (-27, 0), (-22, 18), (0, 6), (14, 0), (26, -18), (14, -38), (-6, -40))


def main() -> None:
    """Use each tool once, in one window."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as own:
        os.environ.update(XDG_DATA_HOME=own, NAPARI_CONFIG=f"{own}/settings.yaml")
        stage = Stage()
        for tool in ("brush", "eraser", "fill", "polygon", "lasso", "livewire", "level", "grow"):
            getattr(stage, tool)()
        stage.islands()
        stage.scissors()
        stage.viewer.close()


class Stage:
    """The app with the sample CT, its liver in the middle."""

    def __init__(self) -> None:
        from napari.qt import QtViewer

        from napari_volseg.app import sample_path
        from napari_volseg.formats import load_labels
        from napari_volseg.widgets import create_window

        self.viewer, self.app, self.panel = create_window()
        self.app.view.layout = "one"
        self.panel.window().resize(*SIZE)
        self.app.open_path(sample_path("torso-ct-dicom"))
        wait(lambda: self.app.case is not None and not self.app.jobs.active)
        truth = load_labels(sample_path("torso-ct").with_name("torso-labels.nii.gz"), self.app.case.volume)
        self.truth = truth.labels == next(s.value for s in truth.table if s.name == "Liver")
        self.spleen = truth.labels == next(s.value for s in truth.table if s.name == "Spleen")
        self.middle = center(self.truth).astype(float)
        self.canvas = self.panel.window().findChild(QtViewer).canvas.native
        self.app.case.add_segment("Liver")
        self.clear()

    def clear(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Let the labels be a mask, or nothing, and show the middle of the liver."""
        from napari_volseg.core import Box
        from napari_volseg.editing import Author

        labels = np.zeros(self.truth.shape, np.uint16) if mask is None else mask.astype(np.uint16)
        self.app.case.session.replace(Box.whole(labels.shape), labels, name="Draw", author=Author("hand", "user"))
        self.app.view.three_d, self.app.tools.hand_reach = False, "slice"
        go_to(self.viewer, self.app, self.middle)
        self.viewer.scene.camera.zoom = 1.35
        row, column = self.middle[1:] * self.app.case.volume.geometry.spacing[1:]
        self.viewer.scene.camera.center = (0.0, float(row), float(column))

    def at(self, row: float, column: float) -> NDArray[np.float64]:
        """Return the voxel (z, y, x) some voxels behind and to the left of the liver's middle."""
        return self.middle + np.array((0.0, row, column))

    def pair(self, name: str, act: Callable[[], object]) -> None:
        """Take a picture now and one after something was done, side by side."""
        before = self.shot()
        act()
        wait(lambda: not self.app.jobs.active)
        after = self.shot()
        both = Image.new("RGB", (2 * HALF[0] + GAP, HALF[1]), (128, 128, 128))
        both.paste(before, (0, 0))
        both.paste(after, (HALF[0] + GAP, 0))
        both.quantize(COLORS).save(FOLDER / f"{name}.png", optimize=True)

    def shot(self) -> Image.Image:
        """Return the middle of the canvas."""
        pause(PAUSE)
        window = self.panel.window()
        grabbed = window.grab().toImage().convertToFormat(13)  # RGB888
        bits = grabbed.bits()
        bits.setsize(grabbed.sizeInBytes())
        rows = np.frombuffer(bits, np.uint8).reshape(grabbed.height(), -1)[:, : 3 * grabbed.width()]
        whole = Image.fromarray(rows.reshape(grabbed.height(), grabbed.width(), 3).copy())
        corner = self.canvas.mapTo(window, self.canvas.rect().center())
        left, top = corner.x() - HALF[0] // 2, corner.y() - HALF[1] // 2
        return whole.crop((left, top, left + HALF[0], top + HALF[1]))

    # -- tools ----------------------------------------------------------------------------------------------------

    def brush(self) -> None:
        """Paint a stroke."""
        self.clear()
        self.app.tools.tool, self.app.tools.radius_mm = "brush", 12.0
        self.pair("brush", lambda: self._stroke([(-12, -28), (-8, -12), (4, 0)]))

    def eraser(self) -> None:
        """Erase a stroke."""
        self.clear(self.truth)
        self.app.tools.tool, self.app.tools.radius_mm = "eraser", 9.0
        self.pair("eraser", lambda: self._stroke([(-12, -28), (-8, -12), (4, 0)]))

    def fill(self) -> None:
        """Fill what a stroke encloses."""
        self.clear()
        self.app.tools.tool, self.app.tools.radius_mm = "brush", 3.0
        self._stroke([*OUTLINE, OUTLINE[0]])
        self.app.tools.tool = "fill"
        self.pair("fill", lambda: self.app.drawing.click(self.at(-5, -15), 0))

    def polygon(self) -> None:
        """Set the corners of an outline."""
        self._outline("polygon", OUTLINE)

    def lasso(self) -> None:
        """Draw round corners."""
        from scipy.interpolate import splev, splprep

        spline, _ = splprep(np.array([*OUTLINE, OUTLINE[0]]).T, s=0, per=True)
        self._outline("lasso", list(zip(*splev(np.linspace(0, 1, 120), spline), strict=True)))

    def livewire(self) -> None:
        """Set a few points on the border of the liver."""
        edge = self._border(11)
        self._outline("livewire", edge)

    def level(self) -> None:
        """Show the level of the liver's border and take it."""
        self.clear()
        self.app.tools.tool = "level"
        spleen = center(self.spleen[int(self.middle[0])][None])[1:]
        place = np.array([self.middle[0], *spleen])
        self.viewer.scene.camera.zoom = 2.4
        self.viewer.scene.camera.center = (0.0, *(place[1:] * self.app.case.volume.geometry.spacing[1:]))
        self.app.drawing.hover(self._spleen_border(place), 0)
        self.pair("level", lambda: self.app.drawing.click(self._spleen_border(place), 0))

    def grow(self) -> None:
        """Grow over the tissue of the liver."""
        self.clear()
        self.app.tools.tool = "grow"
        self.pair("grow", lambda: self.app.drawing.click(self.at(-6, -14), 0))

    def islands(self) -> None:
        """Keep one of three islands, and remove one of them."""
        for tool in ("keep-island", "remove-island"):
            self.clear(self._blobs())
            self.app.tools.tool, self.app.tools.hand_reach = tool, "volume"
            self.pair(tool, lambda: self.app.drawing.click(self.at(-10, -28), 0))

    def scissors(self) -> None:
        """Cut the liver in the 3D view."""
        from napari_volseg.app.outlines import Ray
        from napari_volseg.viewer.sketches import line_of_sight

        self.clear(self.truth)
        self.app.tools.tool = "scissors"
        self.app.view.three_d = True
        self.viewer.scene.camera.zoom *= 0.75
        pause(PAUSE)
        rays: list[Ray] = []
        camera, geometry = self.viewer.scene.camera, self.app.case.volume.geometry
        right, up = np.cross(camera.view_direction, camera.up_direction), np.array(camera.up_direction)
        for angle in np.linspace(0, 2 * np.pi, 40):
            across, down = -50 + 32 * np.cos(angle), -10 + 38 * np.sin(angle)
            position = np.array(camera.center) + (-right * across - up * down) / camera.zoom
            pixel = (self.canvas.width() / 2 + across, self.canvas.height() / 2 + down)
            rays.append(line_of_sight(geometry, position, camera.view_direction, pixel))
        for ray in rays:
            self.app.drawing.look(ray)
        self.pair("scissors", self.app.drawing.cut)

    # -- within ---------------------------------------------------------------------------------------------------

    def _stroke(self, points: Points) -> None:
        painter = self.app.painter
        painter.press(self.at(*points[0]), 0)
        for point in points[1:]:
            painter.move(self.at(*point))
        painter.release()

    def _outline(self, tool: str, points: Points) -> None:
        self.clear()
        self.app.tools.tool = tool
        for point in points:
            self.app.drawing.press(self.at(*point), 0)
        self.pair(tool, self.app.drawing.close)

    def _border(self, count: int) -> list[tuple[float, float]]:
        """Return points of the liver's border on its middle slice."""
        from skimage.measure import find_contours

        line = max(find_contours(self.truth[int(self.middle[0])].astype(float), 0.5), key=len)
        picked = line[np.linspace(0, len(line), count, endpoint=False).astype(int)] - self.middle[1:]
        return [(float(row), float(column)) for row, column in picked]

    def _spleen_border(self, place: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the voxel of the spleen farthest to the patient's left on the row of a place."""
        columns = np.flatnonzero(self.spleen[int(place[0]), int(place[1])])
        return np.array([place[0], place[1], columns.max()])

    def _blobs(self) -> NDArray[np.bool_]:
        z, y, x = np.ogrid[tuple(slice(n) for n in self.truth.shape)]
        blobs = np.zeros(self.truth.shape, bool)
        for (row, column), radius in {(-10, -28): 11, (-8, 8): 7, (18, -16): 8}.items():
            _, b, c = self.at(row, column)
            blobs |= (z - self.middle[0]) ** 2 * 9 + (y - b) ** 2 + (x - c) ** 2 < radius**2
        return blobs


if __name__ == "__main__":
    main()
