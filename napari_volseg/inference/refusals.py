"""How files of models are refused."""

from __future__ import annotations

from napari_volseg.core import RefusedError

#: What reading a description of the wrong shape raises, numbers without end and lists in lists in lists included.
MISSTATED = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError, RecursionError)

_LONGEST = 600


def plan_refused(message: str, code: str) -> RefusedError:
    """Return the refusal of a model with a code of the family ``model.``; what the file says is cut to a sentence."""
    if len(message) > _LONGEST:
        message = f"{message[: _LONGEST // 2]} … {message[-_LONGEST // 2 :]}"
    return RefusedError(message, f"model.{code}")
