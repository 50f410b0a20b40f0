"""Labels in: onto the grid of the volume that they belong to, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import (
    MAX_LABEL,
    Finding,
    Geometry,
    GeometryError,
    RefusedError,
    Segment,
    Segmentation,
    SegmentTable,
    UsageError,
    Volume,
    color_for,
)
from napari_volseg.formats.dicom.segmentation_import import is_segmentation, read_segmentation
from napari_volseg.formats.files import PathLike
from napari_volseg.formats.nifti import read_volume
from napari_volseg.formats.nifti_header import NiftiHeader, read_header
from napari_volseg.formats.placement import as_image
from napari_volseg.formats.sidecar import read_table, sidecar_path
from napari_volseg.spatial import display_reorientation, reorient_geometry

#: Values this near to an integer are that integer.
_ROUNDING = 1e-3


def load_labels(path: PathLike, volume: Volume) -> Segmentation:
    """Read labels onto the display grid of their volume.

    Parameters
    ----------
    path
        NIfTI (with the table beside it, where there is one) or DICOM segmentation.
    volume
        The image that they belong to.

    Returns
    -------
    Segmentation
        In the smallest unsigned integer type; segments without a name are called by their value.

    Raises
    ------
    UsageError
        For a path that is no file.
    GeometryError
        Where the labels lie on another grid.
    RefusedError
        Where the file holds no labels or is damaged.
    """
    source = Path(path)
    if not source.is_file():
        raise UsageError(f"{source} is not a file: check the path")
    if is_segmentation(source):
        return read_segmentation(source, volume)
    header = read_header(source)
    header = replace(header, placement=as_image(header.placement, volume, source.name))
    if header.view_only:
        raise RefusedError(
            f"{source.name} holds colours or complex numbers: open a label file", "labels.not_integers"
        )
    if header.volumes > 1:
        raise RefusedError(
            f"{source.name} holds {header.volumes} volumes: labels are one volume of integers", "labels.not_3d"
        )
    require_same_grid(_display_grid(header), volume, source.name)
    voxels = read_volume(header).voxels
    labels = as_labels(voxels, source.name)
    beside = sidecar_path(source)
    table = read_table(beside) if beside.exists() else SegmentTable()
    findings = tuple(_value_findings(header, voxels, labels))
    return Segmentation(labels, volume.geometry, with_unnamed(table, labels), findings)


def _value_findings(header: NiftiHeader, voxels: NDArray[Any], labels: NDArray[Any]) -> Iterator[Finding]:
    if header.has_scaling:
        yield Finding(
            "labels.scaled",
            f"{header.path.name} scales its labels by {header.slope:g} and {header.intercept:g}; the scaled values "
            "are used",
        )
    elif voxels.dtype.kind == "f" and not np.array_equal(voxels, labels):
        yield Finding(
            "labels.rounded", f"{header.path.name} holds labels that are not quite integers; they were rounded"
        )


def _display_grid(header: NiftiHeader) -> Geometry:
    return reorient_geometry(header.geometry, display_reorientation(header.geometry))


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


def present_values(labels: NDArray[Any]) -> tuple[int, ...]:
    """Return the label values that occur, without 0, in rising order."""
    counts = np.zeros(MAX_LABEL + 1, bool)
    for plane in labels:
        counts[plane] = True
    return tuple(int(value) for value in np.flatnonzero(counts) if value)


def with_unnamed(table: SegmentTable, labels: NDArray[Any]) -> SegmentTable:
    """Return the table with a segment for each label value that it lacks."""
    for value in present_values(labels):
        if value not in table:
            table = table.with_segment(Segment(value, f"Segment {value}", color_for(value)))
    return table


def table_for(segmentation: Segmentation) -> SegmentTable:
    """Return the table that an export writes: every value that occurs has a segment."""
    return with_unnamed(segmentation.table, segmentation.labels)
