"""Where a network runs, and how that is said."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from napari_volseg.core import UsageError

if TYPE_CHECKING:
    import torch

#: Device types that may be asked for.
DEVICES = ("auto", "cpu", "cuda", "mps")


def import_torch() -> Any:
    """Return the torch module.

    Raises
    ------
    UsageError
        Where it is not installed, with the line that installs it.
    """
    if importlib.util.find_spec("torch") is None:
        raise UsageError('models with a network need torch: run pip install "napari-volseg[inference]"')
    return importlib.import_module("torch")


def resolve_device(device: str = "auto") -> torch.device:
    """Return the torch device for ``"auto"`` (CUDA, else MPS, else CPU), ``"cpu"``, ``"cuda:1"`` or ``"mps"``.

    Raises
    ------
    UsageError
        For an unknown name and for a device that this computer does not have.
    """
    torch = import_torch()
    if device == "auto":
        return torch.device(_best_available(torch))
    kind, _, index = device.partition(":")
    if kind not in DEVICES or (index and not index.isdigit()):
        raise UsageError(
            f"device {device!r} is unknown: choose one of {', '.join(DEVICES)}, or cuda:1 for the second"
        )
    if not _is_available(torch, kind, int(index or 0)):
        raise UsageError(
            f"device {device!r} is not available on this computer: choose {_best_available(torch)} or auto"
        )
    return torch.device(device)


def describe_device(device: str = "auto") -> str:
    """Return the device that a run would use, in words, such as ``"CPU (2 threads)"``.

    Raises
    ------
    UsageError
        As for `resolve_device`.
    """
    torch = import_torch()
    chosen = resolve_device(device)
    if chosen.type == "cuda":
        return f"CUDA ({torch.cuda.get_device_name(chosen)})"
    return "Apple MPS" if chosen.type == "mps" else f"CPU ({torch.get_num_threads()} threads)"


def wait_for(device: torch.device) -> None:
    """Wait until the device has done all it was given, so that clocks and progress tell the truth."""
    torch = import_torch()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _best_available(torch: Any) -> str:
    return next(kind for kind in ("cuda", "mps", "cpu") if _is_available(torch, kind, 0))


def _is_available(torch: Any, kind: str, index: int) -> bool:
    if kind == "cuda":
        return bool(torch.cuda.is_available() and index < torch.cuda.device_count())
    return kind == "cpu" or (kind == "mps" and bool(torch.backends.mps.is_available()))
