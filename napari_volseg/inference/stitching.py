"""From streamed logits to labels on the image's grid.

Logits, not labels, are interpolated: the largest of the interpolated values wins, which keeps borders smooth. One
output plane at a time is interpolated for all channels and reduced to labels, so the logits never exist at full size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


class LabelStitcher:
    """Takes planes of logits in order and fills an array of labels.

    Parameters
    ----------
    shape
        Grid of the logits (z, y, x).
    labels
        Where to write, unsigned integers (z, y, x); any shape over the same field of view.
    nearest_axis
        Axis along which the nearest plane is taken instead of a linear mix, None for no such axis.
    """

    def __init__(self, shape: tuple[int, int, int], labels: NDArray[Any], nearest_axis: int | None = None) -> None:
        self._labels = labels
        self._taps = [
            axis_taps(size, new, nearest=axis == nearest_axis)
            for axis, (size, new) in enumerate(zip(shape, labels.shape, strict=True))
        ]
        self._nearest_axis = nearest_axis
        self._done = 0
        self._last: Tensor | None = None

    def add(self, first: int, planes: Tensor) -> None:
        """Take logits (channels, planes, y, x) whose first plane has this index; none may be left out."""
        low, high, share = self._taps[0]
        end = first + planes.shape[1]
        while self._done < len(low) and high[self._done] < end:
            i = self._done
            plane = self._plane(low[i], first, planes)
            if share[i]:
                plane = plane.lerp(self._plane(high[i], first, planes), float(share[i]))
            self._labels[i] = self._winners(plane).cpu().numpy()
            self._done += 1
        self._last = planes[:, -1].clone()

    def _plane(self, index: int, first: int, planes: Tensor) -> Tensor:
        """Return one plane (channels, y, x) of this block, or the last of the block before."""
        if index < first and self._last is not None:
            return self._last
        return planes[:, index - first]

    def _winners(self, plane: Tensor) -> Tensor:
        """Return the channel with the largest interpolated logit, the first of equals, at the labels' size (y, x).

        Channel by channel against the best so far: several times faster than argmax over all, in little memory.
        """
        from torch import as_tensor, int32, maximum, uint8, zeros

        if self._nearest_axis in (1, 2):
            nearest = as_tensor(self._taps[self._nearest_axis][0], device=plane.device)
            plane = plane.index_select(self._nearest_axis, nearest)
        best = self._resize(plane[0])
        winners = zeros(best.shape, dtype=uint8 if len(plane) <= 256 else int32, device=plane.device)
        for channel in range(1, len(plane)):
            logit = self._resize(plane[channel])
            winners.masked_fill_(logit > best, channel)
            best = maximum(best, logit)
        return winners

    def _resize(self, channel: Tensor) -> Tensor:
        """Return one channel (y, x) at the size of the labels' planes."""
        from torch.nn.functional import interpolate

        size = self._labels.shape[1:]
        if channel.shape == size:
            return channel
        return interpolate(channel[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]


def axis_taps(
    size: int, new_size: int, *, nearest: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return for each voxel of a resized axis the two source voxels that it mixes and the share of the second.

    Voxel centres are half a voxel inside the edges; beyond the outermost centres the edge value goes on.
    """
    at = np.clip((np.arange(new_size) + 0.5) * (size / new_size) - 0.5, 0, size - 1)
    if nearest:
        at = np.floor(at + 0.5)
    low = np.floor(at).astype(np.int64)
    return low, np.minimum(low + (at > low), size - 1), at - low
