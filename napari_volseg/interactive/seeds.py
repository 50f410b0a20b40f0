"""Prompts as voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import (
    Box,
    BoxPrompt,
    Geometry,
    LassoPrompt,
    PointPrompt,
    Prompt,
    ScribblePrompt,
    UsageError,
)

IndexArray = NDArray[np.intp]

#: How far from a lasso its frame lies, as a share of the radius of a disc as large as what it encloses.
_SLACK = 0.15
#: From this share of the largest depth within a lasso on, voxels are inside.
_DEEP = 0.7


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
            voxels = _rectangle(_nearest(np.asarray(prompt.corners), geometry))
        case LassoPrompt():
            voxels = _enclosed(geometry.to_index(prompt.outline))
    inside = _within(voxels, geometry)
    if len(inside) == 0:
        raise UsageError(
            f"the prompt lies outside the volume of shape {geometry.shape} (z, y, x): click on the image"
        )
    return inside


def encloses(prompt: Prompt) -> TypeGuard[BoxPrompt | LassoPrompt]:
    """Return whether a prompt goes around the segment on its slice, instead of marking what belongs to it."""
    return isinstance(prompt, BoxPrompt) or (isinstance(prompt, LassoPrompt) and prompt.positive)


def decisions(prompt: Prompt, geometry: Geometry) -> list[tuple[IndexArray, bool]]:
    """Return which voxels (n, 3) in (z, y, x) a prompt decides, and their sides.

    One that encloses the segment decides that a frame of voxels around it on its slice is outside, and then what is
    inside. A box is drawn with care: its frame lies next to it, and its middle is inside. A lasso is drawn with a
    swing: its frame keeps a distance, and all that lies deep within is inside.
    """
    voxels = prompt_voxels(prompt, geometry)
    if not encloses(prompt):
        return [(voxels, prompt.positive)]
    swung = isinstance(prompt, LassoPrompt)
    slack = int(np.ceil(_SLACK * np.sqrt(len(voxels) / np.pi))) if swung else 0
    normal = _normal_of(prompt, geometry)
    margin = [0 if axis == normal else slack + 1 for axis in range(3)]
    box = Box.around(voxels.astype(np.float64), margin)
    filled = np.zeros(box.shape, bool)
    filled[tuple((voxels - box.start).T)] = True
    flat = filled.take(0, normal)
    away = ndimage.distance_transform_cdt(~flat, "chessboard")
    depth = ndimage.distance_transform_cdt(flat, "chessboard")
    frame, deep = away == slack + 1, depth >= (_DEEP if swung else 1) * depth.max()
    sides = [np.insert(np.argwhere(side), normal, 0, axis=1) + box.start for side in (frame, deep)]
    if not swung:
        sides[1] = sides[1][[int(np.argmin(np.linalg.norm(sides[1] - voxels.mean(0), axis=1)))]]
    return [(_within(sides[0], geometry), False), (sides[1], True)]


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


def _within(voxels: IndexArray, geometry: Geometry) -> IndexArray:
    """Return those of ``voxels`` (n, 3) that the grid has."""
    return voxels[((voxels >= 0) & (voxels < np.asarray(geometry.shape))).all(1)]


def _normal_of(prompt: BoxPrompt | LassoPrompt, geometry: Geometry) -> int:
    """Return the index axis that counts the slices on which a prompt was drawn."""
    return _normal(geometry.to_index(prompt.corners if isinstance(prompt, BoxPrompt) else prompt.outline))


def _normal(index: NDArray[np.float64]) -> int:
    return int(np.argmin(np.ptp(np.round(index), axis=0)))


def _rectangle(corners: IndexArray) -> IndexArray:
    """Return the voxels (n, 3) between corners (m, 3)."""
    ranges = (np.arange(a, b + 1) for a, b in zip(corners.min(0), corners.max(0), strict=True))
    return np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)


def _enclosed(outline: NDArray[np.float64]) -> IndexArray:
    """Return the voxels (n, 3) within a closed line of voxel indices (m, 3), or on it where it encloses none."""
    from skimage.draw import polygon

    normal = _normal(outline)
    line = np.delete(outline, normal, axis=1)
    start = np.floor(line.min(0)).astype(np.intp)
    filled = np.stack(polygon(*(line - start).T), -1) + start
    if not len(filled):
        filled = np.unique(np.round(line).astype(np.intp), axis=0)
    return np.insert(filled, normal, np.round(outline[:, normal].mean()).astype(np.intp), axis=1)


def _chosen(decided: dict[tuple[int, ...], bool], positive: bool) -> IndexArray:
    return np.asarray([voxel for voxel, kind in decided.items() if kind is positive], np.intp).reshape(-1, 3)
