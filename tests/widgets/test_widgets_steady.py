"""A pressed button stays under the mouse while what lies above it grows or vanishes."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_volseg.widgets.steady import SteadyButtons


@pytest.fixture
def area(qtbot):
    column, area = QWidget(), QScrollArea()
    layout = QVBoxLayout(column)
    for _ in range(12):
        label = QLabel("above")
        label.setFixedHeight(40)
        layout.addWidget(label)
    layout.addWidget(QPushButton("Undo"))
    for _ in range(12):
        label = QLabel("below")
        label.setFixedHeight(40)
        layout.addWidget(label)
    area.setWidgetResizable(True)
    area.setWidget(column)
    SteadyButtons(area)
    area.resize(200, 300)
    qtbot.addWidget(area)
    area.show()
    button = column.findChild(QPushButton)
    area.ensureWidgetVisible(button)
    QApplication.processEvents()
    return area


def top(area) -> int:
    button = area.widget().findChild(QPushButton)
    return button.mapTo(area.viewport(), QPoint(0, 0)).y()


def shrink(area, rows: int) -> None:
    for label in area.widget().findChildren(QLabel)[:rows]:
        label.hide()
    QApplication.processEvents()


def test_it_stays_while_rows_above_vanish_and_come_back(area) -> None:
    before = top(area)
    QTest.mouseClick(area.widget().findChild(QPushButton), Qt.MouseButton.LeftButton)
    shrink(area, 2)
    assert top(area) == before
    for label in area.widget().findChildren(QLabel)[:2]:
        label.show()
    QApplication.processEvents()
    assert top(area) == before


@pytest.mark.parametrize("how", ["never pressed", "mouse left", "scrolled"])
def test_otherwise_the_panel_scrolls_as_ever(area, how) -> None:
    before, value = top(area), area.verticalScrollBar().value()
    if how == "mouse left":
        button = area.widget().findChild(QPushButton)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        QApplication.sendEvent(button, QEvent(QEvent.Type.Leave))
    if how == "scrolled":
        QTest.mouseClick(area.widget().findChild(QPushButton), Qt.MouseButton.LeftButton)
        value -= 10
        area.verticalScrollBar().setValue(value)
    shrink(area, 2)
    assert area.verticalScrollBar().value() == value
    assert top(area) < before
