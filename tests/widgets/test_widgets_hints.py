"""What the panel says is to be done next."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from napari_volseg.app import Application
from napari_volseg.app.hand_tools import HAND_TOOLS
from napari_volseg.core import Geometry, Volume
from napari_volseg.widgets.hints import next_step


@pytest.fixture
def app() -> Iterator[Application]:
    app = Application()
    geometry = Geometry.from_spacing((10, 20, 24))
    app.adopt(Volume(np.zeros(geometry.shape, np.int16), geometry, "CT", "HU", "HU", "test"))
    yield app
    app.close()


@pytest.mark.parametrize("three_d", [False, True], ids=["slices", "3D"])
@pytest.mark.parametrize("tool", HAND_TOOLS)
def test_every_tool_in_hand_is_explained(app: Application, tool: str, three_d: bool) -> None:
    app.tools.tool = tool
    app.view.three_d = three_d
    hint = next_step(app).text
    assert len(hint) > 20
    assert "\n" not in hint
