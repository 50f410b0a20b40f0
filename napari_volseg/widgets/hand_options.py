"""What tools of the hand can be set to: a row for each setting, shown while a tool that has it is in hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QLabel, QVBoxLayout, QWidget

from napari_volseg.app import DISTANCE_LIMITS, Application
from napari_volseg.widgets.section import SPACING, joined

TOLERANCE_LIMITS = (0.0, 100_000.0)

CHOICES: dict[str, tuple[str, str, tuple[tuple[Any, str], ...]]] = {
    "level_side": ("Take", "Which side of the level is taken", (("bright", "Brighter"), ("dark", "Darker"))),
    "grow_by_tissue": (
        "Values",
        "Over which values the region grows: those of the tissue around the click, or all that differ little from it",
        ((True, "Of the tissue"), (False, "Within a tolerance")),
    ),
    "cut_part": (
        "Take away",
        "Which part the scissors take away",
        (("inside", "Inside the lasso"), ("outside", "Outside the lasso")),
    ),
    "cut_all": ("Of", "What the scissors cut", ((False, "The active segment"), (True, "All that are shown"))),
}

NUMBERS: dict[str, tuple[str, str, tuple[float, float]]] = {
    "tolerance": ("Tolerance", "How much values may differ from the one that was clicked", TOLERANCE_LIMITS),
    "grow_mm": ("At most", "How far from the click the region may reach", DISTANCE_LIMITS),
}

#: The settings of each tool that has some.
OPTIONS = {
    "level": ("level_side",),
    "grow": ("grow_by_tissue", "tolerance", "grow_mm"),
    "scissors": ("cut_part", "cut_all"),
}


class HandOptions(QWidget):
    """The settings of the tool in hand.

    Parameters
    ----------
    app
        Whose wishes are shown and set.
    """

    def __init__(self, app: Application) -> None:
        super().__init__()
        self._app = app
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(SPACING)
        self._fields: dict[str, QComboBox | QDoubleSpinBox] = {}
        for name, (label, tip, options) in CHOICES.items():
            self._add(name, label, tip, _combo(options, lambda value, name=name: self._set(name, value)))
        for name, (label, tip, limits) in NUMBERS.items():
            self._add(name, label, tip, _number(limits, lambda value, name=name: self._set(name, value)))

    def refresh(self) -> None:
        """Show the rows of the tool in hand with what they are set to."""
        tools = self._app.tools
        shown = OPTIONS.get(tools.tool, ())
        self.setVisible(bool(shown))
        for name, field in self._fields.items():
            visible = name in shown and not (name == "tolerance" and tools.grow_by_tissue)
            field.parentWidget().setVisible(visible)
            with QSignalBlocker(field):
                self._show(name, field, getattr(tools, name))

    def _show(self, name: str, field: QComboBox | QDoubleSpinBox, value: Any) -> None:
        if isinstance(field, QComboBox):
            field.setCurrentIndex(field.findData(value))
            return
        unit = _unit(self._app) if name == "tolerance" else length_unit(self._app)
        field.setSuffix(f" {unit}" if unit else "")
        if field.value() != round(value, field.decimals()):
            field.setValue(value)

    def _add(self, name: str, label: str, tip: str, field: QComboBox | QDoubleSpinBox) -> None:
        field.setObjectName(name)
        field.setToolTip(tip)
        self._fields[name] = field
        row = joined(QLabel(label), field)
        row.layout().setStretchFactor(field, 1)
        self.layout().addWidget(row)

    def _set(self, name: str, value: Any) -> None:
        setattr(self._app.tools, name, value)


def length_unit(app: Application) -> str:
    """Return what distances are measured in."""
    return "mm" if app.case is None or app.case.volume.is_calibrated else "voxels"


def _unit(app: Application) -> str:
    return app.case.volume.unit if app.case is not None else ""


def _combo(options: tuple[tuple[Any, str], ...], choose: Callable[[Any], None]) -> QComboBox:
    combo = QComboBox()
    for value, text in options:
        combo.addItem(text, value)
    combo.currentIndexChanged.connect(lambda row: choose(combo.itemData(row)))
    return combo


def _number(limits: tuple[float, float], choose: Callable[[float], None]) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setDecimals(1)
    box.setRange(*limits)
    box.setSingleStep(5.0)
    box.valueChanged.connect(choose)
    return box
