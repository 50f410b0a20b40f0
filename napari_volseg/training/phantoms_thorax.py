"""The torso's frame: body wall, skeleton, diaphragm, lungs, heart and great vessels.

Body coordinates (x, y, z) point to Left, Posterior and Superior, mm; z = 0 is the level of the diaphragm's centre.
Intensities are HU of a contrast-enhanced CT in the portal-venous phase.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_volseg.training.phantoms_shapes import (
    Field,
    Path,
    Points,
    Scene,
    Solid,
    Tissue,
    beside,
    capsule,
    curve,
    ellipsoid,
    region,
    rods,
)

RIGHT_LUNG, LEFT_LUNG, HEART, LIVER, SPLEEN, RIGHT_KIDNEY, LEFT_KIDNEY, AORTA, STOMACH, BONE = range(1, 11)
LIVER_LESION, LUNG_NODULE = 11, 12

#: Where the anatomy may lie at all, (x, y, z), mm.
FAR = np.array([260.0, 200.0, 330.0])


class Chance:
    """Random variation of an anatomy, always the same for one seed."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def near(self, point: ArrayLike, spread: float | ArrayLike = 4.0) -> NDArray[np.float64]:
        """Return ``point`` moved by up to ``spread`` along each coordinate."""
        middle = np.asarray(point, float)
        return middle + self.rng.uniform(-1, 1, middle.shape) * np.asarray(spread)

    def size(self, value: ArrayLike, share: float = 0.08) -> NDArray[np.float64]:
        """Return ``value`` times one factor of 1 ± ``share``."""
        return np.asarray(value, float) * self.rng.uniform(1 - share, 1 + share)

    def number(self, low: float, high: float) -> float:
        """Return a number between ``low`` and ``high``."""
        return float(self.rng.uniform(low, high))


@dataclass(frozen=True, slots=True)
class Tissues:
    """Materials that several parts share."""

    skin: Tissue
    fat: Tissue
    inner_fat: Tissue
    muscle: Tissue
    cortex: Tissue
    marrow: Tissue
    disc: Tissue
    blood: Tissue
    artery: Tissue
    gas: Tissue
    right_lung: Tissue
    left_lung: Tissue
    right_vessel: Tissue
    left_vessel: Tissue

    @classmethod
    def random(cls, chance: Chance) -> Tissues:
        """Return materials with a random strength of enhancement and lung inflation, HU."""
        vein = chance.number(125, 165)
        lung = chance.number(-880, -830)
        return cls(
            skin=Tissue((20.0,)),
            fat=Tissue((chance.number(-112, -98),), 5),
            inner_fat=Tissue((chance.number(-108, -95),), 7),
            muscle=Tissue((chance.number(52, 68),), 9),
            cortex=Tissue((chance.number(420, 620),), 25, BONE),
            marrow=Tissue((chance.number(150, 240),), 22, BONE),
            disc=Tissue((chance.number(75, 95),), 5, BONE),
            blood=Tissue((vein,), 3),
            artery=Tissue((vein + chance.number(0, 15),), 3, AORTA),
            gas=Tissue((-990.0,)),
            right_lung=Tissue((lung,), 16, RIGHT_LUNG),
            left_lung=Tissue((lung,), 16, LEFT_LUNG),
            right_vessel=Tissue((50.0,), 0, RIGHT_LUNG),
            left_vessel=Tissue((50.0,), 0, LEFT_LUNG),
        )


