"""Correct by hand: brush, eraser, fill, and what they may overwrite."""

from __future__ import annotations

import math

from magicgui.widgets import CheckBox, Container, FloatSpinBox
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QButtonGroup, QComboBox, QDoubleSpinBox, QLabel, QSlider

from napari_volseg.app import RADIUS_LIMITS
from napari_volseg.widgets.buttons import ActionButton, CommandButton
from napari_volseg.widgets.click_section import tool_button
from napari_volseg.widgets.section import Section

RULES = {"everywhere": "Everything", "background": "Only background", "inside": "Only where it starts"}
SLIDER_STEPS = 200
RANGE_LIMITS = (-100_000.0, 100_000.0)


class CorrectSection(Section):
    """Tools of the hand."""

    title = "Correct"
    name = "correct"

    def build(self) -> None:
        """Make tools, size, rule and history."""
        tools = (("brush", "Brush"), ("eraser", "Eraser"), ("fill", "Fill"), ("navigate", "Move"))
        self._buttons = [tool_button(self.app, tool, text) for tool, text in tools]
        self.add_row(*self._buttons)
        self._build_radius()
        self._build_reach()
        self._build_range()
        history = [CommandButton(self.app, "edit.undo"), CommandButton(self.app, "edit.redo")]
        self.add_row(*history)
        self._buttons += history

    def refresh(self) -> None:
        """Show tools and wishes."""
        for button in self._buttons:
            button.refresh()
        tools = self.app.tools
        self.slider.setValue(slider_from_radius(tools.radius_mm))
        self.radius.setValue(tools.radius_mm)
        calibrated = self.app.case is None or self.app.case.volume.is_calibrated
        self.radius.setSuffix(" mm" if calibrated else " voxels")
        (self.solid if tools.in_3d else self.flat).setChecked(True)
        self.rule.setCurrentIndex(self.rule.findData(tools.rule))
        self._show_range()

    def _build_radius(self) -> None:
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, SLIDER_STEPS)
        self.slider.setToolTip("Radius of brush, eraser and scribble [ [ and ] ]")
        self.slider.valueChanged.connect(self._slide)
        self.radius = QDoubleSpinBox()
        self.radius.setObjectName("radius")
        self.radius.setRange(*RADIUS_LIMITS)
        self.radius.setDecimals(1)
        self.radius.setToolTip(self.slider.toolTip())
        self.radius.valueChanged.connect(self._set_radius)
        row = self.add_row(QLabel("Radius"), self.slider, self.radius, stretch=False)
        row.setStretchFactor(self.slider, 1)

    def _build_reach(self) -> None:
        self.flat = ActionButton(
            "Slice", "Tools act on the slice [T switches]", lambda: self._reach(False), "reach.slice"
        )
        self.solid = ActionButton("3D", "Tools act in 3D [T switches]", lambda: self._reach(True), "reach.3d")
        group = QButtonGroup(self)
        for button in (self.flat, self.solid):
            button.setCheckable(True)
            group.addButton(button)
        self.rule = QComboBox()
        self.rule.setObjectName("rule")
        self.rule.setToolTip(
            "What painting may overwrite: everything, only background, or only the label that the stroke starts on; "
            "locked segments are always kept"
        )
        for rule, text in RULES.items():
            self.rule.addItem(text, rule)
        self.rule.currentIndexChanged.connect(self._set_rule)
        row = self.add_row(QLabel("Act on"), self.flat, self.solid, stretch=False)
        row.setStretch(1, 1)
        row.setStretch(2, 1)
        over = self.add_row(QLabel("Overwrite"), self.rule, stretch=False)
        over.setStretchFactor(self.rule, 1)

    def _build_range(self) -> None:
        low, high = RANGE_LIMITS
        self.limit = CheckBox(text="Only values", tooltip="Paint only where the image has values in this range")
        self.low = FloatSpinBox(min=low, max=high, step=10, tooltip="Lowest value that is painted")
        self.high = FloatSpinBox(min=low, max=high, step=10, tooltip="Highest value that is painted")
        self.range = Container(widgets=[self.limit, self.low, self.high], layout="horizontal", labels=False)
        self.range.margins = (0, 0, 0, 0)
        self.range.changed.connect(self._set_range)
        self.rows.addWidget(self.range.native)

    def _show_range(self) -> None:
        tools, unit = self.app.tools, self.app.case.volume.unit if self.app.case else ""
        with self.range.changed.blocked():
            self.limit.value = tools.limit_to_range
            self.low.value, self.high.value = tools.range_low, tools.range_high
        self.limit.text = f"Only {unit or 'values'}"
        self.low.enabled = self.high.enabled = tools.limit_to_range

    def _set_range(self) -> None:
        tools = self.app.tools
        tools.limit_to_range = self.limit.value
        tools.range_low, tools.range_high = self.low.value, self.high.value

    def _slide(self, step: int) -> None:
        if step != slider_from_radius(self.app.tools.radius_mm):
            self.app.tools.radius_mm = radius_from_slider(step)

    def _set_radius(self, radius: float) -> None:
        if radius != round(self.app.tools.radius_mm, 1):
            self.app.tools.radius_mm = radius

    def _reach(self, in_3d: bool) -> None:
        self.app.tools.in_3d = in_3d

    def _set_rule(self, row: int) -> None:
        self.app.tools.rule = self.rule.itemData(row)


def slider_from_radius(radius: float) -> int:
    """Return the slider's step of a radius in mm; steps are equal ratios, so that small brushes can be set finely."""
    low, high = RADIUS_LIMITS
    return round(SLIDER_STEPS * math.log(radius / low) / math.log(high / low))


def radius_from_slider(step: int) -> float:
    """Return the radius in mm of a slider's step."""
    low, high = RADIUS_LIMITS
    return round(low * (high / low) ** (step / SLIDER_STEPS), 1)
