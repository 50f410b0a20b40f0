"""Colours of the panel, taken from napari's theme so that light and dark both fit."""

from __future__ import annotations

from importlib.resources import files

from napari.components import ViewerModel
from napari.utils.theme import get_theme, template
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QWidget

#: Colour of what is chosen and of the next step, for dark and light themes: napari's own is too pale on light grey.
ACCENTS = {"dark": "#5273e0", "light": "#2f55c8"}
#: Colour of the marks of warnings, legible as text on the panel's ground.
WARNINGS = {"dark": "#e8bb2a", "light": "#8a5300"}


def apply_theme(widget: QWidget, viewer: ViewerModel) -> None:
    """Style a widget and all below it in the viewer's theme."""
    text = files(__package__).joinpath("style.qss").read_text(encoding="utf-8")
    theme = get_theme(viewer.theme)
    widget.setStyleSheet(template(text, accent=ACCENTS[theme.type], **theme.to_rgb_dict()))


def accent_color(viewer: ViewerModel) -> QColor:
    """Return the colour of what is chosen in the viewer's theme."""
    return QColor(ACCENTS[get_theme(viewer.theme).type])


def warning_color(viewer: ViewerModel) -> QColor:
    """Return the colour of marks of warnings in the viewer's theme."""
    return QColor(WARNINGS[get_theme(viewer.theme).type])


def icon_color(viewer: ViewerModel) -> QColor:
    """Return the colour of icons in the viewer's theme."""
    return QColor(*get_theme(viewer.theme).icon.as_rgb_tuple()[:3])
