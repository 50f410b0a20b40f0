"""An image as it is seen on the grid of another one of the same patient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, Geometry, UsageError, Volume
from napari_volseg.spatial import covered, crop_geometry, resample

#: What nothing is known of: far below every window, so that it is seen through.
NOTHING = -1e30

#: A part so many times smaller than its volume is copied first: sagittal slices are sampled almost twice as fast.
THIN = 20

#: Places per axis at which it is looked whether two images overlap.
PROBES = 24


def on_grid(volume: Volume, target: Geometry) -> NDArray[np.float32]:
    """Return a 3D volume as it is seen on another grid, linearly interpolated; ``NOTHING`` outside of it."""
    source = volume.geometry
    box = _needed(source, target)
    if box is None:
        return np.full(target.shape, NOTHING, np.float32)
    near = volume.voxels[box.slices]
    if near.size * THIN < volume.voxels.size:
        near = np.ascontiguousarray(near)
    values: NDArray[Any] = resample(near, crop_geometry(source, box), target)
    values[~covered(source, target) | ~np.isfinite(values)] = NOTHING
    return values


def _needed(source: Geometry, target: Geometry) -> Box | None:
    """Return the voxels of ``source`` between which those of ``target`` lie, None where none does."""
    corners = source.to_index(target.corners())
    start = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
    stop = np.minimum(np.ceil(corners.max(0)).astype(int) + 2, source.shape)
    return Box.of(list(start), list(stop)) if (stop > start).all() else None


def require_overlap(first: Volume, second: Volume) -> None:
    """Refuse images that lie apart."""
    if _reaches(first.geometry, second.geometry) or _reaches(second.geometry, first.geometry):
        return
    middles = [g.to_patient((np.array(g.shape) - 1) / 2) for g in (first.geometry, second.geometry)]
    apart = np.linalg.norm(middles[1] - middles[0])
    raise UsageError(
        f"{second.name} shows no part of what {first.name} shows: their middles are {apart:.0f} mm apart; "
        "choose an image of the same region of the patient"
    )


def _reaches(one: Geometry, other: Geometry) -> bool:
    """Whether a voxel of one grid, out of a lattice over it, lies in the other."""
    axes = [np.unique(np.linspace(0, n - 1, PROBES)) for n in one.shape]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    index = np.round(other.to_index(one.to_patient(lattice)))
    return bool(((index >= 0) & (index < other.shape)).all(-1).any())
