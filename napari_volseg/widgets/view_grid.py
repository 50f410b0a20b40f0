"""The views of a layout side by side, in the place where napari has its one."""

from __future__ import annotations

from napari.qt import QtViewer
from napari.utils.action_manager import action_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QMainWindow, QPushButton, QSizePolicy, QWidget

from napari_volseg.app import Application
from napari_volseg.app.layouts import VIEWS, take_in_hand
from napari_volseg.app.wishes import LayoutName, ViewName
from napari_volseg.viewer import Pane, ViewerBinding
from napari_volseg.widgets.furniture import Furniture
from napari_volseg.widgets.graphics import draws_in_software
from napari_volseg.widgets.overlay import INVITATION_3D

SPACING = 3
WAITING_STYLE = (
    "QPushButton { background: black; border: none; border-radius: 0; color: #9aa0a6; font-size: 13pt; }"
    "QPushButton:hover { color: #dfe3e8; }"
)
#: napari makes the numbers beside its sliders too narrow for its own font.
SLIDER_STYLE = "#slice_label { font-size: 9pt; padding: 0; }"
#: Row, column, and how many rows a view takes.
Cell = tuple[int, int, int]


def cells(layout: LayoutName, names: tuple[ViewName, ...]) -> dict[ViewName, Cell]:
    """Return where the views of a layout lie, of which the large one comes first."""
    match layout:
        case "one":
            return {names[0]: (0, 0, 1)}
        case "two":
            return {name: (0, column, 1) for column, name in enumerate(names)}
        case "one-three":
            return {names[0]: (0, 0, 3), **{name: (row, 1, 1) for row, name in enumerate(names[1:])}}
        case "four":
            return {name: (*divmod(VIEWS.index(name), 2), 1) for name in names}


class ViewGrid(QWidget):
    """Holds napari's own canvas and those of further views.

    Parameters
    ----------
    app
        Whose layout is followed.
    binding
        Whose panes are shown.
    window
        napari's window; the grid takes the place of its canvas, and gives it back.
    """

    def __init__(self, app: Application, binding: ViewerBinding, window: QMainWindow) -> None:
        super().__init__(window.centralWidget())
        self.setObjectName("views")
        self.setStyleSheet(SLIDER_STYLE)
        self._app, self._binding = app, binding
        main = window.findChild(QtViewer)
        self._home = window.centralWidget().layout()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(SPACING)
        self._home.replaceWidget(main, self)
        self._waiting = _waiting_room(app)
        self._viewers: dict[Pane, QtViewer] = {binding.main: main}
        self.furniture: dict[Pane, Furniture] = {binding.main: Furniture(app, binding.main, main)}
        self._grid.addWidget(main, 0, 0)
        binding.arranged.connect(self.arrange)
        binding.fell_behind.connect(self._tell_late)
        main.canvas.native.frameSwapped.connect(self._look_at_graphics)
        self.arrange()

    def canvas(self, name: ViewName) -> QWidget:
        """Return the widget that draws a view which is shown."""
        return self._viewers[self._binding.shown[name]].canvas.native

    def arrange(self) -> None:
        """Lay the views out as they are to be shown now."""
        shown = self._binding.shown
        layout = self._app.view.layout if len(shown) > 1 else "one"
        places = cells(layout, tuple(shown))
        widgets = {name: self._widget(pane) for name, pane in shown.items()}
        for widget in (self._waiting, *self._viewers.values()):
            if widget not in widgets.values():
                self._grid.removeWidget(widget)
                widget.hide()
        for name, widget in widgets.items():
            row, column, rows = places[name]
            self._grid.addWidget(widget, row, column, rows, 1)
        self._share(layout)
        for widget in widgets.values():
            widget.show()
        for furniture in self.furniture.values():
            furniture.refresh()

    def remove(self) -> None:
        """Give napari its canvas back and end the further views."""
        self._binding.arranged.disconnect(self.arrange)
        self._binding.fell_behind.disconnect(self._tell_late)
        for furniture in self.furniture.values():
            furniture.remove()
        main, *others = self._viewers.values()
        self._home.replaceWidget(self, main)
        main.show()
        for viewer in others:
            viewer.close()
        self.deleteLater()

    def _widget(self, pane: Pane) -> QWidget:
        """Return what shows a pane: a canvas of its own takes half a second to make, which 3D waits for."""
        if pane not in self._viewers:
            if pane.waits:
                return self._waiting
            # every new one binds napari's shortcuts again, as they are, and has all the others told of each
            with action_manager.events.shortcut_changed.blocker():
                self._viewers[pane] = viewer = QtViewer(pane.viewer)
            self.furniture[pane] = Furniture(self._app, pane, viewer)
        return self._viewers[pane]

    def _look_at_graphics(self) -> None:
        """Find out, at the first frame, whether there is a graphics card."""
        canvas = self._viewers[self._binding.main].canvas.native
        canvas.frameSwapped.disconnect(self._look_at_graphics)
        if draws_in_software(canvas):
            self._binding.be_thrifty()

    def _tell_late(self) -> None:
        for pane, furniture in self.furniture.items():
            if pane.three_d:
                furniture.title.refresh()

    def _share(self, layout: LayoutName) -> None:
        """Give rows and columns of a layout their shares of the room."""
        columns = {"one": (1, 0), "two": (1, 1), "one-three": (3, 1), "four": (1, 1)}[layout]
        rows = {"one": (1, 0, 0), "two": (1, 0, 0), "one-three": (1, 1, 1), "four": (1, 1, 0)}[layout]
        for column, share in enumerate(columns):
            self._grid.setColumnStretch(column, share)
        for row, share in enumerate(rows):
            self._grid.setRowStretch(row, share)


def _waiting_room(app: Application) -> QPushButton:
    """Return what stands in the place of the 3D view until somebody wants to see it."""
    button = QPushButton(INVITATION_3D)
    button.setObjectName("view-3d-waiting")
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
    button.setStyleSheet(WAITING_STYLE)
    button.clicked.connect(lambda: take_in_hand(app.view, "3d"))
    return button
