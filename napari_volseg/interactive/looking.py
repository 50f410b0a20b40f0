"""How the click network looks at a volume: which cube it sees, what it is told, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, BoxMask, CancelToken, Geometry, Prompt, Volume
from napari_volseg.interactive.patches import Float32, Patch
from napari_volseg.interactive.seeds import decisions, encloses, prompt_voxels

#: Edge of the cube that the network sees, voxels.
EDGE = 96
#: The distances of the first look, told as the size of the cube's voxels: the nearest one as a share of the volume's
#: finest spacing, though so many mm at least; from one to the next; the farthest one, mm.
_NEAREST = 0.34
_NEAREST_MM = 0.25
_STEP = 1.6
_FARTHEST_MM = 4.2
#: From one look to one from farther away, and how often that is done for one prompt.
_FARTHER = 1.6
_LOOKS = 3
#: Share of a face of the cube that a segment may cover before it counts as cut off, and what that costs in overlap.
_TOUCH = 0.01
_CUT_OFF = 0.15
#: Share of the cube that segment and prompts may take up along an axis.
_ROOM = 0.9
#: Points of one prompt that the network is told.
_POINTS = 64


@dataclass(frozen=True, eq=False)
class Sight:
    """What the network is shown, see :func:`napari_volseg.interactive.encoding.encode`.

    Parameters
    ----------
    image, inside, outside, previous
        (e, e, e): the cube's intensity, what a box says is inside and outside, the mask so far.
    points, signs
        Voxels (n, 3) of the cube, also beyond it, and 1 for inside or -1 for outside (n,).
    """

    image: Float32
    points: NDArray[np.int64]
    signs: NDArray[np.int64]
    inside: Float32
    outside: Float32
    previous: Float32


#: From what it is shown to its answer (2, e, e, e): the logit of the mask, everywhere that of the expected overlap.
Network = Callable[[Sight], Float32]


@dataclass(frozen=True, eq=False)
class Look:
    """What the network answered.

    Parameters
    ----------
    patch
        The cube that it saw.
    logit
        Of each of its voxels (e, e, e).
    quality
        The overlap with what was meant that the network expects of its answer, 0 to 1.
    """

    patch: Patch
    logit: Float32
    quality: float

    @property
    def probability(self) -> Float32:
        """Of each voxel of the cube (e, e, e)."""
        return np.asarray(1 / (1 + np.exp(-np.clip(self.logit, -30, 30))), np.float32)

    @cached_property
    def cut_off(self) -> bool:
        """Whether the segment goes on beyond a face of the cube that lies inside the volume."""
        found = self.logit > 0
        for axis in range(3):
            planes = np.moveaxis(found, axis, 0)
            reach = self.patch.steps[axis] * self.patch.edge / 2
            low = self.patch.centre[axis] - reach > 0.5
            high = self.patch.centre[axis] + reach < self.patch.shape[axis] - 1.5
            if (low and planes[0].mean() > _TOUCH) or (high and planes[-1].mean() > _TOUCH):
                return True
        return False

    @property
    def worth(self) -> float:
        """The expected overlap, less where the segment is cut off."""
        return self.quality - _CUT_OFF * self.cut_off


@dataclass(frozen=True, eq=False)
class Eye:
    """The network before one volume.

    Parameters
    ----------
    network
        Answers.
    volume
        Is looked at.
    """

    network: Network
    volume: Volume

    def first(self, prompts: Sequence[Prompt], before: BoxMask, cancel: CancelToken) -> Look:
        """Look from several distances, and return the look of which the network expects most."""
        geometry = self.volume.geometry
        extent = _extent(prompts, before, geometry)
        needed = max(np.multiply(extent.shape, geometry.spacing)) / (_ROOM * EDGE)

        def look_from(unit: float) -> Look:
            cancel.check()
            return self.look(Patch.around(_middle(extent), unit, EDGE, geometry), prompts, before, None)

        best = _best(look_from, sorted({max(unit, needed) for unit in distances(geometry)}))
        return self._whole(best, prompts, before, None, cancel)

    def again(self, prompts: Sequence[Prompt], before: BoxMask, last: Look, cancel: CancelToken) -> Look:
        """Look from the distance of the last look, around the segment or else the newest prompt."""
        geometry = self.volume.geometry
        cancel.check()
        unit = last.patch.steps[0] * geometry.spacing[0]
        extent = _extent(prompts, before, geometry)
        fits = np.multiply(extent.shape, geometry.spacing) <= _ROOM * EDGE * unit
        newest = prompt_voxels(prompts[-1], geometry).mean(0)
        patch = Patch.around(np.where(fits, _middle(extent), newest), unit, EDGE, geometry)
        return self._whole(self.look(patch, prompts, before, last), prompts, before, last, cancel)

    def _whole(
        self, look: Look, prompts: Sequence[Prompt], before: BoxMask, last: Look | None, cancel: CancelToken
    ) -> Look:
        """Look from farther away while the segment is cut off and the network expects as much of it there."""
        geometry = self.volume.geometry
        for _ in range(_LOOKS - 1):
            if not look.cut_off:
                break
            cancel.check()
            unit = _FARTHER * look.patch.steps[0] * geometry.spacing[0]
            farther = self.look(Patch.around(_middle_of(look), unit, EDGE, geometry), prompts, before, last)
            if farther.worth < look.worth:
                break
            look = farther
        return look

    def look(self, patch: Patch, prompts: Sequence[Prompt], before: BoxMask, last: Look | None) -> Look:
        """Let the network see a cube."""
        points, signs, inside, outside = told(patch, prompts, self.volume.geometry)
        if last is not None:
            previous = last.patch.moved_to(patch, last.probability)
        else:
            previous = patch.take_box(before.mask, before.box)
        answer = self.network(Sight(patch.take(self.volume.voxels), points, signs, inside, outside, previous))
        return Look(patch, answer[0], float(1 / (1 + np.exp(-answer[1, 0, 0, 0]))))


def distances(geometry: Geometry) -> list[float]:
    """Return the distances from which a volume is looked at first, as sizes of the cube's voxels, mm."""
    units = [max(_NEAREST * min(geometry.spacing), _NEAREST_MM)]
    whole = max(np.multiply(geometry.shape, geometry.spacing))
    while units[-1] * _STEP <= _FARTHEST_MM and units[-1] * EDGE < whole:
        units.append(units[-1] * _STEP)
    return units


