"""From one slice to its neighbours: the outline of a segment on drawn slices, carried through the stack.

Three witnesses are heard on every new slice: where optical flow carries the outline of the slice before, what the
click network says that has been shown the drawn slices and the newest ones, and what the engine ``regions`` says to
strokes over the first drawn slice and around it. Slices that are drawn are never changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import Box, BoxMask, CancelToken, Geometry, ScribblePrompt, Volume
from napari_volseg.interactive.looking import EDGE, Network, Sight
from napari_volseg.interactive.patches import Float32, Patch
from napari_volseg.interactive.regions import RegionsModel
from napari_volseg.spatial import crop_geometry

BoolArray = NDArray[np.bool_]

#: What flow, network and regions count; without a network the last one counts more.
_FLOW, _NETWORK, _REGIONS, _ALONE = 2.0, 1.0, 1.0, 1.5
#: How blurred the carried outline is, mm, and by how much more per mm that it was carried.
_BLUR, _DRIFT = 3.0, 0.5
#: Distance (mm) from the drawn slice at which the regions' word counts half.
_FAR = 30.0
#: The network looks again after so many slices, or so many mm.
_SLICES, _STRIDE = 3, 8.0
#: Share of the cube that the outline takes up, and newest slices that the network is shown.
_ROOM, _SHOWN = 0.62, 3
#: What lies around the outline is looked at within this share of its size, and so many mm at least.
_AROUND, _AROUND_MM = 0.75, 40.0
#: Points of a stroke, and how far its surroundings reach, voxels.
_POINTS, _RING = 300, 8
#: From one slice to the next an outline that is sure grows or shrinks no more than this.
_SHRINKS, _GROWS = 0.5, 1.5
#: Half width (voxels) of the windows in which flow is taken for constant.
_WINDOW = 7


@dataclass(frozen=True, slots=True, eq=False)
class Extension:
    """What came of it.

    Parameters
    ----------
    mask
        The segment on all slices of the range, drawn ones as they were.
    ends
        The last slice in each direction on which it was found.
    unsure
        Slices from which on it was not carried further, since the outline changed too much from one to the next.
    """

    mask: BoxMask
    ends: tuple[int, int]
    unsure: tuple[int, ...]


def extended(
    volume: Volume,
    drawn: BoxMask,
    axis: int,
    key: int,
    slices: range,
    network: Network | None,
    *,
    stop: bool = True,
    cancel: CancelToken | None = None,
) -> Extension:
    """Carry a segment from a slice to its neighbours.

    Parameters
    ----------
    volume
        The image.
    drawn
        The segment; within ``slices`` all slices of it count as drawn.
    axis
        Index axis (0, 1, 2) that counts the slices.
    key
        Slice to begin with; the segment is drawn on it.
    slices
        Slices that may be filled, with ``key`` among them.
    network
        Of the engine ``network``; None to do without.
    stop
        End where the outline changes too much from one slice to the next.

    Raises
    ------
    CancelledError
        Where the token says so.
    """
    box = _surroundings(drawn, volume.geometry, axis, key, slices)
    part = Volume(volume.voxels[box.slices], crop_geometry(volume.geometry, box), volume.modality, volume.quantity)
    work = _Carrying(part, drawn.within(box), axis, key - box.start[axis], network, stop, cancel or CancelToken())
    ends = tuple(work.carry(way) + box.start[axis] for way in (-1, 1))
    unsure = tuple(sorted(index + box.start[axis] for index in work.unsure))
    tight = BoxMask.of(work.found)
    return Extension(BoxMask(tight.box.shift(box.start), tight.mask), (ends[0], ends[1]), unsure)


def _surroundings(drawn: BoxMask, geometry: Geometry, axis: int, key: int, slices: range) -> Box:
    """Return the box of what is looked at: the slices, and around the outline on ``key``."""
    place = [slice(None)] * 3
    place[axis] = slice(key - drawn.box.start[axis], key - drawn.box.start[axis] + 1)
    outline = Box.of_mask(drawn.mask[tuple(place)])
    assert outline is not None, "the segment is drawn on the slice to begin with"
    shift = [0 if a == axis else drawn.box.start[a] for a in range(3)]
    outline = outline.shift(shift)
    size = np.multiply(outline.shape, geometry.spacing)
    margin = np.maximum(_AROUND * size, _AROUND_MM) / geometry.spacing
    start, stop = np.subtract(outline.start, margin), np.add(outline.stop, margin)
    start[axis], stop[axis] = slices.start, slices.stop
    return Box.of(start.astype(int).tolist(), np.ceil(stop).astype(int).tolist()).clip(geometry.shape)


class _Carrying:
    """The work on the part of the volume that is looked at; slices come first in its views."""

    def __init__(
        self,
        volume: Volume,
        drawn: BoolArray,
        axis: int,
        key: int,
        network: Network | None,
        stop: bool,
        cancel: CancelToken,
    ) -> None:
        self.volume, self.axis, self.key, self.network = volume, axis, key, network
        self.stop, self.cancel = stop, cancel
        self.found = drawn.copy()
        self.unsure: list[int] = []
        self._found = np.moveaxis(self.found, axis, 0)
        self._drawn = np.asarray(np.moveaxis(drawn, axis, 0).any((1, 2)))
        self._image = _shades(np.moveaxis(volume.voxels, axis, 0))
        spacing = [s for a, s in enumerate(volume.geometry.spacing) if a != axis]
        self._thick, self._fine = volume.geometry.spacing[axis], float(np.mean(spacing))
        self._regions = np.moveaxis(self._word_of_regions(drawn), axis, 0)

    def carry(self, way: int) -> int:
        """Carry the outline one way and return the last slice on which it is."""
        known, here = [self.key], self.key
        ahead = max(_SLICES, round(_STRIDE / self._thick))
        while 0 <= here + way < len(self._found):
            self.cancel.check()
            steps = range(here + way, int(np.clip(here + way * (ahead + 1), -1, len(self._found))), way)
            logits = self._word_of_network(here, known[-_SHOWN:])
            for index in steps:
                if not self._slice(index, way, abs(index - here), logits):
                    return index - way
                known.append(index)
            here = steps[-1]
        return here

    def _slice(self, index: int, way: int, steps: int, logits: Float32 | None) -> bool:
        """Find the outline on a slice; return whether it goes on from there."""
        self.cancel.check()
        if self._drawn[index]:
            return True
        before = self._found[index - way]
        carried = _signed(self._carried(before, index, way)) * self._fine
        word = _FLOW * np.tanh(carried / (_BLUR + _DRIFT * steps * self._thick))
        share = 1 / (1 + abs(index - self.key) * self._thick / _FAR)
        word += (_ALONE if logits is None else _REGIONS) * share * (2.0 * self._regions[index] - 1)
        if logits is not None:
            word += _NETWORK * np.clip(logits[index], -4, 4) / 4
        now = np.asarray(word > 0)
        ratio = now.sum() / before.sum()
        if ratio == 0 or (self.stop and not _SHRINKS <= ratio <= _GROWS):
            if ratio:
                self.unsure.append(index)
            return False
        self._found[index] = now
        return True

    def _carried(self, before: BoolArray, index: int, way: int) -> BoolArray:
        """Return the outline of the slice before, carried by optical flow."""
        from skimage.registration import optical_flow_ilk
        from skimage.transform import warp

        flow = optical_flow_ilk(self._image[index], self._image[index - way], radius=_WINDOW)
        rows, columns = np.mgrid[: before.shape[0], : before.shape[1]]
        places = np.array([rows + flow[0], columns + flow[1]])
        return np.asarray(warp(_signed(before), places, order=1, mode="edge") > 0)

    def _word_of_network(self, here: int, newest: Sequence[int]) -> Float32 | None:
        """Return logits (slices first) of the part of the volume, or None without a network."""
        if self.network is None:
            return None
        geometry = self.volume.geometry
        places = np.argwhere(self._found[here])
        middle = np.insert((places.min(0) + places.max(0)) / 2, self.axis, here)
        size = np.insert(np.ptp(places, axis=0) + 1, self.axis, 1) * geometry.spacing
        unit = max(float(size.max()) / (_ROOM * EDGE), 0.34 * min(geometry.spacing))
        patch = Patch.around(middle, unit, EDGE, geometry)
        inside, outside = self._shown(patch, sorted({self.key, *newest}))
        nowhere = np.zeros((1, 3), np.int64)
        empty = np.zeros((EDGE,) * 3, np.float32)
        image = patch.take(self.volume.voxels)
        answer = self.network(Sight(image, nowhere, nowhere[:, 0], inside, outside, empty))
        logits = np.full(self.found.shape, -4, np.float32)
        logits[patch.box.slices] = patch.give(answer[0])
        return np.moveaxis(logits, self.axis, 0)

    def _shown(self, patch: Patch, known: Sequence[int]) -> tuple[Float32, Float32]:
        """Return what known slices say is inside and outside, (e, e, e) each."""
        inside, outside = (np.zeros((EDGE,) * 3, np.float32) for _ in range(2))
        for index in known:
            place = [0, 0, 0]
            place[self.axis] = index
            at = int(np.round(patch.places(np.array([place]))[0, self.axis]))
            if 0 <= at < EDGE:
                plane = np.expand_dims(self._found[index], self.axis).astype(np.float32)
                seen = patch.take(np.broadcast_to(plane, self.found.shape)).take(at, self.axis) > 0.5
                np.moveaxis(inside, self.axis, 0)[at] = seen
                np.moveaxis(outside, self.axis, 0)[at] = ~seen
        return inside, outside

    def _word_of_regions(self, drawn: BoolArray) -> BoolArray:
        """Return what the engine ``regions`` finds from strokes over the first slice and around it."""
        session = RegionsModel().open(self.volume)
        outline = np.moveaxis(drawn, self.axis, 0)[self.key]
        near = ndimage.binary_dilation(outline, iterations=_RING) & ~ndimage.binary_dilation(outline)
        for shape, positive in ((outline, True), (near, False)):
            if shape.any():
                session.add(self._stroke(shape, positive))
        return session.result(cancel=self.cancel).expand(drawn.shape)

    def _stroke(self, shape: BoolArray, positive: bool) -> ScribblePrompt:
        places = np.argwhere(shape)
        order = np.random.default_rng(0).permutation(len(places))[:_POINTS]
        index = np.insert(places[order], self.axis, self.key, axis=1)
        points: Any = tuple(map(tuple, self.volume.geometry.to_patient(index).tolist()))
        return ScribblePrompt(points, min(self.volume.geometry.spacing) / 2, positive)


def _signed(mask: BoolArray) -> NDArray[np.float64]:
    """Return the distance (voxels) to the outline of a mask, positive inside."""
    if not mask.any():
        return np.full(mask.shape, -float(max(mask.shape)))
    inside = ndimage.distance_transform_edt(mask)
    return np.asarray(inside - ndimage.distance_transform_edt(~mask))


def _shades(voxels: NDArray[Any]) -> Float32:
    """Return intensities from 0 to 1, the outermost percent cut off."""
    low, high = np.percentile(voxels[:, ::2, ::2], (1, 99))
    return np.clip((voxels.astype(np.float32) - low) / max(float(high - low), 1e-6), 0, 1)
