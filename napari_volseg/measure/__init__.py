"""Volumes, intensity statistics, overlap, surface distances and reports."""

from napari_volseg.measure.diameters import longest_diameter, slice_diameters
from napari_volseg.measure.histogram import Histogram, histogram_of
from napari_volseg.measure.overlap import dice, dice_per_label
from napari_volseg.measure.report import REPORT_VERSION, write_measurements, write_report
from napari_volseg.measure.statistics import SegmentStatistics, segment_statistics
from napari_volseg.measure.surfaces import (
    NSD_TOLERANCE_MM,
    SurfaceDistances,
    normalized_surface_dice,
    surface_distances,
)

__all__ = [
    "NSD_TOLERANCE_MM",
    "REPORT_VERSION",
    "Histogram",
    "SegmentStatistics",
    "SurfaceDistances",
    "dice",
    "dice_per_label",
    "histogram_of",
    "longest_diameter",
    "normalized_surface_dice",
    "segment_statistics",
    "slice_diameters",
    "surface_distances",
    "write_measurements",
    "write_report",
]
