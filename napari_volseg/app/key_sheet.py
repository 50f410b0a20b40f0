"""What keys and mouse do now, and every command by its words: one list, read from the table of commands."""

from __future__ import annotations

from dataclasses import dataclass

from napari_volseg.app.application import Application
from napari_volseg.app.command import Command
from napari_volseg.app.commands import COMMANDS
from napari_volseg.app.drawing import VERTEX_TOOLS
from napari_volseg.app.hand_tools import HAND_TOOLS

#: Gestures of the mouse over slices and over the 3D view.
ON_SLICES = (
    ("Left button", "Use the tool in hand"),
    ("Space, left drag", "Move the view whatever tool is in hand"),
    ("Right drag", "Change the window: width across, level up and down"),
    ("Middle drag", "Move the view"),
    ("Wheel", "Go through the slices"),
    ("Ctrl wheel", "Zoom about the cursor"),
    ("Shift, move", "Let all planes follow the cursor"),
    ("Double click", "Show this view alone, and all again"),
)
IN_3D = (
    ("Left drag", "Turn the view"),
    ("Left click", "With the click tool: mark what is seen there"),
    ("Wheel", "Zoom"),
    ("Double click", "Show this view alone, and all again"),
)
#: Words for keys as they are printed on a keyboard.
KEYCAPS = {"Control": "Ctrl", "Insert": "Ins", "Escape": "Esc", "Delete": "Del"}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the sheet.

    Parameters
    ----------
    keys
        Key or gesture, empty where there is none.
    text
        What it does.
    command
        The command that it runs, empty for the mouse.
    reason
        Why that can't be done now, None where it can.
    """

    keys: str
    text: str
    command: str = ""
    reason: str | None = None


def mode_rows(app: Application) -> tuple[Row, ...]:
    """Return what can be done now with the mouse and with keys: first the tool in hand, then what its keys are."""
    tool = HAND_TOOLS[app.tools.tool]
    mouse = IN_3D if app.view.three_d else ON_SLICES
    own = {"Left button": tool.tip}
    if not app.view.three_d and app.tools.tool != "navigate":
        own["Double click"] = "Close the outline" if app.tools.tool in VERTEX_TOOLS else ""
    gestures = [Row(keys, words) for keys, text in mouse if (words := own.get(keys, text))]
    possible = [_row(app, c) for c in COMMANDS.values() if c.key and c.why_not(app) is None]
    return (*gestures, *possible)


def found_rows(app: Application, words: str) -> tuple[Row, ...]:
    """Return every command that has all words, or their beginnings; those that are possible now come first."""
    wanted = words.lower().split()
    found = [_row(app, c) for c in COMMANDS.values() if all(f" {w}" in _haystack(c) for w in wanted)]
    return tuple(sorted(found, key=lambda row: row.reason is not None))


def keycaps(key: str) -> str:
    """Return a key as it is printed on a keyboard: ``"Control-Shift-Z"`` as ``"Ctrl+Shift+Z"``."""
    return "+".join(KEYCAPS.get(part, part) for part in key.split("-")) if len(key) > 1 else key


def _row(app: Application, command: Command) -> Row:
    return Row(keycaps(command.key), command.title, command.id, command.why_not(app))


def _haystack(command: Command) -> str:
    return f" {command.title} {command.tip} {command.id.replace('.', ' ').replace('-', ' ')}".lower()
