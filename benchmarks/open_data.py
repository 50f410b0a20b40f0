"""Makes the files that ``open.py`` reads: a CT-like volume as native DICOM, JPEG 2000 DICOM and .nii.gz.

The truth is written beside them: what voxels and corners a reader has to find.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from open_agreement import corners, fingerprint
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless

SIZE = 512
SPACING = (1.0, 0.75, 0.75)
ORIGIN = (-180.5, -201.25, -412.0)
INTERCEPT = -1024
SEED = 20240601
_ROOT = "1.2.826.0.1.3680043.8.498.7"


def slices(count: int) -> Iterator[NDArray[np.int16]]:
    """Yield axial slices in HU, from inferior to superior: a noisy body with bones, lungs and one liver."""
    y, x = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) / (SIZE / 2)
    rng = np.random.default_rng(SEED)
    for z in range(count):
        height = z / max(count - 1, 1)
        hu = np.where((x / 0.8) ** 2 + (y / 0.55) ** 2 < 1, 40.0, -1000.0)
        for side in (-1, 1):
            hu[((x - side * 0.36) / 0.26) ** 2 + ((y + 0.03) / 0.4) ** 2 < height] = -850
        hu[((x + 0.35) / 0.3) ** 2 + ((y + 0.1) / 0.3) ** 2 < 1 - 2 * height] = 110
        hu[(x / 0.09) ** 2 + ((y - 0.35) / 0.11) ** 2 < 1] = 700
        hu += rng.normal(scale=np.where(hu > -1000, 12.0, 4.0))
        yield np.clip(np.rint(hu), INTERCEPT, 3071).astype(np.int16)


def matrix() -> NDArray[np.float64]:
    """Return the 4×4 from index (z, y, x) to patient (x, y, z), mm, LPS."""
    made = np.eye(4)
    made[:3, :3] = np.fliplr(np.diag(SPACING[::-1]))
    made[:3, 3] = ORIGIN
    return made


def make(folder: Path, count: int, count_jpeg2000: int) -> None:
    """Write ``native``, ``jpeg2000``, ``volume.nii.gz`` and ``truth.json`` into a folder."""
    volume = np.stack(list(slices(count)))
    _write_series(folder / "native", volume, compressed=False)
    _write_series(folder / "jpeg2000", volume[:count_jpeg2000], compressed=True)
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix()[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(volume.T, ras)
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, folder / "volume.nii.gz")
    truth = {"native": _truth(volume), "jpeg2000": _truth(volume[:count_jpeg2000]), "volume.nii.gz": _truth(volume)}
    (folder / "truth.json").write_text(json.dumps(truth))


def _truth(volume: NDArray[np.int16]) -> dict[str, object]:
    return {
        "corners": corners(volume.shape, matrix()),
        "fingerprint": fingerprint(volume, matrix()),
        "bytes": volume.nbytes,
    }


def _write_series(folder: Path, volume: NDArray[np.int16], compressed: bool) -> None:
    folder.mkdir()
    # Names in another order than places, as a PACS gives them.
    names = np.random.default_rng(SEED).permutation(len(volume))
    series = f"{_ROOT}.{2 if compressed else 1}"
    for z, hu in enumerate(volume):
        dataset = _header(series, z)
        dataset.PixelData = (hu - INTERCEPT).astype("<u2").tobytes()
        if compressed:
            dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
        dataset.save_as(folder / f"IM{names[z]:05}", enforce_file_format=True)


def _header(series: str, z: int) -> Dataset:
    """Return a header about as long as scanners write them, private elements and a sequence included."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = UID(f"{series}.{z + 1}")
    dataset.StudyInstanceUID = UID(_ROOT)
    dataset.SeriesInstanceUID = UID(series)
    dataset.FrameOfReferenceUID = UID(f"{_ROOT}.9")
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(dataset, keyword, "20240601")
    for keyword in ("AcquisitionTime", "ContentTime"):
        setattr(dataset, keyword, f"1015{z // 20:02}.250000")
    for keyword, value in _SAME_IN_ALL.items():
        setattr(dataset, keyword, value)
    dataset.InstanceNumber = z + 1
    dataset.ImagePositionPatient = [ORIGIN[0], ORIGIN[1], ORIGIN[2] + z * SPACING[0]]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.SliceLocation = ORIGIN[2] + z * SPACING[0]
    procedure = Dataset()
    procedure.CodeValue, procedure.CodingSchemeDesignator, procedure.CodeMeaning = "CTBODY", "99BENCH", "CT body"
    dataset.ProcedureCodeSequence = [procedure]
    private = dataset.private_block(0x0019, "BENCHMARK", create=True)
    for element in range(24):
        private.add_new(element, "LO", f"private value {element} of slice {z}")
    return dataset


_SAME_IN_ALL = {
    "StudyTime": "101400", "SeriesTime": "101500", "AccessionNumber": "1", "Modality": "CT",
    "Manufacturer": "BENCHMARK", "InstitutionName": "Generated",
    "ReferringPhysicianName": "Nobody", "StationName": "GEN1", "StudyDescription": "Chest and abdomen",
    "SeriesDescription": "Body 1.0 B30", "ManufacturerModelName": "Generator 1", "PatientName": "Bench^Mark",
    "PatientID": "BENCH-1", "PatientBirthDate": "19700101", "PatientSex": "O", "PatientAge": "054Y",
    "BodyPartExamined": "CHEST", "ScanOptions": "HELICAL MODE", "SliceThickness": 1.0, "KVP": 120,
    "DataCollectionDiameter": 500, "SoftwareVersions": "1.0", "ProtocolName": "Body", "ReconstructionDiameter": 384,
    "DistanceSourceToDetector": 1040, "DistanceSourceToPatient": 570, "GantryDetectorTilt": 0, "TableHeight": 150,
    "RotationDirection": "CW", "ExposureTime": 500, "XRayTubeCurrent": 200, "Exposure": 100, "FilterType": "BODY",
    "GeneratorPower": 24, "FocalSpots": 1.2, "ConvolutionKernel": "B30f", "PatientPosition": "FFS", "StudyID": "1",
    "SeriesNumber": 3, "AcquisitionNumber": 1, "PositionReferenceIndicator": "SN", "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2", "Rows": SIZE, "Columns": SIZE, "PixelSpacing": list(SPACING[1:]),
    "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0, "WindowCenter": [40, -600],
    "WindowWidth": [400, 1500], "RescaleIntercept": INTERCEPT, "RescaleSlope": 1, "RescaleType": "HU",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("slices", type=int)
    parser.add_argument("jpeg2000_slices", type=int)
    arguments = parser.parse_args()
    make(arguments.folder, arguments.slices, arguments.jpeg2000_slices)


if __name__ == "__main__":
    main()
