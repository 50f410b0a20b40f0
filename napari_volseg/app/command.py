"""A command: something the user can ask for, and what most of them need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from napari_volseg.app.application import Application
from napari_volseg.app.preview import READING
from napari_volseg.core import UsageError


def always(_: Application) -> str | None:
    """Tell that nothing keeps a command from being run."""
    return None


def needs_image(app: Application) -> str | None:
    """Return what keeps a command from being run that needs an image, be it still arriving."""
    return "open an image first" if app.shown_volume is None else None


def needs_case(app: Application) -> str | None:
    """Return what keeps a command from being run that needs a case."""
    return READING if app.preview.arriving is not None else needs_image(app)


@dataclass(frozen=True, slots=True)
class Command:
    """Something the user can ask for.

    Parameters
    ----------
    id
        Stable identifier, such as ``"window.lung"``.
    title
        Text of menu and palette.
    run
        Does it; refusals are raised.
    key
        Default key in napari's notation, empty for none.
    why_not
        Why it can't be done now, None where it can.
    tip
        What it does, for tooltips.
    """

    id: str
    title: str
    run: Callable[[Application], object]
    key: str = ""
    why_not: Callable[[Application], str | None] = always
    tip: str = ""

    @property
    def tooltip(self) -> str:
        """What it does and its key."""
        text = self.tip or self.title
        return f"{text} [{self.key}]" if self.key else text

    def __call__(self, app: Application) -> object:
        """Run it, refusing with the reason where it can't be done now."""
        reason = self.why_not(app)
        if reason:
            raise UsageError(f"{self.title} is not possible now: {reason}")
        return self.run(app)
