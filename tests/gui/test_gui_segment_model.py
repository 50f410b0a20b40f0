"""The item model of the segment table with as many segments as TotalSegmentator makes."""

from __future__ import annotations

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


def cells_announced(model: SegmentTableModel) -> list[tuple[int, int, int, int]]:
    """Return where the changes of the model will be kept: first and last row, first and last column."""
    cells: list[tuple[int, int, int, int]] = []
    model.dataChanged.connect(
        lambda first, last: cells.append((first.row(), last.row(), first.column(), last.column()))
    )
    return cells


def test_a_change_of_one_segment_of_many_touches_its_own_row_alone(app) -> None:
    model = SegmentTableModel(app)
    tester = QAbstractItemModelTester(model)
    model.refresh()
    assert model.rowCount() == MANY
    app.jobs.wait(app.figures.count())
    cells, resets = cells_announced(model), []
    model.modelReset.connect(lambda: resets.append(1))
    model.refresh()
    assert (cells, resets) == ([], [])
    app.case.edit_segment(60, visible=False)
    model.refresh()
    assert cells == [(59, 59, 0, 0), (59, 59, 2, 6)], "a name that is just being typed is left alone"
    cells.clear()
    app.case.name_segment(61, "Liver")
    model.refresh()
    assert {rows[:2] for rows in cells} == {(60, 60)}
    assert any(first <= Column.NAME <= last for _, _, first, last in cells)
    assert resets == []
    app.case.add_segment()
    model.refresh()
    assert resets == [1]
    del tester


def test_a_colour_is_drawn_once(app) -> None:
    model = SegmentTableModel(app)
    model.refresh()
    index = model.index(7, Column.COLOR)
    first = model.data(index, Qt.ItemDataRole.DecorationRole)
    assert model.data(index, Qt.ItemDataRole.DecorationRole).cacheKey() == first.cacheKey()


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
