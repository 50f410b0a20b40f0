"""NIfTI out: labels and volumes on the source grid, the header by nibabel, read back with the reader of ours."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Geometry, Segmentation, TimeAxis, UsageError, Volume
from napari_volseg.formats.files import PathLike
from napari_volseg.formats.labels import present_values, require_same_grid, with_unnamed
from napari_volseg.formats.nifti import holds_voxels
from napari_volseg.formats.nifti_header import read_header
from napari_volseg.formats.publishing import (
    Draft,
    publish,
    require_no_source,
    require_same_place,
    require_same_voxels,
)
from napari_volseg.formats.sidecar import read_table, sidecar_path, write_table
from napari_volseg.formats.streams import deflated, planes_of
from napari_volseg.spatial import apply_reorientation, invert_reorientation

_LABEL_INTENT = 1002
_SCANNER = 1
#: Where voxels begin in a file without extensions: behind the header and the four bytes that say so.
_SINGLE_FILE_OFFSET = 352
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
    present = present_values(segmentation.labels)
    table = with_unnamed(segmentation.table, present)

    def verify_table(written: Path) -> None:
        require_same_voxels(read_table(written) == table, sidecar_path(target).name)

    publish(
        [
            _draft(target, segmentation.labels, volume, np.min_scalar_type(max(present, default=0))),
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
    publish([_draft(target, volume.voxels, volume)])
    return target


def _nifti_path(path: PathLike) -> Path:
    target = Path(path)
    if not target.name.lower().endswith((".nii", ".nii.gz")):
        raise UsageError(f"{target.name} can't be written as NIfTI: give a name that ends in .nii or .nii.gz")
    return target


def _draft(target: Path, voxels: NDArray[Any], volume: Volume, label_type: np.dtype[Any] | None = None) -> Draft:
    """Return the draft of a file with voxels on the display grid of a volume; of labels, the type is given."""
    origin = volume.origin_provenance
    stored = apply_reorientation(voxels, invert_reorientation(origin.reorientation))

    def write(temporary: Path) -> None:
        image = _image(stored, origin.source_geometry)
        if label_type is not None:
            image.header.set_intent(_LABEL_INTENT)
            image.header.set_data_dtype(label_type)
        length = "unknown" if origin.details.get("uncalibrated") else "mm"
        image.header.set_xyzt_units(length, _write_time(image.header, volume.time if stored.ndim == 4 else None))
        _save(temporary, image)

    def verify(written: Path) -> None:
        header = read_header(written)
        require_same_place(header.geometry, origin.source_geometry, target.name)
        require_same_voxels(holds_voxels(header, voxels), target.name)

    return Draft(target, write, verify)


def _save(path: Path, image: nib.Nifti1Image) -> None:
    """Write an image plane by plane, in the type that its header names; little endian, as most files are.

    nibabel itself would deflate with zlib, and copy the image first.
    """
    header = image.header.as_byteswapped("<")
    header.set_slope_inter(1, 0)
    header.set_data_offset(_SINGLE_FILE_OFFSET)
    head = io.BytesIO()
    header.write_to(head)
    planes = _converted(np.asanyarray(image.dataobj).transpose(), header.get_data_dtype())
    with path.open("wb") as stream:
        if path.name.lower().endswith(".gz"):
            stream.writelines(deflated(planes, zlib.MAX_WBITS | 16, head.getvalue()))
        else:
            stream.write(head.getvalue())
            stream.writelines(plane.data for plane in planes)


def _converted(stored: NDArray[Any], dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """Yield the planes of voxels in another type, contiguous; each is to be used before the next is asked for."""
    room = np.empty(stored.shape[-2:], dtype)
    for plane in planes_of(stored):
        np.copyto(room, plane, casting="unsafe")
        yield room


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
