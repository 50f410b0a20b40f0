"""What others would click with: classical methods behind the protocol of the engines, to compare with.

Each sees the prompts as seeds on a region of 66 mm around them, whose open border counts as outside (so they were
compared in the studies that the numbers of the project's own engine are held against), on a grid of at most as many
blocks as that engine may use, and obeys every prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import (
    Box,
    BoxMask,
    CancelToken,
    ModelCard,
    ProgressCallback,
    Prompt,
    UsageError,
    Volume,
    no_progress,
)
from napari_volseg.interactive import Capabilities
from napari_volseg.interactive.cleanup import connected_to, placed
from napari_volseg.interactive.grids import WorkingGrid
from napari_volseg.interactive.neighbours import BoolArray, FloatArray
from napari_volseg.interactive.protocol import PartCallback, no_parts
from napari_volseg.interactive.seeds import box_indices, prompt_voxels, seeds_of

#: From grey values (z, y, x), seeds (z, y, x; 1 inside, 2 outside, 0 unknown) and spacing (mm) to a mask.
Method = Callable[[FloatArray, NDArray[np.uint8], tuple[float, float, float]], BoolArray]

_REACH_MM = 66.0
_BUDGET = 200_000
_INSIDE, _OUTSIDE = 1, 2


def random_walker(image: FloatArray, seeds: NDArray[np.uint8], spacing: tuple[float, float, float]) -> BoolArray:
    """Segment by scikit-image's random walker (Grady, IEEE TPAMI 28(11), 2006), beta 100."""
    from skimage.segmentation import random_walker as walk

    return np.asarray(walk(image, seeds, beta=100, mode="cg_j", spacing=np.asarray(spacing)) == _INSIDE)


def fast_growcut(image: FloatArray, seeds: NDArray[np.uint8], spacing: tuple[float, float, float]) -> BoolArray:
    """Segment by ITK's FastGrowCut (Zhu et al., SPIE Medical Imaging 2014)."""
    import itk

    low, high = np.percentile(image, (0.5, 99.5))
    grey = np.clip((image - low) / max(high - low, 1e-6), 0, 1) * 1000
    picture, marks = itk.image_from_array(grey.astype(np.float32)), itk.image_from_array(seeds)
    for part in (picture, marks):
        part.SetSpacing([float(s) for s in reversed(spacing)])
    method = itk.FastGrowCut.New(picture, seed_image=marks)
    method.Update()
    return np.asarray(itk.array_from_image(method.GetOutput()) == _INSIDE)


def region_growing(image: FloatArray, seeds: NDArray[np.uint8], spacing: tuple[float, float, float]) -> BoolArray:
    """Segment by a threshold around what was clicked, and what hangs together with it.

    The interval is that of the clicks' 3³ neighbourhoods on a lightly smoothed image, 2.5 deviations to either side;
    a negative click within it narrows it, to half at most.
    """
    image = ndimage.gaussian_filter(image, 0.7)
    inside = seeds == _INSIDE
    near = ndimage.binary_dilation(inside, np.ones((3, 3, 3), bool))
    where, limits = np.argwhere(inside), image[seeds == _OUTSIDE]
    centre, width = float(image[near].mean()), 2.5 * float(image[near].std()) + 1e-6
    closest = float(np.abs(limits - centre).min(initial=np.inf))
    alike = np.abs(image - centre) <= min(width, max(closest, width / 2))
    return connected_to((alike & (seeds != _OUTSIDE)) | inside, where)


_METHODS: dict[str, tuple[Method, str, str]] = {
    "random-walker": (random_walker, "skimage", "scikit-image"),
    "fast-growcut": (fast_growcut, "itk", "itk-growcut"),
    "region-growing": (region_growing, "scipy", "scipy"),
}
BASELINES = tuple(_METHODS)


