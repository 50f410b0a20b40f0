"""What synthetic scenes consist of: cells that fill space, and organs, vessels, bones, bowel and a body over them.

Imported only where PyTorch is wanted. A scene has tissues (what an image shows) and objects (what somebody may want
to segment): a kidney is one object of two tissues, two muscles are two objects of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from napari_volseg.training.synthetic_fields import (
    COARSE,
    Dice,
    balls,
    brought_up,
    octaves,
    rotations,
    smooth_noise,
    superquadric,
    turned,
    walks,
    warped_grid,
)

#: Tissue numbers; those of cells and overlays follow.
AIR, FAT = 0, 1
_FIRST_CELL = 2
_MOST_CELLS = 24
_FIRST_OVERLAY = _FIRST_CELL + _MOST_CELLS
#: Numbers of tissues that a scene may have.
TISSUES = 256
_EACH = (-1, 1, 1, 1, 1)


@dataclass(slots=True, eq=False)
class SyntheticScene:
    """Tissues of a batch of volumes.

    Parameters
    ----------
    dice
        Chance.
    count, edge
        Volumes, and voxels along a side.
    """

    dice: Dice
    count: int
    edge: int
    tissue: Tensor = field(init=False)
    object: Tensor = field(init=False)
    grid: Tensor = field(init=False)
    roles: dict[int, str] = field(init=False)
    used: int = _FIRST_OVERLAY

    def __post_init__(self) -> None:
        shape = (self.count, 1, self.edge, self.edge, self.edge)
        self.tissue = torch.zeros(shape, dtype=torch.int16, device=self.dice.device)
        self.grid = warped_grid(self.dice, self.count, self.edge // COARSE, self.edge)
        self.roles = {AIR: "air", FAT: "fat"}
        self.object = self.tissue

    def new(self, role: str) -> int:
        """Return the number of a new tissue of a role."""
        number = self.used
        self.used = min(self.used + 1, TISSUES - 1)
        self.roles[number] = role
        return number

    def paint(
        self, distance: Tensor, number: int, where: Tensor | None = None, up_to: float = 0.0, part: float = 0.0
    ) -> None:
        """Give voxels nearer than ``up_to`` to a tissue.

        Parameters
        ----------
        distance
            (count, 1, …) on either grid, voxels.
        number
            The tissue.
        where
            Volumes (count,) in which this is done.
        part
            Share of volumes in which the new tissue is a part of the object that was there.
        """
        fine = distance if distance.shape[-1] == self.edge else brought_up(distance, self.edge)
        inside = fine < up_to
        self.paint_mask(inside if where is None else inside & where.view(_EACH), number, part)

    def paint_mask(self, inside: Tensor, number: int, part: float = 0.0) -> None:
        """Give the voxels of a mask (count, 1, e, e, e) to a tissue; ``part`` as in :meth:`paint`."""
        self.tissue = torch.where(inside, number, self.tissue)
        if part < 1:
            alone = inside & ~self.dice.flags(part, self.count).view(_EACH) if part else inside
            self.object = torch.where(alone, number, self.object)

    def place(self, reach: float) -> Tensor:
        """Return positions (count, 3), voxels from the middle, within ``reach`` of the half edge."""
        bound = reach * self.edge / 2
        return self.dice.uniform(-bound, bound, (self.count, 3))


def scene(dice: Dice, count: int, edge: int) -> SyntheticScene:
    """Return a scene: cells first, then overlays of several kinds, then the body's outline."""
    made = SyntheticScene(dice, count, edge)
    _cells(made)
    for _ in range(int(dice.host.integers(6, 15))):
        kind = _OVERLAYS[int(dice.host.choice(len(_OVERLAYS), p=_SHARES))]
        kind(made)
    if dice.chance(0.55):
        _body(made)
    return made


