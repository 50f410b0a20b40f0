"""Which voxels a change may touch: overwrite rules and locks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, BoxMask, GeometryError


@dataclass(frozen=True, slots=True)
class Everywhere:
    """Overwrite background and every segment that is not locked."""


@dataclass(frozen=True, slots=True)
class BackgroundOnly:
    """Leave voxels that already belong to a segment."""


@dataclass(frozen=True, slots=True)
class Inside:
    """Touch only voxels that carry one label value."""

    value: int


@dataclass(frozen=True, slots=True, eq=False)
class WithinRange:
    """Touch only voxels whose intensity lies between two values, both included.

    Parameters
    ----------
    low, high
        In the unit of the volume, such as HU.
    voxels
        The volume, (z, y, x), on the grid of the labels. Voxels that are NaN are never touched.
    """

    low: float
    high: float
    voxels: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class AllOf:
    """Touch only voxels that every one of the rules allows."""

    rules: tuple[OverwriteRule, ...]


OverwriteRule = Everywhere | BackgroundOnly | Inside | WithinRange | AllOf


def narrow(hit: NDArray[np.bool_], rule: OverwriteRule, labels: NDArray[Any], box: Box) -> NDArray[np.bool_]:
    """Return the voxels of ``hit`` that a rule allows; ``hit`` and ``labels`` are those of the box."""
    match rule:
        case Everywhere():
            return hit
        case BackgroundOnly():
            return hit & (labels == 0)
        case Inside(value=value):
            return hit & (labels == value)
        case WithinRange(low=low, high=high, voxels=voxels):
            grey = voxels[box.slices]
            if grey.shape != hit.shape:
                raise GeometryError(
                    f"an intensity range on a volume of shape {voxels.shape} does not cover these labels: "
                    "use the volume that is being segmented"
                )
            return hit & (grey >= low) & (grey <= high)
        case AllOf(rules=rules):
            for part in rules:
                hit = narrow(hit, part, labels, box)
            return hit
        case _:
            assert_never(rule)


def paintable(
    labels: NDArray[Any], patch: BoxMask, value: int, rule: OverwriteRule, locked: tuple[int, ...]
) -> BoxMask | None:
    """Return the voxels that painting ``value`` over a patch changes, in their tight box; None where there are none.

    Parameters
    ----------
    labels
        The whole label array (z, y, x).
    patch
        What is asked for; what lies outside the array is left out.
    locked
        Label values that stay.
    """
    box = patch.box.clip(labels.shape)
    current = labels[box.slices]
    hit = current != value
    hit &= patch.within(box)
    hit = narrow(hit, rule, current, box)
    for kept in locked:
        hit &= current != kept
    tight = Box.of_mask(hit)
    if tight is None:
        return None
    return BoxMask(tight.shift(box.start), hit[tight.slices])


def either_in(values: tuple[int, ...], a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where one of two label arrays carries one of the values."""
    return np.asarray(np.isin(a, values) | np.isin(b, values))


def differing(labels: NDArray[Any], box: Box, wanted: NDArray[Any], locked: tuple[int, ...]) -> Box | None:
    """Return the tight box of voxels that ``wanted`` would change; those of locked values stay."""
    current = labels[box.slices]
    differs = current != wanted
    if locked:
        differs &= ~either_in(locked, current, wanted)
    tight = Box.of_mask(differs)
    return None if tight is None else tight.shift(box.start)