def _best(look_from: Callable[[float], Look], units: Sequence[float]) -> Look:
    """Return the best look: begin in the middle, go on farther away, or else nearer, while it gets better."""
    begin = len(units) // 2
    best = first = look_from(units[begin])
    for onward in (units[begin + 1 :], units[:begin][::-1]):
        for unit in onward:
            other = look_from(unit)
            if other.worth < best.worth:
                break
            best = other
        if best is not first:
            break
    return best


def told(
    patch: Patch, prompts: Sequence[Prompt], geometry: Geometry
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float32, Float32]:
    """Return prompts as the network is told them.

    Returns
    -------
    points, signs
        Voxels (n, 3) of the cube, also beyond it, and 1 for inside, -1 for outside or 0 for neither (n,).
    inside, outside
        (e, e, e): how surely a box or a lasso around the segment says so.
    """
    points, signs = [np.zeros((1, 3), np.int64)], [np.zeros(1, np.int64)]  # one that says nothing: there must be some
    inside, outside = (np.zeros((patch.edge,) * 3, np.float32) for _ in range(2))
    for prompt in prompts:
        places = np.unique(patch.places(prompt_voxels(prompt, geometry)), axis=0)
        if encloses(prompt):
            (frame, _), _ = decisions(prompt, geometry)
            _paint(outside, patch.places(frame), 0.5)
            _paint(inside, places, 0.5)
            continue
        places = places[:: -(-len(places) // _POINTS)]
        points.append(places.astype(np.int64))
        signs.append(np.full(len(places), 1 if prompt.positive else -1, np.int64))
    return np.concatenate(points), np.concatenate(signs), inside, outside


def _paint(cube: Float32, places: NDArray[np.intp], value: float) -> None:
    """Set those of ``places`` (n, 3) that lie in the cube."""
    inside = places[((places >= 0) & (places < cube.shape[0])).all(1)]
    cube[tuple(inside.T)] = value


def _extent(prompts: Sequence[Prompt], before: BoxMask, geometry: Geometry) -> Box:
    """Return the box around all prompts and the mask."""
    voxels = np.concatenate([prompt_voxels(prompt, geometry) for prompt in prompts])
    box = Box.of(voxels.min(0).tolist(), (voxels.max(0) + 1).tolist())
    return box.union(before.box) if before.mask.any() else box


def _middle(box: Box) -> NDArray[np.float64]:
    return np.add(box.start, np.subtract(box.stop, 1)) / 2


def _middle_of(look: Look) -> NDArray[np.float64]:
    """Return the middle of the found segment's box, voxels (z, y, x) of the volume."""
    box = Box.of_mask(look.logit > 0)
    middle = np.zeros(3) if box is None else _middle(box) - (look.patch.edge - 1) / 2
    return np.asarray(look.patch.centre + middle * look.patch.steps)
