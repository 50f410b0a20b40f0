"""Surfaces of all segments, kept up to date: only what has changed is made anew. Lives on one worker thread."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import Box, BoxMask, CancelToken, Geometry, Progress, ProgressCallback, Segment, SegmentTable
from napari_volseg.spatial import Surface, normals, surface_of, vertex_count

#: Vertices of one surface, and of all together, at most: so many reach the screen within 0.05 s.
MOST, MOST_IN_ALL = 40_000, 200_000
#: A surface has so many vertices even where all together have too many.
LEAST = 600
#: Light comes from the front, the left and above, and a little weaker from the back, the right and above, patient
#: (x, y, z), LPS; what faces away from both is still lit so much.
LIGHTS = np.array([(0.5, -0.7, 0.5), (-0.45, 0.6, 0.4)], np.float32)
DARKEST = 0.35


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """All visible surfaces as one.

    Parameters
    ----------
    vertices
        (n, 3) float32, voxel index (z, y, x).
    faces
        (m, 3) int32.
    colors
        (n, 4) float32, red, green, blue and opacity, 0 to 1, light included.
    solid
        How many vertices and faces are opaque; those that can be seen through come behind them.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    colors: NDArray[np.float32]
    solid: tuple[int, int]

    def part(self, *, glass: bool) -> Scene:
        """Return what can be seen through, or what is opaque, alone."""
        vertex, face = self.solid
        if not glass:
            return Scene(self.vertices[:vertex], self.faces[:face], self.colors[:vertex], self.solid)
        faces = self.faces[face:] - np.int32(vertex)
        return Scene(self.vertices[vertex:], faces, self.colors[vertex:], (0, 0))


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The surface of a segment and what it was made of.

    Parameters
    ----------
    box
        Where the segment lies, voxels (z, y, x).
    bits
        Its mask there, rows packed to bits.
    share
        Which share of its vertices the surface has.
    surface
        The surface.
    light
        How light each vertex is, (n,), 0 to 1.
    """

    box: Box
    bits: NDArray[np.uint8]
    share: float
    surface: Surface
    light: NDArray[np.float32]

    def mask_within(self, box: Box) -> NDArray[np.bool_]:
        """Return the mask that the surface was made of as seen in another box."""
        common = self.box.intersect(box)
        out = np.zeros(box.shape, bool)
        if common.size:
            rows, columns, places = common.relative_to(self.box).slices
            row = np.unpackbits(self.bits[rows, columns], axis=2)
            out[common.relative_to(box).slices] = row[:, :, places]
        return out


class SurfaceMaker:
    """Makes surfaces of labels.

    Parameters
    ----------
    labels
        Label values (z, y, x), which may be written to meanwhile: ``note`` then tells where.
    geometry
        Their grid.
    """

    def __init__(self, labels: NDArray[Any], geometry: Geometry) -> None:
        self._labels, self._geometry = labels, geometry
        self._kept: dict[int, Kept] = {}
        self._boxes: dict[int, Box] = {}
        self._counts: dict[int, int] = {}
        self._changed: list[Box] = []
        self._surveyed = False
        self._share = 1.0

    def note(self, boxes: Iterable[Box]) -> None:
        """Keep in mind where labels were written."""
        self._changed.extend(boxes)

    def work(
        self, table: SegmentTable, first: int, seconds: float, progress: ProgressCallback, cancel: CancelToken
    ) -> bool:
        """Make surfaces of visible segments for some seconds, one of them first; return whether more are needed."""
        end = time.monotonic() + seconds
        self._forget(table)
        values = [s.value for s in sorted(table, key=lambda s: s.value != first) if s.visible]
        self._find(values)
        uncounted = [value for value in values if value not in self._counts]
        for value in uncounted:
            cancel.check()
            self._counts[value] = vertex_count(self._mask(value))
        self._choose_share(values)
        stale = [value for value in values if self._is_stale(value)]
        for done, value in enumerate(stale):
            progress(Progress(len(values) - len(stale) + done, len(values)))
            self._kept[value] = self._make(value, cancel)
            if time.monotonic() > end:
                return done + 1 < len(stale)
        return False

    def scene(self, table: SegmentTable) -> Scene:
        """Return the surfaces that there are of visible segments, in their colours."""
        shown = [(s, self._kept[s.value]) for s in table if s.visible and s.value in self._kept]
        shown.sort(key=lambda item: item[0].opacity < 1)
        opaque = [k for s, k in shown if s.opacity == 1]
        starts = np.cumsum([0, *(len(k.light) for _, k in shown)])
        faces = [k.surface.faces + np.int32(n) for (_, k), n in zip(shown, starts[:-1], strict=True)]
        return Scene(
            np.concatenate([np.empty((0, 3), np.float32), *(k.surface.vertices for _, k in shown)]),
            np.concatenate([np.empty((0, 3), np.int32), *faces]),
            np.concatenate([np.empty((0, 4), np.float32), *(_lit(s, k.light) for s, k in shown)]),
            (sum(len(k.light) for k in opaque), sum(len(k.surface.faces) for k in opaque)),
        )

    def _forget(self, table: SegmentTable) -> None:
        """Let go of segments that are no more."""
        for known in (self._kept, self._boxes, self._counts):
            for value in [v for v in known if v not in table]:
                del known[value]

    def _find(self, values: Sequence[int]) -> None:
        """Learn where segments lie, and which of them changed."""
        changed, self._changed = self._changed, []
        if not self._surveyed:
            self._surveyed = True
            found = ndimage.find_objects(self._labels, max_label=max(values, default=0)) if values else []
            for value, place in enumerate(found, 1):
                if place is not None:
                    self._boxes[value] = Box.of([s.start for s in place], [s.stop for s in place])
            return
        for box in changed:
            self._take(box)

    def _take(self, box: Box) -> None:
        """Find the segments that a changed box concerns: those that are in it, and those that were."""
        labels = self._labels[box.slices]
        near = {value for value, known in self._boxes.items() if known.intersect(box).size}
        for value in near.union(np.unique(labels).tolist()) - {0}:
            kept, inside = self._kept.get(value), labels == value
            if kept is not None and np.array_equal(inside, kept.mask_within(box)):
                continue
            gained = Box.of_mask(inside)
            if gained is not None:
                gained = gained.shift(box.start)
                self._boxes[value] = self._boxes[value].union(gained) if value in self._boxes else gained
            self._counts.pop(value, None)
            self._kept_is_old(value)

    def _kept_is_old(self, value: int) -> None:
        kept = self._kept.get(value)
        if kept is not None:
            self._kept[value] = replace(kept, share=0.0)

    def _mask(self, value: int) -> BoxMask:
        where = self._boxes.get(value, Box((0, 0, 0), (0, 0, 0)))
        tight = BoxMask.of(self._labels[where.slices] == value)
        mask = BoxMask(tight.box.shift(where.start) if tight.box.size else tight.box, tight.mask)
        self._boxes[value] = mask.box
        return mask

    def _choose_share(self, values: Sequence[int]) -> None:
        """Choose how fine surfaces are; as long as there is no need they stay as they are."""
        total = sum(min(self._counts[value], MOST) for value in values)
        if total and not MOST_IN_ALL / 4 <= total * self._share <= MOST_IN_ALL:
            self._share = min(1.0, 2.0 ** np.floor(np.log2(MOST_IN_ALL / total)))

    def _is_stale(self, value: int) -> bool:
        return value not in self._kept or self._kept[value].share != self._share

    def _make(self, value: int, cancel: CancelToken) -> Kept:
        mask = self._mask(value)
        most = max(LEAST, int(self._share * min(self._counts[value], MOST)))
        surface = surface_of(mask, self._geometry, most=most, cancel=cancel)
        facing = (normals(surface, self._geometry) @ LIGHTS.T).max(1)
        light = DARKEST + (1 - DARKEST) * ((1 + facing) / 2) ** 1.5
        # within the centres of voxels, or napari would count slices where there are none
        last = np.array(self._labels.shape, np.float32) - 1
        surface = replace(surface, vertices=np.clip(surface.vertices, 0, last))
        return Kept(mask.box, np.packbits(mask.mask, axis=2), self._share, surface, light.astype(np.float32))


def _lit(segment: Segment, light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the colour of a segment in the light of each vertex, and its opacity, (n, 4)."""
    colors = np.full((len(light), 4), segment.opacity, np.float32)
    colors[:, :3] = light[:, None] * (np.asarray(segment.color, np.float32) / 255)
    return colors
