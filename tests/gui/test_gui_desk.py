"""Measuring, naming, surfaces and the sheet of commands in a real window, with real events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from driving import Hand
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit, QListWidget

from napari_volseg.app import SessionStore
from napari_volseg.core import Box, BoxMask, Geometry, Volume
from napari_volseg.editing import Author
from napari_volseg.widgets.segment_model import Column
from napari_volseg.widgets.window import create_window

pytestmark = pytest.mark.gui
SHAPE, SPACING = (30, 50, 60), (3.0, 1.5, 1.2)


@pytest.fixture
def hand(qtbot, tmp_path: Path) -> Iterator[Hand]:
    viewer, app, panel = create_window(sessions=SessionStore(tmp_path / "sessions"))
    geometry = Geometry.from_spacing(SHAPE, SPACING)
    app.adopt(
        Volume(np.random.default_rng(0).integers(0, 90, SHAPE).astype(np.int16), geometry, "CT", "HU", "HU", "x")
    )
    app.view.layout = "one"
    box = Box((5, 10, 12), (22, 40, 45))
    app.case.add_segment("Box")
    app.case.session.apply(BoxMask(box, np.ones(box.shape, bool)), 1, name="t", author=Author("hand", "t"))
    driver = Hand(viewer, app, panel, qtbot)
    driver.settle()
    panel.window().activateWindow()
    yield driver
    viewer.close()


def test_a_distance_is_drawn_listed_undone_and_deleted(hand) -> None:
    app, panel = hand.app, hand.panel
    hand.press("tool.distance")
    hand.drag((10, 20, 15), (10, 20, 45))
    (found,) = app.measuring.measurements
    assert found.lengths[0] == pytest.approx(30 * SPACING[2], abs=2.5)
    rows = panel.findChild(QListWidget, "measurements")
    hand.wait(lambda: rows.count() == 1)
    assert rows.item(0).text() == app.measuring.row(0)
    glass = panel.views.furniture[panel.binding.main].measures
    assert glass.isVisible()
    picture = glass.grab().toImage()
    colors = {picture.pixelColor(x, y).name() for x in range(picture.width()) for y in range(0, picture.height(), 3)}
    assert len(colors) > 1
    hand.press("edit.undo")
    hand.wait(lambda: rows.count() == 0)
    hand.press("edit.redo")
    hand.wait(lambda: rows.count() == 1)
    hand.press("measure.diameters")
    hand.settle()
    hand.wait(lambda: rows.count() == 2)
    assert app.measuring.measurements[1].name == "Box"
    hand.press("measure.delete")
    hand.wait(lambda: rows.count() == 1)


def test_a_standard_name_is_chosen_from_the_list_by_keys_and_by_mouse(hand) -> None:
    app, table = hand.app, hand.panel.segments.table
    hand.panel.segments.expanded = True
    app.case.add_segment()
    hand.wait(lambda: hand.panel.segments.model.rowCount() == 2)

    def offered(row: int, text: str):
        table.edit(hand.panel.segments.model.index(row, Column.NAME))
        (editor,) = (e for e in table.viewport().findChildren(QLineEdit) if e.isVisible())
        editor.selectAll()
        QTest.keyClicks(editor, text)
        QApplication.processEvents()
        return editor, editor.completer().popup()

    _, popup = offered(0, "kidn")
    assert popup.model().rowCount() == 2
    place = popup.visualRect(popup.model().index(1, 0)).center()
    QTest.mouseClick(popup.viewport(), Qt.MouseButton.LeftButton, pos=place)
    hand.wait(lambda: app.case.table[1].name == "Right kidney")
    assert app.case.table[1].type.value == "64033007"
    editor, _ = offered(1, "my own words")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    hand.wait(lambda: app.case.table[2].name == "my own words")


def test_cells_of_the_table_change_status_and_show_alone(hand) -> None:
    app, table = hand.app, hand.panel.segments.table
    hand.panel.segments.expanded = True
    app.case.add_segment()
    hand.wait(lambda: hand.panel.segments.model.rowCount() == 2)
    hand.panel._area.ensureWidgetVisible(table)

    def press(row: int, column: Column, modifier=Qt.KeyboardModifier.NoModifier) -> None:
        place = table.visualRect(hand.panel.segments.model.index(row, column)).center()
        QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, modifier, place)

    press(0, Column.STATUS)
    assert app.case.table[1].status == "in progress"
    hand.press("segment.solo")
    assert sum(s.visible for s in app.case.table) == 1
    hand.press("segment.solo")
    assert all(s.visible for s in app.case.table)
    slider = hand.panel.segments.opacity
    slider.setValue(40)
    assert app.case.table[app.case.active].opacity == pytest.approx(0.4)


def test_no_text_of_the_new_parts_is_cut(hand) -> None:
    hand.press("tool.distance")
    hand.drag((10, 20, 15), (10, 20, 45))
    hand.press("measure.longest")
    hand.settle()
    for section in (hand.panel.measure, hand.panel.segments, hand.panel.export):
        section.expanded = True
        QApplication.processEvents()
        for button in section.findChildren(type(hand.panel.segments.add)):
            assert button.sizeHint().width() <= button.width() or not button.isVisible(), button.text()


def test_the_sheet_finds_a_command_and_runs_it(hand) -> None:
    app, sheet = hand.app, hand.panel.sheet
    hand.key(Qt.Key.Key_F1)
    assert sheet.isVisible()
    texts = [sheet.list.topLevelItem(i).text(1) for i in range(sheet.list.topLevelItemCount())]
    assert "Right drag" in texts
    QTest.keyClicks(sheet.search, "bone win")
    QTest.keyClick(sheet.search, Qt.Key.Key_Return)
    assert app.view.window.name == "Bone"
    assert not sheet.isVisible()
    hand.key(Qt.Key.Key_F1)
    QTest.keyClick(sheet.search, Qt.Key.Key_Escape)
    assert not sheet.isVisible()


def test_surfaces_are_seen_in_their_colour_and_not_mirrored(hand) -> None:
    """A box on the patient's left and head side is seen on the right and on top, from the front."""
    app = hand.app
    app.case.edit_segment(1, visible=False)
    app.case.add_segment("Corner")
    app.case.edit_segment(2, color=(250, 20, 20))
    box = Box((22, 20, 45), (29, 30, 58))
    app.case.session.apply(BoxMask(box, np.ones(box.shape, bool)), 2, name="t", author=Author("hand", "t"))
    app.view.image_in_3d = False
    app.view.three_d = True
    hand.settle()
    picture = hand.viewer.screenshot(canvas_only=True, flash=False)
    red = (picture[..., 0] > 60) & (picture[..., 1] < 60) & (picture[..., 2] < 60)
    rows, columns = np.nonzero(red)
    assert len(rows) > 50
    assert rows.mean() < picture.shape[0] * 0.45
    assert columns.mean() > picture.shape[1] * 0.55
