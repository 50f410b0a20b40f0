"""Prompts as voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, Geometry, PointPrompt, Prompt, ScribblePrompt, UsageError

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
    inside = voxels[((voxels >= 0) & (voxels < np.asarray(geometry.shape))).all(1)]
    if len(inside) == 0:
        raise UsageError(
            f"the prompt lies outside the volume of shape {geometry.shape} (z, y, x): click on the image"
        )
    return inside


def seeds_of(prompts: Sequence[Prompt], geometry: Geometry) -> Seeds:
    """Return the voxels that a list of prompts decides; later prompts overrule earlier ones voxel by voxel."""
    decided: dict[tuple[int, ...], bool] = {}
    for prompt in prompts:
        decided.update(dict.fromkeys(map(tuple, prompt_voxels(prompt, geometry).tolist()), prompt.positive))
    return Seeds(_chosen(decided, True), _chosen(decided, False))


def box_indices(voxels: IndexArray, box: Box) -> IndexArray:
    """Return those of the volume's ``voxels`` (n, 3) that lie in ``box``, counted from its start."""
    local = voxels - np.asarray(box.start)
    return local[((local >= 0) & (local < np.asarray(box.shape))).all(1)]


def _nearest(positions: NDArray[np.float64], geometry: Geometry) -> IndexArray:
    return np.unique(np.round(geometry.to_index(positions)).astype(np.intp), axis=0)


def _chosen(decided: dict[tuple[int, ...], bool], positive: bool) -> IndexArray:
    return np.asarray([voxel for voxel, kind in decided.items() if kind is positive], np.intp).reshape(-1, 3)
