"""What the panels listen to: everything that may change what they show, as one Qt signal."""

from __future__ import annotations

from qtpy.QtCore import QObject, Qt, QTimer, Signal

from napari_volseg.app import Application

#: Changes within this time are shown together, milliseconds.
GATHER_MS = 15


class AppEvents(QObject):
    """Gathers the application's signals.

    A panel that is told "something changed" and looks itself shows the truth whatever the order of events; the
    cursor and the voxels are left out, as they change with every move of the mouse.

    Attributes
    ----------
    changed
        Some model changed; emitted at most once per ``GATHER_MS``.
    voxels_changed
        Label voxels of the open case were written; emitted as seldom.
    window_changed
        The window is another one, which changes with every move of a drag and concerns little; emitted as seldom.
    """

    changed = Signal()
    voxels_changed = Signal()
    window_changed = Signal()

    def __init__(self, app: Application, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._app = app
        self._changed = _once(self, self.changed)
        self._voxels = _once(self, self.voxels_changed)
        self._window = _once(self, self.window_changed)
        fusion = (app.fusion.changed, app.fusion.wishes.events)
        models = (app.case_changed, app.preview.changed, app.scan_changed, app.jobs.changed, app.tools.events)
        for signal in (*models, app.tool_preview.changed, app.drawing.begun, app.measuring.settled, *fusion):
            signal.connect(self._mark)
        view = app.view.events
        for signal in (
            view.layout,
            view.crosshair,
            view.image_in_3d,
            view.rendering,
            view.cut,
            view.large,
            view.plane,
            view.three_d,
            view.labels_opacity,
            view.labels_visible,
            view.report_shown,
            view.history_shown,
            view.marked_step,
        ):
            signal.connect(self._mark)
        view.window.connect(self._mark_window)
        app.case_changed.connect(self._follow_case)
        self._follow_case()

    def _follow_case(self) -> None:
        case, clicks = self._app.case, self._app.clicks
        if case is None or clicks is None:
            return
        signals = (case.session.table_changed, case.session.history_changed, case.active_changed, clicks.changed)
        for signal in signals:
            signal.connect(self._mark)
        case.session.changed.connect(self._mark_voxels)
        if self._app.figures is not None:
            self._app.figures.changed.connect(self._mark)
        self._mark_voxels()

    def _mark(self) -> None:
        if not self._changed.isActive():
            self._changed.start()

    def _mark_window(self) -> None:
        if not self._window.isActive():
            self._window.start()

    def _mark_voxels(self) -> None:
        if not self._voxels.isActive():
            self._voxels.start()


def _once(parent: QObject, signal: Signal) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(GATHER_MS)
    timer.timeout.connect(signal)
    return timer


class Waker(QObject):
    """Brings calls that worker threads posted onto Qt's main thread.

    Parameters
    ----------
    app
        Whose inbox is pumped from then on.
    """

    _woken = Signal()

    def __init__(self, app: Application, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._inbox = app.jobs.inbox
        self._woken.connect(self._pump, Qt.ConnectionType.QueuedConnection)
        self._inbox.wake = self._woken.emit

    def stop(self) -> None:
        """Leave what is posted from now on unread."""
        self._inbox.wake = _nothing

    def _pump(self) -> None:
        self._inbox.pump()


def _nothing() -> None:
    """Stand in for a wake-up that nobody waits for."""
