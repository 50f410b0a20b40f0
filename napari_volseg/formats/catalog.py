"""What a look at files and folders brings to light."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from napari_volseg.core import Decision, Finding, Geometry


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file, or the first file of a group, that can't be opened as a volume.

    Parameters
    ----------
    path
        The file.
    code
        Stable identifier of the reason, such as ``"dicom.missing_slices"``.
    reason
        One sentence for the user.
    series_uid
        DICOM series that the file belongs to, empty where unknown.
    """

    path: Path
    code: str
    reason: str
    series_uid: str = ""


@dataclass(frozen=True, slots=True)
class FoundVolume:
    """A volume that can be opened, described from its headers alone.

    Parameters
    ----------
    id
        Short name within its scan, such as ``"1"``; the same files give the same name again.
    format
        ``"DICOM"``, ``"NIfTI"``, ``"NRRD"`` or ``"MetaImage"``.
    paths
        Source files; for DICOM one per slice along axis 0 of the stored grid.
    description
        Series description or file name, for people.
    modality
        DICOM modality, ``"OT"`` where unknown.
    geometry
        The stored grid, before reorientation for display.
    date
        ISO date, empty where unknown.
    findings
        What was found, repaired, assumed, decided and left out.
    source
        The reader's own notes for loading.
    decisions
        What only the user can decide before it is loaded; the description shows what the first choices give.
    uncalibrated
        Whether the grid is made up, so that nothing may be told in mm.
    series_uid
        DICOM series that it belongs to, empty where unknown.
    study_uid, patient
        DICOM study that it belongs to, and a digest that tells its patient from others and names nobody; empty where
        unknown.
    archive
        The zip archive that its files were unpacked from, None where they lie by themselves.
    """

    id: str
    format: str
    paths: tuple[Path, ...]
    description: str
    modality: str
    geometry: Geometry
    date: str = ""
    findings: tuple[Finding, ...] = ()
    source: object = field(default=None, repr=False, compare=False)
    decisions: tuple[Decision, ...] = ()
    uncalibrated: bool = False
    series_uid: str = ""
    study_uid: str = ""
    patient: str = ""
    archive: Path | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels (z, y, x) of the stored grid."""
        return self.geometry.shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel spacing (z, y, x) of the stored grid, mm."""
        return self.geometry.spacing

    @property
    def slices(self) -> int:
        """Number of slices as stored."""
        return self.geometry.shape[0]


@dataclass(frozen=True, slots=True)
class Scan:
    """The outcome of looking through files and folders.

    Parameters
    ----------
    found
        Volumes that can be opened.
    refused
        Images that can't, each with its reason.
    skipped
        Files that are no medical images and were passed over.
    """

    found: tuple[FoundVolume, ...] = ()
    refused: tuple[RefusedFile, ...] = ()
    skipped: int = 0
