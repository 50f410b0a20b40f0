"""What is really on the screen, and where keys go; a picture of a window would draw it anew."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QImage
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit

from napari_volseg.app import run_command
from napari_volseg.core import Geometry, Volume, Window
from napari_volseg.widgets import create_window

pytestmark = [
    pytest.mark.gui,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the screen is not a program's to look at"),
]
SIDES = ("axial", "coronal", "sagittal")
PATIENCE = 15_000


def even(value: int) -> Volume:
    geometry = Geometry.from_spacing((30, 40, 44), (2.0, 1.5, 1.5))
    return Volume(np.full(geometry.shape, value, np.int16), geometry, "CT", "HU", "HU", f"even {value}")


@pytest.fixture
def four(qapp) -> Iterator[tuple]:
    """The program with an even image in four views."""
    _, app, panel = create_window()
    window = panel.window()
    window.resize(1300, 860)
    window.move(0, 0)
    window.show()
    window.activateWindow()
    QTest.qWaitForWindowActive(window)
    app.adopt(even(100))
    app.view.layout = "four"
    app.view.crosshair = False
    app.view.window = Window(100, 400)
    yield app, panel
    window.close()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def screen() -> NDArray[np.uint8]:
    """Pixels of the screen (row, column, BGR)."""
    image = QApplication.primaryScreen().grabWindow(0).toImage().convertToFormat(QImage.Format.Format_RGB32)
    bits = image.bits()
    bits.setsize(image.sizeInBytes())
    return np.frombuffer(bits, np.uint8).reshape(image.height(), image.width(), 4)[..., :3].copy()


def grey(panel, view: str) -> int:
    """How bright the middle of a view is on the screen."""
    canvas = panel.views.canvas(view)
    place = canvas.mapToGlobal(canvas.rect().center())
    return int(np.median(screen()[place.y() - 30 : place.y() + 30, place.x() - 30 : place.x() + 30]))


def settled(qtbot, panel, level: float) -> None:
    """Wait until every view is as bright as it is to be, 0 to 1."""
    qtbot.waitUntil(lambda: set(SIDES) <= set(panel.binding.shown), timeout=PATIENCE)
    qtbot.waitUntil(lambda: all(abs(grey(panel, view) - 255 * level) < 12 for view in SIDES), timeout=PATIENCE)


def test_views_that_were_hidden_show_what_changed_meanwhile_and_afterwards(four, qtbot) -> None:
    app, panel = four
    settled(qtbot, panel, 0.5)
    run_command(app, "view.layout-one")
    qtbot.waitUntil(lambda: len(panel.binding.shown) == 1, timeout=PATIENCE)
    app.view.window = Window(0, 400)
    QTest.qWait(300)
    run_command(app, "view.layout-four")
    settled(qtbot, panel, 0.75)
    app.view.window = Window(200, 400)
    settled(qtbot, panel, 0.25)


def test_a_second_image_is_seen_in_every_view(four, qtbot) -> None:
    app, panel = four
    settled(qtbot, panel, 0.5)
    app.adopt(even(-60))
    app.view.window = Window(100, 400)
    settled(qtbot, panel, 0.1)
    app.view.window = Window(-60, 400)
    settled(qtbot, panel, 0.5)


def test_keys_go_back_to_where_they_went_before_the_sheet(four, qtbot) -> None:
    app, panel = four
    settled(qtbot, panel, 0.5)
    canvas = panel.views.canvas("axial")
    for before in (canvas, None):
        if before is not None:
            before.setFocus()
        elif QApplication.focusWidget() is not None:
            QApplication.focusWidget().clearFocus()
        run_command(app, "help.keys")
        qtbot.waitUntil(lambda: isinstance(QApplication.focusWidget(), QLineEdit), timeout=PATIENCE)
        QTest.keyClick(QApplication.focusWidget(), Qt.Key.Key_Escape)
        QTest.qWait(100)
        assert QApplication.focusWidget() is before
