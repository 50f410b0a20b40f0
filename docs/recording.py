"""Record the README's films: the whole job by mouse and keys in the running app.

One film shows it in four linked views on the sample CT, one in each plane and in 3D on it, and one so on a real CT,
where the folder of real cases is given: the abdomen that TotalSegmentator's tests use (Apache-2.0).

    make recording
    NAPARI_VOLSEG_REAL_DATA=folder make recording

Every press is a real event on the window's own widgets; the arrow is painted where it happened.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from screenshots import FOLDER, center, pause, wait

SIZE, SCALE = (1366, 768), 0.7
#: Milliseconds that a picture stays, and that one stays at which something is to be read.
QUICK, SLOW = 220, 1400
COLORS = 224
ARROW = ((0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (12, 12))


class Film:
    """Pictures of a window, with the mouse in them."""

    def __init__(self, window) -> None:
        self._window = window
        self._pictures: list[Image.Image] = []
        self._durations: list[int] = []
        self.mouse = (SIZE[0] // 2, SIZE[1] // 2)

    def take(self, duration: int = QUICK, settle: int = 60) -> None:
        """Take a picture that stays for some milliseconds."""
        pause(settle)
        grabbed = self._window.grab().toImage().convertToFormat(4)  # RGB32
        bits = grabbed.bits()
        bits.setsize(grabbed.byteCount())
        pixels = np.frombuffer(bits, np.uint8).reshape(grabbed.height(), grabbed.width(), 4)
        picture = Image.fromarray(pixels[..., 2::-1].copy())
        shape = [(self.mouse[0] + x, self.mouse[1] + y) for x, y in ARROW]
        ImageDraw.Draw(picture).polygon(shape, fill="white", outline="black")
        small = picture.resize([round(n * SCALE) for n in picture.size], Image.Resampling.LANCZOS)
        self._pictures.append(small)
        self._durations.append(duration)

    def save(self, path: Path) -> None:
        """Write the film as an animated GIF."""
        palette = _beside(self._pictures[len(self._pictures) // 2], self._pictures[-1]).quantize(COLORS)
        frames = [p.quantize(COLORS, palette=palette, dither=Image.Dither.NONE) for p in self._pictures]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=self._durations, loop=0, optimize=True)


def _beside(one: Image.Image, other: Image.Image) -> Image.Image:
    """Return two pictures as one: greys are in the one, the colours of segments in the other."""
    both = Image.new("RGB", (one.width + other.width, one.height))
    both.paste(one, (0, 0))
    both.paste(other, (one.width, 0))
    return both


class Actor:
    """A hand that works at the window while it is filmed."""

    def __init__(self, app, panel, film: Film) -> None:
        self.app, self.panel, self.film = app, panel, film

    def press(self, name: str) -> None:
        """Click a button of the window."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest
        from qtpy.QtWidgets import QPushButton, QScrollArea

        button = self.panel.window().findChild(QPushButton, name)
        if self.panel.isAncestorOf(button):
            self.panel.findChild(QScrollArea).ensureWidgetVisible(button)
        pause(100)
        self._move(button, button.rect().center())
        self.film.take()
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def key(self, view: str, key, modifier=None) -> None:
        """Press a key over a view."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        canvas = self.panel.views.canvas(view)
        canvas.setFocus()
        QTest.keyClick(canvas, key, modifier or Qt.KeyboardModifier.NoModifier)

    def click(self, view: str, index) -> None:
        """Click a voxel (z, y, x) in a view."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        canvas, point = self._place(view, index)
        self._move(canvas, point)
        self.film.take()
        QTest.mouseMove(canvas, point)
        QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, point)
        self._work()

    def drag(self, view: str, indices) -> None:
        """Draw from voxel to voxel with the left button."""
        from qtpy.QtCore import QEvent, QPointF, Qt
        from qtpy.QtGui import QMouseEvent
        from qtpy.QtTest import QTest
        from qtpy.QtWidgets import QApplication

        left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        canvas, point = self._place(view, indices[0])
        QTest.mousePress(canvas, left, none, point)
        for index in indices[1:]:
            _, point = self._place(view, index)
            self._move(canvas, point)
            place = (QPointF(point), QPointF(canvas.mapToGlobal(point)))
            QApplication.sendEvent(
                canvas, QMouseEvent(QEvent.Type.MouseMove, *place, Qt.MouseButton.NoButton, left, none)
            )
            self.film.take(100)
        QTest.mouseRelease(canvas, left, none, point)
        self._work()

    def _place(self, view: str, index):
        from qtpy.QtCore import QPoint

        from napari_volseg.viewer.sketches import on_canvas, on_canvas_3d

        canvas, pane = self.panel.views.canvas(view), self.panel.binding.shown[view]
        spacing = self.app.case.volume.geometry.spacing
        size = (canvas.width(), canvas.height())
        seen = on_canvas_3d if pane.three_d else on_canvas
        x, y = seen(pane.viewer, np.multiply(index, spacing)[None], size)[0]
        return canvas, QPoint(round(x), round(y))

    def _move(self, widget, point) -> None:
        there = widget.mapTo(self.panel.window(), point)
        start, stop = np.array(self.film.mouse), np.array((there.x(), there.y()))
        if np.linalg.norm(stop - start) > 200:
            self.film.mouse = tuple((start + stop) // 2)
            self.film.take(90, settle=10)
        self.film.mouse = tuple(stop)

    def _work(self) -> None:
        while self.app.jobs.active:
            self.film.take()
        self.film.take(700, settle=300)


def record() -> None:
    """Open, segment, click, correct, undo and export, in four linked views."""
    from qtpy.QtCore import Qt

    from napari_volseg.app import sample_path
    from napari_volseg.formats import load_labels
    from napari_volseg.widgets import create_window, dialogs

    _, app, panel = create_window()
    window = panel.window()
    window.resize(*SIZE)
    film = Film(window)
    actor = Actor(app, panel, film)
    app.view.layout = "four"
    film.take(SLOW, settle=500)

    dialogs.ask_folder = lambda *_: sample_path("torso-ct-dicom")
    actor.press("open.folder")
    wait(lambda: app.case is not None and not app.jobs.active and len(panel.binding.shown) == 4)
    film.take(SLOW, settle=2500)
    truth = load_labels(sample_path("torso-ct").with_name("torso-labels.nii.gz"), app.case.volume)
    named = {segment.name: truth.labels == segment.value for segment in truth.table}
    actor.key("axial", Qt.Key.Key_1)
    film.take(900, settle=300)
    actor.key("axial", Qt.Key.Key_3)
    film.take(600, settle=300)

    app.tools.model = "phantom-organs"
    actor.press("segment.run")
    actor._work()
    film.take(SLOW, settle=1500)

    target = named["Liver lesion"]
    app.view.index = tuple(int(i) for i in center(target))
    film.take(900, settle=1000)
    actor.press("segment.next")
    actor.key("coronal", Qt.Key.Key_K)
    actor.click("coronal", center(target))
    film.take(SLOW, settle=1000)

    z, y, x = (int(i) for i in center(target))
    actor.key("axial", Qt.Key.Key_B)
    actor.drag("axial", [(z, y + step, x - 2 * step) for step in range(0, 10, 2)])
    actor.key("axial", Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    film.take(SLOW, settle=600)

    with tempfile.TemporaryDirectory() as folder:
        dialogs.ask_save = lambda *_: Path(folder) / "labels.dcm"
        actor.press("export.dicom-seg")
        wait(lambda: not app.jobs.active)
        film.take(SLOW, settle=500)
    actor.press("view-3d-waiting")
    wait(lambda: not app.jobs.active)
    film.take(2 * SLOW, settle=4000)
    film.save(FOLDER / "job.gif")
    window.close()


@dataclass(frozen=True)
class Story:
    """What is done in each plane and in 3D.

    Parameters
    ----------
    image, labels
        The case, and labels from which places are taken.
    targets
        For each plane what is clicked, its name, and how far from its middle, voxels (z, y, x), it is painted on.
    deep, side, cut
        What is clicked in 3D, from where one looks, and at which slice the view is cut open.
    film
        Name of the film.
    """

    image: Path
    labels: Path
    targets: dict[str, tuple[int, str, tuple[int, int, int]]]
    deep: tuple[int, str]
    side: str
    cut: str
    film: str


def sample_story() -> Story:
    """Return the story on the sample CT."""
    from napari_volseg.app import sample_path

    targets = {
        "axial": (4, "Liver", (0, 6, 4)),
        "coronal": (5, "Spleen", (3, 0, 3)),
        "sagittal": (7, "Left kidney", (3, 3, 0)),
    }
    labels = sample_path("torso-ct").with_name("torso-labels.nii.gz")
    return Story(sample_path("torso-ct-dicom"), labels, targets, (3, "Heart"), "anterior", "coronal", "views.gif")


def real_story(folder: Path) -> Story:
    """Return the story on the abdominal CT of TotalSegmentator's tests; labels by its class numbers."""
    files = folder / "totalsegmentator" / "tests" / "reference_files"
    targets = {
        "axial": (1, "Spleen", (0, 6, 4)),
        "coronal": (79, "Spinal cord", (1, 0, 2)),
        "sagittal": (52, "Aorta", (1, 2, 0)),
    }
    image, labels = files / "example_ct_dicom", files / "example_seg_dicom.nii.gz"
    return Story(image, labels, targets, (87, "Back muscle"), "superior", "axial", "real.gif")


def record_views(story: Story) -> None:
    """Segment by click, correct and undo in each plane; click in 3D on the slice at which it is cut; export."""
    from qtpy.QtCore import Qt

    from napari_volseg.formats import load_labels
    from napari_volseg.widgets import create_window, dialogs

    _, app, panel = create_window()
    window = panel.window()
    window.resize(*SIZE)
    film = Film(window)
    actor = Actor(app, panel, film)
    app.open_path(story.image)
    wait(lambda: app.case is not None and not app.jobs.active)
    truth = load_labels(story.labels, app.case.volume).labels
    app.view.layout = "one-three"
    pause(2500)
    for view, (value, name, away) in story.targets.items():
        place = center(truth == value)
        app.view.index = tuple(int(i) for i in place)
        actor.press(f"view.{view}")
        film.take(SLOW, settle=1200)
        actor.key(view, Qt.Key.Key_Insert)
        app.case.name_segment(app.case.active, name)
        actor.key(view, Qt.Key.Key_K)
        actor.click(view, place)
        film.take(SLOW, settle=900)
        actor.press("click.accept")
        actor.key(view, Qt.Key.Key_B)
        actor.drag(view, [place + np.multiply(away, step) for step in range(1, 5)])
        film.take(700)
        actor.key(view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        film.take(SLOW, settle=600)
    value, name = story.deep
    place = center(truth == value)
    app.view.index = tuple(int(i) for i in place)
    actor.press("view.3d")
    wait(lambda: not app.jobs.active)
    film.take(SLOW, settle=3500)
    if story.side != "anterior":
        actor.press(f"view.from-{story.side}")
        film.take(SLOW, settle=1500)
    actor.key("3d", Qt.Key.Key_Insert)
    app.case.name_segment(app.case.active, name)
    actor.key("3d", Qt.Key.Key_K)
    actor.press(f"view.cut-{story.cut}")
    film.take(SLOW, settle=1500)
    actor.click("3d", place)
    wait(lambda: not app.jobs.active)
    film.take(SLOW, settle=2500)
    actor.press("view.cut-nothing")
    film.take(SLOW, settle=1500)
    with tempfile.TemporaryDirectory() as folder:
        dialogs.ask_save = lambda *_: Path(folder) / "labels.nii.gz"
        actor.press("export.nifti")
        wait(lambda: not app.jobs.active)
        film.take(2 * SLOW, settle=500)
    film.save(FOLDER / story.film)
    window.close()


if __name__ == "__main__":
    real = os.environ.get("NAPARI_VOLSEG_REAL_DATA")
    films = [record, lambda: record_views(sample_story())]
    if real:
        films.append(partial(record_views, real_story(Path(real))))
    for film in films:
        with tempfile.TemporaryDirectory() as own:
            os.environ.update(XDG_DATA_HOME=own, NAPARI_CONFIG=f"{own}/settings.yaml")
            film()
