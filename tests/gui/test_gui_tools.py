"""Segment tools in the panel under real mouse and key events."""

from __future__ import annotations

import numpy as np
import pytest
from driving import Hand, move_pressed
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QComboBox, QLabel, QPushButton, QScrollArea, QWidget

from napari_volseg.app import SEGMENT_TOOLS
from napari_volseg.app.tool_types import Number
from napari_volseg.core import Box, Geometry, Segment, Volume
from napari_volseg.editing import (
    Author,
    CutPlane,
    OnSlice,
    Relabelled,
    closing,
    copy_slice,
    fill_between,
    fill_holes,
    grow_from_seeds,
    hollow,
    intersect,
    keep_largest,
    margin,
    merge,
    mirrored,
    opening,
    relabel,
    remove_small,
    reshaped,
    shape_of,
    smooth_gaussian,
    smooth_jointly,
    smooth_median,
    split_islands,
    subtract,
    threshold,
    union,
)
from napari_volseg.interactive import extended, installed_network
from napari_volseg.widgets import create_window

pytestmark = pytest.mark.gui

SHAPE = (20, 30, 24)


@pytest.fixture
def hand(qapp, qtbot):
    """A hand at a window with a small CT and a liver with a speck beside it."""
    interval = QApplication.doubleClickInterval()
    QApplication.setDoubleClickInterval(80)
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
    QApplication.setDoubleClickInterval(interval)
    viewer.close()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def come_to_rest(hand, widget):
    """Scroll to a widget until it stays in its place: a list that opens while its panel moves closes again."""
    area, before = hand.panel.findChild(QScrollArea), None
    while before != (before := widget.mapTo(hand.panel, QPoint(0, 0))):
        area.ensureWidgetVisible(widget)
        hand.qtbot.wait(100)


def choose(hand, name, text):
    """Open a list of the panel with the mouse and click one of its lines."""
    combo = hand.panel.findChild(QComboBox, name)
    view = combo.view()
    for _ in range(5):
        if view.isVisible():
            break
        come_to_rest(hand, combo)
        QTest.mouseClick(combo, Qt.MouseButton.LeftButton)
        hand.qtbot.wait(2 * QApplication.doubleClickInterval())  # a release before that is that of the opening click
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
    assert hand.app.case.session.history.current.parameters == {"volume": 12.5, "reach": "volume"}
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(hand.app.case.segmentation.labels, before)

    choose(hand, "segment-tool", "Hollow")
    type_into(hand, "hollow.mm", "3")
    choose(hand, "hollow.side", "Around it")
    hand.press("tools.apply")
    hand.settle()
    assert not hand.app.case.segmentation.labels[5:10, 8:18, 6:14].any()


