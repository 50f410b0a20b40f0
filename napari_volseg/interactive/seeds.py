"""Prompts as voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, BoxPrompt, Geometry, PointPrompt, Prompt, ScribblePrompt, UsageError

IndexArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Seeds:
    """Voxels that prompts have decided.

    Parameters
    ----------
    positive, negative
        Distinct voxel indices (n, 3) in (z, y, x); no voxel is in both.
    """

    positive: IndexArray
    negative: IndexArray

    @property
    def all(self) -> IndexArray:
        """Both kinds, (n, 3) in (z, y, x)."""
        return np.concatenate([self.positive, self.negative])


def sphere_offsets(geometry: Geometry, radius: float) -> IndexArray:
    """Return index offsets (n, 3) in (z, y, x) of the voxel centres within ``radius`` mm of a voxel's centre.

    Distances are those of patient space, so that the ball is round on anisotropic and on sheared grids.
    """
    rows = np.linalg.norm(geometry.inverse[:3, :3], axis=1)
    reach = np.floor(radius * rows + 1e-9).astype(int)
    grids = np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij")
    offsets = np.stack(grids, -1).reshape(-1, 3)
    distance = np.linalg.norm(offsets @ geometry.matrix[:3, :3].T, axis=1)
    return offsets[distance <= radius + 1e-6]


def prompt_voxels(prompt: Prompt, geometry: Geometry) -> IndexArray:
    """Return the voxels (n, 3) in (z, y, x) that a prompt covers: the nearest one for a point.

    Raises
    ------
    UsageError
        Where no part of the prompt lies inside the grid.
    """
    match prompt:
        case PointPrompt():
            voxels = _nearest(np.asarray([prompt.position]), geometry)
        case ScribblePrompt():
            centres = _nearest(np.asarray(prompt.positions, float).reshape(-1, 3), geometry)
            ball = sphere_offsets(geometry, prompt.radius)
            voxels = np.unique((centres[:, None] + ball[None]).reshape(-1, 3), axis=0)
        case BoxPrompt():
            voxels = _rectangle(_nearest(np.asarray(prompt.corners), geometry), 0)
    inside = voxels[((voxels >= 0) & (voxels < np.asarray(geometry.shape))).all(1)]
    if len(inside) == 0:
        raise UsageError(
            f"the prompt lies outside the volume of shape {geometry.shape} (z, y, x): click on the image"
        )
    return inside


def decisions(prompt: Prompt, geometry: Geometry) -> list[tuple[IndexArray, bool]]:
    """Return which voxels (n, 3) in (z, y, x) a prompt decides, and their sides.

    A box decides its middle, and that the frame of voxels around it on its slice is outside.
    """
    voxels = prompt_voxels(prompt, geometry)
    if not isinstance(prompt, BoxPrompt):
        return [(voxels, prompt.positive)]
    corners = _nearest(np.asarray(prompt.corners), geometry)
    wide = _rectangle(corners, 1)
    frame = wide[((wide < corners.min(0)) | (wide > corners.max(0))).any(1)]
    frame = frame[((frame >= 0) & (frame < np.asarray(geometry.shape))).all(1)]
    return [(frame, False), (middle_of(voxels), True)]


def middle_of(voxels: IndexArray) -> IndexArray:
    """Return the one of ``voxels`` (n, 3) that lies nearest to their mean, as (1, 3)."""
    return voxels[[int(np.argmin(np.linalg.norm(voxels - voxels.mean(0), axis=1)))]]


def seeds_of(prompts: Sequence[Prompt], geometry: Geometry) -> Seeds:
    """Return the voxels that a list of prompts decides; later prompts overrule earlier ones voxel by voxel."""
    decided: dict[tuple[int, ...], bool] = {}
    for prompt in prompts:
        for voxels, sign in decisions(prompt, geometry):
            decided.update(dict.fromkeys(map(tuple, voxels.tolist()), sign))
    return Seeds(_chosen(decided, True), _chosen(decided, False))


def box_indices(voxels: IndexArray, box: Box) -> IndexArray:
    """Return those of the volume's ``voxels`` (n, 3) that lie in ``box``, counted from its start."""
    local = voxels - np.asarray(box.start)
    return local[((local >= 0) & (local < np.asarray(box.shape))).all(1)]


def _nearest(positions: NDArray[np.float64], geometry: Geometry) -> IndexArray:
    return np.unique(np.round(geometry.to_index(positions)).astype(np.intp), axis=0)


def _rectangle(corners: IndexArray, margin: int) -> IndexArray:
    """Return the voxels (n, 3) between corners (m, 3), ``margin`` wider on all sides but across the slice."""
    low, high = corners.min(0), corners.max(0)
    wider = np.where(np.arange(3) == np.argmin(high - low), 0, margin)
    ranges = (np.arange(a, b + 1) for a, b in zip(low - wider, high + wider, strict=True))
    return np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)


def _chosen(decided: dict[tuple[int, ...], bool], positive: bool) -> IndexArray:
    return np.asarray([voxel for voxel, kind in decided.items() if kind is positive], np.intp).reshape(-1, 3)
