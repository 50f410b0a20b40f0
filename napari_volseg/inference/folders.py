"""Model folders on disk: the layout of nnU-Net v2, with an optional card.json beside it.

::

    <model>/
        plans.json  dataset.json        as nnU-Net v2 writes them
        card.json                       optional: what plans do not say (version, intended use, licence, orientation)
        fold_0/checkpoint_final.safetensors   or checkpoint_final.pth, checkpoint_best.pth

Beside safetensors the card also names the configuration and the mirroring axes; nnU-Net's own .pth holds both itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_volseg.core import RefusedError
from napari_volseg.inference.networks import canonical_weights

#: Plans and cards are thousands of times smaller; a file of this size is no description.
_LARGEST_JSON = 2**24

WEIGHTS_NAMES = ("checkpoint_final.safetensors", "checkpoint_final.pth", "checkpoint_best.pth")


def write_model_folder(
    folder: Path | str,
    *,
    plans: Mapping[str, Any],
    dataset: Mapping[str, Any],
    configuration: str,
    weights: Mapping[str, Any],
    card: Mapping[str, Any],
    mirroring_axes: Sequence[int] = (),
) -> Path:
    """Write a model in the layout of nnU-Net v2 with safetensors weights and a card.

    Parameters
    ----------
    folder
        Where to write; created where missing.
    plans, dataset
        Contents of plans.json and dataset.json.
    configuration
        The configuration of the plans that was trained.
    weights
        State dict of the network.
    card
        Facts for card.json: ``id``, ``title``, ``version``, ``task``, ``intended_use``, ``code_license``,
        ``weights_license``, ``orientation`` (axis codes (z, y, x), such as ``"SPL"``) and ``segments`` (name →
        ``{"type": [value, scheme, meaning], "category": […], "color": [r, g, b]}``). The configuration, the mirroring
        axes and the SHA-256 of the weights are added.
    mirroring_axes
        Network axes (0, 1, 2) along which the training mirrored.

    Returns
    -------
    Path
        The folder.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    target = folder / "fold_0" / WEIGHTS_NAMES[0]
    target.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in canonical_weights(weights).items()}
    save_file(tensors, target)
    target.chmod(0o644)  # safetensors lets nobody but the owner read, which would follow the file into packages
    write_json(folder / "plans.json", plans)
    write_json(folder / "dataset.json", dataset)
    facts = {"configuration": configuration, "mirroring_axes": list(mirroring_axes), "sha256": sha256_of(target)}
    write_json(folder / "card.json", {**card, **facts})
    return folder


def is_model_folder(folder: Path) -> bool:
    """Whether a folder looks like a model: plans.json and dataset.json lie in it."""
    return (folder / "plans.json").is_file() and (folder / "dataset.json").is_file()


def find_weights(folder: Path) -> tuple[Path, ...]:
    """Return one checkpoint per trained fold, final before best, safetensors before .pth.

    Folds with a number form an ensemble; ``fold_all``, trained on all cases, is taken where there are no others.

    Raises
    ------
    RefusedError
        Where the folder is no model folder, or has no checkpoint.
    """
    if not is_model_folder(folder):
        raise RefusedError(
            f"{folder} is not a model folder: plans.json and dataset.json of nnU-Net v2 must lie in it",
            "model.folder",
        )
    for pattern in ("fold_[0-9]*", "fold_all"):
        found = tuple(path for path in map(_checkpoint_in, sorted(folder.glob(pattern))) if path is not None)
        if found:
            return found
    raise RefusedError(
        f"{folder} holds no weights: a folder fold_0 with one of {', '.join(WEIGHTS_NAMES)} is needed in it",
        "model.no_weights",
    )


def _checkpoint_in(fold: Path) -> Path | None:
    return next((fold / name for name in WEIGHTS_NAMES if (fold / name).is_file()), None)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object in UTF-8, indented."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises
    ------
    RefusedError
        Where it is missing, not JSON, not an object, or too long to describe a model.
    """
    if not path.is_file() or path.stat().st_size > _LARGEST_JSON:  # a device or a pipe would never end
        raise RefusedError(
            f"{path} is missing, or is no file of at most {_LARGEST_JSON >> 20} MB: copy it again from where "
            "the model was trained",
            "model.json",
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise RefusedError(
            f"{path} can't be read as JSON ({problem}): copy the file again from where the model was trained",
            "model.json",
        ) from problem
    if not isinstance(content, dict):
        raise RefusedError(f"{path} holds no JSON object: copy the file again from the trained model", "model.json")
    return content


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
