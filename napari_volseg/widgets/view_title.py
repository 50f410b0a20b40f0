"""The name of a view and the button that shows it alone, at the top of its canvas."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QLabel, QToolButton, QWidget

from napari_volseg.app import COMMANDS, Application, run_command
from napari_volseg.app.layouts import take_in_hand, views_shown
from napari_volseg.app.wishes import ViewName
from napari_volseg.viewer import Pane
from napari_volseg.widgets.icons import icon
from napari_volseg.widgets.view_glass import SCALE_COLOR, VIEW_COLORS

TEXTS: dict[ViewName, str] = {
    "axial": "Axial",
    "coronal": "Coronal",
    "sagittal": "Sagittal",
    "3d": "3D",
    "second": "Second image",
}
#: What is left free between a title and the letter in the middle, pixels.
FREE = 34
LATE = "3D: click to update"
MARGIN = 6
STYLE = "color: {color}; background: rgba(0, 0, 0, 120); padding: 1px 5px; border-radius: 3px; font-weight: bold;"
BUTTON_STYLE = (
    "QToolButton { background: rgba(0, 0, 0, 120); border: none; border-radius: 3px; padding: 3px; }"
    "QToolButton:hover { background: rgba(90, 100, 120, 220); }"
)


class ViewTitle(QObject):
    """Tells which view a canvas shows, where there is a case.

    Parameters
    ----------
    app
        Whose case is shown.
    pane
        Where.
    canvas
        The widget that draws the image.
    """

    def __init__(self, app: Application, pane: Pane, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._app, self._pane, self._canvas = app, pane, canvas
        self.label = QLabel(canvas)
        self.label.setObjectName("view-title")
        self.label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.button = QToolButton(canvas)
        self.button.setObjectName("view-maximize")
        self.button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.button.setIcon(icon("maximize", SCALE_COLOR))
        self.button.setStyleSheet(BUTTON_STYLE)
        self.button.setCursor(Qt.CursorShape.ArrowCursor)
        self.button.clicked.connect(self._maximize)
        canvas.installEventFilter(self)
        view = app.view.events
        wishes = (view.layout, view.large, view.plane, view.three_d, app.fusion.changed)
        self._signals = (app.case_changed, app.preview.changed, *wishes)
        for signal in self._signals:
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the name of the view and what the button does now."""
        name, shown = self._pane.name, self._app.case is not None and self._app.preview.arriving is None
        several = len(views_shown(self._app.view)) > 1
        self.label.setToolTip(self._text)
        self.label.setStyleSheet(STYLE.format(color=VIEW_COLORS[name].name()))
        self._write()
        key = COMMANDS["view.maximize"].key
        self.button.setToolTip(
            f"{'Show this view alone' if several else 'Show all views'} [{key}, or double-click it]"
        )
        self.button.setAccessibleName(self.button.toolTip())
        for widget in (self.label, self.button):
            widget.setVisible(shown)
            widget.adjustSize()
        self._place()

    @property
    def _text(self) -> str:
        """The name of the view; beside a second image, which image it shows, too."""
        app, name = self._app, self._pane.name
        first, second = app.case, app.fusion.image
        if app.view.layout != "two" or first is None or second is None:
            return TEXTS[name]
        volume = second.volume if name == "second" else first.volume
        return f"{TEXTS[self._pane.plane]}   {volume.modality} {volume.name}"

    def _write(self) -> None:
        """Write the title, shortened so that it does not reach the letter in the middle of the edge."""
        text = LATE if self._pane.is_late else self._text
        room = max(
            self._canvas.width() // 2 - FREE, self.label.fontMetrics().horizontalAdvance(TEXTS[self._pane.name])
        )
        short = self.label.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, room)
        self.label.setText(text if text in (LATE, *TEXTS.values()) else short)
        self.label.adjustSize()

    def remove(self) -> None:
        """Take name and button off the canvas."""
        for signal in self._signals:
            signal.disconnect(self.refresh)
        self._canvas.removeEventFilter(self)
        for widget in (self.label, self.button):
            widget.deleteLater()
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the canvas when it is resized."""
        if event.type() == QEvent.Type.Resize:
            self._write()
            self._place()
        return False

    def _place(self) -> None:
        self.label.move(MARGIN, MARGIN)
        self.button.move(self._canvas.width() - self.button.width() - MARGIN, MARGIN)

    def _maximize(self) -> None:
        take_in_hand(self._app.view, self._pane.name)
        run_command(self._app, "view.maximize")
