"""Sliding-window inference that gives its result away band by band.

Windows follow nnU-Net's rule and are blended by its Gaussian, in float32. They form a full product grid, so weights
and their sums are products along the axes: each window's profile is divided by the sum beforehand, what is added up
is final as soon as no later window reaches it, and there is no count map. Windows advance along the axis that leaves
the smallest band open: memory holds one window's depth of logits, however long the volume.
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

from napari_volseg.inference.refusals import plan_refused

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Network = Callable[["Tensor"], "Tensor"]

#: Rows of windows that may run twice so that a run begins where somebody looks, as a share of all.
_MOST_TWICE = 0.25

#: Of neighbouring windows; more of it is millions of windows.
_MOST_OVERLAP = 0.9


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


@dataclass(frozen=True, slots=True)
class Windows:
    """nnU-Net's rule of where windows lie and how much each counts.

    Parameters
    ----------
    step
        Largest step as a share of the window; along an axis of one voxel windows never overlap.
    """

    step: float = 0.5

    @property
    def separable(self) -> bool:
        """Whether weights are products of profiles along the axes."""
        return True

    def starts(self, size: int, patch: int) -> tuple[int, ...]:
        """Return where windows of ``patch`` voxels start along an axis of ``size`` voxels."""
        return window_starts(size, patch, self.step if patch > 1 else 1.0)

    def profile(self, patch: int) -> NDArray[np.float64]:
        """Return the weights along one axis of a window."""
        return gaussian_profile(patch)


@dataclass(frozen=True, slots=True)
class MonaiWindows:
    """MONAI's rule of where windows lie and how much each counts (``sliding_window_inference``).

    Parameters
    ----------
    overlap
        Of neighbouring windows, as a share of the window.
    gaussian
        Whether a window counts less towards its edges: a Gaussian, bounded from below and so no product of profiles.
    """

    overlap: float = 0.25
    gaussian: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.overlap <= _MOST_OVERLAP:
            raise ValueError(f"an overlap of {self.overlap}, where 0 to {_MOST_OVERLAP} are possible")

    @property
    def separable(self) -> bool:
        """Whether weights are products of profiles along the axes."""
        return not self.gaussian

    def starts(self, size: int, patch: int) -> tuple[int, ...]:
        """Return where windows of ``patch`` voxels start along an axis of ``size`` voxels."""
        step = max(1, int(patch * (1 - self.overlap)))
        return tuple(min(start, size - patch) for start in range(0, size - patch + step, step))

    def profile(self, patch: int) -> NDArray[np.float64]:
        """Return the weights along one axis of a window."""
        if not self.gaussian:
            return np.ones(patch)
        at = np.arange(patch) - (patch - 1) / 2
        return np.exp(-0.5 * (at / (patch / 8)) ** 2)

    def weights(self, patch: Sequence[int]) -> NDArray[np.float32]:
        """Return the weights (z, y, x) of a window."""
        z, y, x = (self.profile(n) for n in patch)
        product_ = z[:, None, None] * y[:, None] * x
        return np.maximum(product_, max(product_.min(), 1e-3)).astype(np.float32)


@dataclass(frozen=True)
class WindowGrid:
    """The windows over an image.

    Parameters
    ----------
    shape
        Of the image (z, y, x).
    patch
        Of a window (z, y, x).
    rule
        Where windows lie and how much they count.
    """

    shape: tuple[int, int, int]
    patch: tuple[int, int, int]
    rule: Windows | MonaiWindows = Windows()  # frozen, so one default serves all

    @cached_property
    def axis(self) -> int:
        """The axis along which bands are finished: the one along which the open band is the smallest share."""
        shares = [p / n for p, n in zip(self.patch, self.padded_shape, strict=True)]
        return min(range(3), key=lambda axis: (round(shares[axis], 6), axis))

    @property
    def open_voxels(self) -> int:
        """Voxels of the padded image in the open band: one window deep, all across."""
        return prod(self.padded_shape) // self.padded_shape[self.axis] * self.patch[self.axis]

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
        return tuple(self.rule.starts(n, p) for n, p in zip(self.padded_shape, self.patch, strict=True))

    @property
    def windows(self) -> int:
        """Number of windows."""
        return prod(len(starts) for starts in self.starts)

    @property
    def rows(self) -> range:
        """Numbers of the rows of windows: those of a row start at the same plane and end the same band."""
        return range(len(self.starts[self.axis]))

    def windows_of(self, rows: range) -> int:
        """Return how many windows run so that the bands of some rows become final."""
        return (rows.stop - self.lead_in(rows.start)) * (self.windows // len(self.rows))

    def count(self, chosen: NDArray[np.bool_], rows: range) -> int:
        """Return how many of the windows of ``windows_of`` are chosen, by their number along (z, y, x)."""
        run = range(self.lead_in(rows.start), rows.stop)
        return int(np.moveaxis(chosen, self.axis, 0)[run.start : run.stop].sum())

    def lead_in(self, row: int) -> int:
        """Return the first row whose windows reach the planes that are final after ``row``."""
        tops, depth = self.starts[self.axis], self.patch[self.axis]
        return next(first for first, top in enumerate(tops) if top + depth > tops[row])

    def passes(self, plane: int | None = None) -> tuple[range, ...]:
        """Return the rows in the order in which they run, the one that ends ``plane`` early.

        Beginning in the midst takes the rows of its lead-in twice, as sums must be added up in one order to be the
        same to the last bit. Where that is more than a share of all rows, or saves nothing, there is one pass.
        """
        rows = self.rows
        if plane is None:
            return (rows,)
        row = int(np.searchsorted(self.starts[self.axis], plane, side="right")) - 1
        lead = row - self.lead_in(row)
        if row <= lead or lead > _MOST_TWICE * len(rows):
            return (rows,)
        return range(row, rows.stop), range(row)

    @cached_property
    def profiles(self) -> tuple[NDArray[np.float32], ...]:
        """Per axis the weights (windows, voxels) of each window: at every padded voxel they add up to 1."""
        return tuple(
            normalized_profiles(self.rule.profile(patch), starts, size)
            for patch, starts, size in zip(self.patch, self.starts, self.padded_shape, strict=True)
        )


def normalized_profiles(profile: NDArray[np.float64], starts: Sequence[int], size: int) -> NDArray[np.float32]:
    """Return a window's profile for each of its starts along an axis, divided by the sum of all at each voxel."""
    total = np.zeros(size)
    for start in starts:
        total[_span(start, len(profile))] += profile
    return np.stack([profile / total[_span(start, len(profile))] for start in starts]).astype(np.float32)


