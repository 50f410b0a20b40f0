"""The torso's abdomen: liver, spleen, kidneys, stomach, gut and their vessels.

Frame and intensities are those of ``phantoms_thorax``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_volseg.training.phantoms_shapes import (
    Scene,
    Solid,
    Tissue,
    beside,
    curve,
    ellipsoid,
    joined,
    region,
    rods,
)
from napari_volseg.training.phantoms_thorax import (
    FAR,
    LEFT_KIDNEY,
    LIVER,
    LIVER_LESION,
    RIGHT_KIDNEY,
    SPLEEN,
    STOMACH,
    Chance,
    Tissues,
    Trunk,
)


@dataclass(frozen=True, slots=True)
class _Organs:
    liver: Solid
    spleen: Solid
    stomach: Solid
    kidneys: tuple[Solid, Solid]


def paint_abdomen(scene: Scene, trunk: Trunk, mat: Tissues, chance: Chance) -> None:
    """Paint everything below the diaphragm."""
    organs = _mould(trunk, chance)
    _paint_gut(scene, mat, chance)
    _paint_stomach(scene, mat, organs.stomach, chance)
    _paint_pancreas(scene, mat, chance)
    for kidney, side, label in zip(organs.kidneys, (-1, 1), (RIGHT_KIDNEY, LEFT_KIDNEY), strict=True):
        _paint_kidney(scene, mat, kidney, side, label, chance)
    scene.paint(organs.spleen, Tissue((chance.number(108, 138),), 6, SPLEEN))
    _paint_liver(scene, mat, organs.liver, chance)


def _mould(trunk: Trunk, chance: Chance) -> _Organs:
    """Return the organs' shapes, each pressed into the room that its neighbours leave."""
    room = trunk.layer(trunk.fat_side + 22, trunk.fat_front + 11, 33, taper=1).meet(trunk.below_diaphragm(1.6), 10)
    kidneys = (_kidney(chance, -1), _kidney(chance, 1))
    stomach = _stomach(trunk, chance).meet(room, 10)
    liver = _liver(trunk, chance).meet(room, 10).cut(stomach.grow(3), 6).cut(kidneys[0].grow(5), 10)
    spleen_at = chance.near((101, 40, trunk.domes[2] - 48), 5)
    spleen = ellipsoid(spleen_at, chance.size((36, 50, 60), 0.1), (14, -12, 25))
    spleen = spleen.meet(room, 10).cut(stomach.grow(3), 8).cut(kidneys[1].grow(4), 8)
    return _Organs(liver, spleen, stomach, kidneys)


def _liver(trunk: Trunk, chance: Chance) -> Solid:
    top = trunk.domes[0]
    right = ellipsoid(chance.near((-76, 6, top - 72), 4), chance.size((72, 76, 82), 0.06), (0, 8, 0))
    left = ellipsoid(chance.near((0, -42, top - 48), (8, 4, 4)), chance.size((82, 36, 36), 0.08), (-10, 14, 0))
    below = ellipsoid(chance.near((-18, 34, top - 150), 5), (70, 62, 80), (0, 25, 0))
    return right.join(left, 28).cut(below, 25)


def _kidney(chance: Chance, side: int) -> Solid:
    center = chance.near((side * 64, 50, -82 if side > 0 else -94), (4, 3, 7))
    bean = ellipsoid(center, chance.size((27, 25, 54), 0.07), (-10, side * 10, side * 20))
    hilum = ellipsoid(beside(center, -side * 30, -12, 0), (17, 14, 17))
    return bean.cut(hilum, 10)


def _stomach(trunk: Trunk, chance: Chance) -> Solid:
    top = trunk.domes[2]
    knots = np.array(
        [(62, 16, top - 38), (70, -14, top - 62), (52, -44, top - 92), (8, -54, top - 108), (-28, -36, top - 96)]
    )
    sizes = np.array([32, 29, 25, 19, 13]) * chance.number(0.85, 1.1)
    path = curve(np.column_stack([chance.near(knots, 5), sizes]), 8)
    return joined((ellipsoid(row[:3], [row[3]] * 3) for row in path), blend=14)


