"""The menu: every command of the table, grouped as its identifiers are."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QObject
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QMainWindow, QMenu

from napari_volseg.app import COMMANDS, Application, Command, run_command

TITLE = "&Segmentation"
GROUPS = {"window": "Grey-level window", "view": "View", "tool": "Tool", "segment": "Segment", "measure": "Measure"}


class CommandMenu(QObject):
    """A menu of the main window from which every command can be run.

    Keys are shown, not bound: the viewer's own key bindings run the commands.

    Parameters
    ----------
    app
        What the commands act on.
    window
        Gets the menu before its last one, which is Help.
    """

    def __init__(self, app: Application, window: QMainWindow) -> None:
        super().__init__(window)
        self._app = app
        self.menu = QMenu(TITLE, window)
        self.menu.setToolTipsVisible(True)
        self._actions: list[tuple[Command, QAction]] = []
        groups = {group: self._submenu(title) for group, title in GROUPS.items()}
        self.menu.addSeparator()
        for command in COMMANDS.values():
            self._add(groups.get(command.id.split(".")[0], self.menu), command)
        self.menu.aboutToShow.connect(self.refresh)
        bar = window.menuBar()
        bar.insertMenu(bar.actions()[-1], self.menu)

    def refresh(self) -> None:
        """Grey what can't be done now and say why."""
        for command, action in self._actions:
            reason = command.why_not(self._app)
            action.setEnabled(reason is None)
            action.setToolTip(f"{command.tip or command.title}\nNot now: {reason}" if reason else command.tip)

    def remove(self) -> None:
        """Take the menu out of the window."""
        self.menu.deleteLater()
        self.deleteLater()

    def _submenu(self, title: str) -> QMenu:
        menu = self.menu.addMenu(title)
        menu.setToolTipsVisible(True)
        return menu

    def _add(self, menu: QMenu, command: Command) -> None:
        action = menu.addAction(f"{command.title}\t{command.key}" if command.key else command.title)
        action.setObjectName(command.id)
        action.triggered.connect(partial(self._run, command.id))
        self._actions.append((command, action))

    def _run(self, command_id: str, _checked: bool = False) -> None:
        run_command(self._app, command_id)
