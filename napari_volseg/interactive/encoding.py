"""What the click network sees: image, prompts and previous mask as eight channels, the same in training and in use.

Imported only where PyTorch is wanted.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from napari_volseg.interactive.looking import Sight

#: A point's cue is 1 up to so many voxels away and falls to 0 at so many.
CORE = 2.0
REACH = 6.0
#: The image's range is read from every so many voxels along each axis.
_SAMPLING = 3
#: Half width of the narrow window in standard deviations around the clicks, and its bounds as shares of the range.
_SIGMAS = 4.0
_NARROWEST = 0.004
_WIDEST = 0.15
#: Half width of the wide window as a share of the range.
_WIDE = 0.125


def encode(image: Tensor, points: Tensor, signs: Tensor, inside: Tensor, outside: Tensor, previous: Tensor) -> Tensor:
    """Return the network's input (B, 8, D, H, W), float32.

    Parameters
    ----------
    image
        (B, 1, D, H, W) in the volume's units.
    points
        Voxels (B, K, 3) in (z, y, x) that prompts decide, long; those beyond the patch have no cue.
    signs
        (B, K): 1 for inside, -1 for outside, 0 for a place that is not used.
    inside, outside
        (B, 1, D, H, W), 0 to 1: regions (a box, a lasso, an annotated slice) said to be inside or outside.
    previous
        (B, 1, D, H, W), 0 to 1: the mask before the newest prompt; 0 where there is none.
    """
    low, high = _range_of(image)
    extent = (high - low).clamp_min(1e-6)
    centre, sigma = _clicked(image, points, signs, torch.maximum(previous, inside), low, high)
    narrow = (_SIGMAS * sigma).clamp_min(_NARROWEST * extent).minimum(_WIDEST * extent)
    shape = (-1, 1, 1, 1, 1)
    low, extent, centre, narrow = (t.view(shape) for t in (low, extent, centre, narrow))
    windows = [
        (2 * (image - low) / extent - 1),
        ((image - centre) / narrow),
        ((image - centre) / (_WIDE * extent)),
    ]
    cues = [_cues(points, signs == sign, image.shape) for sign in (1, -1)]
    return torch.cat([*(w.clamp(-1, 1) for w in windows), *cues, inside, outside, previous], 1)


def encoded(sight: Sight, device: torch.device) -> Tensor:
    """Return the network's input (1, 8, e, e, e) on a device for what it is shown."""
    cubes = (sight.image, sight.inside, sight.outside, sight.previous)
    image, *regions = (torch.from_numpy(cube).to(device)[None, None] for cube in cubes)
    points, signs = (torch.from_numpy(array).to(device)[None] for array in (sight.points, sight.signs))
    return encode(image, points, signs, *regions)


def _range_of(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the 0.5th and 99.5th percentile (B,) of each image, read from some of its voxels."""
    some = image[:, 0, ::_SAMPLING, ::_SAMPLING, ::_SAMPLING].flatten(1).float()
    ordered = some.sort(1).values
    last = ordered.shape[1] - 1
    return ordered[:, round(0.005 * last)], ordered[:, round(0.995 * last)]


def _clicked(
    image: Tensor, points: Tensor, signs: Tensor, likely: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
    """Return intensity and spread (B,) at the positive points, or where the mask is ``likely`` if there are none."""
    size = _size(tuple(image.shape[2:]), str(points.device))
    within = ((points >= 0) & (points < size)).all(-1)
    used = within & (signs == 1)
    around = _values_around(image, points, size)
    nan = torch.full((), torch.nan, device=image.device)
    means = torch.where(used, around[..., _core_of_cube(str(points.device))].mean(-1), nan).nanmedian(1).values
    sigmas = torch.where(used, around.std(-1), nan).nanmedian(1).values
    weights = likely.flatten(1).float()
    flat = image.flatten(1).float()
    total = weights.sum(1)
    mean = (weights * flat).sum(1) / total.clamp_min(1e-3)
    mean = torch.where(total > 1, mean, 0.5 * (low + high))
    none = ~used.any(1)
    return torch.where(none, mean, means), torch.where(none, 0.03 * (high - low), sigmas)


def _values_around(image: Tensor, points: Tensor, size: Tensor) -> Tensor:
    """Return the values (B, K, 125) in a cube of five voxels around each point, the border's beyond the border."""
    places = points.unsqueeze(2) + _cube(2, str(points.device))
    places = places.clamp_min(0).minimum(size - 1)
    index = (places[..., 0] * size[1] + places[..., 1]) * size[2] + places[..., 2]
    return image.flatten(1).float().gather(1, index.flatten(1)).view(index.shape)


def _cues(points: Tensor, used: Tensor, shape: torch.Size) -> Tensor:
    """Return the cue (B, 1, D, H, W) of the points that are ``used`` (B, K), each 1 at its core and 0 far away."""
    size = _size(tuple(shape[2:]), str(points.device))
    offsets, values = _ball(str(points.device))
    places = points.unsqueeze(2) + offsets
    valid = ((places >= 0) & (places < size)).all(-1) & used.unsqueeze(-1)
    places = places.clamp_min(0).minimum(size - 1)
    index = (places[..., 0] * size[1] + places[..., 1]) * size[2] + places[..., 2]
    out = torch.zeros((shape[0], shape[2] * shape[3] * shape[4]), device=points.device)
    out.scatter_reduce_(1, index.flatten(1), (valid * values).flatten(1), "amax")
    return out.view(shape[0], 1, *shape[2:])


@lru_cache(maxsize=8)
def _size(shape: tuple[int, ...], device: str) -> Tensor:
    """Return a patch's edges (3,) on the device; kept, since bringing them there would wait for it."""
    return torch.tensor(shape, device=device)


@lru_cache(maxsize=8)
def _cube(reach: int, device: str) -> Tensor:
    """Return offsets ((2 reach + 1)³, 3) of a cube, its middle in the middle."""
    axis = torch.arange(-reach, reach + 1, device=device)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


@lru_cache(maxsize=8)
def _core_of_cube(device: str) -> Tensor:
    """Return which of a cube of five voxels belong to its innermost three."""
    return (_cube(2, device).abs().amax(1) <= 1).nonzero().flatten()


@lru_cache(maxsize=8)
def _ball(device: str) -> tuple[Tensor, Tensor]:
    """Return the offsets (n, 3) at which a point's cue is not 0, and its values (n,) there."""
    offsets = _cube(int(REACH), device)
    value = ((REACH - offsets.float().norm(dim=1)) / (REACH - CORE)).clamp(0, 1)
    kept = value > 0
    return offsets[kept], value[kept]
