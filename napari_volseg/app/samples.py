"""The sample cases that come with the program."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from napari_volseg.core import UsageError


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample case.

    Parameters
    ----------
    id
        Stable identifier.
    title
        Text of the menu.
    path
        File or folder below the sample folder.
    """

    id: str
    title: str
    path: str


SAMPLES: dict[str, Sample] = {
    sample.id: sample
    for sample in (
        Sample("torso-ct-dicom", "Torso CT phantom (DICOM)", "torso-ct-dicom"),
        Sample("torso-ct", "Torso CT phantom (NIfTI)", "torso-ct.nii.gz"),
        Sample("head-mr-t1", "Head MR phantom, T1 (oblique)", "head-mr-t1.nii.gz"),
        Sample("head-mr-flair", "Head MR phantom, FLAIR (oblique)", "head-mr-flair.nii.gz"),
    )
}


def sample_folder() -> Path:
    """Return the folder of samples, in a checkout or where an installation puts it."""
    places = (
        Path(__file__).resolve().parents[2] / "sample_data",
        Path(sys.prefix) / "share" / "napari-volseg" / "sample_data",
    )
    for place in places:
        if (place / SAMPLES["torso-ct"].path).is_file():
            return place
    raise UsageError(f"the sample cases are not installed at {places[-1]}: reinstall napari-volseg")


def sample_path(sample_id: str) -> Path:
    """Return the file or folder of a sample."""
    if sample_id not in SAMPLES:
        raise UsageError(f'"{sample_id}" is not a sample: choose one of {", ".join(SAMPLES)}')
    return sample_folder() / SAMPLES[sample_id].path
