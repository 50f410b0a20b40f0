"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
