"""Fixtures of the tests of the correction tools."""

from __future__ import annotations

import pytest
from tool_phantoms import without_fast_libraries


@pytest.fixture(params=["fast", "scipy"])
def either_library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with the optional libraries and without them."""
    if request.param == "fast":
        pytest.importorskip("cc3d")
        pytest.importorskip("edt")
    else:
        without_fast_libraries(monkeypatch)
