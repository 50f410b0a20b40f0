"""One look at a volume: a working grid, the image on it, and the prompts as blocks of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from napari_volseg.core import Geometry, Prompt, ScribblePrompt, Volume
from napari_volseg.interactive.appearance import GreyScale
from napari_volseg.interactive.grids import WorkingGrid, block_mean
from napari_volseg.interactive.neighbours import BoolArray, FloatArray
from napari_volseg.interactive.seeds import IndexArray, Seeds, decisions, seeds_of


@dataclass(frozen=True, eq=False)
class Clues:
    """Prompts in voxels of the volume.

    Parameters
    ----------
    seeds
        What all prompts decide.
    newest
        Voxels (n, 3) of the last prompt.
    newest_positive
        Its sign.
    points
        Positive voxels (n, 3) that were given by single clicks.
    positives, negatives
        Number of prompts of either sign.
    """

    seeds: Seeds
    newest: IndexArray
    newest_positive: bool
    points: IndexArray
    positives: int
    negatives: int

    @classmethod
    def of(cls, prompts: Sequence[Prompt], geometry: Geometry) -> Clues:
        """Return what a non-empty list of prompts says."""
        clicks = [_spoken_for(p, geometry) for p in prompts if p.positive and not isinstance(p, ScribblePrompt)]
        positives = sum(p.positive for p in prompts)
        return cls(
            seeds_of(prompts, geometry),
            _spoken_for(prompts[-1], geometry),
            prompts[-1].positive,
            np.concatenate([np.zeros((0, 3), np.intp), *clicks]),
            positives,
            len(prompts) - positives,
        )


@dataclass(frozen=True, eq=False)
class View:
    """The image and the prompts on a working grid.

    Parameters
    ----------
    volume
        The image.
    grid
        Where and how coarsely it is looked at.
    clues
        The prompts.
    """

    volume: Volume
    grid: WorkingGrid
    clues: Clues

    @cached_property
    def raw(self) -> FloatArray:
        """Block means (z, y, x) as stored."""
        return np.nan_to_num(self.grid.coarsen(self.volume.voxels))

    @cached_property
    def scale(self) -> GreyScale:
        """From stored values to noise units."""
        return GreyScale.of(self.volume, self.raw)

    @cached_property
    def image(self) -> FloatArray:
        """Grey values (z, y, x) in noise units."""
        return self.scale.apply(self.raw)

    @cached_property
    def fine(self) -> FloatArray:
        """Grey values, lightly smoothed."""
        return np.asarray(ndimage.gaussian_filter(self.image, 0.7))

    @cached_property
    def smooth(self) -> FloatArray:
        """Grey values, smoothed by one block."""
        return np.asarray(ndimage.gaussian_filter(self.image, 1.0))

    @cached_property
    def unit(self) -> float:
        """Edge of a cube of a block's volume, mm."""
        return float(np.prod(self.grid.spacing)) ** (1 / 3)

    @cached_property
    def positive(self) -> IndexArray:
        """Blocks (n, 3) that positive prompts decide."""
        return self.grid.blocks_of(self.clues.seeds.positive)

    @cached_property
    def negative(self) -> IndexArray:
        """Blocks (n, 3) that negative prompts decide."""
        return self.grid.blocks_of(self.clues.seeds.negative)

    @cached_property
    def newest(self) -> IndexArray:
        """Blocks (n, 3) of the last prompt."""
        return self.grid.blocks_of(self.clues.newest)

    def distance_to(self, blocks: IndexArray) -> FloatArray:
        """Return the distance (z, y, x) to the nearest of ``blocks`` (n, 3), mm; infinite where there is none."""
        if len(blocks) == 0:
            return np.full(self.grid.shape, np.inf, np.float32)
        away = np.ones(self.grid.shape, bool)
        away[tuple(blocks.T)] = False
        return ndimage.distance_transform_edt(away, sampling=self.grid.spacing).astype(np.float32)

    def blocks_mask(self, mask: BoolArray) -> BoolArray:
        """Return a mask of the box's voxels as blocks that are at least half full."""
        return block_mean(mask, self.grid.factors) >= 0.5

    def open_border(self) -> BoolArray:
        """Return the outermost blocks on faces where the volume goes on."""
        border = np.zeros(self.grid.shape, bool)
        for axis in range(3):
            planes = np.moveaxis(border, axis, 0)
            planes[0] |= self.grid.box.start[axis] > 0
            planes[-1] |= self.grid.box.stop[axis] < self.volume.geometry.shape[axis]
        return border

    def honoured(self, inside: BoolArray) -> BoolArray:
        """Return ``inside`` (z, y, x) with the prompts obeyed; a block that both signs claim stays inside."""
        out = inside.copy()
        out[tuple(self.negative.T)] = False
        out[tuple(self.positive.T)] = True
        return out


def _spoken_for(prompt: Prompt, geometry: Geometry) -> IndexArray:
    """Return the voxels (n, 3) whose side a prompt gives by its own sign: of what encloses the segment its middle."""
    return decisions(prompt, geometry)[-1][0]
