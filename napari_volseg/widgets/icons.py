"""Icons of our own, drawn in a colour of the theme."""

from __future__ import annotations

from importlib.resources import files

from qtpy.QtCore import QSize
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractButton, QWidget

#: Name of the property in which a button keeps which icon it shows.
_PROPERTY = "icon-name"

#: Size of icons on buttons, pixels.
BUTTON_SIZE = 20


def give_icon(button: QAbstractButton, name: str) -> None:
    """Let a button show the icon ``icons/<name>.svg``, in the colour that ``paint_icons`` gives it."""
    button.setProperty(_PROPERTY, name)
    button.setIconSize(QSize(BUTTON_SIZE, BUTTON_SIZE))


def paint_icons(root: QWidget, color: QColor) -> None:
    """Draw the icons of all buttons below a widget in a colour; once more whenever the theme changes."""
    for button in root.findChildren(QAbstractButton):
        name = button.property(_PROPERTY)
        if name:
            button.setIcon(icon(name, color))


def icon(name: str, color: QColor) -> QIcon:
    """Return the icon ``icons/<name>.svg`` in a colour."""
    svg = files(__package__).joinpath("icons", f"{name}.svg").read_text(encoding="utf-8")
    pixmap = QPixmap()
    pixmap.loadFromData(svg.replace("currentColor", color.name()).encode(), "SVG")
    return unfading(pixmap)


def swatch(color: tuple[int, int, int]) -> QIcon:
    """Return a square of one RGB colour."""
    pixmap = QPixmap(16, 16)
    pixmap.fill(QColor(*color))
    return unfading(pixmap)


def unfading(pixmap: QPixmap) -> QIcon:
    """Return an icon that keeps its colours in a selected row, where Qt would tint it."""
    made = QIcon(pixmap)
    made.addPixmap(pixmap, QIcon.Mode.Selected)
    return made
