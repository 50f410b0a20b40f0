"""Files in and out: NIfTI, NRRD, MetaImage and DICOM; labels; exports that are read back before they count."""

from napari_volseg.core import Answers, Decision
from napari_volseg.formats.catalog import FoundVolume, RefusedFile, Scan
from napari_volseg.formats.dicom.segmentation_export import save_dicom_seg
from napari_volseg.formats.dicom.structure_set import save_rtstruct
from napari_volseg.formats.import_report import ImportReport, import_report
from napari_volseg.formats.label_import import load_labels
from napari_volseg.formats.meshes import save_surfaces
from napari_volseg.formats.nifti_export import save_labels_nifti, save_volume_nifti
from napari_volseg.formats.raster_export import save_labels_metaimage, save_volume_metaimage, save_volume_nrrd
from napari_volseg.formats.registry import choose, describe, load, open_volume, prepare, scan
from napari_volseg.formats.remembering import ScanMemory
from napari_volseg.formats.slicer import save_seg_nrrd
from napari_volseg.formats.volume_export import save_volume

__all__ = [
    "Answers",
    "Decision",
    "FoundVolume",
    "ImportReport",
    "RefusedFile",
    "Scan",
    "ScanMemory",
    "choose",
    "describe",
    "import_report",
    "load",
    "load_labels",
    "open_volume",
    "prepare",
    "save_dicom_seg",
    "save_labels_metaimage",
    "save_labels_nifti",
    "save_rtstruct",
    "save_seg_nrrd",
    "save_surfaces",
    "save_volume",
    "save_volume_metaimage",
    "save_volume_nifti",
    "save_volume_nrrd",
    "scan",
]
