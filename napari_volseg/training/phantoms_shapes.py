"""Continuous shapes in body coordinates, and the scene that paints them onto any grid.

A shape is an approximate signed distance (mm, negative inside) with a bounding box, in a body frame whose axes
(x, y, z) point to Left, Posterior and Superior. A scene bends that frame smoothly, places it in the scanner and
samples it: the anatomy does not depend on the grid.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from napari_volseg.core import Geometry

Field = NDArray[np.float32]
Vector = NDArray[np.float64]
#: Points (x, y, z), mm: an array (n, 3) or a list that mixes arrays and tuples.
Path = Vector | Sequence[Vector | tuple[float, float, float]]

#: Samples that are evaluated at once; bounds the memory of a large grid.
_SLAB_SAMPLES = 3_000_000


class Points(NamedTuple):
    """Coordinates of samples, mm; arrays of one shape.

    ``x``, ``y``, ``z`` are in the body frame. ``depth`` is the scanner's y (downwards for a supine patient), which
    is where gravity settles fluids.
    """

    x: Field
    y: Field
    z: Field
    depth: Field


Distance = Callable[[Points], Field]


@dataclass(frozen=True, slots=True)
class Solid:
    """A shape.

    Parameters
    ----------
    distance
        Approximate signed distance to the surface, mm, negative inside.
    low, high
        Bounding box in the body frame (x, y, z), mm.
    """

    distance: Distance
    low: Vector
    high: Vector

    def join(self, other: Solid, blend: float = 0.0) -> Solid:
        """Return the union, its seam rounded over ``blend`` mm."""
        low, high = np.minimum(self.low, other.low) - blend, np.maximum(self.high, other.high) + blend
        return Solid(lambda p: -_smooth_max(-self.distance(p), -other.distance(p), blend), low, high)

    def meet(self, other: Solid, blend: float = 0.0) -> Solid:
        """Return the intersection, its edge rounded over ``blend`` mm."""
        low, high = np.maximum(self.low, other.low), np.minimum(self.high, other.high)
        return Solid(lambda p: _smooth_max(self.distance(p), other.distance(p), blend), low, high)

    def cut(self, other: Solid, blend: float = 0.0) -> Solid:
        """Return this shape without ``other``, the new edge rounded over ``blend`` mm."""
        return replace(self, distance=lambda p: _smooth_max(self.distance(p), -other.distance(p), blend))

    def grow(self, margin: float) -> Solid:
        """Return the shape with its surface moved outwards by ``margin`` mm (inwards where negative)."""
        return Solid(lambda p: self.distance(p) - np.float32(margin), self.low - margin, self.high + margin)


def _smooth_max(a: Field, b: Field, blend: float) -> Field:
    """Return the larger value, rounded by a parabola where both differ by less than ``blend``."""
    if blend <= 0:
        return np.maximum(a, b)
    overlap = np.maximum(blend - np.abs(a - b), 0) / blend
    return np.asarray(np.maximum(a, b) + overlap * overlap * (blend / 4), np.float32)


def region(distance: Distance, low: ArrayLike, high: ArrayLike) -> Solid:
    """Return the shape of any distance function, looked at only between ``low`` and ``high`` (x, y, z), mm."""
    return Solid(distance, np.asarray(low, float), np.asarray(high, float))


def ellipsoid(center: ArrayLike, radii: ArrayLike, turn: Sequence[float] = (0, 0, 0)) -> Solid:
    """Return an ellipsoid.

    ``center`` and ``radii`` are (x, y, z), mm; ``turn`` are degrees about x, y and z, in that order.
    """
    middle, size = np.asarray(center, float), np.asarray(radii, float)
    axes = Rotation.from_euler("xyz", turn, degrees=True).as_matrix().T
    rows = (axes / size[:, None]).astype(np.float32)
    reach = np.sqrt(((axes.T * size) ** 2).sum(axis=1))

    def distance(p: Points) -> Field:
        x, y, z = (np.float32(-middle[0]) + p.x, np.float32(-middle[1]) + p.y, np.float32(-middle[2]) + p.z)
        parts = [row[0] * x + row[1] * y + row[2] * z for row in rows]
        unit = np.sqrt(sum((q * q for q in parts), np.float32(1e-6)))
        slope = np.sqrt(sum(((q / np.float32(r)) ** 2 for q, r in zip(parts, size, strict=True)), np.float32(1e-9)))
        return np.asarray(unit * (unit - 1) / slope, np.float32)

    return Solid(distance, middle - reach, middle + reach)


def capsule(start: ArrayLike, stop: ArrayLike, radii: tuple[float, float], height: float = 1.0) -> Solid:
    """Return a round-ended rod from ``start`` to ``stop`` (x, y, z), mm.

    ``radii`` are those of its two ends, mm; ``height`` stretches its section along z.
    """
    a, b = np.asarray(start, float), np.asarray(stop, float)
    squeeze = np.array([1, 1, 1 / height])
    origin, along = (a * squeeze).astype(np.float32), ((b - a) * squeeze).astype(np.float32)
    length2 = np.float32(max(float(along @ along), 1e-6))
    first, change = np.float32(radii[0]), np.float32(radii[1] - radii[0])

    def distance(p: Points) -> Field:
        x, y, z = p.x - origin[0], p.y - origin[1], p.z * np.float32(squeeze[2]) - origin[2]
        t = np.clip((x * along[0] + y * along[1] + z * along[2]) / length2, 0, 1)
        away = (x - t * along[0]) ** 2 + (y - t * along[1]) ** 2 + (z - t * along[2]) ** 2
        return np.asarray(np.sqrt(away) - first - t * change, np.float32)

    reach = max(radii) * np.array([1, 1, height])
    return Solid(distance, np.minimum(a, b) - reach, np.maximum(a, b) + reach)


def rods(path: Path, radii: ArrayLike, height: float = 1.0) -> list[Solid]:
    """Return the capsules of a polyline ``path`` (n, 3) in (x, y, z), mm, with ``radii`` (n,) or one radius, mm."""
    points = np.asarray(path, float)
    sizes = np.broadcast_to(np.asarray(radii, float), len(points))
    return [
        capsule(points[i], points[i + 1], (float(sizes[i]), float(sizes[i + 1])), height)
        for i in range(len(points) - 1)
    ]


def joined(parts: Iterable[Solid], blend: float = 0.0) -> Solid:
    """Return the union of several shapes with rounded seams."""
    return reduce(lambda whole, part: whole.join(part, blend), parts)


def beside(points: Vector, x: float, y: float, z: float) -> Vector:
    """Return points (..., 3) moved by ``x``, ``y`` and ``z`` mm."""
    return points + np.array([x, y, z])


def curve(knots: Path, count: int) -> Vector:
    """Return ``count`` points of a smooth curve through ``knots`` (n, columns), evenly spaced in knot number."""
    from scipy.interpolate import CubicSpline

    values = np.asarray(knots, float)
    at = np.arange(len(values))
    return np.asarray(CubicSpline(at, values, axis=0, bc_type="natural")(np.linspace(0, at[-1], count)))


@dataclass(frozen=True, slots=True)
class Warp:
    """A smooth bend of the body frame: each coordinate gains a sum of long sine waves.

    Parameters
    ----------
    amplitude
        Of each wave, (3, n), mm, for x, y, z.
    wave
        Wave vectors (3, n, 3), radian/mm.
    phase
        (3, n), radian.
    """

    amplitude: Vector
    wave: Vector
    phase: Vector

    @classmethod
    def random(cls, rng: np.random.Generator, amplitude: float, lengths: tuple[float, float], waves: int = 2) -> Warp:
        """Return a random bend of at most ``amplitude`` mm per coordinate, of waves between two ``lengths``, mm."""
        directions = rng.normal(size=(3, waves, 3))
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        wave = directions * (2 * np.pi / rng.uniform(*lengths, size=(3, waves, 1)))
        share = rng.uniform(0.5, 1, size=(3, waves)) * amplitude / waves
        return cls(share, wave, rng.uniform(0, 2 * np.pi, size=(3, waves)))

    @property
    def reach(self) -> Vector:
        """Largest displacement of x, y and z, mm."""
        return np.asarray(self.amplitude.sum(axis=1))

    def __call__(self, place: NDArray[np.float64], grid: Sequence[Field]) -> list[Field]:
        """Return bent body coordinates x, y, z of a grid.

        ``place`` is the 4×4 from sample index (z, y, x, 1) to the straight body frame, mm; ``grid`` holds the three
        open index arrays.
        """
        bent = []
        for axis in range(3):
            total = _affine(place[axis], grid)
            for size, wave, phase in zip(self.amplitude[axis], self.wave[axis], self.phase[axis], strict=True):
                row = wave @ place[:3]
                row[3] += phase
                total += np.float32(size) * np.sin(_affine(row, grid))
            bent.append(total)
        return bent


def _affine(row: NDArray[np.float64], grid: Sequence[Field]) -> Field:
    """Return one row of an affine map over open index arrays, as a full array."""
    parts = [np.float32(row[i]) * grid[i] for i in range(3)]
    return np.asarray(parts[0] + np.float32(row[3]) + parts[1] + parts[2], np.float32)


@dataclass(frozen=True, slots=True)
class Tissue:
    """What a shape is made of.

    Parameters
    ----------
    values
        Mean intensity in each image that is made of the scene (HU for CT).
    texture
        Standard deviation of its slow inhomogeneity, in the same unit.
    label
        Truth label, 0 for none.
    """

    values: tuple[float, ...]
    texture: float = 0.0
    label: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Stroke:
    """One painted shape: its tissue's number and, per number, whether it may cover it (None: everything)."""

    solid: Solid
    number: int
    covers: NDArray[np.bool_] | None

    def paint(self, tissue: NDArray[np.uint8], points: Points) -> None:
        inside = self.solid.distance(points) < 0
        if self.covers is not None:
            inside &= self.covers[tissue]
        tissue[inside] = self.number


