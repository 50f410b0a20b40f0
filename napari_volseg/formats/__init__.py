"""Files in and out: NIfTI and DICOM volumes, labels, and exports that are read back before they count."""

from napari_volseg.formats.catalog import FoundVolume, RefusedFile, Scan
from napari_volseg.formats.decisions import Answers, Decision
from napari_volseg.formats.dicom.segmentation_export import save_dicom_seg
from napari_volseg.formats.labels import load_labels
from napari_volseg.formats.nifti_export import save_labels_nifti, save_volume_nifti
from napari_volseg.formats.registry import choose, describe, load, open_volume, scan

__all__ = [
    "Answers",
    "Decision",
    "FoundVolume",
    "RefusedFile",
    "Scan",
    "choose",
    "describe",
    "load",
    "load_labels",
    "open_volume",
    "save_dicom_seg",
    "save_labels_nifti",
    "save_volume_nifti",
    "scan",
]
