"""Segment tools in the panel under real mouse and key events."""

from __future__ import annotations

import numpy as np
import pytest
from driving import Hand
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QComboBox, QLabel, QPushButton, QScrollArea

from napari_volseg.app import SEGMENT_TOOLS
from napari_volseg.core import Box, Geometry, Volume
from napari_volseg.editing import Author
from napari_volseg.widgets import create_window

pytestmark = pytest.mark.gui

SHAPE = (20, 30, 24)


@pytest.fixture
def hand(qapp, qtbot):
    """A hand at a window with a small CT and a liver with a speck beside it."""
    viewer, app, panel = create_window()
    panel.window().resize(1366, 900)
    voxels = np.full(SHAPE, -1000, np.int16)
    voxels[4:16, 5:25, 4:20] = 40
    app.adopt(Volume(voxels, Geometry.from_spacing(SHAPE, (3.0, 2.0, 2.0)), "CT", "HU", "HU", "chest"))
    app.case.add_segment("Liver")
    labels = np.zeros(SHAPE, np.uint16)
    labels[5:10, 8:18, 6:14] = 1
    labels[14, 20, 18] = 1
    app.case.session.replace(Box.whole(SHAPE), labels, name="Draw", author=Author("hand", "user"))
    QApplication.processEvents()
    yield Hand(viewer, app, panel, qtbot)
    viewer.close()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def choose(hand, name, text):
    """Open a list of the panel with the mouse and click one of its lines."""
    combo = hand.panel.findChild(QComboBox, name)
    hand.panel.findChild(QScrollArea).ensureWidgetVisible(combo)
    QTest.mouseClick(combo, Qt.MouseButton.LeftButton)
    view = combo.view()
    hand.wait(view.isVisible)
    hand.qtbot.wait(QApplication.doubleClickInterval())  # Qt takes a release before that for the one that opened it
    index = combo.model().index(combo.findText(text), 0)
    view.scrollTo(index)
    QApplication.processEvents()
    QTest.mouseMove(view.viewport(), view.visualRect(index).center())
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(index).center())
    hand.wait(lambda: combo.currentText() == text)


def type_into(hand, name, text):
    """Type a number into a box, without Return."""
    box = hand.panel.findChild(QAbstractSpinBox, name)
    hand.wait(box.isVisible)
    box.setFocus()
    box.selectAll()
    QTest.keyClicks(box, text)


def test_a_tool_is_chosen_set_applied_and_undone(hand):
    before = hand.app.case.segmentation.labels.copy()
    choose(hand, "segment-tool", "Remove small islands")
    type_into(hand, "remove-small.volume", "12.5")
    hand.press("tools.apply")
    hand.settle()
    expected = before.copy()
    expected[14, 20, 18] = 0
    assert np.array_equal(hand.app.case.segmentation.labels, expected)
    assert "1 voxel changed" in hand.panel.notices.current.text
    assert hand.app.case.session.history.current.parameters == {"volume": 12.5}
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(hand.app.case.segmentation.labels, before)

    choose(hand, "segment-tool", "Hollow")
    type_into(hand, "hollow.mm", "3")
    choose(hand, "hollow.side", "Around it")
    hand.press("tools.apply")
    hand.settle()
    assert not hand.app.case.segmentation.labels[5:10, 8:18, 6:14].any()


def test_the_outline_goes_from_the_shown_slice_to_the_next(hand):
    hand.go_to((6, 10, 10))
    choose(hand, "segment-tool", "Copy to next slice")
    hand.go_to((5, 10, 10))
    hand.press("tools.apply")
    hand.settle()
    labels = hand.app.case.segmentation.labels
    assert np.array_equal(labels[4], labels[5])
    assert not labels[3].any()
    hand.go_to((7, 10, 10))
    assert hand.app.view.index == (7, 10, 10)


def test_what_can_not_be_applied_is_grey_and_says_why(hand):
    button = hand.panel.findChild(QPushButton, "tools.apply")
    choose(hand, "segment-tool", "Union")
    hand.wait(lambda: not button.isEnabled())
    assert button.toolTip().endswith("Not now: it takes a second segment: add one first")
    hand.app.case.add_segment("Spleen")
    hand.wait(button.isEnabled)
    assert hand.panel.findChild(QComboBox, "union.other").currentText() == "Liver"
    choose(hand, "segment-tool", "Fill between slices")
    hand.wait(lambda: button.toolTip().endswith("[G]"))


def test_a_range_is_suggested(hand):
    choose(hand, "segment-tool", "Threshold")
    hand.wait(hand.panel.findChild(QPushButton, "tools.suggest").isVisible)
    hand.press("tools.suggest")
    hand.settle()
    low = hand.panel.findChild(QAbstractSpinBox, "threshold.low")
    hand.wait(lambda: low.text() == "-480 HU")


def test_no_tool_is_cut_or_wider_than_the_panel(hand, qtbot):
    hand.app.case.add_segment("A segment with a long name of its own")
    hand.app.case.active = 1
    column = hand.panel.findChild(QScrollArea)
    for tool in SEGMENT_TOOLS.values():
        hand.app.tools.segment_tool = tool.id
        hand.wait(lambda tool=tool: hand.panel.tools.tip.text() == tool.tip)
        qtbot.wait(30)
        assert column.widget().width() <= column.viewport().width()
        for widget in hand.panel.tools.findChildren((QAbstractSpinBox, QComboBox, QPushButton, QLabel)):
            if not widget.isVisible():
                continue
            left = widget.mapTo(column.widget(), QPoint(0, 0)).x()
            assert left >= 0
            assert left + widget.width() <= column.viewport().width()
            if isinstance(widget, QAbstractSpinBox):
                needed = widget.fontMetrics().horizontalAdvance(widget.text())
                assert needed <= widget.lineEdit().contentsRect().width()
            if isinstance(widget, QLabel) and widget.wordWrap():
                assert widget.height() >= widget.heightForWidth(widget.width())
            elif isinstance(widget, QLabel | QPushButton):
                assert widget.width() >= widget.sizeHint().width()