class BaselineSession:
    """One segment in the making; see :class:`napari_volseg.interactive.protocol.InteractiveSession`."""

    def __init__(self, method: Method, volume: Volume) -> None:
        self._method = method
        self._volume = volume
        self._prompts: list[Prompt] = []

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts in the order in which they were given."""
        return tuple(self._prompts)

    def add(self, prompt: Prompt) -> None:
        """Append a prompt."""
        prompt_voxels(prompt, self._volume.geometry)
        self._prompts.append(prompt)

    def remove(self, prompt: Prompt) -> None:
        """Take back the first prompt that equals ``prompt``."""
        self._prompts.remove(prompt)

    def result(
        self,
        progress: ProgressCallback = no_progress,
        cancel: CancelToken | None = None,
        parts: PartCallback = no_parts,
    ) -> BoxMask:
        """Return the mask for the present prompts."""
        geometry = self._volume.geometry
        seeds = seeds_of(self._prompts, geometry)
        if len(seeds.positive) == 0:
            return BoxMask(Box((0, 0, 0), (0, 0, 0)), np.zeros((0, 0, 0), bool))
        reach = [int(np.ceil(_REACH_MM / s)) for s in geometry.spacing]
        box = Box.around(seeds.all.astype(float), reach).clip(geometry.shape)
        grid = WorkingGrid.over(box, geometry.spacing, _BUDGET)
        marks = _open_border(box, geometry.shape, grid.shape)
        marks[tuple(grid.blocks_of(seeds.negative).T)] = _OUTSIDE
        marks[tuple(grid.blocks_of(seeds.positive).T)] = _INSIDE
        if not (marks == _OUTSIDE).any():
            marks[tuple(grid.blocks_of(_farthest_corner(box, seeds.positive)).T)] = _OUTSIDE
        mask = grid.expand(self._method(np.nan_to_num(grid.coarsen(self._volume.voxels)), marks, grid.spacing)).copy()
        mask[tuple(box_indices(seeds.positive, box).T)] = True
        mask[tuple(box_indices(seeds.negative, box).T)] = False
        return placed(mask, box)


class BaselineModel:
    """A classical method as an engine."""

    def __init__(self, name: str) -> None:
        method, module, package = _METHODS[name]
        if find_spec(module) is None:
            raise UsageError(f"{name} needs the package {package}: pip install {package}")
        self._method = method
        self._card = ModelCard(
            id=name, title=name, version="1", task="Baseline", segments=(), channels=("any",), intensity="as stored"
        )

    @property
    def card(self) -> ModelCard:
        """Facts about the method."""
        return self._card

    @property
    def capabilities(self) -> Capabilities:
        """What it can do with prompts."""
        return Capabilities(initial=False)

    def open(
        self, volume: Volume, *, initial: BoxMask | None = None, forbidden: NDArray[Any] | None = None
    ) -> BaselineSession:
        """Start a segment on a 3D volume; existing and locked segments are not looked at."""
        return BaselineSession(self._method, volume)


def load_baseline(name: str) -> BaselineModel:
    """Return a baseline by its name, one of :data:`BASELINES`.

    Raises
    ------
    UsageError
        For another name, or where the package behind it is not installed.
    """
    if name not in _METHODS:
        raise UsageError(f"there is no baseline {name!r}: choose one of {', '.join(BASELINES)}")
    return BaselineModel(name)


def _open_border(box: Box, whole: tuple[int, int, int], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return marks (z, y, x) of a grid over ``box`` that are outside where the volume goes on, unknown elsewhere."""
    marks = np.zeros(shape, np.uint8)
    for axis in range(3):
        planes = np.moveaxis(marks, axis, 0)
        if box.start[axis] > 0:
            planes[0] = _OUTSIDE
        if box.stop[axis] < whole[axis]:
            planes[-1] = _OUTSIDE
    return marks


def _farthest_corner(box: Box, positive: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the corner (1, 3) of a box that lies farthest from the positive voxels (n, 3)."""
    low, high = np.asarray(box.start), np.asarray(box.stop) - 1
    corners = np.asarray([np.where([z, y, x], high, low) for z in (0, 1) for y in (0, 1) for x in (0, 1)])
    distance = np.linalg.norm(corners[:, None] - positive[None], axis=-1).min(1)
    return corners[[int(np.argmax(distance))]]
