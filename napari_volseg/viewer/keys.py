"""Keys: every command of the table on the viewer and on our layers, before napari's own.

napari asks the selected layer first and the viewer last, and binds its own keys on the layer classes; keys of
an instance come before those of its class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari.utils.key_bindings import KeymapProvider, coerce_keybinding

from napari_volseg.app import COMMANDS, Application, run_command

#: Keys of napari that would delete or turn what the binding shows.
BLOCKED = ("Control-Delete", "Control-Backspace", "Control-E", "Control-T", "Control-Alt-T", "Control-Y", "Control-G")

KeyAction = Callable[[Any], Any]


def command_keys(app: Application) -> dict[str, KeyAction]:
    """Return what each key of the command table does when napari calls it with the bound object."""
    return {c.key: _runner(app, c.id) for c in COMMANDS.values() if c.key}


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


def _runner(app: Application, command_id: str) -> KeyAction:
    # a plain function, for napari reads the __name__ of whatever is bound
    def run(_: object) -> None:
        run_command(app, command_id)

    return run
