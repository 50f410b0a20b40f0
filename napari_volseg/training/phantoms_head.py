"""The head's anatomy: scalp, skull, brain, ventricles, eyes, nose, and one lesion in the left white matter.

Body coordinates (x, y, z) point to Left, Posterior and Superior, mm, from the middle of the brain. Each tissue has
two intensities, in T1-weighted and FLAIR images, in arbitrary units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_volseg.training.phantoms_shapes import (
    Field,
    Points,
    Scene,
    Solid,
    Tissue,
    beside,
    capsule,
    curve,
    ellipsoid,
    joined,
    region,
    rods,
)
from napari_volseg.training.phantoms_thorax import Chance

GREY_MATTER, WHITE_MATTER, VENTRICLES, CEREBELLUM, BRAINSTEM, DEEP_GREY, RIGHT_EYE, LEFT_EYE, LESION = range(1, 10)

T1, FLAIR = 0, 1


@dataclass(frozen=True, slots=True)
class HeadTissues:
    """Materials of a head; values are (T1, FLAIR)."""

    skin: Tissue
    fat: Tissue
    muscle: Tissue
    bone: Tissue
    marrow: Tissue
    fluid: Tissue
    grey: Tissue
    white: Tissue
    ventricle: Tissue
    cerebellum: Tissue
    cerebellar_white: Tissue
    stem: Tissue
    deep: Tissue
    lesion: Tissue
    air: Tissue

    @classmethod
    def random(cls, chance: Chance) -> HeadTissues:
        """Return materials whose contrast varies with the seed."""
        white = chance.number(760, 820)
        grey = white * chance.number(0.68, 0.74)
        return cls(
            skin=Tissue((430, 330), 25),
            fat=Tissue((930, 620), 35),
            muscle=Tissue((420, 300), 25),
            bone=Tissue((70, 60), 10),
            marrow=Tissue((420, 260), 40),
            fluid=Tissue((210, 70), 12),
            grey=Tissue((grey, 520), 14, GREY_MATTER),
            white=Tissue((white, 400), 14, WHITE_MATTER),
            ventricle=Tissue((200, 55), 6, VENTRICLES),
            cerebellum=Tissue((grey * 1.02, 500), 18, CEREBELLUM),
            cerebellar_white=Tissue((white * 0.97, 410), 14, CEREBELLUM),
            stem=Tissue((white * 0.93, 420), 12, BRAINSTEM),
            deep=Tissue((grey * 1.08, 470), 12, DEEP_GREY),
            lesion=Tissue((white * 0.72, chance.number(800, 880)), 22, LESION),
            air=Tissue((12, 10)),
        )


def paint_head(scene: Scene, chance: Chance) -> None:
    """Paint a whole head down to the neck."""
    mat = HeadTissues.random(chance)
    brain, lobes = _brain(chance), _cerebellum(chance)
    _paint_outside(scene, mat, brain.join(lobes, 16))
    _paint_face(scene, mat, chance)
    _paint_cerebrum(scene, mat, brain, chance)
    _paint_below(scene, mat, lobes)
    _paint_inside(scene, mat, chance)


def _brain(chance: Chance) -> Solid:
    """Return the envelope of the cerebrum: its floor steps down from the frontal to the middle fossa."""
    main = ellipsoid((0, 2, 6), chance.size((67, 84, 60), 0.03))
    frontal = ellipsoid(chance.near((4, -38, 4), 2), (52, 42, 44))
    occipital = ellipsoid(chance.near((-4, 46, 4), 2), (50, 40, 44))
    temporal = [ellipsoid(chance.near((side * 42, -8, -24), 2), (25, 42, 24)) for side in (-1, 1)]

    def floor(p: Points) -> Field:
        height = -42 + 20 / (1 + np.exp((p.y + 36) / 5)) + 22 / (1 + np.exp((24 - p.y) / 6))
        return np.asarray((height - p.z) * 0.7, np.float32)

    whole = joined([main, frontal, occipital, *temporal], 14)
    return whole.meet(region(floor, (-120, -120, -60), (120, 120, 120)), 14)


def _cerebellum(chance: Chance) -> Solid:
    return joined([ellipsoid(chance.near((s * 24, 50, -43), 1.5), (30, 27, 22)) for s in (-1, 1)], 8)


def _paint_outside(scene: Scene, mat: HeadTissues, cranium: Solid) -> None:
    neck = joined(rods([(0, 30, -44), (0, 40, -84), (0, 36, -200)], (54, 48, 56)), 20)
    face = joined(rods([(0, -36, -30), (0, -46, -70), (0, -60, -100)], (56, 47, 29)), 24)
    head = cranium.grow(13).join(neck.grow(4), 24).join(face, 20)
    scene.paint(head, mat.skin)
    scene.paint(head.grow(-2.2), mat.fat)
    for part in (neck.grow(-6), face.grow(-11)):
        scene.paint(part.meet(head.grow(-8), 4), mat.muscle, over=(mat.fat,))
    layers = ((8.2, mat.bone), (6.4, mat.marrow), (4.2, mat.bone), (2.2, mat.fluid))
    for margin, tissue in layers:
        scene.paint(cranium.grow(margin), tissue)


def _paint_face(scene: Scene, mat: HeadTissues, chance: Chance) -> None:
    nose = rods([(0, -86, -16), (0, -101, -50), (0, -84, -62)], (8, 13, 13))
    scene.paint([*nose, *(capsule((s * 10, -96, -54), (s * 11, -80, -58), (9, 10)) for s in (-1, 1))], mat.skin)
    scene.paint([part.grow(-3) for part in nose], mat.fat, over=(mat.skin,))
    for side in (-1, 1):
        scene.paint(ellipsoid((side * 11, -62, -52), (5, 24, 17)), mat.air)
        scene.paint(ellipsoid((side * 30, -66, -56), (14, 16, 16), (0, side * 12, 0)), mat.air)
        orbit = ellipsoid((side * 33, -62, -30), (19, 27, 17), (0, 0, -side * 14))
        scene.paint(orbit, mat.fat, over=(mat.bone, mat.muscle, mat.marrow, mat.fluid, mat.fat))
        _paint_ear(scene, mat, side)
        _paint_eye(scene, mat, chance.near((side * 33, -74, -30), 1), LEFT_EYE if side > 0 else RIGHT_EYE)
    scene.paint(ellipsoid((0, -80, -8), (18, 6, 11)), mat.air, over=(mat.bone, mat.marrow, mat.fat))
    scene.paint(ellipsoid((0, -34, -40), (13, 11, 8)), mat.air)
    mouth = ellipsoid((0, -58, -88), (24, 30, 14))
    scene.paint(mouth, mat.muscle, over=(mat.fat,))
    scene.paint(rods(curve([(0, -34, -52), (0, -18, -78), (0, -8, -120), (0, -8, -200)], 8), 7), mat.air)
    arch = [(-30, -32, -82), (-21, -60, -88), (0, -74, -91), (21, -60, -88), (30, -32, -82)]
    for height, size in ((0, 4.5), (-16, 6)):
        path = curve([(x, y, z + height) for x, y, z in arch], 14)
        scene.paint(rods(path, size, height=1.4), mat.bone, over=(mat.skin, mat.fat, mat.muscle))
        scene.paint(rods(path, size - 2.5, height=1.4), mat.marrow, over=(mat.bone,))


def _paint_ear(scene: Scene, mat: HeadTissues, side: int) -> None:
    shell = ellipsoid((side * 74, 14, -26), (7, 17, 28), (8, side * -14, side * 22))
    hollow = ellipsoid((side * 80, 10, -24), (6, 10, 17), (8, side * -14, side * 22))
    scene.paint(shell.cut(hollow, 3), mat.skin, over=(mat.air, scene.background))
    scene.paint(capsule((side * 84, 8, -38), (side * 52, 6, -40), (3.5, 3)), mat.air)
    cells = [ellipsoid((side * (62 + 3 * (i % 2)), 22 + 4 * (i % 3), -40 - 4 * i), (3.2, 3.2, 3.2)) for i in range(6)]
    scene.paint(cells, mat.air, over=(mat.bone, mat.fat, mat.muscle, mat.marrow))


def _paint_eye(scene: Scene, mat: HeadTissues, center: NDArray[np.float64], label: int) -> None:
    side = np.sign(center[0])
    nerve = curve([center, beside(center, -side * 6, 24, 2), (side * 6, -24, -24)], 8)
    scene.paint(rods(nerve, 2.4), Tissue((640, 420)))
    for out, up in ((9, 0), (-9, 0), (0, 9), (0, -9)):
        scene.paint(
            rods([beside(center, out, 4, up), (side * 14, -32, -27)], (2.0, 1.4)), mat.muscle, over=(mat.fat,)
        )
    scene.paint(ellipsoid(center, (12.5, 12.5, 12.5)), Tissue((420, 330), 8, label))
    scene.paint(ellipsoid(center, (11, 11, 11)), Tissue((230, 90), 5, label))
    scene.paint(ellipsoid(beside(center, 0, -9, 0), (5, 2.4, 5)), Tissue((470, 380), 5, label))


def _furrows(rng: np.random.Generator, brain: Solid) -> Solid:
    """Return the distance to random furrows that end about 20 mm under the surface of the brain, mm."""
    wave = rng.normal(size=(7, 3))
    wave *= (2 * np.pi / rng.uniform(26, 38, size=(7, 1))) / np.linalg.norm(wave, axis=1, keepdims=True)
    phase = rng.uniform(0, 2 * np.pi, 7).astype(np.float32)
    steepness = float(np.sqrt((wave**2).sum() / 2))

    def distance(p: Points) -> Field:
        total = np.zeros(p.x.shape, np.float32)
        for k, start in zip(wave.astype(np.float32), phase, strict=True):
            # mirrored about the midline, as the hemispheres roughly are
            total += np.sin(k[0] * np.abs(p.x) + k[1] * p.y + k[2] * p.z + start)
        floor = np.maximum(-brain.distance(p) - 16, 0)
        return np.asarray(np.abs(total) / steepness + floor, np.float32)

    return region(distance, brain.low, brain.high)


def _paint_cerebrum(scene: Scene, mat: HeadTissues, brain: Solid, chance: Chance) -> None:
    """Paint cortex that follows random furrows, white matter inside it, and the gap between the hemispheres."""
    furrows = _furrows(chance.rng, brain)
    beyond_cortex = region(lambda p: np.float32(3.6) - furrows.distance(p), brain.low, brain.high)
    scene.paint(brain, mat.grey)
    scene.paint(brain.grow(-2.8).meet(beyond_cortex, 2), mat.white)
    scene.paint(furrows.grow(0.8).meet(brain), mat.fluid)
    gap = region(lambda p: np.asarray(np.abs(p.x) - 1.2, np.float32), (-4, -110, -30), (4, 110, 100))
    banks = region(lambda p: np.asarray(np.abs(p.x) - 4.4, np.float32), (-8, -110, -30), (8, 110, 100))
    callosum = rods(curve([(0, -36, 2), (0, -40, 14), (0, -10, 25), (0, 24, 21), (0, 34, 10)], 12), 5.5)
    bridge = joined(callosum, 3)
    scene.paint(banks.cut(bridge.grow(3)).meet(brain), mat.grey, over=(mat.white,))
    scene.paint(gap.cut(bridge).meet(brain.grow(2)), mat.fluid, over=(mat.white, mat.grey))
    scene.paint([part.grow(-1.5).meet(brain) for part in callosum], mat.white)


def _paint_below(scene: Scene, mat: HeadTissues, lobes: Solid) -> None:
    """Paint cerebellum, brainstem, and the fluid around them."""
    path = curve([(0, 8, -12), (0, 6, -34), (0, 14, -58), (0, 20, -90)], 8)
    stem = joined(rods(path, (13, 14, 15, 15, 12, 9, 8, 7)), 5)
    canal = rods([(0, 18, -62), (0, 22, -100), (0, 24, -200)], 12)
    scene.paint(canal, mat.bone)
    scene.paint([rod.grow(-4) for rod in canal], mat.fluid)
    scene.paint(stem.grow(5), mat.fluid, over=(mat.bone, mat.muscle, mat.fat, mat.marrow))
    scene.paint(lobes, mat.cerebellum)
    core = lobes.grow(-7)
    scene.paint(core, mat.cerebellar_white)
    leaves = region(lambda p: np.asarray(2.2 * np.sin(p.z * 1.1 + p.y * 0.35) + 0.6, np.float32), core.low, core.high)
    scene.paint(leaves.meet(core.cut(lobes.grow(-13))), mat.cerebellum, over=(mat.cerebellar_white,))
    scene.paint(stem, mat.stem)
    scene.paint(rods([(0, 20, -90), (0, 24, -200)], 5), mat.stem)


def _paint_inside(scene: Scene, mat: HeadTissues, chance: Chance) -> None:
    """Paint deep grey matter, ventricles and the lesion beside the left one."""
    for side in (-1, 1):
        scene.paint(ellipsoid((side * 11, 8, 2), (8, 14, 9), (0, 0, side * 24)), mat.deep)
        scene.paint(ellipsoid((side * 25, -8, 2), (6, 19, 11), (0, 0, side * 12)), mat.deep)
        scene.paint(
            rods(curve([(side * 14, -28, 8), (side * 17, -8, 20), (side * 21, 14, 20)], 8), np.linspace(6.5, 2.5, 8)),
            mat.deep,
        )
    for side in (-1, 1):
        wide = chance.number(0.85, 1.2)
        horn = curve(
            [(side * 8, -34, 8), (side * 9, -14, 16), (side * 14, 16, 15), (side * 23, 30, 5), (side * 32, 14, -14)],
            14,
        )
        radii = wide * np.interp(np.arange(14), (0, 4, 8, 10, 13), (4.2, 5.5, 6.5, 6.5, 3))
        scene.paint(rods(horn, radii), mat.ventricle)
        scene.paint(rods([horn[9], (side * 22, 46, 6)], (5 * wide, 2.5)), mat.ventricle)
    scene.paint(ellipsoid((0, 4, -1), (2.6, 16, 11)), mat.ventricle)
    scene.paint(ellipsoid((0, 27, -38), (7, 6, 10)), mat.ventricle)
    scene.paint(rods([(0, 16, -14), (0, 25, -32)], 1.6), mat.ventricle)
    center = chance.near((31, 16, 24), (3, 10, 4))
    lobes = [ellipsoid(chance.near(center, 4), chance.size((7, 10, 7), 0.2)) for _ in range(3)]
    scene.paint(joined(lobes, 4), mat.lesion, over=(mat.white, mat.grey))
