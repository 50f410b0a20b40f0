"""What a folder of weights says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_volseg.core import RefusedError


def facts_in(path: Path, cure: str) -> Mapping[str, Any]:
    """Return the JSON object in a file, empty where there is no file.

    Raises
    ------
    RefusedError
        Where it holds something else (``"model.card"``), with the cure.
    """
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as problem:
        raise RefusedError(f"{path} can't be read ({problem}): {cure}", "model.card") from problem
    if not isinstance(facts, dict):
        raise RefusedError(f"{path} holds no JSON object: {cure}", "model.card")
    return facts


def terms_in(folder: Path) -> str | None:
    """Return the first line of a folder's licence, None where it has none."""
    path = folder / "LICENSE"
    text = path.read_text("utf-8", errors="replace") if path.is_file() else ""
    return next((line.strip() for line in text.splitlines() if line.strip()), None)