@dataclass(frozen=True, slots=True)
class Trunk:
    """Outline of one body.

    Parameters
    ----------
    width, depth
        Half axes of the chest's skin, mm.
    fat_side, fat_front
        Thickness of the subcutaneous fat, mm.
    domes
        Height of the right, middle and left diaphragm, mm.
    """

    width: float
    depth: float
    fat_side: float
    fat_front: float
    domes: tuple[float, float, float]

    @classmethod
    def random(cls, chance: Chance) -> Trunk:
        """Return an outline that varies like one between slim and stout."""
        fat = chance.number(9, 19)
        right = chance.number(22, 36)
        return cls(
            width=chance.number(152, 160) + 0.5 * fat,
            depth=chance.number(102, 108) + 0.5 * fat,
            fat_side=fat,
            fat_front=fat * chance.number(0.8, 1.2),
            domes=(right, right - chance.number(16, 22), right - chance.number(8, 16)),
        )

    def layer(self, side: float, front: float, back: float, taper: float = 0.0) -> Solid:
        """Return the space ``side``, ``front`` and ``back`` mm under the skin; ``taper`` 1 closes it to an apex."""
        middle, half = (front - back) / 2, self.depth - (front + back) / 2

        def distance(p: Points) -> Field:
            shape = _profile(p.z, taper)
            across = p.x / ((self.width - side) * shape)
            u, v = across * across, ((p.y - middle - 10 * taper * (1 - shape)) / (half * shape)) ** 2
            unit = np.sqrt(np.sqrt(u * u + v * v + np.float32(1.1) * u * v))
            return np.asarray((unit - 1) * min(half, self.width - side) * shape, np.float32)

        return region(distance, -FAR, FAR)

    def skin(self) -> Solid:
        """Return the whole body."""
        return self.layer(0, 0, 0)

    def cavity(self) -> Solid:
        """Return the space inside the ribs and the abdominal wall."""
        return self.layer(self.fat_side + 20, self.fat_front + 9, 30, taper=1)

    def rib_point(self, angle: float, z: float) -> tuple[float, float, float]:
        """Return the middle of the chest wall on the left at ``angle`` degrees (0 spine, 180 sternum)."""
        shape = float(_profile(np.array(z, np.float32), 1.0))
        front, back = self.fat_front + 5, 23
        half, middle = self.depth - (front + back) / 2, (front - back) / 2 + 10 * (1 - shape)
        sin, cos = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        stretch = (sin**4 + cos**4 + 1.1 * sin**2 * cos**2) ** -0.25
        x = (self.width - self.fat_side - 13) * shape * stretch * sin
        return float(x), float(middle + half * shape * stretch * cos), z

    def above_diaphragm(self, gap: float = 0.0) -> Solid:
        """Return the half space ``gap`` mm above the diaphragm."""
        return region(lambda p: _dome(p, self.domes) + np.float32(gap), -FAR, FAR)

    def below_diaphragm(self, gap: float = 0.0) -> Solid:
        """Return the half space ``gap`` mm below the diaphragm."""
        return region(lambda p: np.float32(gap) - _dome(p, self.domes), -FAR, FAR)


def _profile(z: Field, taper: float) -> Field:
    """Return the body's relative width at height ``z``: a slight waist, and an apex where ``taper`` is 1."""
    waist = 1 - 0.05 * np.clip((20 - z) / 110, 0, 1) ** 2
    rise = np.clip(z - 15, 0, 195) / 200
    return np.asarray(waist * (1 - taper * (1 - np.sqrt(1 - rise * rise))), np.float32)


def _dome(p: Points, heights: tuple[float, float, float]) -> Field:
    """Return how far a point lies under the diaphragm, mm (negative above)."""
    centers = ((-72, -2, 82, 92), (0, -25, 110, 100), (76, 4, 82, 92))
    behind = 0.55 * np.maximum(p.y - 15, 0)
    domes = [
        height - 75 * ((p.x - cx) / rx) ** 2 - 60 * ((p.y - cy) / ry) ** 2
        for height, (cx, cy, rx, ry) in zip(heights, centers, strict=True)
    ]
    top = np.logaddexp(np.logaddexp(domes[0] / 6, domes[1] / 6), domes[2] / 6) * 6
    return np.asarray((top - behind - p.z) * 0.75, np.float32)


def paint_wall(scene: Scene, trunk: Trunk, mat: Tissues) -> None:
    """Paint skin, subcutaneous fat, muscles and the fat of the cavity."""
    scene.paint(trunk.skin(), mat.skin)
    scene.paint(trunk.layer(2, 2, 2), mat.fat)
    scene.paint(trunk.layer(trunk.fat_side, trunk.fat_front, 9, taper=0.1), mat.muscle)
    scene.paint(trunk.cavity(), mat.inner_fat)
    shell = trunk.below_diaphragm(-1.2).meet(trunk.above_diaphragm(-1.2)).meet(trunk.cavity())
    scene.paint(shell, mat.muscle)
    for side in (-1, 1):
        psoas = [(side * 27, 50, -40), (side * 36, 50, -90), (side * 48, 38, -170), (side * 56, 20, -230)]
        scene.paint(rods(curve(psoas, 10), np.linspace(8, 21, 10)), mat.muscle)
        erector = [(side * x, trunk.depth - 29, z) for x, z in ((38, 260), (38, 60), (42, -260))]
        scene.paint(rods(erector, 19), mat.muscle, over=(mat.fat, mat.inner_fat))
    scene.paint(capsule((0, trunk.depth - 12, 260), (0, trunk.depth - 12, -260), (3, 3)), mat.fat, over=(mat.muscle,))