def _cells(made: SyntheticScene) -> None:
    """Fill space with bent cells of unequal size and shape, at times with fat between them."""
    dice, count, edge = made.dice, made.count, made.edge
    cells = int(dice.host.integers(6, _MOST_CELLS + 1))
    grid = brought_up(made.grid, edge) + 0.5 * smooth_noise(dice, count, edge, 24, 3)
    best = torch.full((count, 1, edge, edge, edge), 1e9, device=dice.device)
    second, owner = best.clone(), made.tissue.clone()
    scale = edge / cells ** (1 / 3)
    for cell in range(cells):
        number = _FIRST_CELL + cell
        made.roles[number] = str(dice.host.choice(["soft", "soft", "soft", "muscle", "vessel", "fluid"]))
        centre = made.place(1.15)
        stretch = dice.log_uniform(0.5, 2.0, (count, 3))[..., None, None, None]
        far = ((grid - centre[..., None, None, None]) * stretch).square().sum(1, keepdim=True).sqrt()
        far = far * dice.log_uniform(0.6, 1.7, (count, 1, 1, 1, 1))
        nearer = far < best
        second = torch.where(nearer, best, torch.minimum(second, far))
        best = torch.where(nearer, far, best)
        owner = torch.where(nearer, number, owner)
    made.tissue = owner
    made.object = _merged(dice, owner, cells)
    gap = dice.uniform(0.02, 0.35, (count, 1, 1, 1, 1)) * scale * (1 + 0.6 * smooth_noise(dice, count, edge, 6))
    fatty = dice.flags(0.55, count).view(_EACH)
    made.paint_mask((second - best < gap) & fatty, FAT)


