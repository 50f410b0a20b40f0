"""Labels in: onto the grid of the volume that they belong to, or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Finding, Geometry, RefusedError, Segmentation, SegmentTable, UsageError, Volume
from napari_volseg.formats.dicom.segmentation_import import is_segmentation, read_segmentation
from napari_volseg.formats.dicom.structure_set_import import is_structure_set, read_structure_set
from napari_volseg.formats.files import PathLike
from napari_volseg.formats.labels import as_labels, present_values, require_same_grid, with_unnamed
from napari_volseg.formats.metaimage import is_metaimage
from napari_volseg.formats.metaimage import read_header as read_metaimage_header
from napari_volseg.formats.nifti import read_volume
from napari_volseg.formats.nifti_header import NiftiHeader
from napari_volseg.formats.nifti_header import read_header as read_nifti_header
from napari_volseg.formats.nrrd import is_nrrd
from napari_volseg.formats.nrrd import is_segmentation as names_segments
from napari_volseg.formats.nrrd import read_header as read_nrrd_header
from napari_volseg.formats.placement import as_image
from napari_volseg.formats.raster import Raster, read_raster
from napari_volseg.formats.sidecar import read_table, sidecar_path
from napari_volseg.formats.slicer import read_seg_nrrd
from napari_volseg.spatial import display_reorientation, reorient_geometry


def load_labels(path: PathLike, volume: Volume) -> Segmentation:
    """Read labels onto the display grid of their volume.

    Parameters
    ----------
    path
        NIfTI, NRRD or MetaImage (with the table beside it, where there is one), a segmentation of 3D Slicer
        (.seg.nrrd), a DICOM segmentation or an RT Structure Set.
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
    if is_structure_set(source):
        return read_structure_set(source, volume)
    if is_nrrd(source):
        raster = read_nrrd_header(source)
        return read_seg_nrrd(raster, volume) if names_segments(raster) else _from_raster(raster, volume)
    if is_metaimage(source):
        return _from_raster(read_metaimage_header(source), volume)
    return _from_nifti(read_nifti_header(source), volume)


def _from_nifti(header: NiftiHeader, volume: Volume) -> Segmentation:
    name = header.path.name
    header = replace(header, placement=as_image(header.placement, volume, name))
    if header.view_only:
        raise RefusedError(f"{name} holds colours or complex numbers: open a label file", "labels.not_integers")
    _refuse_several(header.volumes, name)
    require_same_grid(_display_grid(header.geometry), volume, name)
    scaling = f"{header.slope:g} and {header.intercept:g}" if header.has_scaling else ""
    return _segmentation(header.path, read_volume(header).voxels, volume, scaling)


def _from_raster(raster: Raster, volume: Volume) -> Segmentation:
    raster = replace(raster, placement=as_image(raster.placement, volume, raster.path.name))
    _refuse_several(raster.layers * raster.volumes, raster.path.name)
    require_same_grid(_display_grid(raster.geometry), volume, raster.path.name)
    return _segmentation(raster.path, read_raster(raster).voxels, volume)


def _refuse_several(count: int, name: str) -> None:
    if count > 1:
        raise RefusedError(f"{name} holds {count} volumes: labels are one volume of integers", "labels.not_3d")


def _display_grid(stored: Geometry) -> Geometry:
    return reorient_geometry(stored, display_reorientation(stored))


def _segmentation(path: Path, voxels: NDArray[Any], volume: Volume, scaling: str = "") -> Segmentation:
    labels = as_labels(voxels, path.name)
    beside = sidecar_path(path)
    table = read_table(beside) if beside.exists() else SegmentTable()
    findings = []
    if scaling:
        message = f"{path.name} scales its labels by {scaling}; the scaled values are used"
        findings.append(Finding("labels.scaled", message))
    elif voxels.dtype.kind == "f" and not np.array_equal(voxels, labels):
        message = f"{path.name} holds labels that are not quite integers; they were rounded"
        findings.append(Finding("labels.rounded", message))
    return Segmentation(labels, volume.geometry, with_unnamed(table, present_values(labels)), tuple(findings))
