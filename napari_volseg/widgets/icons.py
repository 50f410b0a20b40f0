"""Icons of our own, drawn in a colour of the theme."""

from __future__ import annotations

from importlib.resources import files

from qtpy.QtGui import QColor, QIcon, QPixmap


def icon(name: str, color: QColor) -> QIcon:
    """Return the icon ``icons/<name>.svg`` in a colour."""
    svg = files(__package__).joinpath("icons", f"{name}.svg").read_text(encoding="utf-8")
    pixmap = QPixmap()
    pixmap.loadFromData(svg.replace("currentColor", color.name()).encode(), "SVG")
    return _unfading(pixmap)


def swatch(color: tuple[int, int, int]) -> QIcon:
    """Return a square of one RGB colour."""
    pixmap = QPixmap(16, 16)
    pixmap.fill(QColor(*color))
    return _unfading(pixmap)


def _unfading(pixmap: QPixmap) -> QIcon:
    """Return an icon that keeps its colours in a selected row, where Qt would tint it."""
    made = QIcon(pixmap)
    made.addPixmap(pixmap, QIcon.Mode.Selected)
    return made