def _paint_stomach(scene: Scene, mat: Tissues, stomach: Solid, chance: Chance) -> None:
    wall = Tissue((chance.number(70, 95),), 6, STOMACH)
    content = Tissue((chance.number(8, 35),), 14, STOMACH)
    air = Tissue((-985.0,), 0, STOMACH)
    scene.paint(stomach, wall)
    inside = stomach.grow(-4)
    scene.paint(inside, content)
    level = scene.depth_of((60, chance.number(-42, -30), -60))
    bubble = inside.grow(-0.5).meet(_above(level))
    scene.paint(bubble, air)


def _above(level: float) -> Solid:
    """Return the half space over a horizontal fluid level at the scanner's y ``level``, mm."""
    return region(lambda p: np.asarray(p.depth - np.float32(level), np.float32), -FAR, FAR)


def _paint_kidney(scene: Scene, mat: Tissues, kidney: Solid, side: int, label: int, chance: Chance) -> None:
    cortex = Tissue((mat.blood.values[0] + chance.number(25, 45),), 5, label)
    medulla = Tissue((mat.blood.values[0] + chance.number(-5, 20),), 5, label)
    scene.paint(kidney, cortex)
    center = (kidney.low + kidney.high) / 2
    core = kidney.grow(-6.5)
    for angle in np.linspace(-70, 70, 6):
        up, out = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        for y in (-9, 9):
            spot = beside(center, side * 10 * out, y, 34 * up)
            scene.paint(ellipsoid(spot, (9, 7.5, 8)).meet(core), medulla, over=(cortex,))
    sinus = ellipsoid(beside(center, -side * 9, -4, 0), (10, 7, 22)).meet(kidney.grow(-7))
    scene.paint(sinus, mat.inner_fat)
    vein = curve(
        [
            (-side * 4 + side * 20, 22, center[2] + 8),
            beside(center, -side * 22, -12, 4),
            beside(center, -side * 8, -2, 0),
        ],
        8,
    )
    scene.paint(rods(vein, 4.5), mat.blood, over=(mat.inner_fat,))


#: Where branches of the liver's veins roughly end, (x, y, z), mm.
_VEIN_ENDS = (
    (-110, 10, -40),
    (-95, -40, -30),
    (-100, 40, -50),
    (-85, -10, -95),
    (-40, -60, -30),
    (30, -50, -12),
    (-70, 30, -5),
)


def _paint_liver(scene: Scene, mat: Tissues, liver: Solid, chance: Chance) -> None:
    parenchyma = Tissue((chance.number(96, 118),), 5, LIVER)
    vein = Tissue((mat.blood.values[0] + chance.number(5, 20),), 3, LIVER)
    scene.paint(liver, parenchyma)
    hilum = np.array([-30.0, 0, -32])
    cava = np.array([-24.0, 18, 0])
    for spot in _VEIN_ENDS:
        end = chance.near(spot, 10)
        for start, radius in ((hilum, 5.5), (cava, 4.8)):
            _paint_vein(scene, parenchyma, vein, (start, end + chance.near((0, 0, 0), 14)), radius, chance)
    portal = rods(curve([(20, 0, -62), (-10, 2, -48), hilum], 8), 6.5)
    scene.paint(portal, mat.blood, over=(mat.inner_fat,))
    scene.paint(portal, vein, over=(parenchyma,))
    scene.paint(
        ellipsoid(chance.near((-48, -48, -78), 4), (13, 17, 25), (25, 0, 10)), Tissue((chance.number(4, 16),), 3)
    )
    _paint_lesion(scene, liver, parenchyma, vein, chance)


def _paint_vein(
    scene: Scene,
    parenchyma: Tissue,
    vein: Tissue,
    ends: tuple[NDArray[np.float64], NDArray[np.float64]],
    radius: float,
    chance: Chance,
) -> None:
    start, end = ends
    path = curve([start, chance.near((start + end) / 2, 8), end], 8)
    parts = rods(path, np.linspace(radius, 1.0, 8))
    for _ in range(3):
        fork = path[int(chance.rng.integers(3, 7))]
        parts += rods(curve([fork, fork + chance.rng.normal(0, 10, 3), fork + chance.rng.normal(0, 22, 3)], 5), 1.4)
    scene.paint(parts, vein, over=(parenchyma,))


