"""What is under the cursor, in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_volseg.app import Case
from napari_volseg.core import Geometry


def readout(case: Case, index: NDArray[np.float64]) -> str:
    """Return place, value and segment at a fractional voxel index (z, y, x); empty outside the image.

    The place is in patient coordinates, mm, told by the letters towards which they count; in voxels (z, y, x)
    where the image has no known physical size.
    """
    geometry = case.volume.geometry
    if not geometry.contains(index):
        return ""
    voxel = tuple(int(i) for i in np.round(index))
    value = _number(case.volume.voxels[voxel])
    label = int(case.segmentation.labels[voxel])
    segment = case.table[label].name if label in case.table else ""
    place = place_in_words(geometry, index) if case.volume.is_calibrated else f"voxel {', '.join(map(str, voxel))}"
    return "   ".join(part for part in (place, f"{value} {case.volume.unit}".strip(), segment) if part)


def place_in_words(geometry: Geometry, index: NDArray[np.float64]) -> str:
    """Return a fractional voxel index (z, y, x) in patient coordinates, mm, with the letters they count towards."""
    axes = zip(geometry.to_patient(index), ("LR", "PA", "SI"), strict=True)
    return f"{'  '.join(_coordinate(c, letters) for c, letters in axes)} mm"


def _coordinate(value: float, letters: str) -> str:
    return f"{letters[0] if value >= 0 else letters[1]} {abs(value):.1f}"


def _number(value: np.generic) -> str:
    return str(int(value)) if np.issubdtype(value.dtype, np.integer) else f"{float(value):.4g}"
