"""The click-to-segment engines by name."""

from __future__ import annotations

from collections.abc import Callable

from napari_volseg.core import ModelCard, UsageError
from napari_volseg.interactive.protocol import InteractiveModel
from napari_volseg.interactive.regions import RegionsModel

_ENGINES: dict[str, Callable[[], InteractiveModel]] = {"regions": RegionsModel}
_DEFAULT = "regions"


def available_engines() -> tuple[ModelCard, ...]:
    """Return the cards of all engines that can be loaded, the default one first."""
    return tuple(make().card for make in _ENGINES.values())


def load_engine(name: str = "default") -> InteractiveModel:
    """Return an engine by the id of its card; ``"default"`` is the best one at hand.

    Raises
    ------
    UsageError
        For a name that no engine has.
    """
    make = _ENGINES.get(_DEFAULT if name == "default" else name)
    if make is None:
        raise UsageError(f"there is no click engine {name!r}: choose one of {', '.join(_ENGINES)}")
    return make()
