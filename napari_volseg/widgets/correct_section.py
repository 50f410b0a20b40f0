"""Correct by hand: tools that paint, are drawn or clicked in the view, and what they may overwrite."""

from __future__ import annotations

import math
from functools import partial

from magicgui.widgets import CheckBox, Container, FloatSpinBox
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QButtonGroup, QComboBox, QDoubleSpinBox, QLabel, QSlider

from napari_volseg.app import DISTANCE_LIMITS, HAND_TOOLS, RADIUS_LIMITS, Application
from napari_volseg.app.wishes import Reach, Tool
from napari_volseg.widgets.buttons import ActionButton, CommandButton, IconButton
from napari_volseg.widgets.hand_options import HandOptions, length_unit
from napari_volseg.widgets.section import Section, joined

#: In the order of their buttons.
TOOLS: tuple[Tool, ...] = (
    "brush",
    "eraser",
    "polygon",
    "lasso",
    "livewire",
    "scissors",
    "fill",
    "level",
    "grow",
    "keep-island",
    "remove-island",
    "navigate",
)
COLUMNS = 6
#: Tools for which the radius matters, or that leave room for it.
SIZED_TOOLS = ("navigate", "click", "scribble", "brush", "eraser")

REACHES = {
    "slice": ("Slice", "reach.slice", "Tools act on the slice"),
    "slab": ("Slab", "reach.slab", "Tools act on the slices around the shown one"),
    "volume": ("3D", "reach.3d", "Tools act in 3D"),
}

RULES = {"everywhere": "Everything", "background": "Only background", "inside": "Only where it starts"}
SLIDER_STEPS = 200
RANGE_LIMITS = (-100_000.0, 100_000.0)


class CorrectSection(Section):
    """Tools of the hand."""

    title = "Correct"
    name = "correct"

    def build(self) -> None:
        """Make tools, size, rule and history."""
        self._buttons = [_tool_icon(self.app, tool) for tool in TOOLS]
        for start in range(0, len(TOOLS), COLUMNS):
            self.add_row(*self._buttons[start : start + COLUMNS])
        self.options = HandOptions(self.app)
        self.rows.addWidget(self.options)
        self._build_radius()
        self._build_reach()
        self._build_rule()
        self._build_range()
        history = [CommandButton(self.app, "edit.undo"), CommandButton(self.app, "edit.redo")]
        self.add_row(*history)
        self._buttons += history

    def refresh(self) -> None:
        """Show tools and wishes."""
        for button in self._buttons:
            button.refresh()
        tools = self.app.tools
        self.set_detail(HAND_TOOLS[tools.tool].name if tools.tool in TOOLS and tools.tool != "navigate" else "")
        self.options.refresh()
        self.radius_row.setVisible(tools.tool in SIZED_TOOLS)
        self.slider.setValue(slider_from_radius(tools.radius_mm))
        self.radius.setValue(tools.radius_mm)
        unit = length_unit(self.app)
        self.radius.setSuffix(f" {unit}")
        self._show_reach(unit)
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
        self.radius_row = joined(QLabel("Radius"), self.slider, self.radius)
        self.radius_row.layout().setStretchFactor(self.slider, 1)
        self.rows.addWidget(self.radius_row)

    def _build_reach(self) -> None:
        group = QButtonGroup(self)
        self._reaches: dict[str, ActionButton] = {}
        for reach, (text, name, tip) in REACHES.items():
            button = ActionButton(text, f"{tip} [T switches]", partial(self._reach, reach), name)
            button.setCheckable(True)
            group.addButton(button)
            self._reaches[reach] = button
        self.slab = QDoubleSpinBox()
        self.slab.setObjectName("slab")
        self.slab.setPrefix("±")
        self.slab.setDecimals(1)
        self.slab.setRange(*DISTANCE_LIMITS)
        self.slab.setToolTip("How far the slab reaches to each side of the slice")
        self.slab.valueChanged.connect(self._set_slab)
        self.reach_row = joined(QLabel("Act on"), *self._reaches.values(), self.slab)
        for button in self._reaches.values():
            self.reach_row.layout().setStretchFactor(button, 1)
        self.rows.addWidget(self.reach_row)

    def _show_reach(self, unit: str) -> None:
        tools = self.app.tools
        self.reach_row.setVisible(tools.tool != "scissors")
        self._reaches[tools.hand_reach].setChecked(True)
        self.slab.setVisible(tools.hand_reach == "slab")
        self.slab.setSuffix(f" {unit}")
        if self.slab.value() != round(tools.hand_slab_mm, 1):
            self.slab.setValue(tools.hand_slab_mm)

    def _build_rule(self) -> None:
        self.rule = QComboBox()
        self.rule.setObjectName("rule")
        self.rule.setToolTip(
            "What painting may overwrite: everything, only background, or only the label that the stroke starts on; "
            "locked segments are always kept"
        )
        for rule, text in RULES.items():
            self.rule.addItem(text, rule)
        self.rule.currentIndexChanged.connect(self._set_rule)
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

    def _reach(self, reach: Reach) -> None:
        self.app.tools.hand_reach = reach

    def _set_slab(self, half_mm: float) -> None:
        if half_mm != round(self.app.tools.hand_slab_mm, 1):
            self.app.tools.hand_slab_mm = half_mm

    def _set_rule(self, row: int) -> None:
        self.app.tools.rule = self.rule.itemData(row)


def _tool_icon(app: Application, tool: Tool) -> IconButton:
    return IconButton(app, f"tool.{tool}", tool, lambda app: app.tools.tool == tool)


def slider_from_radius(radius: float) -> int:
    """Return the slider's step of a radius in mm; steps are equal ratios, so that small brushes can be set finely."""
    low, high = RADIUS_LIMITS
    return round(SLIDER_STEPS * math.log(radius / low) / math.log(high / low))


def radius_from_slider(step: int) -> float:
    """Return the radius in mm of a slider's step."""
    low, high = RADIUS_LIMITS
    return round(low * (high / low) ** (step / SLIDER_STEPS), 1)