def everything():
    """Labels on which every tool has something to do: a gap, a cavity, a spike, a speck, and a spleen at the side."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[5:7, 8:18, 6:14] = labels[8:13, 8:18, 6:14] = 1
    labels[10, 12:14, 9:11] = 0
    labels[10, 12, 14:18] = 1
    labels[14, 20, 18] = 1
    labels[8:13, 18:22, 6:11] = 2
    return labels


def beyond_the_slice(labels, _volume):
    new = labels.copy()
    new[11:][labels[11:] == 1] = 3
    return Relabelled(Box.whole(SHAPE), new)


def carried(labels, volume):
    shape = shape_of(labels, 1)
    return union(shape, extended(volume, shape, 0, 10, range(3, 18), installed_network()).mask)


def near(labels, volume):
    return margin(labels, 2, volume.geometry, 4)


#: What is typed into the first number of each tool, and what the labels are to become with axial slice 10 in view.
TYPED = {
    "threshold": ("30", lambda lab, v: union(shape_of(lab, 1), threshold(v.voxels, 30, 3000))),
    "grow-seeds": ("8", lambda lab, v: grow_from_seeds(v.voxels, lab, v.geometry, 8, smooth_mm=1)),
    "keep-largest": ("", lambda lab, v: keep_largest(lab, 1)),
    "remove-small": ("20", lambda lab, v: remove_small(lab, 1, v.geometry, 20)),
    "split-islands": ("5", lambda lab, v: split_islands(lab, 1, (3, 4))),
    "fill-holes": ("", lambda lab, v: fill_holes(lab, 1)),
    "smooth-median": ("9", lambda lab, v: smooth_median(lab, 1, v.geometry, 9)),
    "smooth-opening": ("4", lambda lab, v: opening(lab, 1, v.geometry, 4)),
    "smooth-closing": ("4", lambda lab, v: closing(lab, 1, v.geometry, 4)),
    "smooth-gaussian": ("3", lambda lab, v: smooth_gaussian(lab, 1, v.geometry, 3)),
    "smooth-all": ("1.5", lambda lab, v: smooth_jointly(lab, v.geometry, 1.5)),
    "margin": ("4", lambda lab, v: margin(lab, 1, v.geometry, 4)),
    "hollow": ("3", lambda lab, v: hollow(lab, 1, v.geometry, 3, "inside")),
    "fill-between": ("", lambda lab, v: fill_between(lab, v.geometry, 0, values=(1,))),
    "extend": ("20", carried),
    "copy-next": ("", lambda lab, v: union(shape_of(lab, 1), copy_slice(lab, 1, OnSlice(0, 10), 9))),
    "copy-previous": ("", lambda lab, v: union(shape_of(lab, 1), copy_slice(lab, 1, OnSlice(0, 10), 11))),
    "mirror": (
        "",
        lambda lab, v: union(shape_of(lab, 1), mirrored(lab, 1, v.geometry, CutPlane.midline(v.geometry))),
    ),
    "split-plane": ("", beyond_the_slice),
    "union": ("", lambda lab, v: union(shape_of(lab, 1), shape_of(lab, 2))),
    "subtract": ("4", lambda lab, v: subtract(shape_of(lab, 1), near(lab, v))),
    "intersect": ("4", lambda lab, v: intersect(shape_of(lab, 1), near(lab, v))),
    "merge": ("", lambda lab, v: merge(lab, [2], 1)),
    "relabel": ("9", lambda lab, v: relabel(lab, {1: 9})),
}


def as_labels(labels, result):
    box, changed = result if isinstance(result, Relabelled) else reshaped(labels, 1, result)
    new = labels.copy()
    new[box.slices] = changed
    return new


@pytest.mark.slow
def test_every_tool_is_chosen_set_previewed_applied_and_undone(hand):
    assert list(TYPED) == list(SEGMENT_TOOLS)
    case, before = hand.app.case, everything()
    case.session.edit_table(case.table.with_segment(Segment(2, "Spleen")))
    case.session.replace(Box.whole(SHAPE), before, name="Draw", author=Author("hand", "user"))
    hand.go_to((10, 10, 10))
    for tool in SEGMENT_TOOLS.values():
        typed, work = TYPED[tool.id]
        expected = as_labels(before, work(before, case.volume))
        assert not np.array_equal(expected, before), tool.id
        choose(hand, "segment-tool", tool.title)
        if typed:
            number = next(p for p in tool.parameters if isinstance(p, Number))
            type_into(hand, f"{tool.id}.{number.name}", typed)
        if not hand.app.tools.previewing:
            hand.press("tool.preview") if tool.id != "margin" else hand.key(Qt.Key.Key_Q)
        hand.wait(lambda: hand.app.tool_preview.current)
        new = before.copy()
        new[hand.app.tool_preview.draft.new.box.slices] = hand.app.tool_preview.draft.new.labels
        assert np.array_equal(new, expected), tool.id
        assert np.array_equal(case.segmentation.labels, before)
        hand.press("tools.apply") if tool.id != "hollow" else hand.key(Qt.Key.Key_U)
        hand.settle()
        assert np.array_equal(case.segmentation.labels, expected), tool.id
        assert case.session.history.current.author.name == tool.id
        hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        assert case.segmentation.labels.tobytes() == before.tobytes(), tool.id
        assert not hand.viewer.layers["Preview"].visible


def test_the_range_is_dragged_and_what_it_holds_is_seen_at_once(hand):
    choose(hand, "segment-tool", "Threshold")
    slider = hand.panel.findChild(QWidget, "threshold.range")
    hand.wait(slider.isVisible)
    hand.panel.findChild(QScrollArea).ensureWidgetVisible(slider)
    QApplication.processEvents()
    low = hand.panel.findChild(QAbstractSpinBox, "threshold.low")
    start, stop = QPoint(8, slider.height() // 2), QPoint(slider.width() // 2, slider.height() // 2)
    type_into(hand, "threshold.low", "-1000")
    hand.wait(lambda: slider.value()[0] == -1000)
    QTest.mousePress(slider, Qt.MouseButton.LeftButton, pos=start)
    move_pressed(slider, stop)
    hand.wait(lambda: -700 < low.value() < -200)
    assert low.value() == round(low.value())
    hand.wait(lambda: hand.app.tool_preview.current)
    assert "threshold.high" not in hand.app.tools.settings  # it lies beyond the image and was not dragged
    draft = hand.app.tool_preview.draft.new
    assert ((draft.labels == 1) == (hand.app.case.volume.voxels[draft.box.slices] == 40)).all()
    QTest.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=stop)
    hand.key(Qt.Key.Key_Escape)
    assert hand.app.tool_preview.draft is None
    hand.wait(lambda: not hand.panel.findChild(QPushButton, "tool.preview").isChecked())


def test_how_far_tools_act_is_one_choice_for_all(hand):
    before = hand.app.case.segmentation.labels.copy()
    hand.go_to((6, 10, 10))
    choose(hand, "segment-tool", "Margin")
    hand.press("tools.reach.slab")
    slab = hand.panel.findChild(QAbstractSpinBox, "tools.slab")
    hand.wait(slab.isVisible)
    type_into(hand, "tools.slab", "3")
    hand.press("tools.apply")
    hand.settle()
    changed = (hand.app.case.segmentation.labels != before).any(axis=(1, 2))
    assert np.flatnonzero(changed).tolist() == [5, 6, 7]
    choose(hand, "segment-tool", "Copy to next slice")
    volume = hand.panel.findChild(QPushButton, "tools.reach.volume")
    hand.wait(lambda: not volume.isEnabled())
    assert "can't act so" in volume.toolTip()
    choose(hand, "segment-tool", "Split at the slice")
    hand.wait(volume.isEnabled)
    assert hand.panel.findChild(QPushButton, "tools.reach.slab").isChecked()


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
