"""The second image over the open one: added, shown, coloured and taken away again."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QLabel, QSlider, QWidget

from napari_volseg.app import COMMANDS, Application
from napari_volseg.app.fusion import COLOURS, ColourName, Fused
from napari_volseg.core import Window
from napari_volseg.viewer import colour_bar
from napari_volseg.widgets.buttons import CommandButton
from napari_volseg.widgets.section import joined

#: Width and height of a colour map's picture, pixels.
BAR = (48, 12)
#: Letters of the second image's name that are shown; its tooltip has all.
LETTERS = 26
VALUE_LIMITS = (-1e6, 1e6)


class FusionRows:
    """What the second image is and how it is shown; a button to add one where there is none.

    Parameters
    ----------
    app
        Whose second image is shown and changed.

    Attributes
    ----------
    rows
        One widget below the other.
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        self.add = CommandButton(app, "fusion.add")
        self.name = CommandButton(app, "fusion.show", checked=lambda app: app.fusion.wishes.visible)
        self.remove = CommandButton(app, "fusion.remove", "Remove")
        self.opacity = self._slider()
        self.percent = QLabel()
        self.percent.setMinimumWidth(self.percent.fontMetrics().horizontalAdvance("100 %") + 8)
        self.colours = self._combo()
        self.low = self._number("fusion-low", "The second image is seen from this value on")
        self.high = self._number("fusion-high", "The value of the last colour")
        self.unit = QLabel()
        self._shown = [
            joined(self.name, self.remove),
            joined(self.colours, self.opacity, self.percent),
            joined(QLabel("From"), self.low, QLabel("to"), self.high, self.unit),
        ]
        self.rows: tuple[QWidget, ...] = (self.add, *self._shown)
        self._shown[0].layout().setStretch(0, 1)
        self._shown[1].layout().setStretch(1, 1)
        self._shown[2].layout().addStretch(1)
        self.refresh()

    def refresh(self) -> None:
        """Show what the application holds now."""
        for button in (self.add, self.name, self.remove):
            button.refresh()
        image = self._app.fusion.image
        self.add.setVisible(image is None)
        for row in self._shown:
            row.setVisible(image is not None)
        if image is not None:
            self._show(image)

    def _show(self, image: Fused) -> None:
        wishes, volume = self._app.fusion.wishes, image.volume
        self.name.setText(_shortened(f"{volume.modality} {volume.name}"))
        self.name.setToolTip(f"{volume.name}\n{self.name.toolTip()}")
        with QSignalBlocker(self.opacity), QSignalBlocker(self.colours):
            self.opacity.setValue(round(100 * wishes.opacity))
            self.colours.setCurrentIndex(COLOURS.index(wishes.colours))
        self.percent.setText(f"{round(100 * wishes.opacity)} %")
        self.unit.setText("SUV" if volume.quantity == "SUV" else volume.unit)
        least, most = image.values
        for field, value in zip((self.low, self.high), wishes.window.limits, strict=True):
            field.setSingleStep(_step(most - least))
            field.setDecimals(2 if most - least < 100 else 0)
            if not field.hasFocus():
                with QSignalBlocker(field):
                    field.setValue(value)

    def _slider(self) -> QSlider:
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setObjectName("fusion-opacity")
        slider.setRange(0, 100)
        keys = f"{COMMANDS['fusion.weaker'].key}, {COMMANDS['fusion.stronger'].key}"
        slider.setToolTip(f"How strongly the second image covers the open one [{keys}]")
        slider.valueChanged.connect(self._set_opacity)
        return slider

    def _combo(self) -> QComboBox:
        combo = QComboBox()
        combo.setObjectName("fusion-colours")
        combo.setToolTip(f"Colours of the second image [{COMMANDS['fusion.colours'].key}]")
        for name in COLOURS:
            combo.addItem(_bar(name), name.capitalize(), name)
        combo.activated.connect(self._set_colours)
        return combo

    def _number(self, name: str, tip: str) -> QDoubleSpinBox:
        field = QDoubleSpinBox()
        field.setObjectName(name)
        field.setRange(*VALUE_LIMITS)
        field.setKeyboardTracking(False)
        field.setToolTip(tip)
        field.setStyleSheet("min-width: 70px;")
        field.valueChanged.connect(self._set_window)
        return field

    def _set_opacity(self, percent: int) -> None:
        self._app.fusion.wishes.opacity = percent / 100

    def _set_colours(self, row: int) -> None:
        self._app.fusion.wishes.colours = COLOURS[row]

    def _set_window(self) -> None:
        low, high = self.low.value(), self.high.value()
        if high > low:
            self._app.fusion.wishes.window = Window.between(low, high)


def _shortened(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"


def _step(span: float) -> float:
    return 0.5 if span < 100 else max(1.0, 10.0 ** (len(str(int(span))) - 2))


def _bar(name: ColourName) -> QIcon:
    """Return a picture of a colour map, from low to high."""
    width, height = BAR
    pixels = colour_bar(name, width, height)
    image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return QIcon(QPixmap.fromImage(image.copy()))
