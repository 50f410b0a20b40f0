"""DICOM: from loose files to series that form a grid, their voxels, and segmentations in and out."""

import warnings

from napari_volseg.formats.dicom.assembly import NAME, assemble
from napari_volseg.formats.dicom.directory import Directory
from napari_volseg.formats.dicom.headers import has_preamble, read_file
from napari_volseg.formats.dicom.instances import Instance
from napari_volseg.formats.dicom.reader import decided, load, prepare

# Both libraries remark on each odd value of a header by quoting it, patients' names included, and what matters
# to the user becomes a finding. A filter that is set once is safe between threads, unlike catch_warnings.
warnings.filterwarnings("ignore", category=UserWarning, module=r"(pydicom|highdicom)\.")

__all__ = ["NAME", "Directory", "Instance", "assemble", "decided", "has_preamble", "load", "prepare", "read_file"]
