"""The whole job on a real CT, from DICOM and from NIfTI, through the command line."""

import json

import nibabel as nib
import numpy as np
import pydicom
import pytest

from napari_volseg.cli import DONE, main

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def from_dicom(real_ct_folder, tmp_path_factory):
    """Labels and report of ct-tissues on the DICOM series."""
    folder = tmp_path_factory.mktemp("dicom")
    out, report = folder / "labels.nii.gz", folder / "run.json"
    assert main(["segment", str(real_ct_folder), str(out), "--model", "ct-tissues", "--report", str(report)]) == DONE
    return out, report


def test_labels_of_the_dicom_series_lie_on_the_reference_grid(from_dicom, real_data):
    labels = nib.load(from_dicom[0])
    reference = nib.load(real_data / "totalsegmentator/tests/reference_files/example_seg_dicom.nii.gz")
    ours = _in_space_of(labels, reference)
    assert ours.shape == reference.shape
    organs = np.asanyarray(reference.dataobj) > 0
    body = ours == _value(from_dicom[0], "Body")
    tissue = np.isin(ours, [_value(from_dicom[0], n) for n in ("Body", "Muscle", "Bone", "Fat")])
    assert tissue[organs].mean() > 0.97
    assert body.any()


def _in_space_of(image, reference):
    """Voxels of ``image`` at the voxel centres of ``reference``; refuses grids that do not coincide."""
    to_ours = np.linalg.inv(image.affine) @ reference.affine
    last = np.array(reference.shape) - 1
    corners = np.array([[x, y, z, 1] for x in (0, last[0]) for y in (0, last[1]) for z in (0, last[2])])
    mapped = corners @ to_ours.T
    assert np.abs(mapped - np.round(mapped)).max() * max(reference.header.get_zooms()) < 1e-2
    index = np.round(np.indices(reference.shape).reshape(3, -1).T @ to_ours[:3, :3].T + to_ours[:3, 3]).astype(int)
    return np.asanyarray(image.dataobj)[tuple(index.T)].reshape(reference.shape)


def _value(path, name):
    sidecar = json.loads(path.with_name("labels.segments.json").read_text())
    return next(s["value"] for s in sidecar["segments"] if s["name"] == name)


def test_the_run_is_reported(from_dicom):
    report = json.loads(from_dicom[1].read_text())
    assert {"total", "network", "before", "after"} <= set(report["seconds"])
    assert report["model"] == "ct-tissues"
    assert report["peak_memory_bytes"] > 1e6
    assert {"windows", "device", "backend"} <= set(report)


def test_the_same_labels_come_from_nifti(from_dicom, real_ct_folder, tmp_path):
    image, out = tmp_path / "ct.nii.gz", tmp_path / "labels.nii.gz"
    assert main(["convert", str(real_ct_folder), str(image)]) == DONE
    assert main(["segment", str(image), str(out), "--model", "ct-tissues"]) == DONE
    one, other = nib.load(from_dicom[0]), nib.load(out)
    assert np.allclose(one.affine, other.affine, atol=1e-4)
    assert np.array_equal(np.asanyarray(one.dataobj), np.asanyarray(other.dataobj))


def test_dicom_seg_of_the_real_series_agrees_with_the_nifti(from_dicom, real_ct_folder, tmp_path):
    out = tmp_path / "labels.dcm"
    assert main(["segment", str(real_ct_folder), str(out), "--model", "ct-tissues"]) == DONE
    seg = pydicom.dcmread(out)
    labels = nib.load(from_dicom[0])
    voxels = np.asanyarray(labels.dataobj)
    counts = {}
    for frame, mask in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        counts[number] = counts.get(number, 0) + int(mask.sum())
    names = {s.SegmentNumber: s.SegmentLabel for s in seg.SegmentSequence}
    for number, count in counts.items():
        assert count == (voxels == _value(from_dicom[0], names[number])).sum(), names[number]
