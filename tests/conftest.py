"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same cases every time, so that a change is judged by what it changes; "explore" looks for new ones.
settings.register_profile("same", derandomize=True)
settings.register_profile("explore")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

REAL_DATA_VARIABLE = "NAPARI_VOLSEG_REAL_DATA"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real cases: NAPARI_VOLSEG_REAL_DATA, else ``shared/data`` beside the checkout."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get(REAL_DATA_VARIABLE, default))
    if not folder.is_dir():
        pytest.skip(f"real cases are absent: {folder} does not exist (set {REAL_DATA_VARIABLE})")
    return folder


@pytest.fixture(scope="session")
def real_ct_folder(real_data: Path) -> Path:
    """Abdominal CT as a DICOM series: 20 slices, JPEG 2000, empty UIDs."""
    return real_data / "totalsegmentator/tests/reference_files/example_ct_dicom"


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """Folder of the phantoms that come with the project."""
    return Path(__file__).resolve().parents[1] / "sample_data"


@pytest.fixture
def series_with_a_gap(tmp_path: Path) -> Path:
    """A DICOM series of six slices 3 mm apart, of which the third is lost."""
    import numpy as np
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    folder = tmp_path / "gap"
    folder.mkdir()
    for k in (0, 1, 3, 4, 5):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = CTImageStorage, f"1.2.3.{k + 1}", "1.2.3"
        ds.Modality, ds.StudyInstanceUID, ds.FrameOfReferenceUID = "CT", "1.2", "1.2.9"
        ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 3 * k]
        ds.PixelSpacing, ds.Rows, ds.Columns, ds.SamplesPerPixel = [1, 1], 4, 5, 1
        ds.PhotometricInterpretation, ds.BitsAllocated, ds.BitsStored, ds.HighBit = "MONOCHROME2", 16, 16, 15
        ds.PixelRepresentation, ds.PixelData = 1, np.full((4, 5), 100 + k, "<i2").tobytes()
        ds.save_as(folder / f"{k}.dcm", enforce_file_format=True)
    return folder
