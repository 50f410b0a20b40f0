"""What is painted of an image that is still being read lies where napari draws it afterwards, over the open case."""

from __future__ import annotations

import threading

import nibabel as nib
import numpy as np
import pytest
from driving import Hand, turn_wheel
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_volseg.app import SessionStore
from napari_volseg.app import application as application_module
from napari_volseg.app import preview as preview_module
from napari_volseg.core import RefusedError, Window
from napari_volseg.formats import load, scan
from napari_volseg.widgets import create_window

pytestmark = pytest.mark.gui

SHAPE = (20, 34, 26)


class Gate:
    """Holds a reader up at its last slice but one until it is let go on, or fails it there."""

    def __init__(self) -> None:
        self.reached, self.open, self.error = threading.Event(), threading.Event(), None

    def load(self, found, decided, progress, cancel, preview):
        def report(now):
            progress(now)
            if now.done == SHAPE[0] - 1:
                self.reached.set()
                assert self.open.wait(60)
                if self.error is not None:
                    raise self.error

        return load(found, report, cancel, preview=preview)


@pytest.fixture
def chiral(tmp_path):
    """An image without any symmetry, stored the other way round than it is displayed."""
    voxels = np.full(SHAPE, -900, np.int16)
    voxels[2:18, 3:30, 2:20] = 0
    voxels[8:17, 5:20, 3:16] = 900
    voxels[4:11, 20:26, 5:15] = 500
    path = tmp_path / "late.nii.gz"
    nib.save(nib.Nifti1Image(voxels.transpose(2, 1, 0)[::-1, ::-1], np.diag([2.0, 1.5, 3.0, 1.0])), path)
    return scan(path).found[0]


@pytest.fixture
def hand(qtbot, tmp_path, image_file, monkeypatch):
    """A window in which another case is open."""
    monkeypatch.setattr(preview_module, "PATIENCE", 0.0)
    viewer, app, panel = create_window(image_file, sessions=SessionStore(tmp_path / "sessions"))
    qtbot.addWidget(panel.window(), before_close_func=lambda _: app.close())
    qtbot.waitExposed(panel.window())
    hand = Hand(viewer, app, panel, qtbot)
    hand.wait(lambda: app.case is not None)
    hand.settle()
    hand.wait(lambda: grab(hand).std() > 5)
    yield hand
    app.close()


def grab(hand) -> np.ndarray:
    """Return the grey levels (y, x) of the canvas with all that lies over it but the letters and the caption."""
    QApplication.processEvents()
    picture = hand.canvas.grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)
    pixels = np.frombuffer(picture.constBits().asstring(picture.byteCount()), np.uint8)
    return pixels.reshape(picture.height(), -1)[60:-60, 60 : picture.width() - 60].astype(float)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_it_is_painted_where_napari_draws_it(hand, chiral, monkeypatch, plane):
    gate = Gate()
    monkeypatch.setattr(application_module, "load_decided", gate.load)
    hand.app.view.plane = plane
    before, kept = hand.app.case, list(hand.viewer.layers)
    hand.app.open_found(chiral)
    hand.wait(lambda: gate.reached.is_set() and hand.panel.curtain.isVisible())
    assert list(hand.viewer.layers) == kept
    assert hand.app.case is before
    hand.app.view.window = Window.between(-1000, 1000)
    painted = grab(hand)
    gate.open.set()
    hand.wait(lambda: hand.app.case is not before and not hand.panel.curtain.isVisible())
    hand.settle()
    drawn = grab(hand)
    assert hand.app.view.plane == plane
    assert np.corrcoef(painted.ravel(), drawn.ravel())[0, 1] > 0.98


def test_the_open_case_comes_back_where_reading_fails(hand, chiral, monkeypatch):
    gate = Gate()
    gate.error = RefusedError("slow.nii.gz is cut short", "copy it again")
    monkeypatch.setattr(application_module, "load_decided", gate.load)
    seen, window = grab(hand), hand.app.view.window
    hand.app.open_found(chiral)
    hand.wait(lambda: gate.reached.is_set() and hand.panel.curtain.isVisible())
    QTest.mouseClick(hand.panel.curtain, Qt.MouseButton.LeftButton)
    gate.open.set()
    hand.wait(lambda: not hand.panel.curtain.isVisible())
    hand.settle()
    assert hand.app.view.window == window
    assert np.abs(grab(hand) - seen).mean() < 1
    assert hand.app.case.volume.name == "chest"


def test_the_wheel_goes_through_what_has_arrived(hand, chiral, monkeypatch):
    gate = Gate()
    monkeypatch.setattr(application_module, "load_decided", gate.load)
    hand.app.open_found(chiral)
    hand.wait(lambda: gate.reached.is_set() and hand.panel.curtain.isVisible())
    first = hand.panel.curtain.index
    assert turn_wheel(hand.panel.curtain, -240)
    assert hand.panel.curtain.index == first - 2
    gate.open.set()
    hand.settle()
