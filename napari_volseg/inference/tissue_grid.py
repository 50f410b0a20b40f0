"""A CT on a coarse working grid, and morphology in millimetres on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import CancelToken

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]
#: A connected part of a mask: its box in the whole, and the mask within the box.
Part = tuple[tuple[slice, slice, slice], Mask]

#: Spacing (mm) beyond which the working grid is not coarsened.
WORKING_SPACING = 2.6


@dataclass(frozen=True, slots=True, eq=False)
class WorkingGrid:
    """Block means of a CT whose index (z, y, x) runs towards (S, P, L).

    Parameters
    ----------
    hu
        (z, y, x) float32, HU.
    spacing
        Of the blocks (z, y, x), mm.
    factors
        Voxels per block along (z, y, x).
    """

    hu: NDArray[np.float32]
    spacing: Spacing
    factors: tuple[int, int, int]

    @classmethod
    def of(cls, voxels: NDArray[Any], spacing: Sequence[float], cancel: CancelToken) -> WorkingGrid:
        """Average a CT (z, y, x) over blocks of at most `WORKING_SPACING`; blocks at the far edges may be cut."""
        fz, fy, fx = (max(1, int(WORKING_SPACING // s)) for s in spacing)
        slabs = []
        for z in range(0, len(voxels), fz):
            cancel.check()
            slab = voxels[z : z + fz].mean(0, dtype=np.float32)
            slabs.append(_block_mean(_block_mean(slab, 0, fy), 1, fx))
        sz, sy, sx = spacing
        return cls(np.stack(slabs), (sz * fz, sy * fy, sx * fx), (fz, fy, fx))

    def millilitres(self, voxels: float) -> float:
        """Return the volume of a number of blocks, mL."""
        return float(voxels * np.prod(self.spacing) / 1000)

    def plane_on_source(self, array: NDArray[Any], z: int, shape: Sequence[int]) -> NDArray[Any]:
        """Return the plane of a working array that holds source plane ``z``, enlarged to ``shape`` (y, x)."""
        plane = array[z // self.factors[0]]
        return plane.repeat(self.factors[1], 0).repeat(self.factors[2], 1)[: shape[0], : shape[1]]


def _block_mean(plane: NDArray[np.float32], axis: int, factor: int) -> NDArray[np.float32]:
    starts = np.arange(0, plane.shape[axis], factor)
    counts = np.diff(np.append(starts, plane.shape[axis])).astype(np.float32)
    return np.asarray(np.add.reduceat(plane, starts, axis) / np.expand_dims(counts, 1 - axis), np.float32)


def dilate(mask: Mask, spacing: Spacing, radius: float) -> Mask:
    """Return the voxels within ``radius`` mm of a mask (z, y, x).

    The ball is taken apart into runs along x, so that the work is one pass per row of the ball; for balls of a few
    voxels this is several times faster than a distance transform.
    """
    sz, sy, sx = spacing
    result = mask.copy()
    runs = [mask]
    rows = product(range(-int(radius // sz), int(radius // sz) + 1), range(-int(radius // sy), int(radius // sy) + 1))
    for dz, dy in rows:
        left = radius**2 - (dz * sz) ** 2 - (dy * sy) ** 2
        if left >= 0:
            _merge_shifted(result, _run(runs, int(sqrt(left) / sx + 1e-9)), (dz, dy, 0))
    return result


def _run(runs: list[Mask], reach: int) -> Mask:
    """Return the first of ``runs`` grown by ``reach`` voxels along x; ``runs`` keeps all shorter ones."""
    while len(runs) <= reach:
        longer = runs[-1].copy()
        for step in (-len(runs), len(runs)):
            _merge_shifted(longer, runs[0], (0, 0, step))
        runs.append(longer)
    return runs[reach]


def _merge_shifted(target: Mask, mask: Mask, shift: tuple[int, int, int]) -> None:
    """Add to ``target`` a mask moved by some voxels; what leaves the array is lost."""
    to = tuple(slice(max(0, d), max(0, n + min(0, d))) for d, n in zip(shift, mask.shape, strict=True))
    back = tuple(slice(max(0, -d), max(0, n + min(0, -d))) for d, n in zip(shift, mask.shape, strict=True))
    target[to] |= mask[back]


def erode(mask: Mask, spacing: Spacing, radius: float) -> Mask:
    """Return the voxels of a mask (z, y, x) farther than ``radius`` mm from what is outside; edges do not count."""
    return ~dilate(~mask, spacing, radius)


def opened(mask: Mask, spacing: Spacing, radius: float) -> Mask:
    """Return a mask without parts thinner than twice ``radius`` mm."""
    return dilate(erode(mask, spacing, radius), spacing, radius) & mask


def closed(mask: Mask, spacing: Spacing, radius: float) -> Mask:
    """Return a mask with gaps narrower than twice ``radius`` mm filled."""
    return erode(dilate(mask, spacing, radius), spacing, radius) | mask


def filled_slices(mask: Mask) -> Mask:
    """Return a mask with the holes of each axial slice filled."""
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])


def components(mask: Mask, minimum: int) -> Iterator[Part]:
    """Yield box and mask within the box of each face-connected part of at least ``minimum`` voxels, largest first."""
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())[1:]
    boxes = ndimage.find_objects(labels)
    for index in np.argsort(-sizes, kind="stable"):
        if sizes[index] >= max(1, minimum):
            yield boxes[index], labels[boxes[index]] == index + 1
