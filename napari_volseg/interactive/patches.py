"""Cubes of a volume on a grid of their own, and the way back; both by one small matrix per axis."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, Geometry

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Patch:
    """A cube of near-isotropic voxels over a volume.

    Parameters
    ----------
    centre
        Its middle, voxels (z, y, x) of the volume.
    steps
        Volume voxels per voxel of the cube along (z, y, x).
    edge
        Voxels of the cube along each axis.
    shape
        Of the volume (z, y, x).
    """

    centre: tuple[float, float, float]
    steps: tuple[float, float, float]
    edge: int
    shape: tuple[int, int, int]

    @classmethod
    def around(cls, centre: NDArray[np.float64], unit: float, edge: int, geometry: Geometry) -> Patch:
        """Return a cube with voxels of ``unit`` mm, moved into the volume where that is large enough."""
        middle, steps = [], []
        for at, size, spacing in zip(centre.tolist(), geometry.shape, geometry.spacing, strict=True):
            step = unit / spacing
            half = step * edge / 2
            low, high = half - 0.5, size - 0.5 - half
            middle.append((size - 1) / 2 if low > high else float(np.clip(at, low, high)))
            steps.append(step)
        return cls((middle[0], middle[1], middle[2]), (steps[0], steps[1], steps[2]), edge, geometry.shape)

    @cached_property
    def box(self) -> Box:
        """The voxels of the volume whose centres lie in the cube."""
        half = [step * self.edge / 2 for step in self.steps]
        start = [int(np.ceil(c - h)) for c, h in zip(self.centre, half, strict=True)]
        stop = [int(np.floor(c + h)) + 1 for c, h in zip(self.centre, half, strict=True)]
        return Box.of(start, stop).clip(self.shape)

    def places(self, voxels: NDArray[Any]) -> NDArray[np.intp]:
        """Return volume voxels (n, 3) as the cube's voxels; those beyond it too."""
        relative = (np.asarray(voxels, float) - self.centre) / self.steps
        return np.floor(relative + self.edge / 2).astype(np.intp)

    def take(self, array: NDArray[Any]) -> Float32:
        """Return a volume-sized array (z, y, x) on the cube's grid; beyond the volume the outermost values go on."""
        box = self._reach()
        return _applied([m.T for m in self._into(box)], np.asarray(array[box.slices], np.float32))

    def take_box(self, array: NDArray[Any], box: Box) -> Float32:
        """Return an array that fills ``box`` of the volume on the cube's grid; 0 outside of the box."""
        pad = box.pad(1)
        padded = np.pad(np.asarray(array, np.float32), 1)
        matrices = [
            _weights(at - self.steps[a] * (self.edge - 1) / 2, self.steps[a], self.edge, low, high)
            for a, (at, low, high) in enumerate(zip(self.centre, pad.start, pad.stop, strict=True))
        ]
        return _applied([m.T for m in matrices], padded)

    def give(self, cube: Float32) -> Float32:
        """Return values of the cube (e, e, e) at the volume's voxels of :attr:`box`, linearly."""
        matrices = []
        for axis, (low, high) in enumerate(zip(self.box.start, self.box.stop, strict=True)):
            first = (low - self.centre[axis]) / self.steps[axis] + (self.edge - 1) / 2
            matrices.append(_weights(first, 1 / self.steps[axis], high - low, 0, self.edge, widest=1.0).T)
        return _applied(matrices, cube)

    def moved_to(self, other: Patch, cube: Float32) -> Float32:
        """Return values of this cube on another cube's grid, 0 where this one does not reach."""
        padded = np.pad(cube, 1)
        matrices = []
        for axis in range(3):
            step = other.steps[axis] / self.steps[axis]
            middle = (other.centre[axis] - self.centre[axis]) / self.steps[axis] + (self.edge - 1) / 2
            matrices.append(_weights(middle - step * (other.edge - 1) / 2, step, other.edge, -1, self.edge + 1).T)
        return _applied(matrices, padded)

    def _reach(self) -> Box:
        """The voxels of the volume that the cube's values are made of."""
        margin = [int(np.ceil(step)) + 1 for step in self.steps]
        half = [step * self.edge / 2 for step in self.steps]
        start = [int(np.floor(c - h)) - m for c, h, m in zip(self.centre, half, margin, strict=True)]
        stop = [int(np.ceil(c + h)) + m + 1 for c, h, m in zip(self.centre, half, margin, strict=True)]
        return Box.of(start, stop).clip(self.shape)

    def _into(self, box: Box) -> list[Float32]:
        return [
            _weights(at - self.steps[a] * (self.edge - 1) / 2, self.steps[a], self.edge, low, high)
            for a, (at, low, high) in enumerate(zip(self.centre, box.start, box.stop, strict=True))
        ]


def _weights(first: float, step: float, count: int, low: int, high: int, widest: float | None = None) -> Float32:
    """Return how much each of ``count`` samples takes of each voxel from ``low`` to ``high``, as (count, voxels).

    Samples lie ``step`` voxels apart and begin at ``first``. They are linear where they are dense and averages (tents
    as wide as a step) where they are sparse; beyond the ends the outermost voxel counts.
    """
    at = np.clip(first + step * np.arange(count), low, high - 1)
    width = max(1.0, step if widest is None else min(step, widest))
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(low, high)) / width)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _applied(matrices: list[Float32], array: Float32) -> Float32:
    """Return an array (a, b, c) multiplied along each axis by a matrix (n, m) of its axis, as (m, m', m'')."""
    for matrix in matrices:
        array = np.tensordot(array, matrix, axes=(0, 0))
    return np.ascontiguousarray(array)
