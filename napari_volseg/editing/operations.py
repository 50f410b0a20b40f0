"""Pure operations: labels in, a patch to apply out."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from napari_volseg.core import BoxMask, UsageError
from napari_volseg.editing.fast import components
from napari_volseg.editing.scopes import Scope, scope_box


def fill_region(labels: NDArray[Any], seed_index: tuple[int, int, int], scope: Scope) -> BoxMask:
    """Return the region of equal label that holds a voxel and is connected through faces.

    Parameters
    ----------
    labels
        Label array (z, y, x).
    seed_index
        Voxel (z, y, x) of the region.
    scope
        The slices that are looked at.

    Raises
    ------
    UsageError
        Where the seed lies outside the array or the slices.
    """
    searched = scope_box(scope, labels.shape)
    if not all(a <= i < b for a, i, b in zip(searched.start, seed_index, searched.stop, strict=True)):
        raise UsageError(f"voxel {seed_index} lies outside of the slices that are filled: click on the image")
    view = labels[searched.slices]
    seed = tuple(i - s for i, s in zip(seed_index, searched.start, strict=True))
    equal = BoxMask.of(view == view[seed])
    seed = tuple(i - s for i, s in zip(seed, equal.box.start, strict=True))
    found, _ = components(equal.mask)
    region = BoxMask.of(found == found[seed])
    return BoxMask(region.box.shift(equal.box.start).shift(searched.start), region.mask)
