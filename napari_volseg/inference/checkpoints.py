"""Trained weights from files that strangers wrote: tensors and plain values in, never code.

A .pth is a pickle. It is read by torch's weights-only unpickler alone. nnU-Net's checkpoints also hold NumPy scalars
(in their training log); instead of admitting NumPy's own constructors, their pickled names are bound to the two
small stand-ins below, which know numbers and nothing else.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_volseg.core import RefusedError
from napari_volseg.inference.devices import import_torch
from napari_volseg.inference.networks import canonical_weights


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """What a checkpoint file says.

    Parameters
    ----------
    weights
        Parameter name to tensor, on the CPU, canonical names.
    configuration
        The configuration that was trained; empty where the file does not say.
    mirroring_axes
        Network axes along which the training mirrored.
    """

    weights: Mapping[str, Any]
    configuration: str = ""
    mirroring_axes: tuple[int, ...] = ()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a .safetensors file, or a .pth in the layout of nnU-Net v2.

    Raises
    ------
    RefusedError
        Where the file is not a checkpoint (``"model.checkpoint"``) or wants more than numbers
        (``"model.unsafe"``); none of it has run then.
    """
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)


def read_weights(path: Path) -> dict[str, Any]:
    """Return the state dict in a .safetensors file, or in a pickle that holds tensors and plain values alone.

    A pickle may hold it under ``"state_dict"``, ``"model"`` or ``"model_state_dict"``.

    Raises
    ------
    RefusedError
        As for `read_checkpoint`.
    """
    if path.suffix == ".safetensors":
        content: Any = dict(_load_safetensors(path))
    else:
        content = _load_pickle(path)
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(hasattr(value, "shape") for value in content.values()):
        raise _not_a_checkpoint(path, "it holds no weights by name")
    return _whole(path, content)


def _read_safetensors(path: Path) -> Checkpoint:
    return Checkpoint(canonical_weights(_load_safetensors(path)))


def _load_safetensors(path: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    import_torch()
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as problem:
        raise _not_a_checkpoint(path, str(problem)) from problem


def _read_pickle(path: Path) -> Checkpoint:
    return _from_nnunet(path, _load_pickle(path))


def _load_pickle(path: Path) -> Any:
    torch = import_torch()
    _refuse_bomb(path)
    try:
        with torch.serialization.safe_globals(number_globals()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # a damaged or hostile pickle can raise anything at all
        raise _refusal(path, problem) from problem


def _from_nnunet(path: Path, content: Any) -> Checkpoint:
    try:
        return Checkpoint(
            canonical_weights(_whole(path, content["network_weights"])),
            str(content["init_args"]["configuration"]),
            tuple(int(axis) for axis in content.get("inference_allowed_mirroring_axes") or ()),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as problem:
        raise _not_a_checkpoint(path, f"nnU-Net's entry {problem} is missing or malformed") from problem


def _refuse_bomb(path: Path) -> None:
    """Refuse an archive that unpacks to more than it is long: torch stores weights as they are."""
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(entry.file_size for entry in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return  # no archive, which is for torch to say
    if claimed > path.stat().st_size:
        raise RefusedError(
            f"{path.name} would unpack to {claimed / 1e6:,.0f} MB, more than it is long, as no checkpoint of torch "
            "does, and was not loaded: use the file that the training saved",
            "model.bomb",
        )


def _whole(path: Path, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights, all of whose values lie in the file: a few bytes can claim to be a tensor of any size."""
    torch = import_torch()
    for name, tensor in weights.items():
        plain = isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not plain or tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
            raise _not_a_checkpoint(path, f"{str(name)[:80]} is not a tensor with all of its values")
    return dict(weights)


def _refusal(path: Path, problem: Exception) -> RefusedError:
    """Return what to say; torch's own words advise to load the file unsafely and are not passed on."""
    wanted = re.search(r"GLOBAL ([\w.]+)", str(problem))
    if wanted is None:
        return _not_a_checkpoint(path, "no archive of weights can be read from it")
    return RefusedError(
        f"{path.name} wants to run or build {wanted[1]}, which is more than numbers, and was not loaded: "
        "use a checkpoint that holds weights alone, from a source that you trust",
        "model.unsafe",
    )


def _not_a_checkpoint(path: Path, reason: str) -> RefusedError:
    return RefusedError(
        f"{path} is not a checkpoint of nnU-Net v2 ({reason[:160]}): copy it again from where the model was trained",
        "model.checkpoint",
    )


class PickledType:
    """Stand-in for ``numpy.dtype`` in a pickle: the code of a number type, such as ``"f8"``."""

    def __init__(self, code: str, *_: bool) -> None:
        self.dtype = np.dtype(str(code))
        if self.dtype.kind not in "biuf":
            raise ValueError(f"a value of type {self.dtype} is not a number")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


def number_from_pickle(kind: PickledType, raw: bytes) -> int | float | bool:
    """Stand-in for NumPy's scalar constructor in a pickle: one number from its bytes."""
    if len(raw) != kind.dtype.itemsize:
        raise ValueError(f"{len(raw)} bytes are not one {kind.dtype}")
    number: int | float | bool = np.frombuffer(raw, kind.dtype)[0].item()
    return number


def number_globals() -> list[Any]:
    """Return the fixed allow-list: pickled names of NumPy's numbers, bound to the stand-ins."""
    scalars = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    return [PickledType, (PickledType, "numpy.dtype"), *((number_from_pickle, name) for name in scalars)]