def paint_skeleton(scene: Scene, trunk: Trunk, mat: Tissues, chance: Chance) -> None:
    """Paint vertebrae, discs, the canal, ribs, their cartilage and the sternum."""
    top, gap = chance.number(150, 175), chance.number(25, 28)
    for level in range(15):
        z = top - gap * level * (1 + 0.012 * level)
        _paint_vertebra(scene, mat, z, gap * (1.012 + 0.024 * level), 0.85 + 0.022 * level)
    cord, fluid = Tissue((38.0,)), Tissue((14.0,))
    scene.paint(rods([(0, 83, 260), (0, 83, -260)], 8.5), fluid)
    scene.paint(rods([(0, 83, 260), (0, 83, -20)], 5), cord)
    for rib in range(10):
        _paint_rib(scene, trunk, mat, top + 6 - gap * rib * (1 + 0.012 * rib), last=_RIB_ENDS[rib])
    plate = region(lambda p: np.asarray(np.abs(p.x) - 17, np.float32), (-20, -FAR[1], 5), (20, 0, 150))
    depth = trunk.layer(20, trunk.fat_front, 30, 1).cut(trunk.layer(20, trunk.fat_front + 9, 30, 1))
    height = region(lambda p: np.asarray(np.abs(p.z - 75) - 66, np.float32), -FAR, FAR)
    sternum = plate.meet(depth, 3).meet(height, 4)
    scene.paint(sternum, mat.cortex)
    scene.paint(sternum.grow(-2), mat.marrow)


#: Angle at which the bone of ribs 3 to 12 ends, degrees from the spine.
_RIB_ENDS = (138, 142, 144, 143, 140, 134, 126, 114, 92, 62)


def _paint_vertebra(scene: Scene, mat: Tissues, z: float, height: float, scale: float) -> None:
    """Paint one vertebra with the disc under it; ``height`` is the distance to the next one, mm."""
    wide, deep = 21 * scale, 16 * scale
    body = _rounded_cylinder((0, 60, z), (wide, deep), 0.385 * height, waist=1.5)
    scene.paint(_rounded_cylinder((0, 60, z - height / 2), (wide, deep), 0.15 * height, waist=0), mat.disc)
    scene.paint(body, mat.cortex)
    scene.paint(body.grow(-1.7), mat.marrow)
    arch = []
    for side in (-1, 1):
        arch += rods([(side * 11, 70, z + 3), (side * 13, 84, z + 2), (0, 97, z - 3)], 4.2, height=1.7)
        arch += [capsule((side * 13, 84, z + 2), (side * 34 * scale, 90, z + 3), (4.5, 4))]
    arch += [capsule((0, 95, z - 4), (0, 102, z - 16 + 4 * scale), (4, 3.2), height=1.6)]
    scene.paint(arch, mat.cortex)
    scene.paint([part.grow(-2) for part in arch], mat.marrow)


def _rounded_cylinder(
    center: tuple[float, float, float], radii: tuple[float, float], half: float, waist: float
) -> Solid:
    x0, y0, z0 = center
    a, b = radii

    def distance(p: Points) -> Field:
        z = np.abs(p.z - z0)
        side = (np.sqrt(((p.x - x0) / a) ** 2 + ((p.y - y0) / b) ** 2) - 1) * b + waist * (1 - z / half)
        edge = np.maximum(side + 3, 0) ** 2 + np.maximum(z - half + 3, 0) ** 2
        return np.asarray(np.minimum(np.maximum(side, z - half) + 3, 0) + np.sqrt(edge) - 3, np.float32)

    reach = np.array([a, b, half])
    return region(distance, np.asarray(center) - reach, np.asarray(center) + reach)


def _paint_rib(scene: Scene, trunk: Trunk, mat: Tissues, z: float, last: float) -> None:
    for side in (-1, 1):
        path = [(side * 19.0, 66.0, z + 4), (side * 34.0, 86.0, z)]
        for angle in np.linspace(26, last, 14):
            path.append(trunk.rib_point(angle, z - 62 * (angle - 20) / 110))
        path[2:] = [(side * x, y, h) for x, y, h in path[2:]]
        scene.paint(rods(path, 4.6, height=1.5), mat.cortex)
        scene.paint(rods(path, 2.8, height=1.6), mat.marrow)
        if last > 112:
            _paint_cartilage(scene, trunk, path[-1], side)


