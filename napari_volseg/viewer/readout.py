"""What is under the cursor, in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_volseg.app import Case


def readout(case: Case, index: NDArray[np.float64]) -> str:
    """Return place, value and segment at a fractional voxel index (z, y, x); empty outside the image.

    The place is in patient coordinates, mm, told by the letters towards which they count.
    """
    geometry = case.volume.geometry
    if not geometry.contains(index):
        return ""
    voxel = tuple(int(i) for i in np.round(index))
    value = _number(case.volume.voxels[voxel])
    label = int(case.segmentation.labels[voxel])
    segment = case.table[label].name if label in case.table else ""
    place = "  ".join(
        _coordinate(c, axis) for c, axis in zip(geometry.to_patient(index), ("LR", "PA", "SI"), strict=True)
    )
    return "   ".join(part for part in (f"{place} mm", f"{value} {case.volume.unit}".strip(), segment) if part)


def _coordinate(value: float, letters: str) -> str:
    return f"{letters[0] if value >= 0 else letters[1]} {abs(value):.1f}"


def _number(value: np.generic) -> str:
    return str(int(value)) if np.issubdtype(value.dtype, np.integer) else f"{float(value):.4g}"
