"""Keys: every command of the table on the viewer and on our layers, before napari's own.

napari asks the selected layer first and the viewer last, and binds its own keys on the layer classes; keys of
an instance come before those of its class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from napari.utils.key_bindings import KeymapProvider, coerce_keybinding

from napari_volseg.app import COMMANDS, Application, Command, run_command

#: Keys of napari that would delete or turn what the binding shows.
BLOCKED = ("Control-Delete", "Control-Backspace", "Control-E", "Control-T", "Control-Alt-T", "Control-Y", "Control-G")

#: Keys that lead back: one press too many of them is no mistake that is to be told.
BACK = ("Escape", "Backspace")

KeyAction = Callable[[Any], Any]


def command_keys(app: Application) -> dict[str, KeyAction]:
    """Return what each key of the command table does when napari calls it with the bound object."""
    sharing: dict[str, list[Command]] = {}
    for command in COMMANDS.values():
        if command.key:
            sharing.setdefault(command.key, []).append(command)
    return {key: _runner(app, commands, quiet=key in BACK) for key, commands in sharing.items()}


def bind(provider: KeymapProvider, actions: Mapping[str, KeyAction]) -> None:
    """Bind keys on a viewer or layer and block napari's that do harm there."""
    for key, action in {**dict.fromkeys(BLOCKED, ignore), **actions}.items():
        provider.bind_key(key, action, overwrite=True)


def unbind(provider: KeymapProvider, actions: Mapping[str, KeyAction]) -> None:
    """Give the keys back to napari."""
    for key in (*actions, *BLOCKED):
        if coerce_keybinding(key) in provider.keymap:
            provider.bind_key(key, None)


def ignore(_: object) -> None:
    """Do nothing, in the place of a blocked key: napari 0.9 fails on its own blocker, an ellipsis."""


def _runner(app: Application, commands: Sequence[Command], *, quiet: bool) -> KeyAction:
    """Return what runs, of commands that share a key, the first that is possible, or says why the last is not."""

    # a plain function, for napari reads the __name__ of whatever is bound
    def run(_: object) -> None:
        possible = (command for command in commands if command.why_not(app) is None)
        command = next(possible, None if quiet else commands[-1])
        if command is not None:
            run_command(app, command.id)

    return run
