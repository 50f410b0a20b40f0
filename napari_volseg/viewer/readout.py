"""What is under the cursor, in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_volseg.app import Case
from napari_volseg.app.fusion import Fused
from napari_volseg.core import Geometry, Volume


def readout(case: Case, index: NDArray[np.float64], over: Fused | None = None) -> str:
    """Return place, values and segment at a fractional voxel index (z, y, x); empty outside the image.

    The place is in patient coordinates, mm, told by the letters towards which they count; in voxels (z, y, x)
    where the image has no known physical size. Of a second image, the value of its own voxel there is told.
    """
    geometry = case.volume.geometry
    if not geometry.contains(index):
        return ""
    voxel = tuple(int(i) for i in np.round(index))
    value = _value(case.volume.voxels[voxel], case.volume)
    second = _second(over, index) if over is not None else ""
    label = int(case.segmentation.labels[voxel])
    segment = case.table[label].name if label in case.table else ""
    place = place_in_words(geometry, index) if case.volume.is_calibrated else f"voxel {', '.join(map(str, voxel))}"
    return "   ".join(part for part in (place, value, second, segment) if part)


def place_in_words(geometry: Geometry, index: NDArray[np.float64]) -> str:
    """Return a fractional voxel index (z, y, x) in patient coordinates, mm, with the letters they count towards."""
    axes = zip(geometry.to_patient(index), ("LR", "PA", "SI"), strict=True)
    return f"{'  '.join(_coordinate(c, letters) for c, letters in axes)} mm"


def _coordinate(value: float, letters: str) -> str:
    return f"{letters[0] if value >= 0 else letters[1]} {abs(value):.1f}"


def _value(value: np.generic, volume: Volume) -> str:
    return f"SUV {float(value):.2f}" if volume.quantity == "SUV" else f"{_number(value)} {volume.unit}".strip()


def _second(over: Fused, index: NDArray[np.float64]) -> str:
    """Return the value of a second image with what it is a value of."""
    value, volume = over.value_at(index), over.volume
    name = volume.modality if volume.modality != "OT" else "second image"
    if value is None:
        return f"{name} –"
    told = _value(volume.voxels.dtype.type(value), volume)
    return told if volume.quantity in ("SUV", "HU") else f"{name} {told}"


def _number(value: np.generic) -> str:
    return str(int(value)) if np.issubdtype(value.dtype, np.integer) else f"{float(value):.4g}"