def _paint_lesion(scene: Scene, liver: Solid, parenchyma: Tissue, vein: Tissue, chance: Chance) -> None:
    center = chance.near((-92, 4, -45), (16, 22, 24))
    radius = chance.number(11, 16)
    lobes = [
        ellipsoid(chance.near(center, radius * 0.35), chance.size((radius, radius, radius), 0.2)) for _ in range(3)
    ]
    mass = joined(lobes, 6).meet(liver.grow(-2))
    rim = Tissue((chance.number(70, 82),), 5, LIVER_LESION)
    core = Tissue((chance.number(38, 58),), 7, LIVER_LESION)
    scene.paint(mass, rim, over=(parenchyma, vein))
    scene.paint(mass.grow(-3), core, over=(rim,))


def _paint_pancreas(scene: Scene, mat: Tissues, chance: Chance) -> None:
    gland = Tissue((chance.number(85, 105),), 16)
    path = curve(chance.near([(-22, -8, -84), (-12, -14, -66), (20, -12, -56), (58, 16, -48), (82, 34, -42)], 3), 12)
    scene.paint(rods(path, np.linspace(13, 8, 12)), gland, over=(mat.inner_fat,))
    splenic = beside(path, 0, 9, 1)
    scene.paint(rods(splenic, 3.8), mat.blood, over=(mat.inner_fat, gland))
    scene.paint(rods([(4, -4, -58), (2, -12, -200)], 5), mat.blood, over=(mat.inner_fat, gland))
    scene.paint(rods([(12, 20, -60), (14, -2, -80), (12, -8, -200)], 3.4), mat.blood, over=(mat.inner_fat, gland))


def _paint_gut(scene: Scene, mat: Tissues, chance: Chance) -> None:
    """Paint colon and small bowel; each loop lies only where still nothing but fat is."""
    stool = Tissue((chance.number(-60, 10),), 90)
    fluid = Tissue((chance.number(15, 45),), 16)
    wall = Tissue((chance.number(72, 92),), 8)
    frames = [
        [(-104, 8, -260), (-106, 14, -180), (-98, 6, -128)],
        [(-98, 6, -128), (-60, -62, -122), (10, -70, -132), (72, -50, -100), (108, 20, -82)],
        [(108, 20, -82), (116, 28, -140), (112, 22, -260)],
    ]
    for knots in frames:
        path = curve(chance.near(knots, 5), 16)
        sizes = 17 + 4 * np.sin(np.arange(16) * 1.9) + chance.number(-2, 3)
        _paint_loop(scene, mat, path, sizes, wall, stool, gas=chance.number(-0.2, 0.6))
    for _ in range(40):
        start = np.array([chance.number(-85, 90), chance.number(-70, 22), chance.number(-215, -88)])
        steps = chance.rng.normal(0, 1, (5, 3)) * (24, 11, 17)
        path = curve(start + np.cumsum(steps, axis=0), 14)
        sizes = chance.number(9, 13) + 1.2 * np.sin(np.arange(14) * 2.3)
        gas = chance.number(0.2, 0.8) if chance.rng.random() < 0.15 else 1.0
        _paint_loop(scene, mat, path, sizes, wall, fluid, gas)


def _paint_loop(
    scene: Scene,
    mat: Tissues,
    path: NDArray[np.float64],
    sizes: NDArray[np.float64],
    wall: Tissue,
    content: Tissue,
    gas: float,
) -> None:
    """Paint one loop; its top is filled with gas down to the height ``gas`` (-1 all, 1 none) of its radius."""
    scene.paint(rods(path, sizes), wall, over=(mat.inner_fat,))
    inside = rods(path, sizes - 2.4)
    scene.paint(inside, content, over=(wall,))
    if gas >= 1:
        return
    level = float(np.median([scene.depth_of(point) for point in path])) - gas * float(sizes.mean())
    scene.paint([part.meet(_above(level)) for part in inside], mat.gas, over=(content,))