def stream_logits(
    network: Network,
    image: Tensor,
    grid: WindowGrid,
    channels: int,
    before_window: Callable[[], None],
    band_device: torch.device | None = None,
    rows: range | None = None,
    skip: NDArray[np.bool_] | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Run a network over an image and yield blended logits as soon as they are final.

    Parameters
    ----------
    network
        Maps (1, c, z, y, x) of a window's size to (1, channels, z, y, x).
    image
        (c, z, y, x) float32 of ``grid.shape``, on a device that the network takes windows from.
    grid
        The windows.
    channels
        Output channels.
    before_window
        Called before every window; may raise to stop.
    band_device
        Where the open band lies; that of the image where absent.
    rows
        Rows of windows whose bands are wanted, one after the other; all where absent. Windows before them that
        reach into these bands run, too.
    skip
        Windows, by their number along (z, y, x), that are not run: as if the network had answered zeros, of which
        the background wins.

    Yields
    ------
    int, Tensor
        Index of a first plane along ``grid.axis``, and logits (channels, planes, …) of it and those that follow,
        without padding, that axis moved to the front of the other two. The tensor is overwritten when the next one
        is asked for.

    Raises
    ------
    RefusedError
        Where the network answers in another shape.
    """
    padded = _padded(image, grid)
    blending = _Blending(channels, grid, band_device or image.device)
    tops, depth, wanted = grid.starts[grid.axis], grid.patch[grid.axis], rows or grid.rows
    for row in range(grid.lead_in(wanted.start), wanted.stop):
        top = tops[row]
        for place in _row_of_windows(grid, row):
            before_window()
            where = [_span(starts[i], n) for starts, i, n in zip(grid.starts, place, grid.patch, strict=True)]
            if skip is not None and skip[place]:
                blending.weigh(where)
                continue
            blending.add(_logits(network, padded[(slice(None), *where)][None], channels), place, where)
        end = tops[row + 1] if row + 1 < len(tops) else top + depth
        if row >= wanted.start:
            yield from _without_padding(blending.finished(end - top), top, grid)
        blending.advance(end - top)


def _logits(network: Network, window: Tensor, channels: int) -> Tensor:
    """Return the logits (channels, z, y, x) of a window (1, c, z, y, x)."""
    found = network(window)
    shape, expected = tuple(getattr(found, "shape", ())), (1, channels, *window.shape[2:])
    if shape != expected:  # it would be spread over the band without a word
        raise plan_refused(
            f"the network answers in the shape {shape} where its labels need {expected}: "
            "use the card and the file of one model",
            "output",
        )
    return found[0]


class _Blending:
    """The open band: a weighted sum of windows.

    Where weights are products of profiles, these were divided by their sums, and what is added up needs no more;
    otherwise the weights are added up beside it.
    """

    def __init__(self, channels: int, grid: WindowGrid, device: torch.device) -> None:
        from torch import from_numpy, zeros

        self._axis = grid.axis
        depth, across = grid.patch[grid.axis], [n for axis, n in enumerate(grid.padded_shape) if axis != grid.axis]
        self._slab = zeros((channels, depth, *across), device=device)
        self._sums: Tensor | None = None
        if isinstance(grid.rule, MonaiWindows) and not grid.rule.separable:
            self._sums = zeros((1, depth, *across), device=device)
            self._whole = from_numpy(grid.rule.weights(grid.patch)).to(device).movedim(grid.axis, 0)
        else:
            self._profiles = [from_numpy(profile).to(device) for profile in grid.profiles]

    def add(self, logits: Tensor, place: Sequence[int], where: Sequence[slice]) -> None:
        """Add a window's logits (channels, z, y, x), given its number and its place along each axis."""
        here = (slice(None), slice(None), *(span for axis, span in enumerate(where) if axis != self._axis))
        weight = _weight(self._profiles, place, self._axis) if self._sums is None else self._whole
        self._slab[here].addcmul_(logits.movedim(self._axis + 1, 1).to(self._slab), weight)
        self.weigh(where)

    def weigh(self, where: Sequence[slice]) -> None:
        """Count a window that is at a place, where the sum of weights is not known beforehand."""
        if self._sums is not None:
            here = (slice(None), slice(None), *(span for axis, span in enumerate(where) if axis != self._axis))
            self._sums[here] += self._whole

    def finished(self, planes: int) -> Tensor:
        """Return the first planes, which no later window reaches."""
        if self._sums is not None:
            self._slab[:, :planes] /= self._sums[:, :planes]
        return self._slab[:, :planes]

    def advance(self, planes: int) -> None:
        """Move on by some planes."""
        _advance(self._slab, planes)
        if self._sums is not None:
            _advance(self._sums, planes)


def _row_of_windows(grid: WindowGrid, row: int) -> Iterator[tuple[int, ...]]:
    """Yield the windows that end the same band, each as its number along (z, y, x)."""
    numbers = [range(len(starts)) for starts in grid.starts]
    numbers[grid.axis] = range(row, row + 1)
    return product(*numbers)


def _weight(profiles: Sequence[Tensor], place: Sequence[int], axis: int) -> Tensor:
    """Return the weights of a window, its axes in the order of the slab's."""
    z, y, x = (profile[i] for profile, i in zip(profiles, place, strict=True))
    return (z[:, None, None] * y[:, None] * x).movedim(axis, 0)


def _padded(image: Tensor, grid: WindowGrid) -> Tensor:
    if grid.shape == grid.padded_shape:
        return image
    from torch.nn.functional import pad

    return pad(image, [n for pair in reversed(grid.padding) for n in pair])


def _without_padding(planes: Tensor, first: int, grid: WindowGrid) -> Iterator[tuple[int, Tensor]]:
    """Yield the part of padded planes, the first of which has index ``first``, that lies in the image."""
    before = grid.padding[grid.axis][0]
    low = max(first, before)
    high = min(first + planes.shape[1], before + grid.shape[grid.axis])
    if low < high:
        across = [_span(grid.padding[axis][0], grid.shape[axis]) for axis in range(3) if axis != grid.axis]
        yield low - before, planes[(slice(None), slice(low - first, high - first), *across)]


def _advance(slab: Tensor, planes: int) -> None:
    """Move a slab on by some planes in place: what is still open comes first, the rest is zero.

    Plane by plane, as places overlap and a copy of the open part would be half a band more of memory.
    """
    still_open = slab.shape[1] - planes
    for plane in range(still_open):
        slab[:, plane] = slab[:, plane + planes]
    slab[:, still_open:] = 0


def _span(start: int, length: int) -> slice:
    return slice(start, start + length)
