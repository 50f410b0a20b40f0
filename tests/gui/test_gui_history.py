"""The history under real mouse and key events: it lists the steps, and a click or Return goes to one."""

from __future__ import annotations

import numpy as np
import pytest
from driving import Hand
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton, QScrollArea

from napari_volseg.core import Geometry, Volume
from napari_volseg.widgets import create_window

pytestmark = pytest.mark.gui

PATIENCE = 15_000


@pytest.fixture
def hand(qtbot):
    viewer, app, panel = create_window()
    panel.window().resize(1366, 768)
    qtbot.waitExposed(panel.window())
    voxels = np.random.default_rng().integers(-100, 100, (12, 40, 30)).astype(np.int16)
    app.adopt(Volume(voxels, Geometry.from_spacing(voxels.shape, (3.0, 2.0, 2.0)), "CT", "HU", "HU", "chest"))
    yield Hand(viewer, app, panel, qtbot)
    viewer.close()


def test_steps_are_listed_and_gone_to_by_mouse_and_key(hand, qtbot):
    app, section = hand.app, hand.panel.history
    hand.key(Qt.Key.Key_B)
    states = [app.case.segmentation.labels.copy()] * 2
    for y in (8, 18, 28):
        hand.drag((6, y, 8), (6, y, 16))
        states.append(app.case.segmentation.labels.copy())
    assert not section.expanded
    hand.key(Qt.Key.Key_Y)
    qtbot.waitUntil(section.list.isVisible, timeout=PATIENCE)
    qtbot.waitUntil(lambda: section.model.rowCount() == 5, timeout=PATIENCE)
    assert "4 of 4" in hand.panel.findChild(QPushButton, "view.history").text()
    assert section.list.currentIndex().row() == 4

    hand.panel.findChild(QScrollArea).ensureWidgetVisible(section.list)
    place = section.list.visualRect(section.model.index(2)).center()
    QTest.mouseClick(section.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert np.array_equal(app.case.segmentation.labels, states[2])
    qtbot.waitUntil(lambda: section.model.row(section.model.index(2)).state == "current", timeout=PATIENCE)
    grey = section.model.index(3).data(Qt.ItemDataRole.ForegroundRole)
    assert grey is not None
    assert section.model.index(1).data(Qt.ItemDataRole.ForegroundRole) is None
    assert section.model.index(2).data(Qt.ItemDataRole.FontRole).bold()
    assert not section.model.index(2).data(Qt.ItemDataRole.DecorationRole).isNull()

    section.list.setFocus()
    QTest.keyClick(section.list, Qt.Key.Key_Down)
    QTest.keyClick(section.list, Qt.Key.Key_Return)
    assert np.array_equal(app.case.segmentation.labels, states[3])
    QTest.keyClick(section.list, Qt.Key.Key_Y)
    qtbot.waitUntil(lambda: not section.list.isVisible(), timeout=PATIENCE)


def test_the_step_of_the_voxel_under_the_cursor_is_marked(hand, qtbot):
    app, section = hand.app, hand.panel.history
    hand.key(Qt.Key.Key_B)
    for y in (8, 28):
        hand.drag((6, y, 8), (6, y, 16))
    hand.key(Qt.Key.Key_Y)
    QTest.mouseMove(hand.canvas, hand.where((6, 8, 12)))
    qtbot.waitUntil(lambda: app.view.cursor == (6, 8, 12), timeout=PATIENCE)
    hand.key(Qt.Key.Key_W)
    qtbot.waitUntil(lambda: section.list.currentIndex().row() == 2, timeout=PATIENCE)
    assert "by hand" in hand.panel.notices.text.text()
    assert app.case.session.history.position == 3
