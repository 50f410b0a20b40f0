"""A simulated user on the device: first prompts of every kind, then clicks into what is still wrong.

Imported only where PyTorch is wanted. Nothing waits for the device; the exact user of the evaluation is
:mod:`napari_volseg.training.click_users`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

#: Prompt points that a sample can hold: a stroke's and those of the clicks after it.
PLACES = 32
_STROKE = 16
#: Cumulated shares of how a sample begins: click, box on a slice, box, stroke, whole slice, a damaged mask.
_KINDS = {"click": 0.56, "box": 0.66, "box3d": 0.70, "stroke": 0.82, "slice": 0.90, "damaged": 1.0}
#: Erosions by which depth is told apart.
_DEPTHS = 12
#: Shares of clicks at the deepest place (else anywhere, deep places more often), missed ones, and wrong ones.
_DEEPEST = 0.5
_MISSED = 0.25
_WRONG = 0.02
#: How far a missed click is off along an axis, voxels.
_MISS = 2


@dataclass(slots=True, eq=False)
class Hints:
    """What the users of a batch have said so far.

    Parameters
    ----------
    points, signs
        Voxels (n, K, 3) and their signs (n, K); see :func:`napari_volseg.interactive.encoding.encode`.
    inside, outside, previous
        (n, 1, e, e, e), float16.
    used
        Number (n,) of places used in ``points``.
    """

    points: Tensor
    signs: Tensor
    inside: Tensor
    outside: Tensor
    previous: Tensor
    used: Tensor

    def put(self, rows: slice, fresh: Hints) -> None:
        """Overwrite some samples."""
        for name in ("points", "signs", "inside", "outside", "previous", "used"):
            getattr(self, name)[rows] = getattr(fresh, name)

    def add(self, click: Tensor, sign: Tensor) -> None:
        """Append a click (n, 3) with its sign (n,); once the places are used up the last one is replaced."""
        rows = torch.arange(len(click), device=click.device)
        place = self.used.clamp_max(PLACES - 1)
        self.points[rows, place] = click
        self.signs[rows, place] = sign
        self.used += 1


def no_hints(count: int, edge: int, device: str) -> Hints:
    """Return what users have said who have said nothing."""
    shape = (count, 1, edge, edge, edge)
    inside, outside, previous = (torch.zeros(shape, dtype=torch.float16, device=device) for _ in range(3))
    points = torch.zeros((count, PLACES, 3), dtype=torch.long, device=device)
    signs = torch.zeros((count, PLACES), dtype=torch.long, device=device)
    return Hints(points, signs, inside, outside, previous, torch.zeros(count, dtype=torch.long, device=device))


def first_hints(target: Tensor, generator: torch.Generator) -> Hints:
    """Return how users begin to ask for a target (n, 1, e, e, e)."""
    count, edge = len(target), target.shape[-1]
    hints = no_hints(count, edge, str(target.device))
    kind = torch.rand(count, generator=generator, device=target.device)
    bounds = list(_KINDS.values())
    is_kind = dict(zip(_KINDS, _between(kind, bounds), strict=True))
    plane, on_slice = _slice_of(target, generator)
    part = target & plane
    _boxes(hints, target, part, plane, is_kind)
    _slices(hints, part, plane, is_kind["slice"])
    damaged = _damaged(target, generator) & is_kind["damaged"].view(-1, 1, 1, 1, 1)
    hints.previous.copy_(damaged)
    _strokes(hints, part, on_slice, is_kind["stroke"], generator)
    click, sign = next_clicks(damaged, target, generator)
    silent = is_kind["box"] | is_kind["box3d"] | is_kind["slice"] | is_kind["stroke"]
    hints.used.copy_(_STROKE * is_kind["stroke"])
    hints.add(click, torch.where(silent, 0, sign))
    return hints


def next_clicks(prediction: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a click (n, 3) into the error of each sample and its sign (n,), 0 where nothing is wrong.

    Parameters
    ----------
    prediction, target
        (n, 1, e, e, e), bool.
    """
    error = prediction ^ target
    count, edge = len(target), target.shape[-1]
    device = target.device
    depth = _depth(error).flatten(1)
    noise = torch.rand(depth.shape, generator=generator, device=device)
    deepest = depth + 0.9 * noise
    anywhere = torch.log(noise.clamp_min(1e-6)) / depth.clamp_min(0.1) ** 2
    by_depth = torch.rand((count, 1), generator=generator, device=device) < _DEEPEST
    score = torch.where(by_depth, deepest, anywhere)
    place = torch.where(depth > 0, score, -torch.inf).argmax(1)
    click = torch.stack([place // edge**2, place // edge % edge, place % edge], 1)
    click = _missed(click, edge, generator)
    rows = torch.arange(count, device=device)
    sign = 2 * target[rows, 0, click[:, 0], click[:, 1], click[:, 2]].long() - 1
    wrong = torch.rand(count, generator=generator, device=device) < _WRONG
    sign = torch.where(wrong, -sign, sign)
    return click, torch.where(error.flatten(1).any(1), sign, 0)


def _missed(click: Tensor, edge: int, generator: torch.Generator) -> Tensor:
    """Return clicks (n, 3), some of them a little off."""
    off = torch.randint(-_MISS, _MISS + 1, click.shape, generator=generator, device=click.device)
    misses = torch.rand((len(click), 1), generator=generator, device=click.device) < _MISSED
    return (click + torch.where(misses, off, 0)).clamp(0, edge - 1)


def _depth(mask: Tensor) -> Tensor:
    """Return how many erosions each voxel of a mask (n, 1, e, e, e) survives, plus 1; beyond the crop is outside."""
    rest = mask.half()
    depth = rest.clone()
    for _ in range(_DEPTHS):
        hollow = functional.pad(1 - rest, (1, 1, 1, 1, 1, 1), value=1.0)
        rest = 1 - functional.max_pool3d(hollow, 3, 1)
        depth += rest
    return depth.float()


def _between(values: Tensor, bounds: list[float]) -> list[Tensor]:
    """Return for each bound which values lie between the one before and itself."""
    lower = [0.0, *bounds[:-1]]
    return [(values >= a) & (values < b) for a, b in zip(lower, bounds, strict=True)]


def _slice_of(target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the voxels (n, 1, e, e, e) of a slice through each target, and a target voxel (n, 3) on it.

    The slice goes through a voxel of the target that is drawn at random, along a random axis.
    """
    count, edge = len(target), target.shape[-1]
    device = target.device
    noise = torch.rand((count, edge**3), generator=generator, device=device)
    place = torch.where(target.flatten(1), noise, -1.0).argmax(1)
    voxel = torch.stack([place // edge**2, place // edge % edge, place % edge], 1)
    axis = torch.randint(3, (count,), generator=generator, device=device)
    along = torch.arange(edge, device=device)
    planes = along == voxel[..., None]
    shapes = ((-1, 1, edge, 1, 1), (-1, 1, 1, edge, 1), (-1, 1, 1, 1, edge))
    chosen = [planes[:, a].view(s) & (axis == a).view(-1, 1, 1, 1, 1) for a, s in enumerate(shapes)]
    whole = chosen[0] | chosen[1] | chosen[2]
    return whole.expand(-1, 1, edge, edge, edge), voxel


def _extent(mask: Tensor) -> Tensor:
    """Return the box of each mask as a mask (n, 1, e, e, e)."""
    edge = mask.shape[-1]
    along = torch.arange(edge, device=mask.device)
    box = torch.ones_like(mask)
    for axis, shape in ((2, (-1, 1, edge, 1, 1)), (3, (-1, 1, 1, edge, 1)), (4, (-1, 1, 1, 1, edge))):
        others = tuple(a for a in (1, 2, 3, 4) if a != axis)
        filled = mask.sum(others) > 0
        first = torch.where(filled, along, edge).amin(1, keepdim=True)
        last = torch.where(filled, along, -1).amax(1, keepdim=True)
        box = box & ((along >= first) & (along <= last)).view(shape)
    return box


def _boxes(hints: Hints, target: Tensor, part: Tensor, plane: Tensor, is_kind: dict[str, Tensor]) -> None:
    """Say with half a voice what is within a box, and what lies around it on its slice."""
    flat = _extent(part) & plane & is_kind["box"].view(-1, 1, 1, 1, 1)
    whole = _extent(target) & is_kind["box3d"].view(-1, 1, 1, 1, 1)
    box = (flat | whole).half()
    around = (functional.max_pool3d(box, 5, 1, 2) - box) * (plane | is_kind["box3d"].view(-1, 1, 1, 1, 1))
    hints.inside.add_(0.5 * box)
    hints.outside.add_(0.5 * around)


def _slices(hints: Hints, part: Tensor, plane: Tensor, wanted: Tensor) -> None:
    """Say of every voxel of a slice whether it is inside."""
    told = plane & wanted.view(-1, 1, 1, 1, 1)
    hints.inside.add_((part & told).half())
    hints.outside.add_((~part & told).half())


def _strokes(hints: Hints, part: Tensor, begin: Tensor, wanted: Tensor, generator: torch.Generator) -> None:
    """Draw a line through the target on a slice, of which only what lies inside counts."""
    edge = part.shape[-1]
    noise = torch.rand((len(part), edge**3), generator=generator, device=part.device)
    place = torch.where(part.flatten(1), noise, -1.0).argmax(1)
    end = torch.stack([place // edge**2, place // edge % edge, place % edge], 1)
    share = torch.linspace(0, 1, _STROKE, device=part.device).view(1, -1, 1)
    line = (begin[:, None] * (1 - share) + end[:, None] * share).round().long()
    rows = torch.arange(len(part), device=part.device)[:, None]
    inside = part[rows, 0, line[..., 0], line[..., 1], line[..., 2]]
    hints.points[:, :_STROKE] = line
    hints.signs[:, :_STROKE] = torch.where(inside & wanted[:, None], 1, 0)


def _damaged(target: Tensor, generator: torch.Generator) -> Tensor:
    """Return targets (n, 1, e, e, e) with blobs added and taken away, as a mask that needs correction."""
    count, edge = len(target), target.shape[-1]
    coarse = torch.randn((2 * count, 1, 5, 5, 5), generator=generator, device=target.device)
    field = functional.interpolate(coarse, (edge, edge, edge), mode="trilinear", align_corners=True)
    near = functional.max_pool3d(target.half(), 9, 1, 4) > 0
    gone, added = field[:count] > 0.45, (field[count:] > 0.55) & near
    return (target & ~gone) | added
