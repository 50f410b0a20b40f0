"""The window: a napari viewer with the panel, tied to an application of its own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import napari
from napari.components import ViewerModel
from napari.qt import QtViewer
from napari.settings import get_settings
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QApplication, QDockWidget, QMainWindow

from napari_volseg.app import Application, ModelPlaces, ScanStore, SessionStore
from napari_volseg.app.wishes import LayoutName
from napari_volseg.viewer import ViewerBinding
from napari_volseg.viewer.handover import describe_labels
from napari_volseg.widgets.adoption import Adopter, prefer_our_readers
from napari_volseg.widgets.command_sheet import CommandSheet
from napari_volseg.widgets.curtain import Curtain
from napari_volseg.widgets.events import Waker
from napari_volseg.widgets.main_panel import MainPanel
from napari_volseg.widgets.menu import CommandMenu
from napari_volseg.widgets.overlay import CursorReadout, LettersOverlay
from napari_volseg.widgets.study_browser import StudyBrowser
from napari_volseg.widgets.view_grid import ViewGrid

TITLE = "napari-volseg"
#: Width and height of the window from which on it begins with four views, pixels.
ROOM_FOR_FOUR = (1200, 650)
#: Share of the window that the panel takes the first time; how many pixels at least, where four views fit, and
#: at most.
PANEL_SHARE, PANEL_LEAST, PANEL_MOST = 0.25, 400, 480
#: Share of the screen's width and height that the window takes the first time.
FIRST_SHARE = 0.9
#: Name that napari gives to the dock of our widget contribution: its Plugins menu then finds the panel that is there.
DOCK_NAME = "Segmentation (napari-volseg)"


def create_window(
    path: Path | None = None, show: bool = True, sessions: SessionStore | None = None, greet: bool = False
) -> tuple[napari.Viewer, Application, ViewerPanel]:
    """Open a window of our own.

    Parameters
    ----------
    path
        File or folder to open at once.
    show
        Whether it appears on the screen.
    sessions
        Where the work on each image is kept; the user's data folder where absent.
    greet
        Whether the tour begins.

    Returns
    -------
    viewer, app, panel
        The napari viewer, its application and its panel.
    """
    with _without_greetings():
        viewer = napari.Viewer(title=TITLE, show=False, show_welcome_screen=False)
    panel = ViewerPanel(viewer, sessions)
    viewer.window.add_dock_widget(panel, name=DOCK_NAME, area="right", add_vertical_stretch=False)
    for dock in (
        panel.window().findChild(QtViewer).dockLayerControls,
        panel.window().findChild(QtViewer).dockLayerList,
    ):
        dock.hide()  # what they offer, the panel does; napari's Window menu shows them again
    if show:
        with _without_greetings():
            viewer.show()
        _fit_screen(panel.window())
        panel.app.view.layout = _first_layout(panel)
        _widen(panel)
    if greet:
        panel.app.tour.begin()
    if path is not None:
        panel.app.attempt(panel.app.open_path, path)
    return viewer, panel.app, panel


def delete_closed_windows() -> None:
    """Delete the windows that were closed, now that no event loop runs that would.

    What waits for the exit is deleted in no order, and a window with OpenGL may then end the process with a crash.
    """
    for window in QApplication.topLevelWidgets():
        if isinstance(window, QMainWindow) and not window.isVisible():
            window.close()  # one that never showed still has napari's threads
            window.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


class ViewerPanel(MainPanel):
    """The panel with an application of its own, tied to one napari viewer.

    Parameters
    ----------
    viewer
        Where the case is shown; its window is met when the panel appears in it.
    sessions
        Where the work on each image is kept; the user's data folder where absent.
    """

    def __init__(self, viewer: ViewerModel, sessions: SessionStore | None = None) -> None:
        sessions = sessions or SessionStore()
        places = ModelPlaces(sessions.folder.parent / "models.json")
        app = Application(sessions=sessions, scans=ScanStore(), places=places)
        super().__init__(app, viewer)
        self.binding = ViewerBinding(app, viewer, partial(QTimer.singleShot, 0))
        self.views: ViewGrid | None = None
        self.readout: CursorReadout | None = None
        self.menu: CommandMenu | None = None
        self.sheet: CommandSheet | None = None
        self.studies: StudyBrowser | None = None
        self._adopter = Adopter(app, viewer)
        self._waker = waker = Waker(app, self)
        self.destroyed.connect(lambda: _end(app, waker))
        app.case_changed.connect(self._describe_labels)
        prefer_our_readers()
        app.models.look()

    def showEvent(self, event: QShowEvent) -> None:
        """Furnish the window when the panel first appears in it: views, readout and menu."""
        super().showEvent(event)
        window = self.window()
        if self.views is not None or not isinstance(window, QMainWindow):
            return
        window.installEventFilter(self)
        self.views = ViewGrid(self.app, self.binding, window)
        self.readout = CursorReadout(self.app, window)
        self.menu = CommandMenu(self.app, window)
        self.sheet = CommandSheet(self.app, self._viewer, window)
        self.studies = StudyBrowser(self.app, self._viewer, window)

    @property
    def letters(self) -> LettersOverlay | None:
        """The letters over napari's own canvas."""
        return self.views.furniture[self.binding.main].letters if self.views is not None else None

    @property
    def curtain(self) -> Curtain | None:
        """The curtain before napari's own canvas."""
        return self.views.furniture[self.binding.main].curtain if self.views is not None else None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stop all work once the window is closed; napari may still ask the user, who may refuse."""
        if event.type() == QEvent.Type.Close:
            QTimer.singleShot(0, partial(_end_if_closed, watched, self.app, self._waker))
        return False

    def event(self, event: QEvent) -> bool:
        """Let go of the viewer when napari takes the panel out of its dock for good."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None and self.views is not None:
            self._release()
        return super().event(event)

    def _describe_labels(self) -> None:
        layer, case = self.binding.labels, self.app.case
        if layer is not None and case is not None:
            describe_labels(layer, case)

    def _release(self) -> None:
        _end(self.app, self._waker)
        self._adopter.stop()
        self.binding.close()
        for extra in (self.views, self.readout, self.menu, self.sheet, self.studies):
            extra.remove()
        self.views = None
        super().release()
        self.deleteLater()


