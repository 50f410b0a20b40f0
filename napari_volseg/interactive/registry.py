"""The click-to-segment engines by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

from napari_volseg.core import ModelCard, UsageError
from napari_volseg.interactive.click_weights import packaged_weights
from napari_volseg.interactive.litemedsam import CARD as LITEMEDSAM
from napari_volseg.interactive.litemedsam import litemedsam_model
from napari_volseg.interactive.litemedsam_network import weights_path
from napari_volseg.interactive.looking import Network
from napari_volseg.interactive.network import NetworkModel
from napari_volseg.interactive.protocol import InteractiveModel
from napari_volseg.interactive.regions import RegionsModel

_DEFAULT = "regions"
#: Engines of the package itself; whoever uses another one accepts its terms first.
OWN_ENGINES = (_DEFAULT, "network")


def available_engines() -> tuple[ModelCard, ...]:
    """Return the cards of all engines that can be loaded, the default one first."""
    return tuple(make("auto").card for make in _engines().values())


def load_engine(name: str = "default", device: str = "auto") -> InteractiveModel:
    """Return an engine by the id of its card.

    Parameters
    ----------
    name
        The id; ``"default"`` is the engine that measures best where both of the package's are at hand.
    device
        Where a network runs: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.

    Raises
    ------
    UsageError
        For a name that no engine has.
    """
    engines = _engines()
    make = engines.get(_DEFAULT if name == "default" else name)
    if make is None:
        raise UsageError(f"there is no click engine {name!r}: choose one of {', '.join(engines)}")
    return make(device)


@cache
def installed_network() -> Network | None:
    """Return the network of the engine ``network`` for work other than clicks, None where it can't be loaded."""
    model = _engines().get("network", lambda device: RegionsModel())("auto")
    return model.network if isinstance(model, NetworkModel) else None


def _engines() -> dict[str, Callable[[str], InteractiveModel]]:
    """Return what makes each engine for a device; those that need packages are among them where these are found."""
    engines: dict[str, Callable[[str], InteractiveModel]] = {_DEFAULT: lambda device: RegionsModel()}
    weights = packaged_weights()
    if weights is not None and find_spec("torch") and find_spec("safetensors"):
        engines["network"] = lambda device: NetworkModel(weights, device)
    if weights_path() is not None:
        engines[LITEMEDSAM.id] = litemedsam_model
    return engines
