"""From streamed logits to labels on the image's grid.

Logits, not labels, are interpolated: the largest of the interpolated values wins, which keeps borders smooth. One
output plane at a time is interpolated for all channels and reduced to labels, so the logits never exist at full size.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_volseg.inference.fused import Winners, compiled_winners
from napari_volseg.inference.outputs import Exclusive, OutputRule

if TYPE_CHECKING:
    from torch import Tensor


class Taps(NamedTuple):
    """For each voxel of a resized axis, the two source voxels that it mixes and the share of the second."""

    low: NDArray[np.uint32]
    high: NDArray[np.uint32]
    share: NDArray[np.float32]


class LabelStitcher:
    """Takes planes of logits in order and fills an array of labels.

    Parameters
    ----------
    shape
        Grid of the logits (z, y, x), axes ordered as in the planes.
    labels
        Where to write, unsigned integers (z, y, x); any shape over the same field of view.
    outputs
        What the channels mean.
    nearest_axis
        Axis along which the nearest plane is taken instead of a linear mix, None for no such axis.
    begin
        Index of the first plane that will be given.
    compiled
        Whether to use the compiled loop on the CPU where numba is installed.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        labels: NDArray[Any],
        outputs: OutputRule,
        nearest_axis: int | None = None,
        *,
        begin: int = 0,
        compiled: bool = True,
    ) -> None:
        self._plane_shape = (len(outputs.values), *shape[1:])
        self._labels = labels
        self._outputs = outputs
        self._taps = [
            axis_taps(size, new, nearest=axis == nearest_axis)
            for axis, (size, new) in enumerate(zip(shape, labels.shape, strict=True))
        ]
        self._nearest_axis = nearest_axis
        self._compiled = compiled_winners() if compiled else None
        self._done = int(np.searchsorted(self._taps[0].low, begin))
        self._last: Tensor | None = None

    def add(self, first: int, planes: Tensor) -> tuple[int, int]:
        """Take logits (channels, planes, y, x) whose first plane has this index; none may be left out.

        Returns
        -------
        int, int
            The planes of labels that were finished: the first, and one past the last.
        """
        if (len(planes), *planes.shape[2:]) != self._plane_shape:  # the compiled loop looks at no bounds
            raise ValueError(f"planes of shape {tuple(planes.shape)} are not of (channels, y, x) {self._plane_shape}")
        return self._fill(self._reached(first + planes.shape[1]), first, planes)

    def close(self, first: int, plane: Tensor) -> tuple[int, int]:
        """Take the plane (channels, 1, y, x) with which another stitcher began, and fill up to where that one did.

        Returns as ``add``.
        """
        return self._fill(int(np.searchsorted(self._taps[0].low, first)), first, plane)

    def _fill(self, end: int, first: int, planes: Tensor) -> tuple[int, int]:
        begin = self._done
        if self._compiled is not None and planes.device.type == "cpu":
            self._fill_compiled(self._compiled, range(begin, end), first, planes)
        else:
            for index, plane in self._mixed(range(begin, end), first, planes):
                self._labels[index] = self._winners(plane).cpu().numpy()
        self._done = end
        self._last = planes[:, -1].clone()
        return begin, end

    def _reached(self, end: int) -> int:
        """Return how many planes of labels need no source plane from ``end`` on."""
        return int(np.searchsorted(self._taps[0].high, end))

    def _plane(self, index: int, first: int, planes: Tensor) -> Tensor:
        """Return one plane (channels, y, x) of this block, or the last of the block before."""
        if index < first and self._last is not None:
            return self._last
        return planes[:, index - first]

    def _fill_compiled(self, winners: Winners, todo: range, first: int, planes: Tensor) -> None:
        from torch import get_num_threads

        values = np.array(self._outputs.values, np.int32)
        exclusive = isinstance(self._outputs, Exclusive)
        (low, high, share), rows, columns = self._taps

        def fill(index: int) -> None:
            ends = [self._plane(int(tap[index]), first, planes).numpy() for tap in (low, high)]
            found = np.empty(self._labels.shape[1:], np.uint16)
            winners(*ends, share[index], *rows, *columns, values, exclusive, found)
            self._labels[index] = found

        with ThreadPoolExecutor(get_num_threads()) as pool:
            list(pool.map(fill, todo))

    def _mixed(self, todo: range, first: int, planes: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield planes (channels, y, x) at the labels' depth, with the index of each."""
        low, high, share = self._taps[0]
        for index in todo:
            plane = self._plane(int(low[index]), first, planes)
            if share[index]:
                plane = plane.lerp(self._plane(int(high[index]), first, planes), float(share[index]))
            yield index, plane

    def _winners(self, plane: Tensor) -> Tensor:
        """Return the labels (y, x) of a plane (channels, y, x), interpolated to the labels' size.

        Channel by channel against the best so far: several times faster than argmax over all, in little memory.
        """
        from torch import as_tensor, full, int32, uint8

        if self._nearest_axis in (1, 2):
            nearest = as_tensor(self._taps[self._nearest_axis].low.astype(np.int64), device=plane.device)
            plane = plane.index_select(self._nearest_axis, nearest)
        exclusive, size = isinstance(self._outputs, Exclusive), self._labels.shape[1:]
        best = full(size, -float("inf") if exclusive else 0.0, device=plane.device)
        found = best.new_zeros(size, dtype=uint8 if max(self._outputs.values) < 256 else int32)
        for value, channel in zip(self._outputs.values, plane, strict=True):
            logit = _resized(channel, size)
            found.masked_fill_(logit > best, value)
            if exclusive:
                best = best.maximum(logit)
        return found


def axis_taps(size: int, new_size: int, *, nearest: bool = False) -> Taps:
    """Return the taps of an axis that is resized linearly, or to the nearest voxel.

    Voxel centres are half a voxel inside the edges; beyond the outermost centres the edge value goes on.
    """
    at = np.clip((np.arange(new_size) + 0.5) * (size / new_size) - 0.5, 0, size - 1)
    if nearest:
        at = np.floor(at + 0.5)
    low = np.floor(at).astype(np.uint32)
    return Taps(low, np.minimum(low + (at > low), size - 1).astype(np.uint32), (at - low).astype(np.float32))


def _resized(channel: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return one channel (y, x) at another size."""
    from torch.nn.functional import interpolate

    if channel.shape == size:
        return channel
    return interpolate(channel[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
