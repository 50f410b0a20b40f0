"""DICOMDIR: the table of contents of a medium, followed inside its own folder only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pydicom

from napari_volseg.formats.catalog import RefusedFile


@dataclass(frozen=True, slots=True)
class Directory:
    """What a DICOMDIR refers to.

    Parameters
    ----------
    files
        That exist under its folder.
    refused
        References that lead out of the folder or to nothing.
    """

    files: tuple[Path, ...]
    refused: tuple[RefusedFile, ...]


def read_directory(path: Path) -> Directory:
    """Read the references of a DICOMDIR (PS3.3 F.3.2.2)."""
    records = pydicom.dcmread(path, force=True).get("DirectoryRecordSequence") or ()
    ids = [record.ReferencedFileID for record in records if record.get("ReferencedFileID")]
    root = path.parent.resolve()
    files: list[Path] = []
    refused: list[RefusedFile] = []
    missing: list[str] = []
    for parts in ids:
        name = "/".join([parts] if isinstance(parts, str) else parts)
        target = (root / name).resolve()
        if not target.is_relative_to(root):
            reason = f"{path.name} refers to {name}, which lies outside its folder: open that file by itself"
            refused.append(RefusedFile(path, "dicom.directory_outside", reason))
        elif not target.is_file():
            missing.append(name)
        else:
            files.append(path.parent / name)
    if missing:
        reason = (
            f"{path.name} refers to files that are not there ({len(missing)}), such as {missing[0]}: "
            "copy the whole medium again"
        )
        refused.append(RefusedFile(path, "dicom.directory_missing", reason))
    return Directory(tuple(files), tuple(refused))
