"""A quick look whether a path is ours to open, for places where every plugin is asked about everything."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

#: Endings of formats of which each file is a volume.
VOLUME_ENDINGS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")

#: DICOM files start with 128 bytes of anything and these four (PS3.10, 7.1).
DICOM_PREAMBLE, DICOM_PREFIX = 128, b"DICM"

#: Files of a folder that are looked at before it counts as not ours.
FILES_LOOKED_AT = 40


def looks_medical(path: Path) -> bool:
    """Whether a file is NIfTI, NRRD, MetaImage or DICOM, or a folder has one among its first files."""
    if path.is_dir():
        return any(_is_ours(file) for file in islice(_files(path), FILES_LOOKED_AT))
    return path.is_file() and _is_ours(path)


def _is_ours(file: Path) -> bool:
    return file.name.lower().endswith(VOLUME_ENDINGS) or _is_dicom(file)


def _is_dicom(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(DICOM_PREAMBLE + len(DICOM_PREFIX))[DICOM_PREAMBLE:] == DICOM_PREFIX
    except OSError:
        return False


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
