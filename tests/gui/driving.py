"""Drive the program as a hand would: real mouse and key events on its canvas and panel."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton, QScrollArea, QWidget

from napari_volseg.app.layouts import in_hand

#: Milliseconds to wait for work in the background.
PATIENCE = 120_000


class Hand:
    """A user's hand at one window, which shows one view.

    Parameters
    ----------
    viewer, app, panel
        What ``create_window`` returned.
    qtbot
        pytest-qt's robot.
    """

    def __init__(self, viewer, app, panel, qtbot) -> None:
        self.viewer, self.app, self.panel, self.qtbot = viewer, app, panel, qtbot
        app.view.layout = "one"
        self.canvas: QWidget = panel.views.canvas(in_hand(app.view))

    def wait(self, condition) -> None:
        """Let the program run until something is true."""
        self.qtbot.waitUntil(condition, timeout=PATIENCE)

    def settle(self) -> None:
        """Wait until nothing runs any more, and what was asked for is drawn."""
        self.wait(lambda: not self.app.jobs.active)
        QApplication.processEvents()

    def press(self, name: str) -> None:
        """Scroll to a button of the panel and click it."""
        button = self.panel.findChild(QPushButton, name)
        self.panel.findChild(QScrollArea).ensureWidgetVisible(button)
        assert button.isVisible(), f"{name} is hidden"
        assert button.isEnabled(), f"{name} is greyed: {button.toolTip()}"
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def key(self, key, modifier=Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key on the canvas."""
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key, modifier)
        QApplication.processEvents()

    def go_to(self, index) -> None:
        """Show the slice of a voxel (z, y, x)."""
        spacing = self.app.case.volume.geometry.spacing
        self.viewer.dims.set_point(range(3), [i * s for i, s in zip(index, spacing, strict=True)])
        QApplication.processEvents()

    def where(self, index) -> QPoint:
        """Return where the canvas shows a voxel (z, y, x) of the slice in view."""
        camera, dims = self.viewer.scene.camera, self.viewer.dims
        spacing = self.app.case.volume.geometry.spacing
        world = np.array([index[axis] * spacing[axis] for axis in dims.displayed])
        signs = [1 if str(o) in ("down", "right") else -1 for o in camera.orientation2d]
        offset = (world - np.array(camera.center[-2:])) * signs * camera.zoom
        center = self.canvas.rect().center()
        return QPoint(round(center.x() + offset[1]), round(center.y() + offset[0]))

    def click(self, index, modifier=Qt.KeyboardModifier.NoModifier) -> None:
        """Click a voxel with the left button."""
        self.go_to(index)
        point = self.where(index)
        QTest.mouseMove(self.canvas, point)
        QTest.mouseClick(self.canvas, Qt.MouseButton.LeftButton, modifier, point)
        QApplication.processEvents()

    def drag(self, start, stop, steps: int = 6) -> None:
        """Draw from one voxel to another of the same slice with the left button."""
        self.go_to(start)
        first, last = self.where(start), self.where(stop)
        QTest.mouseMove(self.canvas, first)
        QTest.mousePress(self.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, first)
        for share in np.linspace(0, 1, steps + 1)[1:]:
            x = round(first.x() + share * (last.x() - first.x()))
            y = round(first.y() + share * (last.y() - first.y()))
            move_pressed(self.canvas, QPoint(x, y))
        QTest.mouseRelease(self.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, last)
        QApplication.processEvents()


def move_pressed(widget: QWidget, point: QPoint) -> None:
    """Move the mouse with the left button down, which QTest.mouseMove does not tell the widget."""
    from qtpy.QtCore import QEvent, QPointF
    from qtpy.QtGui import QMouseEvent

    event = QMouseEvent(
        QEvent.Type.MouseMove,
        QPointF(point),
        QPointF(widget.mapToGlobal(point)),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(widget, event)
    QApplication.processEvents()


def turn_wheel(widget: QWidget, turn: int) -> bool:
    """Turn the wheel over a widget; say whether it kept the event from the area around it."""
    middle = QPointF(widget.rect().center())
    event = QWheelEvent(
        middle,
        QPointF(widget.mapToGlobal(widget.rect().center())),
        QPoint(),
        QPoint(0, turn),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


def send_mouse(
    canvas: QWidget, kind: QEvent.Type, point: QPoint, held: Qt.MouseButton = Qt.MouseButton.LeftButton
) -> None:
    """Tell a canvas of the mouse while a button is held down, the left one where not given."""
    button = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else held
    down = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else held
    nothing = Qt.KeyboardModifier.NoModifier
    event = QMouseEvent(kind, QPointF(point), QPointF(canvas.mapToGlobal(point)), button, down, nothing)
    QApplication.sendEvent(canvas, event)
    QApplication.processEvents()
