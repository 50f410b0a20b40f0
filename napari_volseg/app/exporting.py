"""What can be exported, each format a small class that knows its ending, its needs and its writer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_volseg.core import Segmentation, UsageError, Volume
from napari_volseg.formats import (
    import_report,
    save_dicom_seg,
    save_labels_metaimage,
    save_labels_nifti,
    save_seg_nrrd,
)
from napari_volseg.measure import write_report

#: Endings of images, taken off the name of a source before a word and an ending are put on.
_IMAGE_ENDINGS = (".gz", ".nii", ".hdr", ".img", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".zip")

Writer = Callable[[Path, Segmentation, Volume], Path]


@dataclass(frozen=True, slots=True)
class ExportKind:
    """One way to export a segmentation.

    Parameters
    ----------
    id
        Stable identifier.
    title
        Text of button and dialog.
    suffix
        File ending with its dot.
    write
        Writes, reads back and compares; returns the path.
    needs_dicom
        Whether the source must be a DICOM series.
    """

    id: str
    title: str
    suffix: str
    write: Writer
    needs_dicom: bool = False

    def why_not(self, volume: Volume, segmentation: Segmentation) -> str | None:
        """Return why this case can't be exported so, None where it can."""
        if not len(segmentation.table):
            return "there is no segment yet: segment something first"
        if self.needs_dicom and volume.origin_provenance.format != "DICOM":
            return f"{self.title} needs an image opened from DICOM: export NIfTI instead"
        return None

    def refuse(self, volume: Volume, segmentation: Segmentation) -> None:
        """Raise UsageError where this case can't be exported so."""
        reason = self.why_not(volume, segmentation)
        if reason:
            raise UsageError(reason)


def _write_json_report(path: Path, segmentation: Segmentation, volume: Volume) -> Path:
    return write_report(path, segmentation, volume, imported=import_report(volume).as_dict())


EXPORTS: dict[str, ExportKind] = {
    kind.id: kind
    for kind in (
        ExportKind("nifti", "NIfTI labels", ".nii.gz", save_labels_nifti),
        ExportKind("dicom-seg", "DICOM-SEG", ".dcm", save_dicom_seg, needs_dicom=True),
        ExportKind("seg-nrrd", "NRRD segmentation", ".seg.nrrd", save_seg_nrrd),
        ExportKind("metaimage", "MetaImage labels", ".mha", save_labels_metaimage),
        ExportKind("report-csv", "Report (CSV)", ".csv", write_report),
        ExportKind("report-json", "Report (JSON)", ".json", _write_json_report),
    )
}


def export(kind_id: str, path: Path, segmentation: Segmentation, volume: Volume) -> Path:
    """Write one export and return its path once it has been read back and compared.

    Raises
    ------
    UsageError
        For an unknown kind and for a case that can't be exported so.
    RefusedError
        Where what was written does not agree with what was meant; an existing file is kept.
    """
    kind = EXPORTS.get(kind_id)
    if kind is None:
        raise UsageError(f'"{kind_id}" is not an export: choose one of {", ".join(EXPORTS)}')
    kind.refuse(volume, segmentation)
    return kind.write(with_suffix(path, kind.suffix), segmentation, volume)


def suggest_path(kind_id: str, volume: Volume) -> Path:
    """Return where an export is likely wanted: beside the source, named after it, never over an existing file."""
    kind, source = EXPORTS[kind_id], volume.origin_provenance
    sources = (source.archive,) if source.archive else source.paths
    folder, stem = Path.home(), volume.name
    if sources:
        one_file = len(sources) == 1
        folder = sources[0].parent if one_file else sources[0].parent.parent
        stem = sources[0].name if one_file else sources[0].parent.name
    for ending in _IMAGE_ENDINGS:
        stem = stem.removesuffix(ending)
    word = "report" if kind_id.startswith("report") else "labels"
    names = (f"{stem}_{word}{n}{kind.suffix}" for n in ("", *(f"_{i}" for i in range(2, 1000))))
    return next(path for name in names if not (path := folder / name).exists())


def with_suffix(path: Path, suffix: str) -> Path:
    """Return ``path`` ending in ``suffix``, added where it is absent."""
    return path if path.name.lower().endswith(suffix) else path.with_name(path.name + suffix)
