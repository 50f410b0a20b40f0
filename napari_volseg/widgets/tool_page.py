"""The parameters of one segment tool, a row each."""

from __future__ import annotations

import math

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QWidget
from superqt import QDoubleRangeSlider

from napari_volseg.app import Application, SegmentTool
from napari_volseg.app.correcting import segments_offered, settings_of, tune
from napari_volseg.app.tool_types import Number, OtherSegment, Parameter, Setting
from napari_volseg.widgets.section import SPACING

#: What units are called where the size of voxels is not known.
UNCALIBRATED = {"mm": "voxels", "mm³": "voxels"}

#: A slider sets values to such a power of ten of its length: a CT's to whole HU.
FIGURES = 3


class ToolPage(QWidget):
    """The parameters of one tool, a row each; a range of values also has a slider with two handles.

    Parameters
    ----------
    app
        Whose settings are shown and changed.
    tool
        Whose parameters.
    """

    def __init__(self, app: Application, tool: SegmentTool) -> None:
        super().__init__()
        self._app, self._tool = app, tool
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(SPACING)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._fields = {p.name: self._field(p) for p in tool.parameters}
        self._range = RangeSlider(app, tool) if {"low", "high"} <= self._fields.keys() else None
        if self._range is not None:
            form.addRow(self._range)
        for parameter in tool.parameters:
            form.addRow(parameter.label, self._fields[parameter.name])

    def set_accent(self, color: QColor) -> None:
        """Draw the range between two handles in a colour."""
        if self._range is not None:
            self._range.setProperty("barColor", QBrush(color))

    def refresh(self) -> None:
        """Show what the parameters are set to."""
        settings = settings_of(self._app, self._tool)
        if self._range is not None:
            self._range.refresh(settings["low"], settings["high"])
        for parameter in self._tool.parameters:
            field = self._fields[parameter.name]
            with QSignalBlocker(field):
                self._show(field, parameter, settings[parameter.name])

    def _field(self, parameter: Parameter) -> QWidget:
        if isinstance(parameter, Number):
            field = _number(parameter)
            field.valueChanged.connect(lambda value: self._set(parameter.name, value))
        else:
            field = combo("")
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
            _list_segments(field, segments_offered(self._app, self._tool, parameter))
        field.setCurrentIndex(field.findData(value))

    def _set(self, name: str, value: Setting | None) -> None:
        if value is not None:
            tune(self._app, self._tool, {name: value})


class RangeSlider(QDoubleRangeSlider):
    """A slider with two handles for the parameters ``low`` and ``high`` of a tool, from end to end of the image."""

    def __init__(self, app: Application, tool: SegmentTool) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._app, self._tool = app, tool
        self.setObjectName(f"{tool.id}.range")
        self.setToolTip("Drag an end of the range, or all of it: what it holds is shown at once")
        self.valueChanged.connect(self._drag)

    def refresh(self, low: float, high: float) -> None:
        """Show a range; of what lies beyond the values of the image, their end."""
        case = self._app.case
        least, most = case.values if case is not None else (0.0, 1.0)
        with QSignalBlocker(self):
            if least < most:
                self.setRange(least, most)
            self.setValue((min(low, high), max(low, high)))

    def _drag(self, values: tuple[float, float]) -> None:
        """Set the ends that were moved: one that lies beyond the image stays there while the other is dragged."""
        settings = settings_of(self._app, self._tool)
        least, most = self.minimum(), self.maximum()
        shown = {name: min(max(settings[name], least), most) for name in ("low", "high")}
        moved = dict(zip(("low", "high"), values, strict=True))
        places = max(0, FIGURES - math.floor(math.log10(most - least)))
        wanted = {name: round(value, places) for name, value in moved.items() if value != shown[name]}
        tune(self._app, self._tool, wanted)


def combo(name: str) -> QComboBox:
    """Return an empty list that is not made wider by what it lists."""
    made = QComboBox()
    made.setObjectName(name)
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return made


class NumberBox(QDoubleSpinBox):
    """A box for numbers that shows no zeros at their end."""

    def textFromValue(self, value: float) -> str:
        """Return the shortest text of a number."""
        text = super().textFromValue(value)
        point = self.locale().decimalPoint()
        return text.rstrip("0").removesuffix(point) if point in text else text


def _number(parameter: Number) -> QDoubleSpinBox:
    box = NumberBox()
    box.setDecimals(parameter.decimals)
    box.setRange(parameter.low, parameter.high)
    box.setSingleStep(parameter.step)
    return box


def _unit(app: Application, parameter: Number) -> str:
    """Return the unit to show behind a number."""
    volume = app.case.volume if app.case is not None else None
    if parameter.unit == "image":
        return volume.unit if volume is not None else ""
    known = volume is None or volume.is_calibrated
    return parameter.unit if known else UNCALIBRATED.get(parameter.unit, parameter.unit)


def _list_segments(field: QComboBox, segments: dict[int, str]) -> None:
    """Make a list show segments, unless it does already."""
    shown = {field.itemData(row): field.itemText(row) for row in range(field.count())}
    if shown != segments:
        field.clear()
        for value, name in segments.items():
            field.addItem(name, value)
