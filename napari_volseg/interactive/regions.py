"""The engine ``regions``: click to segment without weights, by appearance around the clicks and a convex cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import (
    Box,
    BoxMask,
    CancelToken,
    Geometry,
    ModelCard,
    Progress,
    ProgressCallback,
    Prompt,
    Volume,
    no_progress,
)
from napari_volseg.interactive.cleanup import connected_to, fill_holes, placed
from napari_volseg.interactive.grids import WorkingGrid
from napari_volseg.interactive.listing import PromptList, nothing
from napari_volseg.interactive.neighbours import BoolArray
from napari_volseg.interactive.protocol import Capabilities, PartCallback, no_parts
from napari_volseg.interactive.refine import refined
from napari_volseg.interactive.seeds import box_indices
from napari_volseg.interactive.steps import (
    MONOTONE_FROM,
    corrected,
    crispness,
    fallback_guess,
    first_guess,
    is_collapsed,
)
from napari_volseg.interactive.views import Clues, View

Guess = tuple[View, BoolArray]

#: How far around a prompt the engine looks at first, mm; less around small segments.
REACH_MM = 45.0
_CLOSE_MM = 20.0
#: A first guess shorter than this is repeated on a finer grid, mm.
_SMALL_MM = 30.0
#: Distance at which likeness to the click counts for less, where a far-reaching guess leaks, mm.
_SPREAD_MM = 40.0
#: Share of the surface on image edges from which a far-reaching guess is believed.
_CRISP = 0.85
#: From this many times the volume on, a far-reaching guess is another object.
_MOST_GROWTH = 5.0
#: Blocks that a first guess and a correction may cost; between the bounds, so many blocks across the segment.
_FIRST_BUDGET = 60_000
_LEAST_BUDGET = 120_000
_BUDGET = 200_000
_BLOCKS_ACROSS = 16
#: Share of a face of the region that the segment may cover before the region grows.
_TOUCH = 0.003


@dataclass(frozen=True, eq=False)
class Scene:
    """What stays the same while prompts come and go."""

    volume: Volume
    initial: BoxMask | None
    forbidden: NDArray[Any] | None


class RegionsSession(PromptList):
    """One segment in the making; see :class:`napari_volseg.interactive.protocol.InteractiveSession`."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene.volume, scene.forbidden)
        self._scene = scene
        self._results: dict[tuple[Prompt, ...], BoxMask] = {(): scene.initial or nothing()}

    def result(
        self,
        progress: ProgressCallback = no_progress,
        cancel: CancelToken | None = None,
        parts: PartCallback = no_parts,
    ) -> BoxMask:
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
    clues = Clues.of(prompts, scene.volume.geometry)
    if before.mask.any():
        view, inside = _correct(scene, clues, before, len(prompts), cancel)
    elif clues.positives:
        view, inside = _begin(scene, clues, cancel)
    else:
        return before
    one_way = len(prompts) >= MONOTONE_FROM or scene.initial is not None
    return _finished(scene, view, inside, before if one_way else None)


def _begin(scene: Scene, clues: Clues, cancel: CancelToken | None) -> Guess:
    """Return a first guess: near the clicks, or far-reaching where that is crisp, or else by a random walk."""
    grow = partial(_grown_guess, scene, clues, cancel=cancel)
    near = partial(first_guess, spread=_SPREAD_MM, cancel=cancel)
    chosen = grow(near, REACH_MM)
    far = grow(partial(first_guess, spread=np.inf, cancel=cancel), REACH_MM)
    if _is_better(far, chosen):
        chosen = far
    elif _size_mm(*chosen) < _SMALL_MM:
        chosen = grow(near, _CLOSE_MM)
    view, inside = chosen
    return (view, fallback_guess(view, cancel)) if is_collapsed(view, inside) else chosen


def _is_better(far: Guess, near: Guess) -> bool:
    """Whether a far-reaching guess is the same object seen whole: a crisp surface and not many times the volume."""
    growth = _volume_mm(*far) / max(_volume_mm(*near), 1e-6)
    return 1 < growth < _MOST_GROWTH and not is_collapsed(*far) and crispness(*far) > _CRISP


def _grown_guess(
    scene: Scene, clues: Clues, guess: Callable[[View], BoolArray], reach: float, cancel: CancelToken | None
) -> Guess:
    """Return a guess on a region around the clicks that grows until the segment does not touch its border."""
    geometry = scene.volume.geometry
    box = Box.around(clues.seeds.all.astype(float), _voxels(reach, geometry)).clip(geometry.shape)
    while True:
        if cancel is not None:
            cancel.check()
        view = View(scene.volume, WorkingGrid.over(box, geometry.spacing, _FIRST_BUDGET), clues)
        inside = guess(view)
        wider = _wider(view, inside)
        if wider == box:
            return view, inside
        box = wider


