"""How much memory a run takes, by arithmetic and before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from napari_volseg.inference.sliding import WindowGrid

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
    """

    image: int
    planes: int
    band: int
    window: int
    labels: int

    @property
    def peak(self) -> int:
        """The most that is held at once: resampling is over before the first window."""
        return self.image + self.labels + max(self.planes, self.band + self.window)


def memory_need(
    grid: WindowGrid, source_shape: Sequence[int], channels: int, outputs: int, label_bytes: int = 1
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
    """
    across = grid.open_voxels // grid.patch[grid.axis]
    copies = 1 if grid.padded_shape == grid.shape else 2
    planes = source_shape[0] * prod(grid.shape[1:]) + 2 * prod(source_shape[1:])
    return MemoryNeed(
        image=_FLOAT * channels * prod(grid.padded_shape) * copies,
        planes=_FLOAT * planes,
        band=_FLOAT * outputs * (grid.open_voxels + across),
        window=_FLOAT * (channels + outputs) * prod(grid.patch),
        labels=label_bytes * prod(source_shape),
    )
