"""The item model of the segment table with as many segments as TotalSegmentator makes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QAbstractItemModelTester

from napari_volseg.app import Application
from napari_volseg.app.figures import Figures
from napari_volseg.core import Box, Geometry, SegmentTable, Volume
from napari_volseg.editing import Author
from napari_volseg.widgets.segment_model import Column, SegmentTableModel, format_mean

pytestmark = pytest.mark.gui
MANY = 120
LIMIT_MS = 50


@pytest.fixture
def app(qapp) -> Iterator[Application]:
    app = Application()
    geometry = Geometry.from_spacing((10, 20, 30))
    app.adopt(Volume(np.zeros(geometry.shape, np.int16), geometry, "CT", "HU", "HU", "test"))
    table = SegmentTable()
    for _ in range(MANY):
        table = table.with_segment(table.new_segment())
    labels = np.arange(6000, dtype=np.uint16).reshape(geometry.shape) % (MANY + 1)
    app.case.session.replace(Box.whole(labels.shape), labels, table=table, name="t", author=Author("tool", "t"))
    yield app
    app.close()


def milliseconds(action) -> float:
    """Return the CPU time of the best of three."""
    times = []
    for _ in range(3):
        began = time.process_time()
        action()
        times.append(1000 * (time.process_time() - began))
    return min(times)


def read_all(model: SegmentTableModel) -> None:
    """Ask for all that a table would show of its rows."""
    for row in range(model.rowCount()):
        for column in Column:
            for role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.DecorationRole):
                model.data(model.index(row, column), role)


def test_many_segments_stay_fluent(app) -> None:
    model = SegmentTableModel(app)
    tester = QAbstractItemModelTester(model)
    model.refresh()
    assert model.rowCount() == MANY
    app.jobs.wait(app.figures.count())

    def reset() -> None:
        model._segments = ()
        model.refresh()
        read_all(model)

    def change() -> None:
        app.case.edit_segment(60, visible=not app.case.table[60].visible)
        model.refresh()
        read_all(model)

    assert milliseconds(reset) < LIMIT_MS
    assert milliseconds(change) < LIMIT_MS
    del tester


def test_cells_tell_figures_and_status(app) -> None:
    model = SegmentTableModel(app)
    model.refresh()
    assert model.data(model.index(0, Column.MEAN)) == "…"
    app.jobs.wait(app.figures.count())
    assert model.data(model.index(0, Column.MEAN)) == "0.00 ± 0.00"
    assert model.headerData(Column.MEAN, Qt.Orientation.Horizontal) == "HU"
    for expected in ("in progress", "done", "flagged", "not started"):
        model.toggle(model.index(0, Column.STATUS))
        model.refresh()
        assert app.case.table[1].status == expected
        assert expected in model.data(model.index(0, Column.STATUS), Qt.ItemDataRole.ToolTipRole)
    model.setData(model.index(0, Column.NAME), "liver")
    assert app.case.table[1].name == "Liver"
    assert app.case.table[1].type.value == "10200004"


@pytest.mark.parametrize(
    ("mean", "sd", "text"),
    [(57.4, 23.6, "57 ± 24"), (-845.2, 120.1, "−845 ± 120"), (0.42, 0.1, "0.42 ± 0.10"), (None, None, "–")],
)
def test_means_have_the_digits_that_matter(mean, sd, text) -> None:
    assert format_mean(Figures(10, 1.0, mean, sd)) == text
