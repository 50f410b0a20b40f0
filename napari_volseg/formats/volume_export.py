"""Volumes out, in the format that the ending of the name says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_volseg.core import UsageError, Volume
from napari_volseg.formats.files import PathLike
from napari_volseg.formats.nifti_export import save_volume_nifti
from napari_volseg.formats.raster_export import save_volume_metaimage, save_volume_nrrd

_WRITERS: dict[str, Callable[[PathLike, Volume], Path]] = {
    ".nii.gz": save_volume_nifti,
    ".nii": save_volume_nifti,
    ".nrrd": save_volume_nrrd,
    ".mha": save_volume_metaimage,
    ".mhd": save_volume_metaimage,
}


def save_volume(path: PathLike, volume: Volume) -> Path:
    """Save a volume on its stored grid as .nii.gz, .nii, .nrrd, .mha or .mhd; read back and compared.

    Raises
    ------
    UsageError
        For another ending.
    RefusedError
        Where the file can't be written or reads back differently.
    """
    target = Path(path)
    for ending, write in _WRITERS.items():
        if target.name.lower().endswith(ending):
            return write(target, volume)
    raise UsageError(f"{target.name} does not say a format: give a name that ends in {', '.join(_WRITERS)}")
