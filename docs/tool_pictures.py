"""Take the pictures of ``tools.md`` from the running app: each tool before, previewed and applied.

make tool-pictures
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage
from screenshots import FOLDER, center, go_to, pause, wait

TOOLS = FOLDER / "tools"
#: Edge of a square picture, pixels, and what it shows of the patient, mm.
EDGE, EXTENT = 220, 190
#: Colours that a picture keeps, and milliseconds that the window gets to draw.
COLORS, PAUSE = 64, 500

Labels = np.ndarray


@dataclass(frozen=True)
class Scene:
    """What a tool is shown on.

    Parameters
    ----------
    active
        Segment that it acts on.
    settings
        Its parameters; ``other``, ``middle`` and ``background`` by the name of the segment.
    prepare
        Makes the labels to begin with from the true ones; gets them, and label values by name.
    on
        Segment whose middle slice is shown.
    at
        Segment whose middle on that slice is shown.
    look
        Slices from the shown one to that in the pictures: what happens there can't be previewed here.
    """

    active: str
    settings: dict = field(default_factory=dict)
    prepare: Callable[[Labels, dict[str, int]], None] = lambda labels, named: None
    on: str = "Liver"
    at: str = "Liver"
    look: int = 0


def only(*names: str) -> Callable[[Labels, dict[str, int]], None]:
    """Keep some segments alone."""

    def prepare(labels: Labels, named: dict[str, int]) -> None:
        labels[~np.isin(labels, [named[name] for name in names])] = 0

    return prepare


def clear(labels: Labels, named: dict[str, int]) -> None:
    """Erase everything."""
    labels[...] = 0


def seeds(labels: Labels, named: dict[str, int]) -> None:
    """Leave the cores of a few segments, and strokes around them."""
    cores = np.zeros_like(labels)
    for name in ("Liver", "Stomach", "Spleen", "Bone"):
        core = ndimage.binary_erosion(labels == named[name], iterations=1 if name == "Bone" else 6)
        cores[core] = named[name]
    around = ~ndimage.binary_dilation(labels > 0, iterations=4)
    cores[around & (np.indices(labels.shape)[2] % 12 < 4)] = named["Lung nodule"]
    labels[...] = cores


def specks(labels: Labels, named: dict[str, int]) -> None:
    """Add islands of several sizes to the liver."""
    only("Liver")(labels, named)
    z, y, x = center(labels == named["Liver"])
    for dy, dx, size in ((22, 14, 6), (26, 30, 9), (12, 40, 5), (36, 20, 4)):
        labels[z - 2 : z + 3, y + dy : y + dy + size, x + dx : x + dx + size] = named["Liver"]


def holes(labels: Labels, named: dict[str, int]) -> None:
    """Punch cavities into the liver."""
    only("Liver")(labels, named)
    z, y, x = center(labels == named["Liver"])
    for dy, dx, r in ((-14, -12, 4), (4, 12, 3), (12, -14, 5), (-10, 20, 3)):
        labels[z - 2 : z + 3, y + dy - r : y + dy + r, x + dx - r : x + dx + r] = 0


def rough(labels: Labels, named: dict[str, int]) -> None:
    """Give all large segments ragged borders."""
    labels[np.isin(labels, [named["Lung nodule"], named["Liver lesion"]])] = 0
    noise = np.random.default_rng(3).normal(size=(*labels.shape, 3))
    by = np.round(14 * ndimage.gaussian_filter(noise, (1, 1, 1, 0))).astype(int)
    index = np.indices(labels.shape) + np.moveaxis(by, -1, 0)
    labels[...] = labels[tuple(np.clip(i, 0, n - 1) for i, n in zip(index, labels.shape, strict=True))]


def rough_liver(labels: Labels, named: dict[str, int]) -> None:
    """Give the liver a ragged border."""
    only("Liver")(labels, named)
    rough(labels, named)


def spikes(labels: Labels, named: dict[str, int]) -> None:
    """Let thin spikes stand out of the liver."""
    only("Liver")(labels, named)
    z, y, x = center(labels == named["Liver"])
    labels[z - 1 : z + 2, y + 22 : y + 24, x - 10 : x + 36] = named["Liver"]
    labels[z - 1 : z + 2, y - 45 : y, x - 20 : x - 18] = named["Liver"]


def clefts(labels: Labels, named: dict[str, int]) -> None:
    """Cut narrow clefts into the liver."""
    only("Liver")(labels, named)
    z, y, x = center(labels == named["Liver"])
    labels[z - 3 : z + 4, y - 40 : y, x - 2 : x] = 0
    labels[z - 3 : z + 4, y + 8 : y + 10, x - 50 : x] = 0


def few_slices(labels: Labels, named: dict[str, int]) -> None:
    """Leave every eighth slice of liver and spleen."""
    only("Liver", "Spleen", "Stomach")(labels, named)
    drawn = center(labels == named["Liver"])[0] + 4
    labels[(np.arange(len(labels)) - drawn) % 8 != 0] = 0


def one_slice(labels: Labels, named: dict[str, int]) -> None:
    """Leave the middle slice of the liver."""
    only("Liver")(labels, named)
    labels[np.arange(len(labels)) != center(labels == named["Liver"])[0]] = 0


def one_lung(labels: Labels, named: dict[str, int]) -> None:
    """Make the lungs one segment."""
    only("Right lung", "Left lung")(labels, named)
    labels[labels == named["Left lung"]] = named["Right lung"]


SCENES = {
    "threshold": Scene("Aorta", {"low": 180, "high": 2000}, clear, at="Aorta"),
    "grow-seeds": Scene("Liver", {"mm": 8, "background": "Lung nodule"}, seeds, at="Stomach"),
    "keep-largest": Scene("Liver", {}, specks),
    "remove-small": Scene("Liver", {"volume": 3000}, specks),
    "split-islands": Scene("Right lung", {}, one_lung, "Heart", "Heart"),
    "fill-holes": Scene("Liver", {}, holes),
    "smooth-median": Scene("Liver", {"mm": 12}, rough_liver),
    "smooth-opening": Scene("Liver", {"mm": 5}, spikes),
    "smooth-closing": Scene("Liver", {"mm": 5}, clefts),
    "smooth-gaussian": Scene("Liver", {"mm": 5}, rough_liver),
    "smooth-all": Scene("Liver", {"mm": 4}, rough, at="Stomach"),
    "margin": Scene("Spleen", {"mm": 8}, only("Spleen", "Stomach"), "Spleen", "Spleen"),
    "hollow": Scene("Liver", {"mm": 8}, only("Liver")),
    "fill-between": Scene("Liver", {"which": "all"}, few_slices, at="Stomach"),
    "extend": Scene("Liver", {"mm": 40}, one_slice, look=4),
    "copy-next": Scene("Liver", {}, one_slice, look=-1),
    "copy-previous": Scene("Liver", {}, one_slice, look=1),
    "mirror": Scene("Right kidney", {"use": "new"}, only("Right kidney"), "Right kidney", "Aorta"),
    "split-plane": Scene("Liver", {}, only("Liver"), look=4),
    "union": Scene("Liver", {"other": "Liver lesion"}, only("Liver", "Liver lesion"), "Liver lesion", "Liver lesion"),
    "subtract": Scene(
        "Liver", {"other": "Liver lesion", "mm": 6}, only("Liver", "Liver lesion"), "Liver lesion", "Liver lesion"
    ),
    "intersect": Scene(
        "Liver", {"other": "Liver lesion", "mm": 20}, only("Liver", "Liver lesion"), "Liver lesion", "Liver lesion"
    ),
    "merge": Scene("Right lung", {"other": "Left lung"}, only("Right lung", "Left lung"), "Heart", "Heart"),
    "relabel": Scene("Liver", {"value": 40}),
}


class Studio:
    """The window in which the pictures are taken."""

    def __init__(self) -> None:
        from napari.qt import QtViewer

        from napari_volseg.app import sample_path
        from napari_volseg.widgets import create_window

        self.viewer, self.app, self.panel = create_window()
        self.app.view.layout = "one"
        self.window = self.panel.window()
        self.window.resize(1366, 768)
        self.canvas = self.window.findChild(QtViewer).canvas.native
        self.app.open_path(sample_path("torso-ct-dicom"))
        wait(lambda: self.app.case is not None and not self.app.jobs.active)
        self.app.open_labels(sample_path("torso-ct").with_name("torso-labels.nii.gz"))
        wait(lambda: not self.app.jobs.active)
        self.truth = self.app.case.segmentation.labels.copy()
        self.named = {segment.name: segment.value for segment in self.app.case.table}

    def show(self, tool_id: str, scene: Scene) -> None:
        """Prepare the labels and the view of a scene."""
        from napari_volseg.app import SEGMENT_TOOLS
        from napari_volseg.app.correcting import set_settings
        from napari_volseg.core import Box
        from napari_volseg.editing import Author

        labels = self.truth.copy()
        scene.prepare(labels, self.named)
        box = Box.whole(labels.shape)
        self.app.case.session.replace(box, labels, name="Draw", author=Author("hand", "user"))
        self.app.case.active = self.named[scene.active]
        names = {name: self.named.get(value, value) for name, value in scene.settings.items()}
        set_settings(self.app, SEGMENT_TOOLS[tool_id], names)
        self.app.tools.segment_tool = tool_id
        self.go(scene)

    def go(self, scene: Scene, by: int = 0) -> None:
        """Show the slice of a scene, or one some slices away from it, in the middle of the canvas."""
        index = center(self.truth == self.named[scene.on])
        index[1:] = center(self.truth[index[0]] == self.named[scene.at])
        index[0] += by
        go_to(self.viewer, self.app, index)
        place = np.asarray(index) * self.app.case.volume.geometry.spacing
        camera = self.viewer.scene.camera
        camera.center = (0.0, *(float(place[a]) for a in self.viewer.dims.order[1:]))
        camera.zoom = EDGE / EXTENT

    def look(self) -> Labels:
        """Return the middle of the canvas, (rows, columns, RGB)."""
        from qtpy.QtCore import QPoint, QRect, QSize

        pause(PAUSE)
        middle = self.canvas.mapTo(self.window, self.canvas.rect().center())
        corner = middle - QPoint(EDGE // 2, EDGE // 2)
        return _pixels(self.window.grab(QRect(corner, QSize(EDGE, EDGE))))

    def picture(self, tool_id: str, scene: Scene) -> None:
        """Save what a tool does as a row of pictures."""
        from napari_volseg.app import run_command

        self.show(tool_id, scene)
        self.go(scene, scene.look)
        views = [self.look()]
        self.go(scene)
        if not scene.look:
            self.app.tools.previewing = True
            wait(lambda: self.app.tool_preview.current)
            views.append(self.look())
        run_command(self.app, "tool.apply")
        wait(lambda: not self.app.jobs.active)
        self.go(scene, scene.look)
        views.append(self.look())
        if all(np.array_equal(views[0], view) for view in views[1:]):
            views = [self.section()]
        save(views, TOOLS / f"{tool_id}.png")
        while self.app.case.session.history.current.name != "Open labels":
            self.app.undo()

    def section(self) -> Labels:
        """Return the section of the panel, for what can't be seen in the image."""
        self.panel._area.ensureWidgetVisible(self.panel.tools)
        pause(PAUSE)
        return _pixels(self.panel.tools.grab())


def save(views: list[Labels], path: Path) -> None:
    """Write pictures side by side, in few colours."""
    from PIL import Image

    gap = np.full((len(views[0]), 6, 3), 255, np.uint8)
    row = [part for view in views for part in (gap, view)][1:]
    image = Image.fromarray(np.concatenate(row, axis=1)).quantize(COLORS, dither=Image.Dither.NONE)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)


def _pixels(pixmap) -> Labels:
    from qtpy.QtGui import QImage

    image = pixmap.toImage().convertToFormat(QImage.Format.Format_RGB888)
    bits = image.constBits()
    bits.setsize(image.height() * image.bytesPerLine())
    rows = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def main() -> None:
    """Take the pictures of the tools that are named, or of all."""
    with tempfile.TemporaryDirectory() as own:
        os.environ.update(XDG_DATA_HOME=own, XDG_CACHE_HOME=own, NAPARI_CONFIG=f"{own}/settings.yaml")
        studio = Studio()
        for tool_id in sys.argv[1:] or SCENES:
            studio.picture(tool_id, SCENES[tool_id])
        studio.viewer.close()


if __name__ == "__main__":
    main()
