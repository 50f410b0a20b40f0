"""Buttons that each stand for one command."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton, QWidget

from napari_volseg.app import COMMANDS, Application, run_command
from napari_volseg.widgets.icons import give_icon


class ActionButton(QPushButton):
    """A push button that leaves the keyboard to the image when it is clicked, yet is reached by Tab."""

    def __init__(self, text: str, tooltip: str, action: Callable[[], object], name: str = "") -> None:
        super().__init__(text)
        self.setObjectName(name)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.explain(tooltip)
        self.clicked.connect(lambda: action())

    def explain(self, tooltip: str, reason: str | None = None) -> None:
        """Show what it does; grey it and say why where a reason is given."""
        self.setEnabled(reason is None)
        text = f"{tooltip}\nNot now: {reason}" if reason else tooltip
        if text != self.toolTip():
            self.setToolTip(text)


class CommandButton(ActionButton):
    """A button that runs a command of the table, greyed with the reason where it can't run.

    Parameters
    ----------
    app
        What the command acts on.
    command_id
        Its identifier.
    text
        Text of the button, the command's title where absent.
    checked
        Tells whether it is the one in force, for buttons that show a choice.
    """

    def __init__(
        self,
        app: Application,
        command_id: str,
        text: str = "",
        checked: Callable[[Application], bool] | None = None,
    ) -> None:
        self._app = app
        self._checked = checked
        self.command = COMMANDS[command_id]
        super().__init__(text or self.command.title, self.command.tooltip, self._run, name=command_id)
        self.setCheckable(checked is not None)

    def refresh(self) -> None:
        """Show whether the command can run and whether it is in force."""
        self.explain(self.command.tooltip, self.command.why_not(self._app))
        if self._checked is not None:
            self.setChecked(self._checked(self._app))

    def _run(self) -> None:
        run_command(self._app, self.command.id)
        self.refresh()


class IconButton(CommandButton):
    """A button that shows the icon ``icons/<icon>.svg`` instead of a text; its tooltip begins with its name."""

    def __init__(
        self, app: Application, command_id: str, icon: str, checked: Callable[[Application], bool] | None = None
    ) -> None:
        super().__init__(app, command_id, checked=checked)
        self.setAccessibleName(self.command.title)
        self.setText("")
        give_icon(self, icon)

    def explain(self, tooltip: str, reason: str | None = None) -> None:
        """Show its name and what it does; grey it and say why where a reason is given."""
        super().explain(f"{self.command.title}: {tooltip}", reason)


def set_primary(button: QWidget, primary: bool) -> None:
    """Highlight the button that the user most likely wants next."""
    set_flag(button, "primary", primary)


def set_flag(widget: QWidget, name: str, value: bool) -> None:
    """Set a property on which the style depends."""
    if bool(widget.property(name)) != value:
        widget.setProperty(name, value)
        widget.style().unpolish(widget)
        widget.style().polish(widget)
