"""The histogram's handles set the window."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_volseg.app import Application
from napari_volseg.core import Geometry, Volume, Window
from napari_volseg.widgets.histogram_bar import HistogramBar


@pytest.fixture
def bar(qtbot):
    app = Application()
    voxels = np.linspace(-1000, 1000, 1000).reshape(10, 10, 10)
    app.adopt(Volume(voxels, Geometry.from_spacing(voxels.shape, (1, 1, 1)), "CT", "HU", "HU"))
    app.view.window = Window.between(-200, 200)
    widget = HistogramBar(app)
    qtbot.addWidget(widget)
    widget.resize(300, 54)
    widget.show()
    yield widget
    app.close()


def drag(bar, start, stop):
    QTest.mousePress(bar, Qt.MouseButton.LeftButton, pos=QPoint(round(bar.to_x(start)), 20))
    left, nothing = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    move = QMouseEvent(QEvent.Type.MouseMove, QPointF(bar.to_x(stop), 20), left, left, nothing)
    QApplication.sendEvent(bar, move)
    QTest.mouseRelease(bar, Qt.MouseButton.LeftButton, pos=QPoint(round(bar.to_x(stop)), 20))


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [(-200, -500, (-500, 200)), (200, 600, (-200, 600)), (0, 300, (100, 500)), (-200, 700, (196, 200))],
)
def test_handles_and_window_are_dragged(bar, start, stop, expected):
    drag(bar, start, stop)
    assert bar._app.view.window.limits == pytest.approx(expected, abs=10)


def test_arrow_keys_move_and_widen(bar):
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Up):
        QTest.keyClick(bar, key)
    low, high = bar._app.view.window.limits
    assert low == pytest.approx(-200)
    assert high == pytest.approx(200 + 4 * 0.01 * (bar.histogram.high - bar.histogram.low) / 2, rel=0.01)


def test_places_and_values_are_each_others_inverse(bar):
    for value in (-900.0, 0.0, 900.0):
        assert bar.to_value(bar.to_x(value)) == pytest.approx(value)
