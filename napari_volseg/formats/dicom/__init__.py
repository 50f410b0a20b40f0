"""DICOM: from loose files to series that form a grid, their voxels, and segmentations in and out."""

from napari_volseg.formats.dicom.instances import Instance, read_instance
from napari_volseg.formats.dicom.reader import NAME, assemble, load

__all__ = ["NAME", "Instance", "assemble", "load", "read_instance"]
