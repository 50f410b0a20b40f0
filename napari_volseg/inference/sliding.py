"""Sliding-window inference that gives its result away plane by plane.

Windows follow nnU-Net's rule and are blended by its Gaussian, in float32. The windows form a full product grid, so
the sum of weights at a voxel is the product of three sums along the axes, and planes that no later window reaches can
be normalized and handed on at once: memory holds one window's depth of logits, however long the volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import ceil, prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

if TYPE_CHECKING:
    from torch import Tensor

Network = Callable[["Tensor"], "Tensor"]


def window_starts(size: int, patch: int, step: float = 0.5) -> tuple[int, ...]:
    """Return where windows start along one axis of at least ``patch`` voxels.

    Steps are at most ``step`` windows long and as equal as voxels allow; the last window ends with the image.
    """
    steps = ceil((size - patch) / (patch * step))
    return tuple(round((size - patch) / max(1, steps) * i) for i in range(steps + 1))


def gaussian_profile(size: int) -> NDArray[np.float64]:
    """Return nnU-Net's window weight along one axis: a Gaussian of an eighth of the window, 1 at its centre."""
    impulse = np.zeros(size)
    impulse[size // 2] = 1.0
    profile = ndimage.gaussian_filter1d(impulse, size / 8, mode="constant")
    profile = np.asarray(profile / profile.max())
    return np.maximum(profile, profile[profile > 0].min())


@dataclass(frozen=True)
class WindowGrid:
    """The windows over an image.

    Parameters
    ----------
    shape
        Of the image (z, y, x).
    patch
        Of a window (z, y, x).
    step
        Largest step as a share of the window.
    """

    shape: tuple[int, int, int]
    patch: tuple[int, int, int]
    step: float = 0.5

    @cached_property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """Voxels to add (before, after) along (z, y, x) so that one window fits; the image stays in the middle."""
        missing = [max(0, p - n) for n, p in zip(self.shape, self.patch, strict=True)]
        return tuple((m // 2, m - m // 2) for m in missing)

    @cached_property
    def padded_shape(self) -> tuple[int, ...]:
        """Shape (z, y, x) with the padding."""
        return tuple(max(n, p) for n, p in zip(self.shape, self.patch, strict=True))

    @cached_property
    def starts(self) -> tuple[tuple[int, ...], ...]:
        """Per axis (z, y, x), where windows start in the padded image."""
        return tuple(window_starts(n, p, self.step) for n, p in zip(self.padded_shape, self.patch, strict=True))

    @property
    def windows(self) -> int:
        """Number of windows."""
        return prod(len(starts) for starts in self.starts)

    def weight_sums(self) -> tuple[NDArray[np.float64], ...]:
        """Return per axis the sum of all windows' weights at each padded voxel."""
        return tuple(
            _overlap_add(gaussian_profile(patch), starts, size)
            for patch, starts, size in zip(self.patch, self.starts, self.padded_shape, strict=True)
        )


def stream_logits(
    network: Network, image: Tensor, grid: WindowGrid, channels: int, before_window: Callable[[], None]
) -> Iterator[tuple[int, Tensor]]:
    """Run a network over an image and yield blended logits as soon as they are final.

    Parameters
    ----------
    network
        Maps (1, 1, z, y, x) of a window's size to (1, channels, z, y, x).
    image
        (z, y, x) float32 of ``grid.shape``, on the device on which to compute.
    grid
        The windows.
    channels
        Output channels.
    before_window
        Called before every window; may raise to stop.

    Yields
    ------
    int, Tensor
        Index of a first plane, and logits (channels, planes, y, x) of it and those that follow, without padding. The
        tensor is overwritten when the next one is asked for.
    """
    import torch

    padded = torch.nn.functional.pad(image, [n for pair in reversed(grid.padding) for n in pair])
    weight, inverse = _weights(grid, image)
    slab = torch.zeros((channels, grid.patch[0], *grid.padded_shape[1:]), device=image.device)
    for row, top in enumerate(grid.starts[0]):
        for y, x in product(*grid.starts[1:]):
            before_window()
            here = _span(y, grid.patch[1]), _span(x, grid.patch[2])
            logits = network(padded[(_span(top, grid.patch[0]), *here)][None, None])[0]
            slab[(slice(None), slice(None), *here)].addcmul_(logits.float(), weight)
        end = grid.starts[0][row + 1] if row + 1 < len(grid.starts[0]) else grid.padded_shape[0]
        finished = slab[:, : end - top].mul_(inverse[0][top:end]).mul_(inverse[1]).mul_(inverse[2])
        yield from _without_padding(finished, top, grid)
        _advance(slab, end - top)


def _weights(grid: WindowGrid, like: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return a window's weights (z, y, x) and per axis the inverse sums, shaped to multiply (channels, z, y, x)."""
    import torch

    def tensor(values: NDArray[np.float64], axis: int) -> Tensor:
        view = [-1 if i == axis else 1 for i in range(3)]
        return torch.from_numpy(values.astype(np.float32)).to(like.device).reshape(view)

    z, y, x = (tensor(gaussian_profile(size), axis) for axis, size in enumerate(grid.patch))
    return z * y * x, [tensor(1 / sums, axis) for axis, sums in enumerate(grid.weight_sums())]


def _without_padding(planes: Tensor, first: int, grid: WindowGrid) -> Iterator[tuple[int, Tensor]]:
    """Yield the part of padded planes, the first of which has index ``first``, that lies in the image."""
    before = [pair[0] for pair in grid.padding]
    low = max(first, before[0])
    high = min(first + planes.shape[1], before[0] + grid.shape[0])
    if low < high:
        plane = (_span(before[1], grid.shape[1]), _span(before[2], grid.shape[2]))
        yield low - before[0], planes[(slice(None), slice(low - first, high - first), *plane)]


def _advance(slab: Tensor, planes: int) -> None:
    """Move a slab on by some planes in place: what is still open comes first, the rest is zero."""
    still_open = slab[:, planes:].clone()
    slab.zero_()
    slab[:, : still_open.shape[1]] = still_open


def _overlap_add(profile: NDArray[np.float64], starts: Sequence[int], size: int) -> NDArray[np.float64]:
    total = np.zeros(size)
    for start in starts:
        total[start : start + len(profile)] += profile
    return total


def _span(start: int, length: int) -> slice:
    return slice(start, start + length)
