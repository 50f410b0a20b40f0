"""The weights of the click network: a folder with ``weights.safetensors`` and ``card.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_volseg.core import RefusedError

if TYPE_CHECKING:
    from napari_volseg.interactive.click_network import ClickNetwork

#: Where the package keeps its own.
PACKAGED = Path(__file__).parent / "weights" / "clicks"
_WEIGHTS, _CARD = "weights.safetensors", "card.json"


@dataclass(frozen=True, slots=True)
class ClickWeights:
    """A folder of weights.

    Parameters
    ----------
    folder
        Holds both files.
    facts
        What its card says: ``size``, ``sha256``, ``training``, ``measured``, licences.
    """

    folder: Path
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path) -> ClickWeights:
        """Read a folder's card.

        Raises
        ------
        RefusedError
            Where the folder lacks a file, or the card is not one.
        """
        try:
            facts = json.loads((folder / _CARD).read_text(encoding="utf-8"))
            complete = {"size", "sha256"} <= set(facts) and (folder / _WEIGHTS).is_file()
        except (OSError, ValueError, TypeError):
            complete = False
        if not complete:
            raise RefusedError(
                f"{folder} holds no weights of a click network: it needs {_WEIGHTS} and {_CARD} with size and sha256",
                "weights.missing",
            )
        return cls(folder, facts)

    def load(self) -> ClickNetwork:
        """Return the network, in evaluation mode, float32 on the CPU.

        Raises
        ------
        RefusedError
            Where the weights are not those that the card names, or not of its network.
        """
        from safetensors.torch import load

        from napari_volseg.interactive.click_network import build_click_network

        content = (self.folder / _WEIGHTS).read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != self.facts["sha256"]:
            raise RefusedError(
                f"{self.folder / _WEIGHTS} has the checksum {found[:12]}… and its card says "
                f"{str(self.facts['sha256'])[:12]}…: install the package again, or copy both files anew",
                "weights.checksum",
            )
        network = build_click_network(str(self.facts["size"]))
        try:
            network.load_state_dict({name: tensor.float() for name, tensor in load(content).items()})
        except RuntimeError as problem:
            raise RefusedError(
                f"{self.folder / _WEIGHTS} does not fit a click network of size {self.facts['size']}: "
                "use weights and card of one training",
                "weights.network",
            ) from problem
        return network.eval()


def packaged_weights() -> ClickWeights | None:
    """Return the weights that come with the package, None where there are none."""
    return ClickWeights.of(PACKAGED) if (PACKAGED / _CARD).is_file() else None


def write_click_weights(folder: Path, weights: bytes, facts: Mapping[str, Any]) -> ClickWeights:
    """Write a folder of weights.

    Parameters
    ----------
    folder
        Is made where it is absent.
    weights
        A safetensors file's content.
    facts
        For the card; the checksum is added.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _WEIGHTS).write_bytes(weights)
    card = {**facts, "sha256": hashlib.sha256(weights).hexdigest()}
    (folder / _CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return ClickWeights.of(folder)
