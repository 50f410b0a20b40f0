"""Orientation letters at the edges of the image, and what is under the cursor in the status bar."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QPoint, QRect, Qt
from qtpy.QtWidgets import QLabel, QMainWindow, QWidget

from napari_volseg.app import Application
from napari_volseg.viewer import Pane, letters

EDGES = ("top", "bottom", "left", "right")
MARGIN = 6
INVITATION = "Drop a DICOM folder or a NIfTI file here,\nor open one in the panel"
INVITATION_3D = "Click here to see\nthe volume in 3D"
INVITATION_STYLE = "color: #9aa0a6; background: transparent; font-size: 13pt;"
#: Yellow with a dark ground reads on lung and on bone alike.
LETTER_STYLE = (
    "color: #ffe14d; background: rgba(0, 0, 0, 110); font-weight: bold; padding: 0 4px; border-radius: 3px;"
)


class LettersOverlay(QObject):
    """Letters of the patient's directions, laid over the canvas without taking its mouse.

    Parameters
    ----------
    app
        Whose case is shown.
    pane
        Where.
    canvas
        The widget that draws the image.

    Attributes
    ----------
    labels
        One label for each edge.
    invitation
        What to do where nothing is to be seen: open an image, or look at the 3D view for the first time.
    """

    def __init__(self, app: Application, pane: Pane, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._app = app
        self._pane = pane
        self._canvas = canvas
        self.labels = {edge: _letter_label(canvas, edge) for edge in EDGES}
        self.invitation = _letter_label(canvas, "middle")
        self.invitation.setStyleSheet(INVITATION_STYLE)
        self.invitation.setAlignment(Qt.AlignmentFlag.AlignCenter)
        canvas.installEventFilter(self)
        view, camera = app.view.events, pane.viewer.scene.camera.events
        wishes = (view.plane, view.three_d, view.large, view.layout)
        self._signals = (app.case_changed, app.preview.changed, *wishes, camera.angles)
        for signal in self._signals:
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the letters of what is shown, and of where the camera of the 3D view looks."""
        shown = letters(self._app, self._pane.name, self._pane.viewer)
        for edge, label in self.labels.items():
            label.setVisible(shown is not None)
            label.setText(getattr(shown, edge) if shown else "")
            label.adjustSize()
        nothing = self._app.shown_volume is None
        self.invitation.setVisible(nothing or self._pane.waits)
        self.invitation.setText(INVITATION if nothing else INVITATION_3D)
        self.invitation.adjustSize()
        self._place()

    def remove(self) -> None:
        """Take the letters off the canvas."""
        for signal in self._signals:
            signal.disconnect(self.refresh)
        self._canvas.removeEventFilter(self)
        for label in (*self.labels.values(), self.invitation):
            label.deleteLater()
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the canvas when it is resized."""
        if event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def _place(self) -> None:
        area = self._canvas.rect()
        for edge, label in self.labels.items():
            label.move(_position(edge, area, label.rect()))
        self.invitation.move(_position("middle", area, self.invitation.rect()))


def _letter_label(canvas: QWidget, edge: str) -> QLabel:
    label = QLabel(canvas)
    label.setObjectName(f"letter-{edge}")
    label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    label.setStyleSheet(LETTER_STYLE)
    return label


def _position(edge: str, area: QRect, label: QRect) -> QPoint:
    """Return the top left corner of a label in the middle of the canvas or centred at one of its edges."""
    across, down = (area.width() - label.width()) // 2, (area.height() - label.height()) // 2
    return {
        "middle": QPoint(across, down),
        "top": QPoint(across, MARGIN),
        "bottom": QPoint(across, area.height() - label.height() - MARGIN),
        "left": QPoint(MARGIN, down),
        "right": QPoint(area.width() - label.width() - MARGIN, down),
    }[edge]


class CursorReadout(QObject):
    """Value and patient position under the cursor, at the right of the window's status bar."""

    def __init__(self, app: Application, window: QMainWindow) -> None:
        super().__init__(window)
        self.label = QLabel()
        self.label.setObjectName("cursor-readout")
        window.statusBar().addPermanentWidget(self.label)
        app.view.events.cursor_text.connect(self._show)

    def remove(self) -> None:
        """Take the readout out of the status bar."""
        self.label.deleteLater()
        self.deleteLater()

    def _show(self, text: str) -> None:
        self.label.setText(text)
