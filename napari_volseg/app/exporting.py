"""What can be exported, each format a small class that knows its ending, its needs and its writer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_volseg.core import Measurement, Segmentation, UsageError, Volume
from napari_volseg.formats import (
    import_report,
    save_dicom_seg,
    save_labels_metaimage,
    save_labels_nifti,
    save_rtstruct,
    save_seg_nrrd,
    save_surfaces,
)
from napari_volseg.measure import write_measurements, write_report

#: Endings of images, taken off the name of a source before a word and an ending are put on.
_IMAGE_ENDINGS = (".gz", ".nii", ".hdr", ".img", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm", ".zip")

Measurements = Sequence[Measurement]
Writer = Callable[[Path, Segmentation, Volume, Measurements], Path]


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
    needs
        Whether it holds segments, which there must be, or measurements.
    others
        Further endings, each of which names another format.
    """

    id: str
    title: str
    suffix: str
    write: Writer
    needs_dicom: bool = False
    needs: Literal["segments", "measurements"] = "segments"
    others: tuple[str, ...] = ()

    @property
    def endings(self) -> str:
        """All endings as words."""
        *most, last = (self.suffix, *self.others)
        return f"{', '.join(most)} or {last}" if most else last

    def why_not(self, volume: Volume, segmentation: Segmentation, measurements: Measurements = ()) -> str | None:
        """Return why this case can't be exported so, None where it can."""
        if self.needs == "measurements":
            return None if measurements else "nothing was measured yet: draw a distance first"
        if not len(segmentation.table):
            return "there is no segment yet: segment something first"
        if self.needs_dicom and volume.origin_provenance.format != "DICOM":
            return f"{self.title} needs an image opened from DICOM: export NIfTI instead"
        return None

    def refuse(self, volume: Volume, segmentation: Segmentation, measurements: Measurements = ()) -> None:
        """Raise UsageError where this case can't be exported so."""
        reason = self.why_not(volume, segmentation, measurements)
        if reason:
            raise UsageError(reason)


def _labels(write: Callable[[Path, Segmentation, Volume], Path]) -> Writer:
    """Return a writer that leaves measurements out."""
    return lambda path, segmentation, volume, _: write(path, segmentation, volume)


def _write_json_report(path: Path, segmentation: Segmentation, volume: Volume, measurements: Measurements) -> Path:
    imported = import_report(volume).as_dict()
    return write_report(path, segmentation, volume, imported=imported, measurements=measurements)


def _write_measurements(path: Path, _: Segmentation, volume: Volume, measurements: Measurements) -> Path:
    return write_measurements(path, measurements, volume)


EXPORTS: dict[str, ExportKind] = {
    kind.id: kind
    for kind in (
        ExportKind("nifti", "NIfTI labels", ".nii.gz", _labels(save_labels_nifti)),
        ExportKind("dicom-seg", "DICOM-SEG", ".dcm", _labels(save_dicom_seg), needs_dicom=True),
        ExportKind(
            "rtstruct", "RTSTRUCT", ".rtstruct.dcm", _labels(save_rtstruct), needs_dicom=True, others=(".dcm",)
        ),
        ExportKind("seg-nrrd", "NRRD segmentation", ".seg.nrrd", _labels(save_seg_nrrd)),
        ExportKind("metaimage", "MetaImage labels", ".mha", _labels(save_labels_metaimage)),
        ExportKind("surfaces", "Surfaces", ".stl", _labels(save_surfaces), others=(".ply", ".obj")),
        ExportKind("report-csv", "Report (CSV)", ".csv", _labels(write_report)),
        ExportKind("measurements-csv", "Measurements (CSV)", ".csv", _write_measurements, needs="measurements"),
        ExportKind("report-json", "Report (JSON)", ".json", _write_json_report),
    )
}


def export(
    kind_id: str, path: Path, segmentation: Segmentation, volume: Volume, measurements: Measurements = ()
) -> Path:
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
    kind.refuse(volume, segmentation, measurements)
    known = path.name.lower().endswith(kind.others) if kind.others else False
    target = path if known else with_suffix(path, kind.suffix)
    return kind.write(target, segmentation, volume, measurements)


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
    first = kind_id.partition("-")[0]
    word = first if first in ("report", "measurements", "surfaces") else "labels"
    names = (f"{stem}_{word}{n}{kind.suffix}" for n in ("", *(f"_{i}" for i in range(2, 1000))))
    return next(path for name in names if not (path := folder / name).exists())


def with_suffix(path: Path, suffix: str) -> Path:
    """Return ``path`` ending in ``suffix``, added where it is absent."""
    return path if path.name.lower().endswith(suffix) else path.with_name(path.name + suffix)
