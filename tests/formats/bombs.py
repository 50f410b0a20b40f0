"""Small files that claim to be huge, that never end, or that lead elsewhere: recipes by name."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from dicom_factory import Recipe, write_series
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.fileset import FileSet
from pydicom.uid import DeflatedExplicitVRLittleEndian, EnhancedCTImageStorage, JPEG2000Lossless, RLELossless

_ONE = Recipe(shape=(1, 32, 32))
_ZEROS = bytes(16 << 20)


def _nifti(shape: tuple[int, int, int] = (5, 6, 7)) -> bytes:
    image = nib.Nifti1Image(np.zeros((5, 6, 7), np.int16), np.eye(4))
    image.header.set_xyzt_units("mm")
    content = bytearray(image.to_bytes())
    struct.pack_into("<3h", content, 42, *shape)
    return bytes(content)


def _dicom(folder: Path, **values: object) -> Path:
    """Write one slice with other values."""
    (path,) = write_series(folder, _ONE)
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    return path


def _encapsulated(folder: Path, syntax: str, frame: bytes, rows: int) -> None:
    path = _dicom(folder, Rows=rows, Columns=rows)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path)


def gzip_without_end(folder: Path) -> None:
    """A whole image and 3 GiB of zeros behind it, in 3 MB."""
    member = gzip.compress(_ZEROS, 9)
    (folder / "a.nii.gz").write_bytes(gzip.compress(_nifti()) + member * 200)


def gzip_in_gzip(folder: Path) -> None:
    content = _nifti() + _ZEROS
    for _ in range(5):
        content = gzip.compress(content, 9)
    (folder / "a.nii.gz").write_bytes(content)


def nifti_of_30000_cubed(folder: Path) -> None:
    (folder / "a.nii").write_bytes(_nifti((30000, 30000, 30000)))
    (folder / "b.nii.gz").write_bytes(gzip.compress(_nifti((30000, 30000, 30000))))


def nrrd_of_30000_cubed(folder: Path) -> None:
    head = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 30000 30000 30000\n"
        "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nendian: little\nencoding: gzip\n\n"
    )
    (folder / "a.nrrd").write_bytes(head.encode() + gzip.compress(_ZEROS, 9) * 20)


def metaimage_elsewhere(folder: Path) -> None:
    head = "ObjectType = Image\nNDims = 3\nDimSize = 8 8 8\nElementSpacing = 1 1 1\nElementType = MET_UCHAR\n"
    (folder / "a.mhd").write_text(head + "ElementDataFile = ../../../../etc/passwd\n")


def deflated(folder: Path) -> None:
    """Three GiB of zeros behind the header of a deflated slice, in 3 MB."""
    (path,) = write_series(folder, _ONE.also(syntax=DeflatedExplicitVRLittleEndian))
    content = path.read_bytes()
    start = content.index(b"1.2.840.10008.1.2.1.99") + 22
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = deflater.compress(_ZEROS) + deflater.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(content[:start] + block * 200 + deflater.flush())


def run_lengths_of_72_bytes(folder: Path) -> None:
    _encapsulated(folder, RLELossless, struct.pack("<16L", 1, 64, *[0] * 14) + bytes(8), 60000)


def hollow_run_lengths(folder: Path) -> None:
    """As before, of a size that radiographs nearly have: 15,000 × 15,000."""
    _encapsulated(folder, RLELossless, struct.pack("<16L", 2, 64, 68, *[0] * 13) + bytes(8), 15000)


def jpeg2000_of_60000_squared(folder: Path) -> None:
    """A code stream that claims more than the header of the file, which claims 32 × 32."""
    dataset = pydicom.dcmread(_dicom(folder))
    dataset.compress(JPEG2000Lossless)
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    at = frame.index(b"\xff\x51") + 6
    size = struct.pack(">8L", 60000, 60000, 0, 0, 60000, 60000, 0, 0)
    _encapsulated(folder, JPEG2000Lossless, frame[:at] + size + frame[at + len(size) :], 32)


def a_million_frames(folder: Path) -> None:
    _dicom(folder / "a", NumberOfFrames=1_000_000)
    groups = [Dataset()]
    _dicom(
        folder / "b",
        NumberOfFrames=1_000_000,
        PerFrameFunctionalGroupsSequence=groups,
        SOPClassUID=EnhancedCTImageStorage,
    )


def slice_of_65535_squared(folder: Path) -> None:
    _dicom(folder, Rows=65535, Columns=65535)


def deep_sequences(folder: Path) -> None:
    path = _dicom(folder)
    content = path.read_bytes()
    start = struct.pack("<HH2sHLHHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    at = content.index(b"\x18\x00\x50\x00")
    path.write_bytes(content[:at] + start * 20_000 + end * 20_000 + content[at:])


def directory_outside(folder: Path) -> None:
    files = FileSet()
    dataset = pydicom.dcmread(_dicom(folder / "loose"))
    dataset.PatientID, dataset.PatientName, dataset.StudyTime = "1", "A", "12"
    dataset.StudyID, dataset.AccessionNumber = "1", "1"
    files.add(dataset)
    files.write(folder / "medium")
    path = folder / "medium" / "DICOMDIR"
    directory = pydicom.dcmread(path)
    for record in directory.DirectoryRecordSequence:
        if "ReferencedFileID" in record:
            record.ReferencedFileID = ["..", "loose", next((folder / "loose").iterdir()).name]
    directory.save_as(path)


def links_in_a_circle(folder: Path) -> None:
    (folder / "a").mkdir()
    os.symlink(folder, folder / "a" / "loop", target_is_directory=True)
    os.symlink(folder / "a" / "y", folder / "a" / "x")
    os.symlink(folder / "a" / "x", folder / "a" / "y")


def named_pipe(folder: Path) -> None:
    os.mkfifo(folder / "a.nii")


#: What to open within the folder, where it isn't the folder.
ENTRIES = {"directory_outside": "medium/DICOMDIR"}
BOMBS: dict[str, Callable[[Path], None]] = {
    make.__name__: make
    for make in (
        gzip_without_end, gzip_in_gzip, nifti_of_30000_cubed, nrrd_of_30000_cubed, metaimage_elsewhere, deflated,
        run_lengths_of_72_bytes, hollow_run_lengths, jpeg2000_of_60000_squared, a_million_frames,
        slice_of_65535_squared, deep_sequences, directory_outside, links_in_a_circle, named_pipe,
    )
}  # fmt: skip
