"""What labels must be: integers on the grid of their volume, each with a segment that names it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import (
    MAX_LABEL,
    Geometry,
    GeometryError,
    RefusedError,
    Segment,
    Segmentation,
    SegmentTable,
    Volume,
    color_for,
)

#: Values this near to an integer are that integer.
_ROUNDING = 1e-3


def require_same_grid(geometry: Geometry, volume: Volume, name: str = "the labels") -> None:
    """Raise GeometryError where labels lie on another grid than their volume."""
    if not geometry.same_grid(volume.geometry):
        raise GeometryError(
            f"{name}: grid {_in_words(geometry)} is not that of {volume.name}: {_in_words(volume.geometry)}; "
            "open the labels that belong to this image",
            "labels.mismatch",
        )


def _in_words(geometry: Geometry) -> str:
    rows = "; ".join(" ".join(f"{value:.6g}" for value in row) for row in geometry.matrix[:3])
    return f"{' × '.join(map(str, geometry.shape))} voxels (z, y, x), affine [{rows}]"


def as_labels(voxels: NDArray[Any], name: str) -> NDArray[Any]:
    """Return values as the smallest unsigned integers.

    Raises
    ------
    RefusedError
        Where values are negative, too large, or not within 1e-3 of integers.
    """
    if voxels.dtype.kind == "f":
        rounded = np.rint(voxels)
        if not np.isfinite(voxels).all() or np.abs(voxels - rounded).max() > _ROUNDING:
            raise RefusedError(
                f"{name} holds values that are not integers, as an image or a probability map: open a label file",
                "labels.not_integers",
            )
        voxels = rounded
    low, high = int(voxels.min()), int(voxels.max())
    if low < 0 or high > MAX_LABEL:
        raise RefusedError(
            f"{name} holds values from {low} to {high}: labels from 0 to {MAX_LABEL} are needed", "labels.range"
        )
    return voxels.astype(np.min_scalar_type(high))


#: Label values below this are looked up in a table instead of being sorted, which takes far longer.
TABLE_SIZE = 1 << 16


def present_values(labels: NDArray[Any]) -> tuple[int, ...]:
    """Return the label values that occur, without 0, in rising order."""
    highest = TABLE_SIZE - 1 if labels.dtype in (np.uint8, np.uint16) else int(labels.max(initial=0))
    if highest >= TABLE_SIZE:
        return tuple(int(value) for value in np.unique(labels) if value)
    seen = np.zeros(highest + 1, bool)
    for plane in labels:
        flat = plane.reshape(-1)
        seen[flat[:1]] = True
        # Each value that occurs begins a run somewhere, and runs are few.
        seen[flat[1:][flat[1:] != flat[:-1]]] = True
    return tuple(int(value) for value in np.flatnonzero(seen) if value)


def with_unnamed(table: SegmentTable, present: Iterable[int]) -> SegmentTable:
    """Return the table with a segment for each label value that it lacks."""
    for value in present:
        if value not in table:
            table = table.with_segment(Segment(value, f"Segment {value}", color_for(value)))
    return table


def table_for(segmentation: Segmentation) -> SegmentTable:
    """Return the table that an export writes: every value that occurs has a segment."""
    return with_unnamed(segmentation.table, present_values(segmentation.labels))
