"""How much memory a run takes, by arithmetic and before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import psutil

from napari_volseg.core import RefusedError
from napari_volseg.inference.devices import import_torch
from napari_volseg.inference.heads import PLANES
from napari_volseg.inference.sliding import WindowGrid

if TYPE_CHECKING:
    import torch

_FLOAT = 4


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes that a run takes beyond the volume itself and the network's weights.

    Parameters
    ----------
    image
        The prepared image, and its padded copy where windows are larger than the image.
    planes
        While the image is resampled: one channel resized in its planes only, and a plane at full size.
    band
        Logits of the open band and the last plane of the one before.
    window
        One window of input and of logits; the network's own activations come on top.
    labels
        The result.
    held
        What of ``image`` lies in the computer's memory already, as the network before saw the same one.
    """

    image: int
    planes: int
    band: int
    window: int
    labels: int
    held: int = 0

    @property
    def peak(self) -> int:
        """The most that is held at once: resampling is over before the first window."""
        return self.image + self.labels + max(self.planes, self.band + self.window)


def memory_need(
    grid: WindowGrid,
    source_shape: Sequence[int],
    channels: int,
    outputs: int,
    label_bytes: int = 1,
    seams: int = 0,
    blended: int | None = None,
) -> MemoryNeed:
    """Return the memory that a run needs.

    Parameters
    ----------
    grid
        Windows on the network's grid.
    source_shape
        Of the volume (z, y, x), in the network's axes.
    channels, outputs
        Of the network.
    label_bytes
        Bytes of a label.
    seams
        Places where two passes over the image meet; a plane of logits waits at each.
    blended
        Features that are blended in the place of the outputs (see `heads`), which then exist a few planes at a time.
    """
    mapped = 0 if blended is None or blended == outputs else outputs * PLANES
    blended = outputs if blended is None else blended
    across = grid.open_voxels // grid.patch[grid.axis]
    copies = 1 if grid.padded_shape == grid.shape else 2
    planes = source_shape[0] * prod(grid.shape[1:]) + 2 * prod(source_shape[1:])
    return MemoryNeed(
        image=_FLOAT * channels * prod(grid.padded_shape) * copies,
        planes=_FLOAT * planes,
        band=_FLOAT * (blended * grid.open_voxels + (outputs * (1 + seams) + mapped) * across),
        window=_FLOAT * (channels + blended) * prod(grid.patch),
        labels=label_bytes * prod(source_shape),
    )


@dataclass(frozen=True, slots=True)
class Placement:
    """What of a run lies on the device; the rest lies in the memory of the computer.

    Parameters
    ----------
    image
        The prepared image.
    band
        The logits of the open band, with all that follows from them.
    """

    image: bool
    band: bool


def place(need: MemoryNeed, device: torch.device) -> Placement:
    """Decide where the parts of a run go, by arithmetic and before its first window.

    Errors as in `placement`.
    """
    host = free_bytes("cpu")
    return placement(need, host, None if device.type == "cpu" else free_bytes(str(device)))


def placement(need: MemoryNeed, host: int, device: int | None = None) -> Placement:
    """Return where the parts of a run go.

    Parameters
    ----------
    need
        Of the run.
    host, device
        Free bytes of the computer and of the device; None where the computer itself is the device.

    Raises
    ------
    RefusedError
        Where not even the computer's memory suffices.
    """
    whole = device is None or need.window + need.image + need.band <= device
    placed = Placement(whole or need.window + need.image <= (device or 0), whole)
    band = 0 if placed.band and device is not None else need.band + need.window
    needed = need.image - need.held + need.labels + max(need.planes, band)
    if needed > host:
        raise RefusedError(
            f"this run needs {needed / 1e9:.2f} GB of memory and {host / 1e9:.2f} GB are free: close other programs, "
            "crop the volume, or use a model of larger spacing",
            "memory.need",
        )
    return placed


def free_bytes(device: str) -> int:
    """Return how many bytes are free for a run on ``"cpu"``, ``"mps"`` or a CUDA device."""
    torch = import_torch()
    if device.startswith("cuda"):
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + kept)
    if device.startswith("mps"):
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return int(psutil.virtual_memory().available)