def _paint_cartilage(scene: Scene, trunk: Trunk, tip: tuple[float, float, float], side: int) -> None:
    front = trunk.rib_point(170, max(tip[2] + 12, 15))
    middle = trunk.rib_point(155, max(tip[2] + 2, 5))
    path = curve([tip, (side * middle[0], middle[1], middle[2]), (side * front[0], front[1], front[2])], 8)
    scene.paint(rods(path, 4.0, height=1.4), Tissue((105.0,), 12))


def paint_chest(scene: Scene, trunk: Trunk, mat: Tissues, chance: Chance) -> tuple[Solid, Solid]:
    """Paint lungs, heart, airways and the vessels between them; return the right and the left lung."""
    heart_at = chance.near((26, -30, trunk.domes[1] + 44), (5, 4, 3))
    heart = ellipsoid(heart_at, chance.size((56, 41, 45)), (0, 32, -28)).meet(trunk.above_diaphragm(1), 10)
    right, left = (_lung(trunk, side, heart) for side in (-1, 1))
    scene.paint(right, mat.right_lung)
    scene.paint(left, mat.left_lung)
    _paint_lung_vessels(scene, mat.right_lung, mat.right_vessel, right, np.array([-32, 10, 78]), chance)
    _paint_lung_vessels(scene, mat.left_lung, mat.left_vessel, left, np.array([36, 14, 82]), chance)
    _paint_nodule(scene, mat, (right, left), chance)
    _paint_mediastinum(scene, mat)
    _paint_heart(scene, mat, heart, heart_at, chance)
    _paint_great_vessels(scene, mat, heart_at, chance)
    return right, left


def _lung(trunk: Trunk, side: int, heart: Solid) -> Solid:
    """Return the lung of one side (-1 right, +1 left), moulded by chest wall, diaphragm, mediastinum and heart."""

    def medial(p: Points) -> Field:
        root = 10 + 15 * np.exp(-(((p.z - 92) / 36) ** 2))
        middle = 7 + root * np.exp(-(((p.y - 2) / 42) ** 2)) + 17 * np.exp(-(((p.y - 68) / 26) ** 2))
        return np.asarray(middle - side * p.x, np.float32)

    low, high = np.array([0, -130, -110]), np.array([180, 110, 220])
    if side < 0:
        low, high = np.array([-180, -130, -110]), np.array([0, 110, 220])
    inner = trunk.layer(trunk.fat_side + 21, trunk.fat_front + 10, 31, taper=1)
    lung = region(medial, low, high).meet(inner, 14).meet(trunk.above_diaphragm(2.0), 7)
    return lung.cut(heart.grow(4), 8)


def _paint_lung_vessels(
    scene: Scene, air: Tissue, blood: Tissue, lung: Solid, hilum: NDArray[np.float64], chance: Chance
) -> None:
    for lobe in _points_inside(lung, 16, chance, margin=12):
        branch = hilum + 0.6 * (lobe - hilum)
        trunk = curve([hilum, chance.near(hilum + 0.3 * (lobe - hilum), 5), branch], 6)
        scene.paint(rods(trunk, np.linspace(5.0, 2.8, 6)), blood, over=(air,))
        for _ in range(6):
            twig = branch + (lobe - branch) * chance.number(0.3, 1.2) + chance.rng.normal(0, 20, 3)
            bend = curve([branch, chance.near((branch + twig) / 2, 5), twig], 5)
            scene.paint(rods(bend, np.linspace(2.5, 1.4, 5)), blood, over=(air,))
            for _ in range(4):
                end = twig + chance.rng.normal(0, 18, 3)
                scene.paint(rods(curve([bend[3], twig, end], 4), np.linspace(1.7, 0.7, 4)), blood, over=(air,))


def _points_inside(solid: Solid, count: int, chance: Chance, margin: float) -> NDArray[np.float64]:
    """Return random points (count, 3) at least ``margin`` mm inside a shape, body frame."""
    tries = chance.rng.uniform(solid.low, solid.high, size=(6000, 3)).astype(np.float32)
    depth = np.zeros(len(tries), np.float32)
    inside = solid.distance(Points(tries[:, 0], tries[:, 1], tries[:, 2], depth)) < -margin
    return np.asarray(tries[inside][:count], float)


