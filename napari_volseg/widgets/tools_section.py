"""Correct by segment tools: choose one, set its parameters, apply it."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QWidget

from napari_volseg.app import COMMANDS, SEGMENT_TOOLS, Application, SegmentTool, run_command
from napari_volseg.app.correcting import other_segments, set_settings, settings_of
from napari_volseg.app.tool_types import Number, OtherSegment, Parameter, Setting
from napari_volseg.widgets.buttons import ActionButton
from napari_volseg.widgets.section import SPACING, Section, muted_label

#: What units are called where the size of voxels is not known.
UNCALIBRATED = {"mm": "voxels", "mm³": "voxels"}


class ToolsSection(Section):
    """Tools that change segments at the press of a button."""

    title = "Tools"
    name = "tools"

    def build(self) -> None:
        """Make the list of tools, a page of parameters for each, and the buttons."""
        self.tools = _combo("segment-tool")
        for tool in SEGMENT_TOOLS.values():
            self.tools.addItem(tool.title, tool.id)
            self.tools.setItemData(self.tools.count() - 1, _command_tip(tool), Qt.ItemDataRole.ToolTipRole)
        self.tools.currentIndexChanged.connect(self._choose)
        self.tip = muted_label()
        self.rows.addWidget(self.tools)
        self.rows.addWidget(self.tip)
        # made at once and hidden, for what guards boxes from the wheel looks at those that are there
        self._pages = {tool.id: _Page(self.app, tool) for tool in SEGMENT_TOOLS.values() if tool.parameters}
        for page in self._pages.values():
            self.rows.addWidget(page)
        self.suggest = ActionButton("Suggest", "", self._suggest, "tools.suggest")
        self.apply = ActionButton("Apply", "", self._apply, "tools.apply")
        self.add_row(self.suggest, self.apply)

    def refresh(self) -> None:
        """Show the chosen tool, its settings, and whether it can be applied."""
        tool = self._tool
        self.tools.setCurrentIndex(self.tools.findData(tool.id))
        self.tools.setToolTip(_command_tip(tool))
        self.tip.setText(tool.tip)
        for tool_id, page in self._pages.items():
            page.setVisible(tool_id == tool.id)
        if tool.id in self._pages:
            self._pages[tool.id].refresh()
        self.apply.explain(_command_tip(tool), COMMANDS[f"tool.{tool.id}"].why_not(self.app))
        suggestion = COMMANDS["tool.suggest-range"]
        self.suggest.setVisible(tool.suggest is not None)
        self.suggest.explain(suggestion.tooltip, suggestion.why_not(self.app))

    @property
    def _tool(self) -> SegmentTool:
        return SEGMENT_TOOLS[self.app.tools.segment_tool]

    def _choose(self, row: int) -> None:
        self.app.tools.segment_tool = self.tools.itemData(row)

    def _apply(self) -> None:
        run_command(self.app, f"tool.{self._tool.id}")

    def _suggest(self) -> None:
        run_command(self.app, "tool.suggest-range")


class _Page(QWidget):
    """The parameters of one tool, a row each."""

    def __init__(self, app: Application, tool: SegmentTool) -> None:
        super().__init__()
        self._app, self._tool = app, tool
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(SPACING)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._fields = {p.name: self._field(p) for p in tool.parameters}
        for parameter in tool.parameters:
            form.addRow(parameter.label, self._fields[parameter.name])

    def refresh(self) -> None:
        """Show what the parameters are set to."""
        settings = settings_of(self._app, self._tool)
        for parameter in self._tool.parameters:
            field = self._fields[parameter.name]
            with QSignalBlocker(field):
                self._show(field, parameter, settings[parameter.name])

    def _field(self, parameter: Parameter) -> QWidget:
        if isinstance(parameter, Number):
            field = _number(parameter)
            field.valueChanged.connect(lambda value: self._set(parameter.name, value))
        else:
            field = _combo("")
            for option, text in () if isinstance(parameter, OtherSegment) else parameter.options:
                field.addItem(text, option)
            field.currentIndexChanged.connect(lambda row: self._set(parameter.name, field.itemData(row)))
        field.setObjectName(f"{self._tool.id}.{parameter.name}")
        field.setToolTip(f"{parameter.label}: {self._tool.tip}")
        return field

    def _show(self, field: QWidget, parameter: Parameter, value: Setting) -> None:
        if isinstance(parameter, Number):
            field.setSuffix(f" {unit}" if (unit := _unit(self._app, parameter)) else "")
            if field.value() != round(value, parameter.decimals):  # else what is being typed would be rewritten
                field.setValue(value)
            return
        if isinstance(parameter, OtherSegment):
            _list_segments(field, other_segments(self._app))
        field.setCurrentIndex(field.findData(value))

    def _set(self, name: str, value: Setting | None) -> None:
        if value is not None:
            set_settings(self._app, self._tool, {name: value})


def _command_tip(tool: SegmentTool) -> str:
    return COMMANDS[f"tool.{tool.id}"].tooltip


def _combo(name: str) -> QComboBox:
    combo = QComboBox()
    combo.setObjectName(name)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return combo


class _NumberBox(QDoubleSpinBox):
    """A box for numbers that shows no zeros at their end."""

    def textFromValue(self, value: float) -> str:
        """Return the shortest text of a number."""
        text = super().textFromValue(value)
        point = self.locale().decimalPoint()
        return text.rstrip("0").removesuffix(point) if point in text else text


def _number(parameter: Number) -> QDoubleSpinBox:
    box = _NumberBox()
    box.setDecimals(parameter.decimals)
    box.setRange(parameter.low, parameter.high)
    box.setSingleStep(parameter.step)
    return box


def _unit(app: Application, parameter: Number) -> str:
    """Return the unit to show behind a number."""
    volume = app.case.volume if app.case is not None else None
    if parameter.unit == "image":
        return volume.unit if volume is not None else ""
    return parameter.unit if volume is None or volume.is_calibrated else UNCALIBRATED[parameter.unit]


def _list_segments(combo: QComboBox, segments: dict[int, str]) -> None:
    """Make a list show segments, unless it does already."""
    shown = {combo.itemData(row): combo.itemText(row) for row in range(combo.count())}
    if shown != segments:
        combo.clear()
        for value, name in segments.items():
            combo.addItem(name, value)
