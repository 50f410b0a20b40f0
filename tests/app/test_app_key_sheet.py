"""The sheet of keys and commands."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from napari_volseg.app import COMMANDS, HAND_TOOLS, Application, run_command
from napari_volseg.app.key_sheet import found_rows, keycaps, mode_rows
from napari_volseg.core import Geometry, Volume


@pytest.fixture
def app() -> Iterator[Application]:
    app = Application()
    app.adopt(Volume(np.zeros((4, 5, 6), np.int16), Geometry.from_spacing((4, 5, 6)), "CT", "HU", "HU", "t"))
    yield app
    app.close()


def test_every_command_is_found_by_its_title(app) -> None:
    for command in COMMANDS.values():
        assert command.id in [row.command for row in found_rows(app, command.title)]


def test_all_words_count_by_their_beginnings_and_what_is_possible_comes_first(app) -> None:
    assert [row.command for row in found_rows(app, "lung win")] == ["window.lung"]
    assert found_rows(app, "ung") == ()
    rows = found_rows(app, "segment")
    reasons = [row.reason is not None for row in rows]
    assert reasons == sorted(reasons)
    assert True in reasons


def test_the_mode_decides_what_is_shown(app) -> None:
    app.tools.tool = "brush"
    rows = mode_rows(app)
    assert rows[0].text == HAND_TOOLS["brush"].tip
    assert all(row.keys for row in rows)
    assert all(row.reason is None for row in rows)
    assert "edit.undo" not in [row.command for row in rows]
    app.case.add_segment()
    assert "edit.undo" in [row.command for row in mode_rows(app)]
    app.view.three_d = True
    assert mode_rows(app)[0].text == "Turn the view"


def test_the_command_opens_and_closes_it(app) -> None:
    run_command(app, "help.keys")
    assert app.view.sheet_shown
    run_command(app, "help.keys")
    assert not app.view.sheet_shown


@pytest.mark.parametrize(
    ("key", "text"), [("Control-Shift-Z", "Ctrl+Shift+Z"), ("]", "]"), ("Escape", "Esc"), ("Alt-1", "Alt+1")]
)
def test_keys_are_told_as_they_are_printed(key, text) -> None:
    assert keycaps(key) == text


@pytest.mark.parametrize(
    ("tool", "does"),
    [("navigate", "Show this view alone, and all again"), ("polygon", "Close the outline"), ("brush", None)],
)
def test_a_double_click_promises_what_it_does_with_the_tool_in_hand(app, tool, does) -> None:
    app.tools.tool = tool
    assert next((row.text for row in mode_rows(app) if row.keys == "Double click"), None) == does
