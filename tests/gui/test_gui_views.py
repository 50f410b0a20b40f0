"""Several views in a real window: they are worked in, laid out and drawn as the patient lies."""

from __future__ import annotations

import napari
import numpy as np
import pytest
from driving import move_pressed
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QImage, QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton, QToolButton, QWidget

from napari_volseg.core import Geometry, Volume, Window
from napari_volseg.plugin.widgets import SegmentationPanel
from napari_volseg.spatial import apply_reorientation, display_reorientation, reorient_geometry
from napari_volseg.widgets import create_window

pytestmark = pytest.mark.gui

FLAT = ("axial", "coronal", "sagittal")
PATIENCE = 120_000
NONE, SHIFT, ALT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier
SHAPE, SPACING = (40, 50, 44), (2.0, 1.5, 1.5)
AXES = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
#: Where in each view lies what is left, anterior and superior in the patient: right and down.
SIDES = {"axial": ((1, 0), (0, -1), None), "coronal": ((1, 0), None, (0, -1)), "sagittal": (None, (-1, 0), (0, -1))}


def soft_tissue() -> Volume:
    """A CT of air around tissue with a bright ball in the middle."""
    voxels = np.full(SHAPE, -1000, np.int16)
    voxels[3:-3, 4:-4, 4:-4] = 40
    z, y, x = np.ogrid[tuple(slice(n) for n in SHAPE)]
    voxels[((z - 20) * 2) ** 2 + ((y - 25) * 1.5) ** 2 + ((x - 22) * 1.5) ** 2 < 12**2] = 160
    return Volume(voxels, Geometry.from_spacing(SHAPE, SPACING), "CT", "HU", "HU", "ball")


class Views:
    """A hand over several views.

    Parameters
    ----------
    viewer, app, panel
        What ``create_window`` returned.
    qtbot
        pytest-qt's robot.
    """

    def __init__(self, viewer, app, panel, qtbot) -> None:
        self.viewer, self.app, self.panel, self.qtbot = viewer, app, panel, qtbot

    def open(self, volume: Volume, layout: str = "four") -> None:
        self.app.view.layout = layout
        self.app.adopt(volume)
        self.app.view.index = tuple(n // 2 for n in volume.geometry.shape)
        self.wait(lambda: len(self.panel.binding.shown) == 4)
        self.settle()

    def wait(self, condition) -> None:
        self.qtbot.waitUntil(condition, timeout=PATIENCE)

    def settle(self) -> None:
        self.wait(lambda: not self.app.jobs.active)
        QTest.qWait(100)

    def canvas(self, name: str) -> QWidget:
        return self.panel.views.canvas(name)

    def pane(self, name: str):
        return self.panel.binding.shown[name]

    def where(self, name: str, index) -> QPoint:
        """Where the canvas of a view shows a voxel (z, y, x) of its slice."""
        pane, canvas = self.pane(name), self.canvas(name)
        camera, dims = pane.viewer.scene.camera, pane.viewer.dims
        world = np.array([index[axis] * SPACING[axis] for axis in dims.displayed])
        signs = [1 if str(o) in ("down", "right") else -1 for o in camera.orientation2d]
        down, right = (world - np.array(camera.center[-2:])) * signs * camera.zoom
        return QPoint(round(canvas.width() / 2 + right), round(canvas.height() / 2 + down))

    def click(self, name: str, index, modifier=NONE) -> None:
        point = self.where(name, index)
        QTest.mouseMove(self.canvas(name), point)
        QTest.mouseClick(self.canvas(name), Qt.MouseButton.LeftButton, modifier, point)
        QApplication.processEvents()

    def drag(self, name: str, start, stop) -> None:
        canvas, first, last = self.canvas(name), self.where(name, start), self.where(name, stop)
        QTest.mouseMove(canvas, first)
        QTest.mousePress(canvas, Qt.MouseButton.LeftButton, NONE, first)
        for share in np.linspace(0, 1, 6)[1:]:
            step = first + QPoint(round(share * (last - first).x()), round(share * (last - first).y()))
            move_pressed(canvas, step)
        QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, NONE, last)
        QApplication.processEvents()

    def hover(self, name: str, index, modifier=NONE) -> None:
        canvas, point = self.canvas(name), self.where(name, index)
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(point),
            QPointF(canvas.mapToGlobal(point)),
            Qt.MouseButton.NoButton,
            Qt.MouseButton.NoButton,
            modifier,
        )
        QApplication.sendEvent(canvas, event)
        QApplication.processEvents()

    def double_click(self, name: str, index) -> None:
        canvas, point = self.canvas(name), self.where(name, index)
        QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, NONE, point)
        QTest.mouseDClick(canvas, Qt.MouseButton.LeftButton, NONE, point)
        QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, NONE, point)
        self.settle()

    def key(self, name: str, key, modifier=NONE) -> None:
        canvas = self.canvas(name)
        canvas.setFocus()
        QTest.keyClick(canvas, key, modifier)
        self.settle()

    def pixels(self, name: str) -> np.ndarray:
        """What a canvas draws, (rows, columns, RGB)."""
        image = self.canvas(name).grabFramebuffer().convertToFormat(QImage.Format.Format_RGB32)
        bits = image.constBits()
        bits.setsize(image.height() * image.bytesPerLine())
        rows = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine())
        return rows[:, : 4 * image.width()].reshape(image.height(), image.width(), 4)[..., 2::-1].astype(int)


