"""Filling in the slices between those on which segments were drawn.

Shape-based interpolation: between two drawn slices, the signed distances to the outlines are blended, and the shape
is where the blend is positive. Parts are followed from one slice to the other first, so that a part that moves is
moved rather than dissolved, one that splits is blended with all its pieces, and one that ends tapers off. Where
slices beyond the two are drawn as well, they give the blend its curvature.

References
----------
Raya and Udupa, IEEE Transactions on Medical Imaging 9(1), 1990 (blending of signed distances).
Herman, Zheng and Bucholtz, IEEE Computer Graphics and Applications 12(3), 1992 (more than two slices).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, Geometry
from napari_volseg.editing.blends import Blend, Plane, Window
from napari_volseg.editing.fast import signed_distance
from napari_volseg.editing.parts import matching_parts
from napari_volseg.editing.rules import BackgroundOnly, OverwriteRule, narrow
from napari_volseg.editing.scopes import refuse_axis
from napari_volseg.editing.shapes import Relabelled, kept_boxes, union_of

BACKGROUND_ONLY = BackgroundOnly()


def fill_between(
    labels: NDArray[Any],
    geometry: Geometry,
    axis: int,
    *,
    values: Iterable[int] | None = None,
    boxes: Mapping[int, Box] | None = None,
    rule: OverwriteRule = BACKGROUND_ONLY,
) -> Relabelled:
    """Return labels in which segments also fill the slices between those that hold them.

    Parameters
    ----------
    labels
        (z, y, x), with some slices of each segment drawn.
    axis
        Index axis that counts the slices: 0 z, 1 y, 2 x.
    values
        Label values to fill; None takes all. Where two segments claim a voxel, it goes to the one that holds it
        deeper inside.
    boxes
        Boxes that are known to hold the segments, by label value; None finds them.
    rule
        Which voxels may be filled.

    Raises
    ------
    UsageError
        For an axis that is none of 0, 1 and 2.
    """
    refuse_axis(axis)
    found = kept_boxes(labels, values, boxes)
    whole = union_of(found.values())
    old = labels[whole.slices]
    claims, depth = np.zeros_like(old), np.full(whole.shape, -np.inf, np.float32)
    together: dict[tuple[int, int], list[int]] = defaultdict(list)
    spacing = tuple(float(s) for a, s in enumerate(geometry.spacing) if a != axis)
    for value, box in found.items():
        here = box.relative_to(whole)
        drawn = _Drawn(np.moveaxis(old[here.slices] == value, axis, 0), spacing)
        for a, b in drawn.gaps:
            together[a + here.start[axis], b + here.start[axis]].append(value)
        _claim(drawn, value, np.moveaxis(claims[here.slices], axis, 0), np.moveaxis(depth[here.slices], axis, 0))
    covered = depth > 0
    _cover_joints(together, np.moveaxis(old, axis, 0), spacing, np.moveaxis(covered, axis, 0))
    filled = narrow(covered & (claims != 0), rule, old, whole)
    return Relabelled(whole, np.where(filled, claims, old))


def _claim(drawn: _Drawn, value: int, claims: NDArray[Any], depth: NDArray[np.float32]) -> None:
    """Enter, for the voxels between drawn slices, the segment that holds them deepest or misses them least."""
    for k, window, blend in drawn.between():
        best = depth[k][window]
        deeper = blend > best
        best[deeper] = blend[deeper]
        claims[k][window][deeper] = value


def _cover_joints(
    together: Mapping[tuple[int, int], list[int]],
    stack: NDArray[Any],
    spacing: tuple[float, ...],
    covered: NDArray[np.bool_],
) -> None:
    """Mark what lies within the common outline of segments that are drawn on the same slices.

    Each for itself, neighbours would leave a gap where their common border meets the outer one.
    """
    for (a, b), values in together.items():
        if len(values) > 1:
            before, after = np.isin(stack[a], values), np.isin(stack[b], values)
            for pair in matching_parts(before, after, spacing):
                blend = Blend.of(*pair, spacing)
                for k in range(a + 1, b):
                    covered[k][blend.window] |= blend.at((k - a) / (b - a)) > 0


class _Drawn:
    """The drawn slices of one segment.

    Parameters
    ----------
    stack
        (slices, rows, columns), true in the segment.
    spacing
        Distance of neighbouring pixels along rows and columns, mm.
    """

    def __init__(self, stack: NDArray[np.bool_], spacing: tuple[float, ...]) -> None:
        self._stack = stack
        self._spacing = spacing
        self._drawn = np.flatnonzero(stack.any(axis=(1, 2)))
        self._depths: dict[int, Plane] = {}

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Pairs of drawn slices that have others between them."""
        return [(a, b) for a, b in pairwise(self._drawn.tolist()) if b - a > 1]

    def between(self) -> Iterator[tuple[int, Window, Plane]]:
        """Yield the number of each missing slice, a window of it and the depth of its pixels in the shape, mm."""
        for a, b in self.gaps:
            yield from self._fill(a, b)

    def _fill(self, a: int, b: int) -> Iterator[tuple[int, Window, Plane]]:
        bend = self._bend(a, b)
        for before, after in matching_parts(self._stack[a], self._stack[b], self._spacing):
            blend = Blend.of(before, after, self._spacing)
            for k in range(a + 1, b):
                depth = blend.at((k - a) / (b - a))
                if bend is not None and blend.is_still:
                    depth = depth - _sag([plane[blend.window] for plane in bend], k - a, b - k)
                yield k, blend.window, depth

    def _bend(self, a: int, b: int) -> tuple[Plane, Plane] | None:
        """Return half the second derivative of the depth along the stack at two slices, None where nothing tells.

        A slice that is much nearer than the other one would tell more of the pixels than of the shape, and one much
        farther away is of no interest.
        """
        bends = []
        for end, other in ((a, b), (b, a)):
            beyond = self._drawn_about(2 * end - other, (b - a) / 2)
            if beyond is not None:
                slope = (self._depth(b) - self._depth(a)) / np.float32(b - a)
                outer = (self._depth(end) - self._depth(beyond)) / np.float32(end - beyond)
                bends.append((slope - outer) / np.float32(other - beyond))
        return (bends[0], bends[-1]) if bends else None

    def _drawn_about(self, place: float, tolerance: float) -> int | None:
        nearest = int(self._drawn[np.argmin(np.abs(self._drawn - place))])
        return nearest if abs(nearest - place) <= tolerance else None

    def _depth(self, k: int) -> Plane:
        if k not in self._depths:
            self._depths[k] = signed_distance(self._stack[k], self._spacing)
        return self._depths[k]


def _sag(bend: list[Plane], done: int, left: int) -> Plane:
    """Return how far a chord lies above the curve, given half its second derivative at both ends."""
    near, far = bend
    return np.float32(done * left) * (near + np.float32(done / (done + left)) * (far - near))