def _first_layout(panel: ViewerPanel) -> LayoutName:
    """Return the layout to begin with: four views, where each of them is large enough to work in."""
    room = panel.window().size()  # what lies within has not been laid out yet
    return "four" if room.width() >= ROOM_FOR_FOUR[0] and room.height() >= ROOM_FOR_FOUR[1] else "one"


def _widen(panel: ViewerPanel) -> None:
    """Give the panel more than it needs at least, where its window has room for both panel and views."""
    window, dock = panel.window(), panel.parentWidget()
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parentWidget()
    if isinstance(window, QMainWindow) and dock is not None:
        least = PANEL_LEAST if window.width() >= ROOM_FOR_FOUR[0] else 0
        width = min(PANEL_MOST, max(least, int(window.width() * PANEL_SHARE)))
        window.resizeDocks([dock], [width], Qt.Orientation.Horizontal)


def _fit_screen(window: QMainWindow) -> None:
    """Give a window a good size the first time, the size it was left with later, wholly on its screen."""
    if window.isMaximized() or window.isFullScreen():
        return
    room, frame = window.screen().availableGeometry(), window.frameGeometry()
    borders = frame.size() - window.size()
    wanted = window.size() if get_settings().application.window_size else room.size() * FIRST_SHARE
    window.resize(wanted.boundedTo(room.size() - borders))
    frame.setSize(window.size() + borders)
    left = max(room.left(), min(frame.left(), room.right() + 1 - frame.width()))
    top = max(room.top(), min(frame.top(), room.bottom() + 1 - frame.height()))
    window.move(left, top)


def _end_if_closed(window: QMainWindow, app: Application, waker: Waker) -> None:
    try:
        closed = not window.isVisible()
    except RuntimeError:  # Qt has deleted it already
        closed = True
    if closed:
        _end(app, waker)


def _end(app: Application, waker: Waker) -> None:
    """Stop all work and bring nothing home any more."""
    waker.stop()
    app.close()


@contextmanager
def _without_greetings() -> Iterator[None]:
    """Keep what napari says about the Qt binding from popping up while its window is made and first appears.

    napari 0.9 greets whoever uses PyQt5 with a notice of its deprecation, and a warning that the theme of the
    system can't be found out; no user of ours can act on either.
    """
    with warnings.catch_warnings(), notification_manager.notification_ready.blocker():
        warnings.filterwarnings("ignore", message="System theme detection requires", category=UserWarning)
        yield
