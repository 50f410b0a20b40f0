"""How files of models are refused."""

from __future__ import annotations

from napari_volseg.core import RefusedError


def plan_refused(message: str, code: str) -> RefusedError:
    """Return the refusal of a model with a code of the family ``model.``."""
    return RefusedError(message, f"model.{code}")