@pytest.fixture(scope="module")
def window(qapp):
    viewer, app, panel = create_window()
    panel.window().resize(1366, 768)
    yield viewer, app, panel
    viewer.close()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def views(window, qtbot) -> Views:
    viewer, app, panel = window
    views = Views(viewer, app, panel, qtbot)
    views.open(soft_tissue())
    app.tools.tool = "navigate"
    return views


def coloured(pixels: np.ndarray) -> np.ndarray:
    """Where something is drawn that is not grey."""
    return np.ptp(pixels, axis=-1) > 40


def test_what_the_brush_paints_in_one_view_is_drawn_in_the_others(views) -> None:
    assert not any(coloured(views.pixels(name)).any() for name in FLAT)
    views.key("axial", Qt.Key.Key_B)
    views.app.tools.radius_mm = 6.0
    views.drag("coronal", (20, 25, 14), (20, 25, 30))
    labels = views.app.case.segmentation.labels
    assert labels[20, 25, 14] == labels[20, 25, 30] == 1
    assert np.flatnonzero(labels.any(axis=(0, 2))).tolist() == [25]
    assert views.app.view.plane == "coronal"
    views.settle()
    for name in FLAT:
        assert coloured(views.pixels(name)).sum() > 15, name
    views.key("sagittal", Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not labels.any()
    assert not any(coloured(views.pixels(name)).any() for name in FLAT)


def test_a_click_in_the_sagittal_view_makes_a_segment(views) -> None:
    views.key("sagittal", Qt.Key.Key_K)
    views.click("sagittal", (20, 25, 22))
    views.settle()
    labels = views.app.case.segmentation.labels
    assert labels[20, 25, 22] == 1
    assert 1500 < np.count_nonzero(labels) < 2600
    assert all(coloured(views.pixels(name)).sum() > 200 for name in FLAT)


def test_shift_and_presses_lead_the_others_along_and_the_status_bar_tells(views) -> None:
    views.hover("sagittal", (12, 30, 22), SHIFT)
    assert views.app.view.index == (12, 30, 22)
    views.click("axial", (12, 18, 9))
    assert views.app.view.index == (12, 18, 9)
    views.hover("coronal", (30, 18, 25))
    text = views.panel.readout.label.text()
    assert "40 HU" in text
    assert float(text.split("S ")[1].split()[0]) == pytest.approx(60, abs=1)  # a pixel of the screen
    assert [views.pane(n).slice_index(views.pane(n).axis) for n in FLAT] == [12, 18, 9]


@pytest.mark.parametrize("name", FLAT)
def test_a_double_click_maximizes_and_brings_all_back(name, views) -> None:
    before = views.canvas(name).size()
    views.double_click(name, (20, 25, 22))
    assert views.app.view.layout == "one"
    assert list(views.panel.binding.shown) == [name]
    size = views.canvas(name).size()
    assert size.width() > 1.6 * before.width()
    assert size.height() > 1.6 * before.height()
    visible = [viewer for viewer in views.panel.views._viewers.values() if viewer.isVisible()]
    assert len(visible) == 1
    views.double_click(name, (20, 25, 22))
    assert len(views.panel.binding.shown) == 4
    assert views.canvas(name).size() == before


def test_layouts_by_key_button_and_corner(views) -> None:
    views.key("coronal", Qt.Key.Key_2, ALT)
    assert views.app.view.layout == "one-three"
    widths = {name: views.canvas(name).width() for name in FLAT}
    assert max(widths, key=widths.get) == views.app.view.large
    assert max(widths.values()) > 1.5 * min(widths.values())
    QTest.mouseClick(views.panel.findChild(QPushButton, "view.layout-four"), Qt.MouseButton.LeftButton)
    views.settle()
    widths = {name: views.canvas(name).width() for name in FLAT}
    assert np.ptp(list(widths.values())) <= 2
    corner = views.canvas("sagittal").findChild(QToolButton, "view-maximize")
    QTest.mouseClick(corner, Qt.MouseButton.LeftButton)
    views.settle()
    assert list(views.panel.binding.shown) == ["sagittal"]
    views.key("sagittal", Qt.Key.Key_V)
    assert len(views.panel.binding.shown) == 4


def test_a_key_over_any_view_runs_its_command_once(views) -> None:
    for name in FLAT:
        before = views.app.view.crosshair
        views.key(name, Qt.Key.Key_Z)
        assert views.app.view.crosshair != before
    views.key("coronal", Qt.Key.Key_S)
    assert views.app.view.plane == "sagittal"


def test_3d_is_made_when_it_is_clicked(views) -> None:
    waiting = views.panel.views.findChild(QPushButton, "view-3d-waiting")
    assert waiting.isVisible()
    QTest.mouseClick(waiting, Qt.MouseButton.LeftButton)
    views.settle()
    assert not waiting.isVisible()
    assert views.app.view.three_d
    assert views.pixels("3d").max() > 60
    assert views.pane("axial").viewer.dims.ndisplay == 2


def block_volume(codes: str) -> Volume:
    """A grid stored towards ``codes``, with bright voxels left, anterior and superior of its middle, display grid."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([AXES[c] for c in codes], 1) * np.array([1.0, 2.0, 1.5])
    stored = Geometry((36, 32, 34), matrix)
    turn = display_reorientation(stored)
    geometry = reorient_geometry(stored, turn)
    voxels = np.zeros(geometry.shape, np.int16)
    center = geometry.to_patient((np.array(geometry.shape) - 1) / 2)
    for letter, value in (("L", 300), ("A", 600), ("S", 900)):
        far = min(n * s for n, s in zip(geometry.shape, geometry.spacing, strict=True)) * 0.35
        z, y, x = np.round(geometry.to_index(center + far * np.array(AXES[letter]))).astype(int)
        voxels[z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 3] = value
    assert apply_reorientation(np.zeros(stored.shape), turn).shape == voxels.shape
    return Volume(voxels, geometry, "CT", "HU", "HU", codes)


@pytest.mark.parametrize("codes", ["LPS", "RAS", "PIR", "SLA"])
def test_each_view_is_drawn_as_the_patient_lies(codes, views) -> None:
    views.app.view.crosshair = False
    views.open(block_volume(codes))
    for value, place in ((300, 0), (600, 1), (900, 2)):
        views.app.view.window = Window(value, 100)  # brighter blocks are white as well: only this one is grey
        views.settle()
        for name in FLAT:
            expected = SIDES[name][place]
            grey = views.pixels(name).mean(-1)
            seen = (grey > 90) & (grey < 165)
            seen[:40, :100] = False
            if expected is None:
                continue
            rows, columns = np.nonzero(seen)
            assert len(rows) > 50, (name, value)
            height, width = seen.shape
            right, down = columns.mean() - width / 2, rows.mean() - height / 2
            reach = 12
            assert (int(np.sign(right)) * (abs(right) > reach), int(np.sign(down)) * (abs(down) > reach)) == expected
    views.app.view.crosshair = True


def test_a_large_window_begins_with_four_views(qapp, qtbot, monkeypatch) -> None:
    monkeypatch.setattr("napari_volseg.widgets.window.ROOM_FOR_FOUR", (300, 300))
    viewer, app, panel = create_window()
    assert app.view.layout == "four"
    assert len(panel.binding.shown) == 1  # there is nothing to see yet
    app.adopt(soft_tissue())
    qtbot.waitUntil(lambda: len(panel.binding.shown) == 4, timeout=PATIENCE)
    QTest.qWait(100)
    sizes = {(panel.views.canvas(name).width(), panel.views.canvas(name).height()) for name in FLAT}
    assert np.ptp(list(sizes), axis=0).max() <= 2
    for name in FLAT:  # each is fitted into the canvas that it has got
        grey = Views(viewer, app, panel, qtbot).pixels(name).mean(-1) > 60
        rows, columns = np.nonzero(grey)
        assert max(np.ptp(rows) / grey.shape[0], np.ptp(columns) / grey.shape[1]) > 0.7
    viewer.close()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def test_in_a_plain_napari_views_are_laid_out_and_taken_away_again(qapp, qtbot) -> None:
    viewer = napari.Viewer()
    viewer.window.resize(1366, 768)
    panel = SegmentationPanel(viewer)
    dock = viewer.window.add_dock_widget(panel, area="right")
    views = Views(viewer, panel.app, panel, qtbot)
    qtbot.waitUntil(lambda: panel.views is not None, timeout=PATIENCE)
    assert panel.app.view.layout == "one"
    views.open(soft_tissue())
    views.click("coronal", (20, 25, 30))
    assert viewer.dims.current_step[0] == 20
    assert panel.app.view.index == (20, 25, 30)
    viewer.window.remove_dock_widget(dock)
    QTest.qWait(100)
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert not viewer.layers
    home = viewer.window._qt_viewer
    assert home.isVisible()
    assert home.width() > 800
    viewer.close()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)
