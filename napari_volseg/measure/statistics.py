"""How large segments are and what intensities they hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import GeometryError, Segment, Segmentation, UsageError, Volume

MM3_PER_ML = 1000.0


@dataclass(frozen=True, slots=True)
class SegmentStatistics:
    """Figures of one segment; intensities in the volume's unit, None where no voxel has a finite one.

    Parameters
    ----------
    value, name
        Label value and name of the segment.
    voxels
        Number of voxels that carry the label.
    volume_ml
        Their volume, mL, exact for oblique and sheared grids; None where the image has no known physical size.
    mean, sd
        Mean and population standard deviation.
    min, p5, median, p95, max
        Extremes and percentiles (linear interpolation).
    unit
        Unit of the intensities, such as ``"HU"``; empty for arbitrary ones.
    """

    value: int
    name: str
    voxels: int
    volume_ml: float | None
    mean: float | None
    sd: float | None
    min: float | None
    p5: float | None
    median: float | None
    p95: float | None
    max: float | None
    unit: str


def segment_statistics(segmentation: Segmentation, volume: Volume) -> tuple[SegmentStatistics, ...]:
    """Measure every segment of the table, in table order.

    Voxels whose intensity is not a finite number count for the volume, not for the intensities.

    Parameters
    ----------
    segmentation
        Labels on the grid of ``volume``.
    volume
        A 3D volume.

    Raises
    ------
    GeometryError
        Where labels and volume lie on different grids.
    UsageError
        For a 4D volume: choose one with ``Volume.at_time``.
    """
    if volume.voxels.ndim != 3:
        raise UsageError(f"a volume with {volume.voxels.shape[0]} time points can't be measured at once: choose one")
    if not segmentation.geometry.same_grid(volume.geometry):
        raise GeometryError(
            f"labels of shape {segmentation.geometry.shape} do not lie on the grid of {volume.name}, "
            f"of shape {volume.geometry.shape}: measure them on the image they were made on"
        )
    largest = max(segmentation.table.values, default=0)
    boxes = ndimage.find_objects(segmentation.labels, max_label=largest) if largest else []
    return tuple(_measure(s, segmentation.labels, volume, boxes[s.value - 1]) for s in segmentation.table)


def _measure(
    segment: Segment, labels: NDArray[Any], volume: Volume, box: tuple[slice, ...] | None
) -> SegmentStatistics:
    where = box or (slice(0, 0),) * 3
    inside = np.asarray(volume.voxels[where])[labels[where] == segment.value]
    volume_ml = inside.size * volume.geometry.voxel_volume / MM3_PER_ML if volume.is_calibrated else None
    return SegmentStatistics(
        segment.value, segment.name, inside.size, volume_ml, **_intensities(inside), unit=volume.unit
    )


def _intensities(values: NDArray[Any]) -> dict[str, float | None]:
    finite = values[np.isfinite(values)].astype(np.float64)
    if finite.size == 0:
        return dict.fromkeys(("mean", "sd", "min", "p5", "median", "p95", "max"))
    low, p5, median, p95, high = (float(v) for v in np.percentile(finite, (0, 5, 50, 95, 100)))
    return {
        "mean": float(finite.mean()),
        "sd": float(finite.std()),
        "min": low,
        "p5": p5,
        "median": median,
        "p95": p95,
        "max": high,
    }