@dataclass(slots=True)
class Scene:
    """Shapes in painting order; later ones cover earlier ones.

    Parameters
    ----------
    background
        What fills the space around all shapes.
    pose
        4×4, body frame → patient (x, y, z), mm, LPS.
    warp
        The bend of the body frame.
    """

    background: Tissue
    pose: NDArray[np.float64]
    warp: Warp
    tissues: list[Tissue] = field(init=False)
    _strokes: list[_Stroke] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.tissues = [self.background]

    def paint(self, solid: Solid | Iterable[Solid], tissue: Tissue, over: Collection[Tissue] = ()) -> None:
        """Add shapes of one tissue; where ``over`` is given they cover only those tissues."""
        number = self._number(tissue)
        allowed = None
        if over:
            allowed = np.zeros(256, np.bool_)
            allowed[[self._number(t) for t in over]] = True
        for part in [solid] if isinstance(solid, Solid) else solid:
            self._strokes.append(_Stroke(part, number, allowed))

    def _number(self, tissue: Tissue) -> int:
        for number, known in enumerate(self.tissues):
            if known is tissue:
                return number
        self.tissues.append(tissue)
        return len(self.tissues) - 1

    def depth_of(self, point: ArrayLike) -> float:
        """Return the scanner's y of a body point (x, y, z), mm."""
        return float(self.pose[1, :3] @ np.asarray(point, float) + self.pose[1, 3])

    def sample(self, geometry: Geometry) -> NDArray[np.uint8]:
        """Return the number of the tissue at each voxel centre of a grid (z, y, x)."""
        out = np.zeros(geometry.shape, np.uint8)
        thick = max(1, _SLAB_SAMPLES // (geometry.shape[1] * geometry.shape[2]))
        for start in range(0, geometry.shape[0], thick):
            self._sample_slab(geometry, out[start : start + thick], start)
        return out

    def _sample_slab(self, geometry: Geometry, out: NDArray[np.uint8], first: int) -> None:
        shift = np.eye(4)
        shift[0, 3] = first
        to_patient = geometry.matrix @ shift
        place = np.linalg.inv(self.pose) @ to_patient
        grid = np.ix_(*(np.arange(n, dtype=np.float32) for n in out.shape))
        x, y, z = self.warp(place, grid)
        points = Points(x, y, z, _affine(to_patient[1], grid))
        boxes = self._boxes(np.asarray(np.linalg.inv(place), np.float64), out.shape)
        for stroke, (start, stop) in zip(self._strokes, boxes, strict=True):
            if (start < stop).all():
                box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
                stroke.paint(out[box], Points(*(c[box] for c in points)))

    def _boxes(self, from_body: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Return the first index and one past the last (n, 2, 3) of what each stroke may touch in a grid."""
        low = np.array([stroke.solid.low for stroke in self._strokes]) - self.warp.reach
        high = np.array([stroke.solid.high for stroke in self._strokes]) + self.warp.reach
        middle = (low + high) / 2 @ from_body[:3, :3].T + from_body[:3, 3]
        reach = (high - low) / 2 @ np.abs(from_body[:3, :3]).T
        bounds = np.stack([np.floor(middle - reach), np.ceil(middle + reach) + 1], axis=1)
        return np.clip(bounds, 0, shape).astype(np.int64)
