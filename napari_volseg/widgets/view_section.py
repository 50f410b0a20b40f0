"""How the case is looked at: window, plane, 3D, opacity of the segments."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QGridLayout, QLabel, QSlider

from napari_volseg.app import COMMANDS, Application
from napari_volseg.app.wishes import LayoutName
from napari_volseg.core import CT_WINDOWS
from napari_volseg.widgets.buttons import CommandButton, IconButton
from napari_volseg.widgets.deep_rows import DeepRows
from napari_volseg.widgets.fusion_rows import FusionRows
from napari_volseg.widgets.histogram_bar import HistogramBar
from napari_volseg.widgets.section import SPACING, Section, muted_label

WINDOW_TEXTS = {
    **{f"window.{window_id}": window.name for window_id, window in CT_WINDOWS.items()},
    "window.file-0": "From file",
    "window.auto": "Auto",
}
WINDOW_COLUMNS = 4
PLANE_TEXTS = {"view.axial": "Axial", "view.coronal": "Coronal", "view.sagittal": "Sagittal", "view.3d": "3D"}
#: Icons between texts are no higher than these, pixels.
ICON_SIZE = 16
#: Commands that choose a layout, which their icons are named after too.
LAYOUTS: dict[str, LayoutName] = {
    "layout-one": "one",
    "layout-two": "two",
    "layout-one-three": "one-three",
    "layout-four": "four",
}


class ViewSection(Section):
    """Windows in a grid, planes in a row, layouts in another."""

    title = "View"
    name = "view"

    def build(self) -> None:
        """Make the buttons and the slider."""
        grid = QGridLayout()
        grid.setSpacing(SPACING)
        self._windows = [CommandButton(self.app, i, text, partial(_shown, i)) for i, text in WINDOW_TEXTS.items()]
        for place, button in enumerate(self._windows):
            grid.addWidget(button, *divmod(place, WINDOW_COLUMNS))
        self.rows.addLayout(grid)
        self.window_text = muted_label()
        self.rows.addWidget(self.window_text)
        self.histogram = HistogramBar(self.app)
        self.rows.addWidget(self.histogram)
        planes = [CommandButton(self.app, i, text, partial(_shown, i)) for i, text in PLANE_TEXTS.items()]
        self.add_row(*planes)
        layouts = [IconButton(self.app, f"view.{i}", i, partial(_laid_out, name)) for i, name in LAYOUTS.items()]
        for button in layouts:
            button.setIconSize(QSize(ICON_SIZE, ICON_SIZE))
        fit = CommandButton(self.app, "view.reset", "Fit")
        crosshair = CommandButton(self.app, "view.crosshair", "Crosshair", lambda app: app.view.crosshair)
        self.add_row(*layouts, crosshair, fit)
        self.deep = DeepRows(self.app)
        for row in self.deep.rows:
            self.rows.addWidget(row)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setObjectName("opacity")
        self.opacity.setRange(0, 100)
        self.opacity.setToolTip("How strongly the segments cover the image")
        self.opacity.valueChanged.connect(self._set_opacity)
        labels = CommandButton(self.app, "view.labels", "Segments", lambda app: app.view.labels_visible)
        self.percent = QLabel()
        self.percent.setMinimumWidth(self.percent.fontMetrics().horizontalAdvance("100 %") + 8)
        row = self.add_row(labels, self.opacity, self.percent, stretch=False)
        row.setStretchFactor(self.opacity, 1)
        self.fusion = FusionRows(self.app)
        for row in self.fusion.rows:
            self.rows.addWidget(row)
        self._others = [*planes, *layouts, crosshair, fit, labels]

    def refresh(self) -> None:
        """Show window, plane and opacity."""
        for button in self._others:
            button.refresh()
        self.refresh_window()
        self.deep.refresh()
        self.opacity.setEnabled(self.app.case is not None)
        percent = round(100 * self.app.view.labels_opacity)
        self.opacity.setValue(percent)
        self.percent.setText(f"{percent} %")
        self.fusion.refresh()

    def refresh_window(self) -> None:
        """Show the window."""
        for button in self._windows:
            button.refresh()
        volume, window = self.app.shown_volume, self.app.view.window
        unit = f" {volume.unit}" if volume and volume.unit else ""
        self.window_text.setText(
            f"{window.name}: centre {window.center:.4g}, width {window.width:.4g}{unit}" if volume else ""
        )
        self.window_text.setVisible(volume is not None)
        self.histogram.setVisible(self.app.case is not None)
        self.histogram.update()

    def set_colors(self, bars: QColor, accent: QColor) -> None:
        """Draw the histogram in colours of the theme."""
        self.histogram.set_colors(bars, accent)

    def _set_opacity(self, percent: int) -> None:
        if percent != round(100 * self.app.view.labels_opacity):
            self.app.view.labels_opacity = percent / 100


def _shown(command_id: str, app: Application) -> bool:
    """Whether what a command of this section would show is shown already."""
    kind, name = command_id.split(".", 1)
    if COMMANDS[command_id].why_not(app):
        return False
    if kind == "window":
        return app.view.window == app.windows()[name]
    return app.view.three_d if name == "3d" else (app.view.plane == name and not app.view.three_d)


def _laid_out(layout: LayoutName, app: Application) -> bool:
    return app.view.layout == layout
