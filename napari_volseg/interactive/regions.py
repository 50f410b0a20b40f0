"""The engine ``regions``: click to segment without weights, by appearance around the clicks and a convex cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import (
    Box,
    BoxMask,
    CancelToken,
    GeometryError,
    ModelCard,
    Progress,
    ProgressCallback,
    Prompt,
    RefusedError,
    UsageError,
    Volume,
    no_progress,
)
from napari_volseg.interactive.cleanup import connected_to, fill_holes
from napari_volseg.interactive.cut import edge_weights, relaxed_cut
from napari_volseg.interactive.grids import WorkingGrid
from napari_volseg.interactive.protocol import Capabilities
from napari_volseg.interactive.seeds import Seeds, prompt_voxels, seeds_of

REACH_MM = 45.0
BUDGET = 200_000
HARD = 1e3


@dataclass(frozen=True, eq=False)
class Scene:
    """What stays the same while prompts come and go."""

    volume: Volume
    initial: BoxMask | None
    forbidden: NDArray[Any] | None


class RegionsSession:
    """One segment in the making; see :class:`napari_volseg.interactive.protocol.InteractiveSession`."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._prompts: list[Prompt] = []
        self._results: dict[tuple[Prompt, ...], BoxMask] = {
            (): scene.initial or BoxMask(Box((0, 0, 0), (0, 0, 0)), np.zeros((0, 0, 0), bool))
        }

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts in the order in which they were given."""
        return tuple(self._prompts)

    def add(self, prompt: Prompt) -> None:
        """Append a prompt."""
        voxels = prompt_voxels(prompt, self._scene.volume.geometry)
        forbidden = self._scene.forbidden
        if prompt.positive and forbidden is not None and forbidden[tuple(voxels.T)].all():
            raise RefusedError(
                "the prompt lies on a locked segment: unlock that segment or point elsewhere", "prompt.locked"
            )
        self._prompts.append(prompt)

    def remove(self, prompt: Prompt) -> None:
        """Take back the last prompt that equals ``prompt``."""
        for index in reversed(range(len(self._prompts))):
            if self._prompts[index] == prompt:
                del self._prompts[index]
                return
        raise UsageError(f"there is no such prompt among the {len(self._prompts)} given: nothing was taken back")

    def result(self, progress: ProgressCallback = no_progress, cancel: CancelToken | None = None) -> BoxMask:
        """Return the mask for the present prompts."""
        prompts = self.prompts
        known = next(n for n in range(len(prompts), -1, -1) if prompts[:n] in self._results)
        for n in range(known, len(prompts)):
            progress(Progress(n - known, len(prompts) - known, "Segmenting"))
            before = self._results[prompts[:n]]
            self._results[prompts[: n + 1]] = advance(self._scene, prompts[: n + 1], before, cancel)
        progress(Progress(1, 1, "Segmenting"))
        return self._results[prompts]


def advance(scene: Scene, prompts: Sequence[Prompt], before: BoxMask, cancel: CancelToken | None) -> BoxMask:
    """Return the mask after the last of ``prompts``, given the mask ``before`` it."""
    geometry = scene.volume.geometry
    seeds = seeds_of(prompts, geometry)
    box = first_box(scene, seeds, before)
    while True:
        grid = WorkingGrid.over(box, geometry.spacing, BUDGET)
        inside = segment(scene, grid, seeds, cancel)
        wider = grown(box, inside, geometry.shape)
        if wider == box:
            return finish(scene, grid, inside, seeds)
        box = wider


def first_box(scene: Scene, seeds: Seeds, before: BoxMask) -> Box:
    geometry = scene.volume.geometry
    margin = REACH_MM / np.asarray(geometry.spacing)
    box = Box.around(seeds.all.astype(float), margin)
    if before.box.size:
        box = box.union(before.box.pad(np.ceil(margin / 2).astype(int).tolist()))
    return box.clip(geometry.shape)


def grown(box: Box, inside: NDArray[np.bool_], shape: Sequence[int]) -> Box:
    extent = np.asarray(box.shape)
    start, stop = np.asarray(box.start), np.asarray(box.stop)
    for axis in range(3):
        plane = np.moveaxis(inside, axis, 0)
        if plane[0].mean() > 0.01:
            start[axis] -= extent[axis] // 2
        if plane[-1].mean() > 0.01:
            stop[axis] += extent[axis] // 2
    return Box.of(start, stop).clip(shape)


def segment(scene: Scene, grid: WorkingGrid, seeds: Seeds, cancel: CancelToken | None) -> NDArray[np.bool_]:
    image = np.clip(grid.coarsen(scene.volume.voxels), -1000, 1500) if scene.volume.modality == "CT" else grid.coarsen(scene.volume.voxels)
    noise = 1.48 * np.median(np.abs(np.diff(image, axis=2))) / np.sqrt(2) + 1e-6
    image = image / np.float32(max(noise, 8 if scene.volume.modality == "CT" else 0))
    smooth = ndimage.gaussian_filter(image, 1.0)
    positive, negative = grid.blocks_of(seeds.positive), grid.blocks_of(seeds.negative)
    coordinates = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(grid.shape, grid.spacing)), indexing="ij"), -1).astype(np.float32)
    logit = np.full(grid.shape, -2.0, np.float32)
    for p in positive:
        d = np.linalg.norm(coordinates - p * np.asarray(grid.spacing, np.float32), axis=-1)
        near = smooth[d <= 5]
        mu, sd = np.median(near), max(1.0, 1.48 * np.median(np.abs(near - np.median(near))))
        logit = np.maximum(logit, 2 - 0.5 * ((smooth - mu) / sd) ** 2 * 0.5 - d / 40)
    for p in negative:
        d = np.linalg.norm(coordinates - p * np.asarray(grid.spacing, np.float32), axis=-1)
        near = smooth[d <= 5]
        mu, sd = np.median(near), max(1.0, 1.48 * np.median(np.abs(near - np.median(near))))
        like = 2 - 0.5 * ((smooth - mu) / sd) ** 2 * 0.5 - d / 15
        logit = np.where(like > 0, np.minimum(logit, -like), logit)
    logit = np.clip(logit, -2, 2)
    logit[tuple(negative.T)] = -HARD
    logit[tuple(positive.T)] = HARD
    weights = [2 * w for w in edge_weights(smooth, grid.spacing, 2.0)]
    inside = relaxed_cut(logit, weights, cancel=cancel) > 0.5
    return connected_to(inside, positive)


def finish(scene: Scene, grid: WorkingGrid, inside: NDArray[np.bool_], seeds: Seeds) -> BoxMask:
    mask = np.zeros(grid.box.shape, bool)
    mask |= grid.expand(inside)
    offset = np.asarray(grid.box.start)
    positive, negative = seeds.positive - offset, seeds.negative - offset
    mask = fill_holes(mask, negative)
    mask[tuple(negative.T)] = False
    if scene.forbidden is not None:
        mask &= ~scene.forbidden[grid.box.slices]
        positive = positive[~scene.forbidden[tuple(seeds.positive.T)]]
    mask[tuple(positive.T)] = True
    mask = connected_to(mask, positive)
    tight = BoxMask.of(mask)
    box = Box.of(np.add(tight.box.start, offset), np.add(tight.box.stop, offset))
    return BoxMask(box, tight.mask)


@dataclass(frozen=True, slots=True)
class RegionsModel:
    """Click to segment on any image, without weights."""

    card: ModelCard = ModelCard(
        id="regions",
        title="Regions (no weights)",
        version="1",
        task="Click to segment by appearance around the clicks and a convex cut",
        segments=(),
        channels=("any",),
        intensity="HU for CT, the image's own noise otherwise",
        code_license="BSD-3-Clause",
        intended_use="Any CT or MR; research use, every segment needs a look by a person.",
    )
    capabilities: Capabilities = Capabilities()

    def open(
        self, volume: Volume, *, initial: BoxMask | None = None, forbidden: NDArray[Any] | None = None
    ) -> RegionsSession:
        """Start a segment on a 3D volume."""
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
        return RegionsSession(Scene(volume, initial, forbidden))
