"""NIfTI out: labels and volumes on the source grid, written with nibabel, read back with the reader of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Geometry, Segmentation, TimeAxis, UsageError, Volume
from napari_volseg.formats.files import PathLike
from napari_volseg.formats.labels import require_same_grid, table_for
from napari_volseg.formats.nifti import read_volume
from napari_volseg.formats.nifti_header import read_header
from napari_volseg.formats.publishing import (
    Draft,
    publish,
    require_no_source,
    require_same_place,
    require_same_voxels,
)
from napari_volseg.formats.sidecar import read_table, sidecar_path, write_table
from napari_volseg.spatial import apply_reorientation, invert_reorientation

_LABEL_INTENT = 1002
_SCANNER = 1
#: Our units of time in the words of nibabel.
_TIME_UNITS = {"s": "sec", "ms": "msec"}


def save_labels_nifti(path: PathLike, segmentation: Segmentation, volume: Volume) -> Path:
    """Save labels as NIfTI on the grid that the volume was stored on, and their table beside it.

    Both files are written beside their targets, read back, compared, and only then take their names.

    Parameters
    ----------
    path
        Ends in .nii or .nii.gz; the table is named after it, ending in .segments.json.
    segmentation
        On the volume's display grid.
    volume
        What was segmented.

    Returns
    -------
    Path
        The label file.

    Raises
    ------
    UsageError
        For another ending.
    RefusedError
        Where labels and volume don't match, the path is that of the volume's own file, or the file can't be
        written or reads back differently; a file that was there before is then untouched.
    """
    target = _nifti_path(path)
    require_no_source(target, volume)
    require_same_grid(segmentation.geometry, volume)
    labels = segmentation.labels.astype(np.min_scalar_type(int(segmentation.labels.max(initial=0))), copy=False)
    table = table_for(segmentation)

    def verify_table(written: Path) -> None:
        require_same_voxels(read_table(written) == table, sidecar_path(target).name)

    publish(
        [
            _draft(target, labels, volume, is_labels=True),
            Draft(sidecar_path(target), lambda temporary: write_table(temporary, table), verify_table),
        ]
    )
    return target


def save_volume_nifti(path: PathLike, volume: Volume) -> Path:
    """Save a volume as NIfTI on the grid that it was stored on; read back and compared like labels.

    Parameters
    ----------
    path
        Ends in .nii or .nii.gz.
    volume
        3D or 4D.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UsageError
        For another ending.
    RefusedError
        Where the path is that of the volume's own file, or the file can't be written or reads back differently.
    """
    target = _nifti_path(path)
    require_no_source(target, volume)
    publish([_draft(target, volume.voxels, volume, is_labels=False)])
    return target


def _nifti_path(path: PathLike) -> Path:
    target = Path(path)
    if not target.name.lower().endswith((".nii", ".nii.gz")):
        raise UsageError(f"{target.name} can't be written as NIfTI: give a name that ends in .nii or .nii.gz")
    return target


def _draft(target: Path, voxels: NDArray[Any], volume: Volume, is_labels: bool) -> Draft:
    origin = volume.origin_provenance
    stored = apply_reorientation(voxels, invert_reorientation(origin.reorientation))

    def write(temporary: Path) -> None:
        image = _image(stored, origin.source_geometry)
        if is_labels:
            image.header.set_intent(_LABEL_INTENT)
        length = "unknown" if origin.details.get("uncalibrated") else "mm"
        image.header.set_xyzt_units(length, _write_time(image.header, volume.time if stored.ndim == 4 else None))
        nib.save(image, temporary)

    def verify(written: Path) -> None:
        header = read_header(written)
        require_same_place(header.geometry, origin.source_geometry, target.name)
        require_same_voxels(_same(read_volume(header).voxels, voxels), target.name)

    return Draft(target, write, verify)


def _write_time(header: nib.Nifti1Header, axis: TimeAxis | None) -> str:
    """Write the steps of a leading axis that is time, and return NIfTI's name of its unit."""
    unit = _TIME_UNITS.get(axis.unit, "unknown") if axis is not None else "unknown"
    if axis is not None and unit != "unknown" and len(axis.values) > 1:
        header["pixdim"][4] = axis.values[1] - axis.values[0]
        header["toffset"] = axis.values[0]
    return unit


def _image(stored: NDArray[Any], geometry: Geometry) -> nib.Nifti1Image:
    """Return an image with a fresh header: sform exact, qform only where it places the corners the same.

    A qform can't hold shear, and near 180 degrees its quaternion in float32 is off by up to half a millimetre.
    """
    affine = geometry.to_ras_ijk()
    image = nib.Nifti1Image(stored.transpose(), affine, dtype=stored.dtype)
    image.header.set_sform(affine, code=_SCANNER)
    image.header.set_qform(affine, code=_SCANNER, strip_shears=True)
    i, j, k = geometry.shape[::-1]
    if not Geometry.from_ras_ijk(image.header.get_qform(), (i, j, k)).same_grid(geometry):
        image.header["qform_code"] = 0
    return image


def _same(read: NDArray[Any], meant: NDArray[Any]) -> bool:
    return bool(np.array_equal(read, meant, equal_nan=meant.dtype.kind == "f"))
