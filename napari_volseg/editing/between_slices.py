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
from dataclasses import dataclass
from functools import partial, reduce
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import NEVER, Box, CancelToken, Geometry
from napari_volseg.editing.blends import Blend, Plane, Window, window_of
from napari_volseg.editing.fast import signed_distance
from napari_volseg.editing.parts import matching_parts
from napari_volseg.editing.rules import BackgroundOnly, OverwriteRule, narrow
from napari_volseg.editing.scopes import refuse_axis
from napari_volseg.editing.shapes import Relabelled, kept_boxes, union_of

BACKGROUND_ONLY = BackgroundOnly()
#: So far beyond its own outline a segment may fill what a common outline covers, mm: a seam, no bay between organs.
_SEAM_MM = 2.0


def fill_between(
    labels: NDArray[Any],
    geometry: Geometry,
    axis: int,
    *,
    values: Iterable[int] | None = None,
    boxes: Mapping[int, Box] | None = None,
    rule: OverwriteRule = BACKGROUND_ONLY,
    cancel: CancelToken = NEVER,
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
    cancel
        Looked at between slices.

    Raises
    ------
    UsageError
        For an axis that is none of 0, 1 and 2.
    """
    refuse_axis(axis)
    found = kept_boxes(labels, values, boxes)
    whole = union_of(found.values())
    old = labels[whole.slices]
    stack = np.moveaxis(old, axis, 0)
    spacing = tuple(float(s) for a, s in enumerate(geometry.spacing) if a != axis)
    bridges: list[_Bridge] = []
    for value, box in found.items():
        for bridge in _Drawn(stack, value, _turned(box.relative_to(whole), axis), spacing).bridges():
            cancel.check()
            bridges.append(bridge)
    new = old.copy()
    for k, (rows, columns), claims in _claims([*bridges, *_joints(bridges, stack, spacing)]):
        cancel.check()
        turned = Box((k, rows.start, columns.start), (k + 1, rows.stop, columns.stop))
        here = _turned_back(turned, axis)
        claimed = np.expand_dims(claims, axis)
        hit = narrow(claimed != 0, rule, old[here.slices], here.shift(whole.start))
        new[here.slices][hit] = claimed[hit]
    return Relabelled(whole, new)


@dataclass(frozen=True, slots=True, eq=False)
class _Bridge:
    """What joins one part of a shape on two drawn slices.

    Parameters
    ----------
    start, stop
        The two slices.
    value
        Label value; 0 for the common outline of several segments.
    window
        Pixels of the slices that it covers.
    blend
        The way from the one outline to the other.
    bend
        Half the second derivative of the depth at both ends, of the window's shape; None where it is not known.
    """

    start: int
    stop: int
    value: int
    window: Window
    blend: Blend
    bend: tuple[Plane, Plane] | None = None

    def depth(self, k: int) -> Plane:
        """Return how deep inside the shape the pixels of a slice between the two lie, mm; negative outside."""
        share = (k - self.start) / (self.stop - self.start)
        depth = self.blend.at(share)
        if self.bend is None:
            return depth
        near, far = self.bend
        # So far below the true curve lies the chord that the blend is.
        return depth - np.float32((k - self.start) * (self.stop - k)) * (near + np.float32(share) * (far - near))


def _claims(bridges: list[_Bridge]) -> Iterator[tuple[int, Window, NDArray[np.uint16]]]:
    """Yield each missing slice, a window of it, and the label values that the pixels there get, 0 for none."""
    over: dict[int, list[_Bridge]] = defaultdict(list)
    for bridge in bridges:
        for k in range(bridge.start + 1, bridge.stop):
            over[k].append(bridge)
    for k, present in over.items():
        whole = reduce(_joined, [bridge.window for bridge in present])
        if len(present) == 1:
            yield k, whole, (present[0].depth(k) > 0) * np.uint16(present[0].value)
        else:
            yield k, whole, _deepest(present, k, whole)


def _deepest(bridges: list[_Bridge], k: int, whole: Window) -> NDArray[np.uint16]:
    """Return which label value each pixel of a window gets where several claim it: that of the deepest shape."""
    shape = [side.stop - side.start for side in whole]
    deepest, covered = np.full(shape, -np.inf, np.float32), np.zeros(shape, bool)
    claims = np.zeros(shape, np.uint16)
    for bridge in bridges:
        depth, window = bridge.depth(k), _within(bridge.window, whole)
        covered[window] |= depth > 0
        if bridge.value:
            best = deepest[window]
            deeper = depth > best
            best[deeper] = depth[deeper]
            claims[window][deeper] = bridge.value
    return np.where(covered & (deepest > -_SEAM_MM), claims, 0)


def _joints(bridges: list[_Bridge], stack: NDArray[Any], spacing: tuple[float, ...]) -> Iterator[_Bridge]:
    """Yield the common outlines of segments that are drawn on the same slices.

    Each for itself, neighbours would leave a gap where their common border meets the outer one.
    """
    together: dict[tuple[int, int], set[int]] = defaultdict(set)
    for bridge in bridges:
        together[bridge.start, bridge.stop].add(bridge.value)
    for (a, b), values in together.items():
        if len(values) > 1:
            before, after = (np.isin(stack[k], list(values)) for k in (a, b))
            for pair in matching_parts(before, after, spacing):
                blend = Blend.of(*pair, spacing)
                yield _Bridge(a, b, 0, blend.window, blend)


class _Drawn:
    """The drawn slices of one segment.

    Parameters
    ----------
    stack
        Labels (slices, rows, columns).
    value
        Label value of the segment.
    box
        Where it lies in the stack.
    spacing
        Distance of neighbouring pixels along rows and columns, mm.
    """

    def __init__(self, stack: NDArray[Any], value: int, box: Box, spacing: tuple[float, ...]) -> None:
        self._stack = stack[box.slices] == value
        self._value = value
        self._box = box
        self._spacing = spacing
        self._drawn = np.flatnonzero(self._stack.any(axis=(1, 2)))
        self._windows = {k: window_of(self._stack[k]) for k in self._drawn.tolist()}
        self._depths: dict[int, tuple[Window, Plane]] = {}

    def bridges(self) -> Iterator[_Bridge]:
        """Yield what joins the parts of each pair of drawn slices that have others between them."""
        first, rows, columns = self._box.start
        for a, b in pairwise(self._drawn.tolist()):
            if b - a > 1:
                for blend, bend in self._blends(a, b):
                    yield _Bridge(
                        a + first, b + first, self._value, _offset(blend.window, rows, columns), blend, bend
                    )

    def _blends(self, a: int, b: int) -> Iterator[tuple[Blend, tuple[Plane, Plane] | None]]:
        pairs = list(matching_parts(self._stack[a], self._stack[b], self._spacing))
        for before, after in pairs:
            known = partial(self._depths_of, a, b) if len(pairs) == 1 else None
            blend = Blend.of(before, after, self._spacing, known)
            yield blend, self._bend(a, b, blend.window) if blend.is_still else None

    def _bend(self, a: int, b: int, window: Window) -> tuple[Plane, Plane] | None:
        """Return half the second derivative of the depth along the stack at two slices, None where nothing tells.

        A slice that is much nearer than the other one would tell more of the pixels than of the shape, and one much
        farther away is of no interest.
        """
        bends = []
        for end, other in ((a, b), (b, a)):
            beyond = self._drawn_about(2 * end - other, (b - a) / 2)
            if beyond is not None:
                slope = (self._depth(b, window) - self._depth(a, window)) / np.float32(b - a)
                outer = (self._depth(end, window) - self._depth(beyond, window)) / np.float32(end - beyond)
                bends.append((slope - outer) / np.float32(other - beyond))
        return (bends[0], bends[-1]) if bends else None

    def _drawn_about(self, place: float, tolerance: float) -> int | None:
        nearest = int(self._drawn[np.argmin(np.abs(self._drawn - place))])
        return nearest if abs(nearest - place) <= tolerance else None

    def _depths_of(self, a: int, b: int, window: Window) -> tuple[Plane, Plane]:
        return self._depth(a, window), self._depth(b, window)

    def _depth(self, k: int, window: Window) -> Plane:
        """Return how deep inside the shape on a drawn slice the pixels of a window lie, mm.

        What is worked out covers the shapes of the two slices drawn on either side as well, whose turn comes next.
        """
        if k not in self._depths or _joined(self._depths[k][0], window) != self._depths[k][0]:
            at = int(np.searchsorted(self._drawn, k))
            near = [self._windows[n] for n in self._drawn[max(0, at - 2) : at + 3].tolist()]
            wide = reduce(_joined, near, window)
            self._depths[k] = wide, signed_distance(self._stack[k][wide], self._spacing)
        wide, depth = self._depths[k]
        return depth[_within(window, wide)]


def _turned(box: Box, axis: int) -> Box:
    """Return a box with the axis that counts the slices first."""
    order = [axis, *(a for a in range(3) if a != axis)]
    return Box.of([box.start[a] for a in order], [box.stop[a] for a in order])


def _turned_back(box: Box, axis: int) -> Box:
    """Return a box whose first axis counts the slices in the order of the volume's axes; undoes ``_turned``."""
    order = [0, 1, 2]
    order.insert(axis, order.pop(0))
    return Box.of([box.start[a] for a in order], [box.stop[a] for a in order])


def _joined(one: Window, other: Window) -> Window:
    """Return the smallest window that holds both."""
    (a, b), (c, d) = one, other
    return slice(min(a.start, c.start), max(a.stop, c.stop)), slice(min(b.start, d.start), max(b.stop, d.stop))


def _within(window: Window, whole: Window) -> Window:
    """Return a window as seen from another one that holds it."""
    return _offset(window, -whole[0].start, -whole[1].start)


def _offset(window: Window, rows: int, columns: int) -> Window:
    down, across = window
    return slice(down.start + rows, down.stop + rows), slice(across.start + columns, across.stop + columns)
