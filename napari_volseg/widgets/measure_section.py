"""Measure: draw distances, angles and diameters, or have those of a segment worked out; the list of all of them."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QListWidget

from napari_volseg.widgets.buttons import CommandButton
from napari_volseg.widgets.click_section import tool_button
from napari_volseg.widgets.section import Section, muted_label
from napari_volseg.widgets.segment_model import format_mean, format_volume

#: Rows that are shown without scrolling, at most.
ROWS_SHOWN = 6
NOTHING = "Take a tool and draw on a slice, or measure the active segment"


class MeasureSection(Section):
    """Tools, commands and the list of measurements."""

    title = "Measure"
    name = "measure"

    def build(self) -> None:
        """Make buttons and list."""
        tools = [
            tool_button(self.app, tool, text)
            for tool, text in (("distance", "Distance"), ("angle", "Angle"), ("diameters", "Diameters"))
        ]
        self.add_row(*tools)
        of_segment = [
            CommandButton(self.app, "measure.diameters", "Segment diameters"),
            CommandButton(self.app, "measure.longest", "Longest in 3D"),
        ]
        self.add_row(*of_segment)
        self.figures = muted_label()
        self.rows.addWidget(self.figures)
        self.list = QListWidget()
        self.list.setObjectName("measurements")
        self.list.setToolTip("Click a measurement to go to it; Delete removes it")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setWordWrap(True)
        self.list.itemClicked.connect(self._go)
        self.list.itemActivated.connect(self._go)
        self.rows.addWidget(self.list)
        self.nothing = muted_label(NOTHING)
        self.rows.addWidget(self.nothing)
        delete = CommandButton(self.app, "measure.delete", "Delete")
        delete_all = CommandButton(self.app, "measure.delete-all", "Delete all")
        self.delete_row = (delete, delete_all)
        self.add_row(*self.delete_row)
        self._buttons = [*tools, *of_segment, delete, delete_all]
        self._rows: tuple[str, ...] = ()

    def refresh(self) -> None:
        """Show what was measured."""
        for button in self._buttons:
            button.refresh()
        text = self._figures_text()
        self.figures.setText(text)
        self.figures.setVisible(bool(text))
        measuring = self.app.measuring
        count = len(measuring.measurements)
        rows = tuple(measuring.row(number) for number in range(count))
        if rows != self._rows:
            self._rows = rows
            self.list.clear()
            self.list.addItems(rows)
            self._fit_list(count)
        self.list.setCurrentRow(-1 if measuring.chosen is None else measuring.chosen)
        self.list.setVisible(count > 0)
        for button in self.delete_row:
            button.setVisible(count > 0)
        self.nothing.setVisible(count == 0)
        self.set_detail(str(count) if count else "")

    def _figures_text(self) -> str:
        """Return volume and mean value of the active segment in words."""
        case, figures = self.app.case, self.app.figures
        known = figures.of(case.active) if case is not None and figures is not None and case.active else None
        if case is None or known is None:
            return ""
        parts = [] if known.millilitres is None else [f"{format_volume(known.millilitres)} mL"]
        parts.append(f"{format_mean(known)} {case.volume.unit}".strip())
        return f"{case.table[case.active].name}: {', '.join(parts)}, {known.voxels:,} voxels"

    def _fit_list(self, count: int) -> None:
        height = self.list.sizeHintForRow(0) if count else 0
        self.list.setFixedHeight(min(count, ROWS_SHOWN) * height + 2 * self.list.frameWidth() + 2)

    def _go(self) -> None:
        row = self.list.currentRow()
        if 0 <= row < len(self.app.measuring.measurements):
            self.app.attempt(self.app.measuring.go_to, row)
