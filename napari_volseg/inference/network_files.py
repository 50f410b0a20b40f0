"""Networks in files of other makers: MONAI's architectures with weights, TorchScript, ONNX.

Weights and ONNX graphs are data. TorchScript is a program: it is loaded only where the user has said that the file is
trusted.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_volseg.core import RefusedError, UsageError
from napari_volseg.inference.backends import open_module, open_onnx, require_backend
from napari_volseg.inference.checkpoints import read_weights
from napari_volseg.inference.devices import import_torch
from napari_volseg.inference.folders import sha256_of
from napari_volseg.inference.heads import Head, split
from napari_volseg.inference.refusals import plan_refused
from napari_volseg.inference.sliding import Network

if TYPE_CHECKING:
    import torch

#: Networks of MONAI that may be built by name.
MONAI_NETWORKS = ("UNet", "DynUNet", "SegResNet", "UNETR", "SwinUNETR")

#: Larger figures in a network's arguments are damage or an attack on the memory.
_LARGEST_ARGUMENT = 2**14
_LONGEST_LIST = 64


@dataclass(frozen=True, slots=True)
class MonaiNetwork:
    """A network of MONAI by name and plain arguments, and its weights.

    Parameters
    ----------
    path
        A state dict: safetensors, or a pickle that holds tensors alone.
    name
        One of `MONAI_NETWORKS`.
    arguments
        Of its constructor: numbers, words, and lists of them.
    """

    path: Path
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TorchScript:
    """A network that was saved as a program by torch.jit."""

    path: Path


@dataclass(frozen=True, slots=True)
class Onnx:
    """A network in the exchange format ONNX."""

    path: Path


#: Whether programs of a model may run: none, all, or those whose SHA-256 is named.
Trust = bool | frozenset[str]

NetworkFile = MonaiNetwork | TorchScript | Onnx


def network_file(kind: str, path: Path, arguments: Mapping[str, Any]) -> NetworkFile:
    """Return a network file by its kind: ``"onnx"``, ``"torchscript"`` or a name of `MONAI_NETWORKS`.

    Raises
    ------
    RefusedError
        For another kind, arguments that are not plain values, and a file that is missing.
    """
    if not path.is_file():
        raise plan_refused(f"{path} is missing: copy the model folder again", "no_weights")
    if kind == "onnx":
        return Onnx(path)
    if kind == "torchscript":
        return TorchScript(path)
    if kind not in MONAI_NETWORKS:
        raise plan_refused(
            f"the network {kind!r} is unknown: use onnx, torchscript or one of {', '.join(MONAI_NETWORKS)}", "network"
        )
    _require_plain(arguments)
    return MonaiNetwork(path, kind, dict(arguments))


def open_network_file(
    file: NetworkFile, window: Sequence[int], device: torch.device, backend: str, *, trusted: Trust
) -> tuple[Network, str, Network | None, Head | None]:
    """Return the forward pass of a network file, the name of what computes it, and both its steps where it has two.

    Parameters
    ----------
    file
        What to open.
    window
        Shape (1, c, z, y, x) of what it will be given.
    device, backend
        As for `open_module`; ONNX files run on the CPU by ONNX Runtime.
    trusted
        Which files the user trusts as programs.

    Raises
    ------
    RefusedError
        For TorchScript that is not trusted, and for weights that don't fit.
    """
    match file:
        case Onnx(path):
            require_backend("onnx", device)
            return _open_graph(path), "ONNX Runtime", None, None
        case TorchScript(path):
            program = _trusted_program(path, trusted)
            return *open_module(program, window, device, _without_compilers(backend)), None, None
        case MonaiNetwork():
            network = build_monai(file)
            # on other devices the two windows that it takes on the CPU would be longer than what it saves
            head = split(network, window) if device.type == "cpu" else None
            run, name = open_module(network, window, device, backend)
            if head is None:
                return run, name, None, None
            return lambda image: head(run(image)[0])[None], name, run, head


def require_checksum(path: Path, expected: str) -> None:
    """Refuse a file whose SHA-256 is not the one that its card names; an empty one is not checked."""
    if expected and sha256_of(path) != expected:
        raise RefusedError(
            f"{path} is not the file that its card was written for (SHA-256 differs): copy the model folder again",
            "model.checksum",
        )


def _open_graph(path: Path) -> Network:
    """Return an ONNX model's forward pass; ONNX Runtime reads no weights from outside of the file's folder."""
    try:
        return open_onnx(str(path))
    except Exception as problem:  # ONNX Runtime has a tree of errors of its own
        first = " ".join(str(problem).split())[:200]
        raise plan_refused(
            f"{path} can't be read as ONNX ({first}): copy the file again, with all weights inside", "checkpoint"
        ) from problem


def build_monai(file: MonaiNetwork) -> torch.nn.Module:
    """Return a network of MONAI with its weights, ready to predict."""
    from monai.networks import nets

    torch = import_torch()
    weights = read_weights(file.path)
    try:
        # Nothing is allocated on the meta device: the card's figures cost no memory before the weights fit them. The
        # outermost context puts torch's gradients back, which an end in the midst of an initialization leaves off.
        with torch.enable_grad(), torch.device("meta"), _frugal_construction(len(weights)):
            network = getattr(nets, file.name)(**file.arguments)
        network.load_state_dict(weights, assign=True)
    except ImportError as problem:
        raise UsageError(
            f"the network {file.name} needs a package that is not installed ({str(problem).splitlines()[0]}): "
            'run pip install "napari-volseg[inference]"'
        ) from problem
    except Exception as problem:  # with wrong figures a constructor can raise anything at all
        first = " ".join(str(problem).split())[:200]
        raise plan_refused(
            f"the weights in {file.path} do not fit the network {file.name} that its card describes ({first}): "
            "use the arguments that it was trained with",
            "weights",
        ) from problem
    return network.float().eval()


def _frugal_construction(tensors: int) -> AbstractContextManager[Any]:
    """Return a context that ends the construction of a network of far more than some number of tensors.

    In it, too, ``linspace`` makes numbers on the CPU: SwinUNETR reads its drop rates from one.
    """
    torch = import_torch()
    from torch.overrides import TorchFunctionMode

    class Frugal(TorchFunctionMode):
        left = 40 * tensors + 1000

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.left -= 1
            if self.left < 0:
                raise ValueError(f"it would have far more than {tensors} tensors")
            on_cpu = {"device": "cpu"} if func is torch.linspace else {}
            return func(*args, **{**on_cpu, **(kwargs or {})})

    return Frugal()


def _trusted_program(path: Path, trusted: Trust) -> torch.nn.Module:
    """Return a program, read once: what runs is what was looked at."""
    content = path.read_bytes() if trusted else b""
    if trusted is not True and (not trusted or hashlib.sha256(content).hexdigest() not in trusted):
        raise RefusedError(
            f"{path.name} is TorchScript, a program that can do anything that you can: open the model as trusted "
            "if you know where it comes from, or ask for its weights or an ONNX file",
            "model.untrusted",
        )
    torch = import_torch()
    try:
        return torch.jit.load(io.BytesIO(content), map_location="cpu").float().eval()
    except RuntimeError as problem:
        raise plan_refused(f"{path} can't be read as TorchScript: copy the file again", "checkpoint") from problem


def _without_compilers(backend: str) -> str:
    """Return the back end for TorchScript, which others can't translate."""
    if backend not in ("auto", "torch"):
        raise UsageError(f"a TorchScript model is computed by torch alone: choose the back end torch, not {backend}")
    return "torch"


def _require_plain(arguments: Any) -> None:
    """Refuse arguments other than words, truth values, and numbers of a size that networks have."""
    if isinstance(arguments, Mapping | list | tuple) and len(arguments) > _LONGEST_LIST:
        raise plan_refused(f"a network with {len(arguments)} arguments in a row is none that was trained", "network")
    if isinstance(arguments, Mapping):
        for value in arguments.values():
            _require_plain(value)
    elif isinstance(arguments, list | tuple):
        for value in arguments:
            _require_plain(value)
    elif isinstance(arguments, int | float) and abs(arguments) > _LARGEST_ARGUMENT:
        raise plan_refused(f"a network with an argument of {arguments} is none that was trained", "network")
    elif isinstance(arguments, str) and arguments.startswith(("$", "@", "%")):
        raise plan_refused(f"the argument {arguments!r} is an expression, and none is evaluated", "code")