def _merged(dice: Dice, owner: Tensor, cells: int) -> Tensor:
    """Return objects of which some are two cells."""
    count = len(owner)
    table = np.tile(np.arange(TISSUES), (count, 1))
    for _ in range(max(1, cells // 4)):
        pair = dice.host.integers(0, cells, (2, count)) + _FIRST_CELL
        table[np.arange(count), pair[0]] = table[np.arange(count), pair[1]]
    return dice.on_device(table).short().gather(1, owner.flatten(1).long()).view(owner.shape)


def _organ(made: SyntheticScene) -> None:
    """Paint a rounded organ of one tissue."""
    number = made.new("soft")
    made.paint(_rounded(made, 4, 0.35), number, made.dice.flags(0.85, made.count))


def _lesion(made: SyntheticScene) -> None:
    """Paint small round things, all of one tissue, each by itself."""
    role = str(made.dice.host.choice(["soft", "soft", "fluid", "vessel", "bone"]))
    for _ in range(int(made.dice.host.integers(1, 4))):
        made.paint(_rounded(made, 1.8, 0.09), made.new(role), made.dice.flags(0.8, made.count), part=0.25)


def _hollow(made: SyntheticScene) -> None:
    """Paint an organ with a wall: a kidney, a stomach, a ventricle, a bone."""
    kinds = [("soft", "soft"), ("muscle", "gas"), ("muscle", "fluid"), ("soft", "fluid"), ("vessel", "soft")]
    outer, inner = kinds[int(made.dice.host.integers(len(kinds)))]
    distance = _rounded(made, 5, 0.3) if made.dice.chance(0.6) else _lobes(made)
    wall, content = made.new(outer), made.new(inner)
    active = made.dice.flags(0.85, made.count)
    thick = float(made.dice.host.uniform(1.2, 6))
    made.paint(distance, wall, active)
    rough = octaves(made.dice, made.count, made.edge // COARSE, (6, 12)) * float(made.dice.host.uniform(0, 1.5))
    made.paint(distance + rough, content, active, -thick, part=0.7)


def _lobed(made: SyntheticScene) -> None:
    """Paint a lobed organ: pancreas, a string of bowel loops, a gland."""
    made.paint(_lobes(made), made.new("soft"), made.dice.flags(0.85, made.count))


def _tube(made: SyntheticScene) -> None:
    """Paint a vessel or bowel loop: a bent tube that may taper, with or without a wall."""
    dice = made.dice
    role = str(dice.host.choice(["vessel", "vessel", "soft", "muscle", "fluid"]))
    start, radius = made.place(0.7), dice.log_uniform(1.5, 0.11 * made.edge, (made.count,))
    points = 22
    path = walks(dice, made.count, points, 0.8 * radius + 1.2, float(dice.host.uniform(0.05, 0.35)), start)
    taper = torch.linspace(1, float(dice.host.uniform(0.3, 1.0)), points, device=dice.device)
    distance = balls(made.grid, path, radius[:, None] * taper)
    active, outer = dice.flags(0.9, made.count), made.new(role)
    made.paint(distance, outer, active)
    if dice.chance(0.35):
        content = made.new(str(dice.host.choice(["gas", "fluid", "vessel", "soft"])))
        made.paint(distance, content, active, -float(dice.host.uniform(1.2, 3)), part=0.7)


def _tree(made: SyntheticScene) -> None:
    """Paint a branching vessel of one tissue."""
    dice, number = made.dice, made.new("vessel")
    active, start = dice.flags(0.9, made.count), made.place(0.4)
    radius = dice.log_uniform(1.5, 0.05 * made.edge, (made.count,))
    for branch in range(4):
        path = walks(dice, made.count, 16, 0.9 * radius + 1.0, 0.2, start)
        shrink = torch.linspace(1, 0.6, 16, device=dice.device)
        made.paint(balls(made.grid, path, radius[:, None] * shrink), number, active, part=0.5)
        start, radius = path[:, 3 * branch + 4], radius * 0.75


def _shell(made: SyntheticScene) -> None:
    """Paint a bone: a bright rind around marrow, round or long."""
    distance = _rounded(made, 5, 0.2) if made.dice.chance(0.5) else _long(made)
    cortex, marrow = made.new("bone"), made.new("marrow")
    active = made.dice.flags(0.85, made.count)
    made.paint(distance, cortex, active)
    made.paint(distance, marrow, active, -float(made.dice.host.uniform(1.0, 3.5)), part=0.85)


def _plate(made: SyntheticScene) -> None:
    """Paint a flat, bent thing: a muscle of the wall, a diaphragm, a fold."""
    dice = made.dice
    local = turned(made.grid, rotations(dice, made.count), made.place(0.6))
    thick = dice.log_uniform(1.2, 6, (made.count, 1, 1, 1, 1))
    bend = dice.uniform(-0.02, 0.02, (made.count, 1, 1, 1, 1))
    wide = dice.uniform(0.15, 0.6, (made.count, 1, 1, 1, 1)) * made.edge
    across = local[:, 1:].square().sum(1, keepdim=True)
    distance = torch.maximum((local[:, :1] + bend * across).abs() - thick, across.sqrt() - wide)
    made.paint(distance, made.new(str(dice.host.choice(["muscle", "soft", "bone"]))), dice.flags(0.85, made.count))


def _stack(made: SyntheticScene) -> None:
    """Paint a column of like pieces with thin gaps, each its own object: vertebrae, ribs, discs between them."""
    dice, count = made.dice, made.count
    local = turned(made.grid, rotations(dice, count), made.place(0.5))
    period = dice.uniform(0.09, 0.24, (count, 1, 1, 1, 1)) * made.edge
    radius = dice.uniform(0.05, 0.16, (count, 1, 1, 1, 1)) * made.edge
    column = local[:, 1:].square().sum(1, keepdim=True).sqrt() - radius
    if dice.chance(0.35):
        ring = dice.uniform(0.2, 0.5, (count, 1, 1, 1, 1)) * made.edge
        column = (local[:, 1:].square().sum(1, keepdim=True).sqrt() - ring).abs() - 0.35 * radius
    phase = local[:, :1] / period
    share = float(dice.host.uniform(0.45, 0.9))
    distance = brought_up(torch.maximum(column, ((phase - phase.round()).abs() - share / 2) * period), made.edge)
    which = brought_up(phase, made.edge).round()
    active = dice.flags(0.9, count)
    bone = dice.chance(0.75)
    disc = made.new("soft")
    made.paint(column, disc, active & dice.flags(0.6, count))
    for index in range(-3, 4):
        piece = torch.where(which == index, distance, 9.0)
        outer = made.new("bone" if bone else "soft")
        made.paint(piece, outer, active)
        if bone:
            inner = made.new("marrow")
            made.paint(piece, inner, active, -1.3, part=1)


def _bowel(made: SyntheticScene) -> None:
    """Paint regions of noise: loops, folds, glands in a part of the scene."""
    dice, edge = made.dice, made.edge // COARSE
    noise = octaves(dice, made.count, edge, (8, 14))
    place = superquadric(
        turned(made.grid, rotations(dice, made.count), made.place(0.6)),
        dice.uniform(0.12, 0.4, (made.count, 3)) * made.edge,
        dice.uniform(1.8, 3, (made.count,)),
    )
    distance = torch.maximum(place, (0.5 - noise) * 6)
    wall, content = made.new("muscle"), made.new(str(dice.host.choice(["gas", "fluid", "soft", "vessel"])))
    active = dice.flags(0.85, made.count)
    made.paint(distance, wall, active)
    made.paint(distance, content, active, -1.6, part=0.7)


def _ribcage(made: SyntheticScene) -> None:
    """Paint curved bones that follow a wall, and lung or fat beneath it."""
    dice, count = made.dice, made.count
    local = turned(made.grid, rotations(dice, count), made.place(0.5))
    radii = dice.uniform(0.35, 0.8, (count, 3)) * made.edge
    wall = superquadric(local, radii, dice.uniform(2, 3, (count,)))
    active = dice.flags(0.85, count)
    if dice.chance(0.6):
        lung = made.new(str(dice.host.choice(["lung", "lung", "soft"])))
        made.paint(wall, lung, active, -float(dice.host.uniform(3, 8)))
    period = dice.uniform(0.09, 0.2, (count, 1, 1, 1, 1)) * made.edge
    phase = (local[:, :1] + 0.35 * local[:, 1:2]) / period
    near = ((phase - phase.round()).abs() - float(dice.host.uniform(0.15, 0.28))) * period
    thick = float(dice.host.uniform(1.3, 3.5))
    distance = brought_up(torch.maximum(wall.abs() - thick, near), made.edge)
    which = brought_up(phase, made.edge).round()
    for index in range(-3, 4):
        made.paint(torch.where(which == index, distance, 9.0), made.new("bone"), active)


def _body(made: SyntheticScene) -> None:
    """Put air outside a large rounded body with a rind of fat."""
    dice, count = made.dice, made.count
    radii = dice.uniform(0.42, 1.1, (count, 3)) * made.edge
    local = turned(made.grid, rotations(dice, count), made.place(0.45))
    distance = brought_up(superquadric(local, radii, dice.uniform(1.9, 3, (count,))), made.edge)
    rind = dice.uniform(0, 0.12, (count, 1, 1, 1, 1)) * made.edge
    made.paint_mask((distance > -rind) & (dice.flags(0.7, count).view(_EACH)), FAT)
    made.paint_mask(distance > 0, AIR)


def _rounded(made: SyntheticScene, smallest: float, largest: float) -> Tensor:
    """Return the distance to a rounded box with half axes from ``smallest`` voxels to ``largest`` of the edge."""
    dice, count = made.dice, made.count
    size = dice.log_uniform(smallest, largest * made.edge, (count, 1))
    radii = (size * dice.log_uniform(0.5, 1.6, (count, 3))).clamp_min(1.5)
    local = turned(made.grid, rotations(dice, count), made.place(0.8))
    distance = superquadric(local, radii, dice.uniform(1.7, 3.2, (count,)))
    rough = octaves(dice, count, made.edge // COARSE, (4, 9))
    return distance + rough * 0.12 * size.view(-1, 1, 1, 1, 1)


def _long(made: SyntheticScene) -> Tensor:
    """Return the distance to a long straight thing."""
    dice, count = made.dice, made.count
    thick = dice.log_uniform(2, 0.1 * made.edge, (count, 1))
    radii = torch.cat([thick * dice.uniform(3, 9, (count, 1)), thick, thick * dice.uniform(0.6, 1.6, (count, 1))], 1)
    return superquadric(
        turned(made.grid, rotations(dice, count), made.place(0.7)), radii, dice.uniform(1.8, 3, (count,))
    )


def _lobes(made: SyntheticScene) -> Tensor:
    """Return the distance to a string of unequal balls."""
    dice, count = made.dice, made.count
    size = dice.log_uniform(2.5, 0.14 * made.edge, (count,))
    path = walks(dice, count, 7, 0.9 * size, 0.5, made.place(0.75))
    return balls(made.grid, path, size[:, None] * dice.uniform(0.6, 1.3, (count, 7)))


_OVERLAYS: tuple[Callable[[SyntheticScene], None], ...] = (
    _organ, _lesion, _hollow, _lobed, _tube, _tree, _shell, _plate, _stack, _bowel, _ribcage,
)  # fmt: skip
_SHARES = (0.17, 0.11, 0.14, 0.1, 0.13, 0.07, 0.07, 0.06, 0.06, 0.05, 0.04)