def _paint_nodule(scene: Scene, mat: Tissues, lungs: tuple[Solid, Solid], chance: Chance) -> None:
    lung = lungs[int(chance.rng.integers(2))]
    lower = lung.meet(region(lambda p: p.z - 95, -FAR, FAR))
    center = _points_inside(lower, 1, chance, margin=12)[0]
    nodule = Tissue((chance.number(20, 60),), 5, LUNG_NODULE)
    radius = 4.5 / np.cbrt(np.linalg.det(scene.pose[:3, :3]))
    shape = ellipsoid(center, [radius] * 3).join(ellipsoid(chance.near(center, 1.2), [0.8 * radius] * 3), 1.0)
    scene.paint(shape, nodule, over=(mat.right_lung, mat.left_lung, mat.right_vessel, mat.left_vessel))


def _paint_mediastinum(scene: Scene, mat: Tissues) -> None:
    wall = Tissue((45.0,))
    airway = [
        rods([(0, 14, 260), (2, 20, 112)], 9),
        rods(curve([(2, 20, 112), (-16, 19, 98), (-36, 14, 84)], 5), np.linspace(8, 6, 5)),
        rods(curve([(2, 20, 112), (20, 20, 95), (42, 20, 86)], 5), np.linspace(7.5, 5.5, 5)),
    ]
    gullet = rods(curve([(4, 36, 260), (5, 38, 110), (8, 36, 30), (30, 12, 2)], 12), 6.5)
    scene.paint(gullet, wall)
    for part in airway:
        scene.paint([rod.grow(1.5) for rod in part], wall)
    for part in airway:
        scene.paint(part, mat.gas)


def _paint_heart(scene: Scene, mat: Tissues, heart: Solid, center: NDArray[np.float64], chance: Chance) -> None:
    muscle = Tissue((chance.number(95, 115),), 5, HEART)
    chamber = Tissue((mat.blood.values[0] + 5,), 3, HEART)
    scene.paint(heart, muscle)
    left = ellipsoid(beside(center, 20, 2, -3), (27, 18, 20), (0, 32, -28))
    right = ellipsoid(beside(center, -14, -16, -4), (30, 17, 25), (0, 25, -15))
    atrium = ellipsoid(beside(center, -4, 26, 16), (30, 15, 18))
    right_atrium = ellipsoid(beside(center, -36, 6, 6), (16, 20, 26))
    inside = heart.grow(-3.5)
    for room in (left, right, atrium, right_atrium):
        scene.paint(room.meet(inside, 3), chamber)


def _paint_great_vessels(scene: Scene, mat: Tissues, heart: NDArray[np.float64], chance: Chance) -> None:
    wide = chance.number(11.5, 14)
    root = beside(heart, -8, 4, 30)
    arch_top = chance.number(118, 130)
    path: Path = [root, (-14, -18, 92), (-8, -12, arch_top - 6), (8, 12, arch_top), (24, 38, arch_top - 14)]
    path = [*path, (27, 48, 80), (22, 42, 10), (14, 32, -40), (10, 30, -110), (8, 32, -180), (8, 32, -240)]
    radii = np.concatenate([np.linspace(15, wide, 16), np.linspace(wide, 9, 34)])
    scene.paint(rods(curve(path, 50), radii), mat.artery)
    cava: Path = [(-20, 34, -240), (-22, 30, -110), (-24, 18, -30), (-20, 2, 12), beside(heart, -34, 6, 4)]
    upper: Path = [beside(heart, -36, 6, 20), (-28, -6, 95), (-26, -4, 260)]
    scene.paint(
        rods(curve(cava, 24), chance.number(10, 13)), mat.blood, over=(mat.inner_fat, mat.muscle, mat.right_lung)
    )
    scene.paint(rods(curve(upper, 12), 9), mat.blood, over=(mat.inner_fat, mat.right_lung))
    pulmonary = [
        rods(curve([beside(heart, 4, -14, 30), (14, -12, 88), (4, 8, 92), (-36, 10, 80)], 16), 10),
        rods(curve([(14, -12, 88), (26, 8, 92), (40, 18, 84)], 8), 9),
    ]
    for branch in pulmonary:
        scene.paint(branch, mat.blood, over=(mat.inner_fat, mat.right_lung, mat.left_lung))
