"""Make the sample data in this folder again: ``python sample_data/make.py``.

Everything follows from fixed seeds, so that a second run writes the same voxels, names and identifiers.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import PYDICOM_ROOT_UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from napari_volseg.core import Geometry, Volume
from napari_volseg.formats import save_labels_nifti, save_volume_nifti
from napari_volseg.training.phantoms import head, torso

HERE = Path(__file__).resolve().parent
TORSO_SEED = 7
#: Voxels are rounded to these steps (HU; MR units): finer than the noise, and it keeps the files small.
HU_STEP = 2
HEAD_SEED, MR_STEP = 11, 8
DATE, TIME = "20260102", "101500"


def uid(*names: object) -> str:
    """Return a UID that depends on ``names`` alone."""
    return str(generate_uid(PYDICOM_ROOT_UID, entropy_srcs=["napari-volseg sample data", *map(str, names)]))


def write_dicom_series(folder: Path, volume: Volume, seed: int) -> None:
    """Write one CT Image instance per slice, explicit little endian, under names in random order."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names = np.random.default_rng(seed).permutation(volume.geometry.shape[0])
    for index, name in enumerate(names):
        instance_header(volume, index).save_as(folder / f"I{name:04d}.dcm", enforce_file_format=True)


def instance_header(volume: Volume, index: int) -> Dataset:
    """Return the whole instance of slice ``index``, counted from inferior."""
    instance = Dataset()
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for part in (PATIENT, STUDY, SERIES, EQUIPMENT):
        instance.update(_dataset(part))
    instance.SOPClassUID = CTImageStorage
    instance.SOPInstanceUID = uid("torso instance", index)
    instance.InstanceNumber = index + 1
    _place(instance, volume.geometry, index)
    _fill(instance, volume.voxels[index])
    return instance


def _dataset(values: dict[str, object]) -> Dataset:
    part = Dataset()
    for keyword, value in values.items():
        setattr(part, keyword, value)
    return part


PATIENT: dict[str, object] = {
    "PatientName": "Phantom^Torso",
    "PatientID": "PHANTOM-TORSO",
    "PatientBirthDate": "",
    "PatientSex": "O",
    "PatientPosition": "HFS",
    "PatientIdentityRemoved": "YES",
    "DeidentificationMethod": "Synthetic: there is no patient",
}
STUDY: dict[str, object] = {
    "StudyInstanceUID": uid("torso study"),
    "StudyID": "1",
    "StudyDate": DATE,
    "StudyTime": TIME,
    "StudyDescription": "Torso phantom",
    "AccessionNumber": "",
    "ReferringPhysicianName": "",
}
SERIES: dict[str, object] = {
    "SeriesInstanceUID": uid("torso series"),
    "FrameOfReferenceUID": uid("torso frame of reference"),
    "PositionReferenceIndicator": "",
    "SeriesNumber": 2,
    "SeriesDate": DATE,
    "SeriesTime": TIME,
    "SeriesDescription": "Portal venous 3.0 mm",
    "AcquisitionNumber": 1,
    "AcquisitionDate": DATE,
    "AcquisitionTime": TIME,
    "ContentDate": DATE,
    "ContentTime": TIME,
    "Modality": "CT",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "BodyPartExamined": "CHESTABDOMEN",
    "KVP": 120,
    "ConvolutionKernel": "SOFT",
}
EQUIPMENT: dict[str, object] = {
    "Manufacturer": "napari-volseg",
    "ManufacturerModelName": "Torso phantom",
    "DeviceSerialNumber": "1",
    "SoftwareVersions": "1",
}


def _place(instance: Dataset, geometry: Geometry, index: int) -> None:
    columns = geometry.direction
    position = geometry.to_patient((index, 0, 0))
    instance.ImagePositionPatient = [round(float(v), 6) for v in position]
    instance.ImageOrientationPatient = [float(v) for v in (*columns[:, 2], *columns[:, 1])]
    instance.PixelSpacing = [geometry.spacing[1], geometry.spacing[2]]
    instance.SliceThickness = geometry.spacing[0]
    instance.SliceLocation = round(float(position[2]), 6)


def _fill(instance: Dataset, pixels: NDArray[np.int16]) -> None:
    instance.SamplesPerPixel = 1
    instance.PhotometricInterpretation = "MONOCHROME2"
    instance.Rows, instance.Columns = pixels.shape
    instance.BitsAllocated, instance.BitsStored, instance.HighBit = 16, 12, 11
    instance.PixelRepresentation = 0
    instance.RescaleIntercept, instance.RescaleSlope, instance.RescaleType = -1024, 1, "HU"
    instance.WindowCenter, instance.WindowWidth = 40, 400
    instance.PixelData = (pixels.astype(np.int32) + 1024).astype("<u2").tobytes()


def rounded(volume: Volume, step: int) -> Volume:
    """Return the volume with its voxels rounded to multiples of ``step``."""
    voxels = (np.round(volume.voxels / step) * step).astype(np.int16)
    return replace(volume, voxels=voxels)


def make_torso(folder: Path) -> None:
    """Write the torso as DICOM series, NIfTI and labels."""
    case = torso(TORSO_SEED)
    volume = rounded(case.volume, HU_STEP)
    write_dicom_series(folder / "torso-ct-dicom", volume, TORSO_SEED)
    save_volume_nifti(folder / "torso-ct.nii.gz", volume)
    save_labels_nifti(folder / "torso-labels.nii.gz", case.segmentation, volume)


def make_head(folder: Path) -> None:
    """Write both MR sequences of one head, and labels on the grid of the T1."""
    t1, flair = (head(HEAD_SEED, sequence) for sequence in ("T1", "FLAIR"))
    save_volume_nifti(folder / "head-mr-t1.nii.gz", rounded(t1.volume, MR_STEP))
    save_volume_nifti(folder / "head-mr-flair.nii.gz", rounded(flair.volume, MR_STEP))
    save_labels_nifti(folder / "head-labels.nii.gz", t1.segmentation, t1.volume)


if __name__ == "__main__":
    make_torso(HERE)
    make_head(HERE)
