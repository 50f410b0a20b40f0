"""Analyze 7.5, the forerunner of NIfTI: its header in NIfTI's terms, without a place in the patient."""

from __future__ import annotations

import struct

import nibabel as nib
import numpy as np

SIZE = 348
_SHARED = ("dim", "datatype", "bitpix", "vox_offset", "cal_max", "cal_min")


def looks_like_analyze(raw: bytes) -> bool:
    """Whether the first bytes of a .hdr are an Analyze header: its size comes first, and no magic, right or wrong.

    Where NIfTI has its magic, Analyze keeps a number (smin), which doesn't read as letters.
    """
    if len(raw) < SIZE or SIZE not in struct.unpack("<i", raw[:4]) + struct.unpack(">i", raw[:4]):
        return False
    return not raw[344:347].isalnum() and b"n" not in raw[344:345]


def as_nifti(raw: bytes) -> nib.Nifti1Header:
    """Return the header of a NIfTI pair that says what an Analyze header says: sizes, type and spacing in mm.

    The first unused field holds SPM's scale factor in files of SPM99 and SPM2.
    """
    analyze = nib.Spm99AnalyzeHeader(raw[:SIZE], check=False)
    header = nib.nifti1.Nifti1PairHeader(endianness=analyze.endianness)
    for name in _SHARED:
        header[name] = analyze[name]
    header["pixdim"] = np.concatenate([[1], np.nan_to_num(analyze["pixdim"][1:])])
    header["scl_slope"], header["scl_inter"] = analyze["scl_slope"], 0
    header["sform_code"] = header["qform_code"] = 0
    header.set_xyzt_units("mm", "sec")
    return header