def _correct(scene: Scene, clues: Clues, before: BoxMask, count: int, cancel: CancelToken | None) -> Guess:
    """Return the mask after a correction, on a growing region, as finely as the segment's size asks for."""
    geometry = scene.volume.geometry
    clicked = clues.seeds.positive * geometry.spacing
    spread = float(np.ptp(clicked, axis=0).max()) if len(clicked) else 0.0
    edge = max(float(before.mask.sum() * geometry.voxel_volume) ** (1 / 3), spread)
    margin = _voxels(float(np.clip(2 * edge, _CLOSE_MM, REACH_MM)), geometry)
    half, quarter = ([-(-m // part) for m in margin] for part in (2, 4))
    box = Box.around(clues.newest.astype(float), margin).union(before.box.pad(half))
    box = box.union(Box.around(clues.seeds.all.astype(float), quarter)).clip(geometry.shape)
    while True:
        if cancel is not None:
            cancel.check()
        blocks = box.size * geometry.voxel_volume / (edge / _BLOCKS_ACROSS) ** 3
        budget = int(np.clip(blocks, _LEAST_BUDGET, _BUDGET))
        view = View(scene.volume, WorkingGrid.over(box, geometry.spacing, budget), clues)
        believed = view.blocks_mask(before.within(box))
        inside = corrected(view, believed, count, scene.initial is not None, cancel)
        wider = _wider(view, inside & ~believed)
        if wider == box:
            return view, inside
        box = wider


def _wider(view: View, inside: BoolArray) -> Box:
    """Return the view's box, half as large again on the faces that ``inside`` touches, within the volume."""
    box = view.grid.box
    start, stop = np.asarray(box.start), np.asarray(box.stop)
    for axis, extent in enumerate(box.shape):
        planes = np.moveaxis(inside, axis, 0)
        step = -(-extent // 2)
        start[axis] -= step if planes[0].mean() > _TOUCH else 0
        stop[axis] += step if planes[-1].mean() > _TOUCH else 0
    return Box.of(start.tolist(), stop.tolist()).clip(view.volume.geometry.shape)


def _voxels(length: float, geometry: Geometry) -> list[int]:
    """Return a length in mm as voxels along (z, y, x), rounded up."""
    return [int(np.ceil(length / s)) for s in geometry.spacing]


def _volume_mm(view: View, inside: BoolArray) -> float:
    """Return the volume of a mask of blocks, mm³."""
    return float(inside.sum()) * view.unit**3


def _size_mm(view: View, inside: BoolArray) -> float:
    """Return the longest edge of a mask's box, mm."""
    box = Box.of_mask(inside)
    return float(max(np.multiply(box.shape, view.grid.spacing))) if box else 0.0


def _updated(view: View, inside: BoolArray, before: BoolArray) -> BoolArray:
    """Return voxels (z, y, x): ``before``, with what changed between blocks in the sense of the newest prompt."""
    believed = view.blocks_mask(before)
    changed = ndimage.binary_dilation(inside ^ believed, structure=np.ones((3, 3, 3), bool))
    now = inside if view.grid.is_native else refined(view, inside)
    allowed = view.grid.expand(changed)
    return before | (now & allowed) if view.clues.newest_positive else before & (now | ~allowed)


def _finished(scene: Scene, view: View, inside: BoolArray, before: BoxMask | None = None) -> BoxMask:
    """Return the mask in voxels: sharp, without holes or stray parts, prompts obeyed, off forbidden voxels."""
    box = view.grid.box
    seeds = view.clues.seeds
    if before is not None and before.mask.any():
        mask = _updated(view, inside, before.within(box))
    else:
        mask = inside.copy() if view.grid.is_native else refined(view, inside)
    positive, negative = box_indices(seeds.positive, box), box_indices(seeds.negative, box)
    mask[tuple(positive.T)] = True
    mask = fill_holes(mask, negative)
    mask[tuple(negative.T)] = False
    anchors = positive
    if scene.initial is not None:
        anchors = np.concatenate([anchors, np.argwhere(mask & scene.initial.within(box))])
    if scene.forbidden is not None:
        mask &= ~scene.forbidden[box.slices]
    return placed(connected_to(mask, anchors), box)


CARD = ModelCard(
    id="regions",
    title="Regions (no weights)",
    version="1",
    task="Click to segment by appearance around the clicks, a random walk and a convex cut",
    segments=(),
    channels=("any",),
    intensity="HU for CT, the image's own noise otherwise",
    code_license="BSD-3-Clause",
    intended_use="Any CT or MR; research use, every segment needs a look by a person.",
)


class RegionsModel:
    """Click to segment on any image, without weights."""

    @property
    def card(self) -> ModelCard:
        """Facts about the engine."""
        return CARD

    @property
    def capabilities(self) -> Capabilities:
        """What it can do with prompts."""
        return Capabilities()

    def open(
        self, volume: Volume, *, initial: BoxMask | None = None, forbidden: NDArray[Any] | None = None
    ) -> RegionsSession:
        """Start a segment on a 3D volume."""
        return RegionsSession(Scene(volume, initial, forbidden))
