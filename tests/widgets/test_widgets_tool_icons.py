"""Each segment tool has an icon of one style, and a tooltip that says what it does and its key."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from napari_volseg import widgets
from napari_volseg.app import COMMANDS, SEGMENT_TOOLS

FOLDER = Path(widgets.__file__).parent / "icons" / "tools"


def test_every_tool_has_an_icon_and_no_icon_is_left_over():
    assert {path.stem for path in FOLDER.glob("*.svg")} == set(SEGMENT_TOOLS)


@pytest.mark.parametrize("tool_id", SEGMENT_TOOLS)
def test_icons_have_one_style(tool_id):
    root = ElementTree.parse(FOLDER / f"{tool_id}.svg").getroot()
    style = {name: root.get(name) for name in ("viewBox", "fill", "stroke", "stroke-width")}
    assert style == {"viewBox": "0 0 24 24", "fill": "none", "stroke": "currentColor", "stroke-width": "1.6"}
    assert {part.get("fill") for part in root} <= {None, "currentColor"}


@pytest.mark.parametrize("tool_id", SEGMENT_TOOLS)
def test_tooltips_say_what_a_tool_does_and_its_key(tool_id):
    tool, command = SEGMENT_TOOLS[tool_id], COMMANDS[f"tool.{tool_id}"]
    assert command.tooltip == (f"{tool.tip} [{tool.key}]" if tool.key else tool.tip)
    assert len(tool.tip.split()) >= 5
