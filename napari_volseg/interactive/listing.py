"""What every engine does alike: keep a list of prompts, and see that its answer obeys them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, BoxMask, GeometryError, Prompt, RefusedError, UsageError, Volume
from napari_volseg.interactive.seeds import prompt_voxels, seeds_of


class PromptList:
    """The prompts about one segment of a 3D volume, in order.

    Parameters
    ----------
    volume
        The image.
    forbidden
        Boolean (z, y, x) of the volume's shape, true where the segment may never be; None for nowhere.

    Raises
    ------
    UsageError
        For a 4D volume.
    GeometryError
        Where ``forbidden`` does not have the volume's shape.
    """

    def __init__(self, volume: Volume, forbidden: NDArray[Any] | None) -> None:
        if volume.voxels.ndim != 3:
            raise UsageError(
                f"a volume of shape {volume.voxels.shape} can't be segmented by clicks: choose one time point"
            )
        if forbidden is not None and forbidden.shape != volume.geometry.shape:
            raise GeometryError(
                f"locked voxels of shape {forbidden.shape} do not match a volume of shape {volume.geometry.shape}: "
                "pass an array of the volume's shape",
                "labels.mismatch",
            )
        self.volume = volume
        self.forbidden = forbidden
        self._prompts: list[Prompt] = []

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts in the order in which they were given."""
        return tuple(self._prompts)

    def add(self, prompt: Prompt) -> None:
        """Append a prompt.

        Raises
        ------
        UsageError
            Where it lies outside the volume.
        RefusedError
            With code ``"prompt.locked"`` where a positive prompt lies wholly on forbidden voxels.
        """
        voxels = prompt_voxels(prompt, self.volume.geometry)
        if prompt.positive and self.forbidden is not None and self.forbidden[tuple(voxels.T)].all():
            raise RefusedError(
                "the prompt lies on a locked segment: unlock that segment or point elsewhere", "prompt.locked"
            )
        self._prompts.append(prompt)

    def remove(self, prompt: Prompt) -> None:
        """Take back the last prompt that equals ``prompt``; UsageError where there is none."""
        for index in reversed(range(len(self._prompts))):
            if self._prompts[index] == prompt:
                del self._prompts[index]
                return
        raise UsageError(f"there is no such prompt among the {len(self._prompts)} given: nothing was taken back")


def nothing() -> BoxMask:
    """Return the empty mask."""
    return BoxMask(Box((0, 0, 0), (0, 0, 0)), np.zeros((0, 0, 0), bool))


def obeying(found: BoxMask, prompts: PromptList) -> BoxMask:
    """Return a mask with the prompts' voxels on their sides, and off the forbidden voxels."""
    seeds = seeds_of(prompts.prompts, prompts.volume.geometry)
    box = found.box
    if len(seeds.positive):
        around = Box.of(seeds.positive.min(0), seeds.positive.max(0) + 1)
        box = around.union(box) if box.size else around
    mask = found.within(box).copy()
    for voxels, inside in ((seeds.positive, True), (seeds.negative, False)):
        local = voxels - np.asarray(box.start)
        local = local[((local >= 0) & (local < np.asarray(box.shape))).all(1)]
        mask[tuple(local.T)] = inside
    if prompts.forbidden is not None:
        mask &= ~np.asarray(prompts.forbidden[box.slices], bool)
    tight = BoxMask.of(mask)
    return BoxMask(tight.box.shift(box.start), tight.mask) if tight.box.size else nothing()
