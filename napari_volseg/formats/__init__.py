"""Files in and out: NIfTI and DICOM volumes, labels, and exports that are read back before they count."""

from napari_volseg.formats.catalog import FoundVolume, RefusedFile, Scan
from napari_volseg.formats.registry import choose, describe, load, open_volume, scan

__all__ = ["FoundVolume", "RefusedFile", "Scan", "choose", "describe", "load", "open_volume", "scan"]
