"""Smooth surfaces of masks: surface nets, which put one vertex into each cell that the border of a mask goes through.

After Gibson (MICCAI 1998), "Constrained elastic surface nets": vertices relax towards their neighbours, but stay in
their cell, so that a surface is smooth and nowhere further from the mask than half a voxel. Cells are found and
numbered in an array of bits, an eighth of the mask, and all else is done for them alone; a mask of 12 million voxels
takes a fifth of a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_volseg.core import NEVER, BoxMask, CancelToken, Geometry

#: Rounds of relaxation, and how far a vertex goes in each towards the middle of its neighbours, and then back, so
#: that the surface does not shrink (Taubin, SIGGRAPH 1995).
ROUNDS, FORTH, BACK = 10, 0.5, -0.53

#: Corners of a cell, (8, 3) in (z, y, x); corner i is bit i of a cell's pattern.
_CORNERS = np.array([(i >> 2 & 1, i >> 1 & 1, i & 1) for i in range(8)])
#: Bit of the corner next to corner 0 along each axis, and those of the four corners on the side of corner 0.
_ALONG = (4, 2, 1)
_FACES = (0b00001111, 0b00110011, 0b01010101)


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A closed surface of triangles.

    Parameters
    ----------
    vertices
        (n, 3) float32, voxel index (z, y, x), fractional.
    faces
        (m, 3) int32, vertices of each triangle, counter-clockwise where it is seen from outside of the patient.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]

    def volume(self, geometry: Geometry) -> float:
        """Return the volume that it encloses, mm³, exact for oblique and sheared grids."""
        a, b, c = self._corners(geometry)
        return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)

    def area(self, geometry: Geometry) -> float:
        """Return its area, mm²."""
        a, b, c = self._corners(geometry)
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    def _corners(self, geometry: Geometry) -> tuple[NDArray[np.float64], ...]:
        """Return the corners of all triangles, each (m, 3), patient (x, y, z), mm, from their middle."""
        if not len(self.faces):
            return (np.empty((0, 3)),) * 3
        middle = self.vertices.mean(0, dtype=np.float64)
        points = (self.vertices - middle) @ geometry.matrix[:3, :3].T
        return points[self.faces[:, 0]], points[self.faces[:, 1]], points[self.faces[:, 2]]


EMPTY = Surface(np.empty((0, 3), np.float32), np.empty((0, 3), np.int32))


def normals(surface: Surface, geometry: Geometry) -> NDArray[np.float32]:
    """Return where the surface faces at each vertex, (n, 3) unit vectors (x, y, z), LPS."""
    points = surface.vertices @ geometry.matrix[:3, :3].T.astype(np.float32)
    first, second, third = (points[corner] for corner in surface.faces.T)
    facing = np.cross(second - first, third - first)
    total = np.stack(
        [sum(np.bincount(corner, facing[:, axis], len(points)) for corner in surface.faces.T) for axis in range(3)],
        axis=1,
    )
    lengths = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def surface_of(
    mask: BoxMask, geometry: Geometry, *, most: int | None = None, cancel: CancelToken = NEVER, rounds: int = ROUNDS
) -> Surface:
    """Return the smooth surface of a mask, closed where the mask ends at the border of the volume.

    Parameters
    ----------
    mask
        Voxels of one segment, on the grid of ``geometry``.
    geometry
        Tells which way is out, and along which axes voxels are small.
    most
        Vertices that it has at most, about; where it would have more, voxels are joined to larger ones. None for any.
    cancel
        Looked at between steps.
    rounds
        How often vertices relax; 0 leaves the steps of the voxels.
    """
    if not mask.box.size:
        return EMPTY
    inside, steps = _padded(mask.mask), np.ones(3, int)
    net = _Net(inside)
    if most is not None and net.count > most:
        steps = steps_for(net.count, most, geometry)
        inside = _padded(joined(mask.mask, steps))
        net = _Net(inside)
    cancel.check()
    places = net.vertices(rounds, cancel)
    vertices = (places - 0.5) * steps + (np.array(steps) - 1) / 2 + mask.box.start
    faces = net.faces()
    return Surface(vertices.astype(np.float32), faces if geometry.handedness > 0 else faces[:, ::-1])


def vertex_count(mask: BoxMask) -> int:
    """Return how many vertices the surface of a mask has where no voxels are joined, a tenth of the work."""
    return _Net(_padded(mask.mask)).count if mask.box.size else 0


def steps_for(count: int, most: int, geometry: Geometry) -> NDArray[Any]:
    """Return how many voxels to join along (z, y, x) so that a surface of ``count`` vertices has ``most``, about."""
    steps = np.ones(3, int)
    while count > most:
        steps[np.argmin(steps * geometry.spacing)] *= 2
        count = int(count / 2 ** (2 / 3))
    return steps


def joined(mask: NDArray[np.bool_], steps: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a mask (z, y, x) of voxels that are ``steps`` times as large; at least half of each is in the mask."""
    sizes = [-(-n // s) * s for n, s in zip(mask.shape, steps, strict=True)]
    whole = np.zeros(sizes, np.uint8)
    whole[tuple(slice(n) for n in mask.shape)] = mask
    total: NDArray[Any] = whole.astype(np.uint16) if np.prod(steps) > 255 else whole
    for axis, step in enumerate(steps):
        parts = (total[(slice(None),) * axis + (slice(i, None, step),)] for i in range(step))
        total = sum(parts, start=np.zeros(1, total.dtype))
    return total * 2 >= np.prod(steps)


def _padded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask with a rim of outside, whose rows are whole bytes of bits."""
    z, y, x = mask.shape
    padded = np.zeros((z + 2, y + 2, -(-(x + 2) // 8) * 8), bool)
    padded[1 : z + 1, 1 : y + 1, 1 : x + 1] = mask
    return padded


class _Net:
    """The cells between eight voxels of which some are inside of a mask, some outside; each holds one vertex.

    Cells are numbered in the order of (z, y, x); a cell is where its corner with the smallest index is.

    Parameters
    ----------
    inside
        The mask (z, y, x), outside at its rim; its rows are multiples of 8 long.
    """

    def __init__(self, inside: NDArray[np.bool_]) -> None:
        self._inside = inside
        bits = _mixed(np.packbits(inside, axis=2, bitorder="little"))
        self._row, self._plane = bits.shape[2] * 8, bits.shape[1] * bits.shape[2] * 8
        self._bits = bits.reshape(-1)
        ends = np.cumsum(np.bitwise_count(self._bits), dtype=np.int32)
        self.count = int(ends[-1])
        self._before = ends - np.bitwise_count(self._bits)
        filled = np.flatnonzero(self._bits)
        which, bit = np.nonzero(np.unpackbits(self._bits[filled, None], axis=1, bitorder="little"))
        self._at = filled[which] * 8 + bit  # place of each cell's bit

    def vertices(self, rounds: int, cancel: CancelToken) -> NDArray[np.float32]:
        """Return the vertices, (n, 3) in voxels (z, y, x), half a voxel less than from the mask's first."""
        corner = self._places()
        self._patterns = self._read_patterns(corner)
        within = _OFFSETS[self._patterns]
        if rounds and self.count:
            mean = self._mean()
            corner32 = corner.astype(np.float32)
            points = corner32 + within
            for _ in range(rounds):
                cancel.check()
                for amount in (FORTH, BACK):
                    points += np.float32(amount) * (mean @ points - points)
                    points = corner32 + np.clip(points - corner32, -0.5, 0.5)
            return points
        return corner.astype(np.float32) + within

    def faces(self) -> NDArray[np.int32]:
        """Return triangles (m, 3), two for each pair of neighbouring voxels of which one is inside."""
        found = [self._faces_across(axis) for axis in range(3)]
        return np.concatenate(found).astype(np.int32)

    def _faces_across(self, axis: int) -> NDArray[np.int64]:
        first = self._patterns & 1
        crossed = np.flatnonzero(first != (self._patterns >> _ALONG[axis] & 1))
        strides = (self._plane, self._row, 1)
        b, c = strides[(axis + 1) % 3], strides[(axis + 2) % 3]
        at = self._at[crossed]
        around: list[NDArray[np.int64]] = [
            crossed,
            self._number(at - b),
            self._number(at - b - c),
            self._number(at - c),
        ]
        quads: NDArray[np.int64] = np.stack(around, axis=1)
        outward = first[crossed].astype(bool)[:, None]
        quads = np.where(outward, quads, quads[:, ::-1])
        return quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)

    def _places(self) -> NDArray[np.int64]:
        """Return the index (z, y, x) of each cell, (n, 3)."""
        z, rest = np.divmod(self._at, self._plane)
        y, x = np.divmod(rest, self._row)
        return np.stack([z, y, x], axis=1)

    def _read_patterns(self, cells: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return which of the corners of each cell are inside, (n,) as bits."""
        strides = np.array([self._inside.shape[1] * self._inside.shape[2], self._inside.shape[2], 1])
        flat, first = self._inside.reshape(-1).view(np.uint8), cells @ strides
        patterns = np.zeros(len(cells), np.uint8)
        for bit, offset in enumerate(_CORNERS @ strides):
            patterns |= flat[first + offset] << np.uint8(bit)
        return patterns

    def _mean(self) -> sparse.csr_matrix:
        """Return the matrix that gives each vertex the middle of its neighbours, with a mixed face between."""
        neighbours = np.tile(np.arange(self.count, dtype=np.int32)[:, None], 6)
        there = np.zeros((self.count, 6), bool)
        for axis, stride in enumerate((self._plane, self._row, 1)):
            face = self._patterns & _FACES[axis]
            here = np.flatnonzero((face != 0) & (face != _FACES[axis]))
            other = self._number(self._at[here] - stride)
            neighbours[here, 2 * axis], there[here, 2 * axis] = other, True
            neighbours[other, 2 * axis + 1], there[other, 2 * axis + 1] = here, True
        weights = there / there.sum(1, dtype=np.float32, keepdims=True)
        starts = np.arange(0, 6 * self.count + 1, 6, dtype=np.int32)
        shape = (self.count, self.count)
        return sparse.csr_matrix((weights.astype(np.float32).reshape(-1), neighbours.reshape(-1), starts), shape)

    def _number(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of cells, given the places of their bits."""
        byte = at >> 3
        below = self._bits[byte] & ((1 << (at & 7)) - 1).astype(np.uint8)
        return np.asarray(self._before[byte] + np.bitwise_count(below), np.int64)


def _mixed(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return which cells have corners inside and outside, as bits, of the bits of the voxels."""
    some, every = packed[:-1] | packed[1:], packed[:-1] & packed[1:]
    some, every = some[:, :-1] | some[:, 1:], every[:, :-1] & every[:, 1:]
    return (some | _next(some)) & ~(every & _next(every))


def _next(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return for each bit the one behind it along x."""
    shifted = bits >> np.uint8(1)
    shifted[..., :-1] |= bits[..., 1:] << np.uint8(7)
    return shifted


def _offsets() -> NDArray[np.float32]:
    """Return where the vertex of each pattern lies from the middle of its cell, (256, 3): amid the crossed edges."""
    edges = [(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1]
    table = np.zeros((256, 3), np.float32)
    for pattern in range(1, 255):
        crossed = [e for e in edges if (pattern >> e[0] & 1) != (pattern >> e[1] & 1)]
        table[pattern] = np.mean([_CORNERS[list(e)].mean(0) for e in crossed], axis=0) - 0.5
    return table


_OFFSETS = _offsets()
