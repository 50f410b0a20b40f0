"""Real cases: voxels against the raw tags and against files that other programs wrote."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from test_formats_export import value_at

from napari_volseg.core import Volume
from napari_volseg.formats import load, load_labels, open_volume, save_dicom_seg, save_labels_nifti, scan

pytestmark = pytest.mark.real_data


def disagreement(volume: Volume) -> tuple[float, float]:
    """Largest error of place (mm) and of value between a volume and 40 pixels of each of its files.

    The place of a pixel follows from Image Position, Image Orientation and Pixel Spacing of its own file.
    """
    rng = np.random.default_rng(2)
    places, values = [0.0], [0.0]
    for path in volume.origin_provenance.paths:
        dataset = pydicom.dcmread(path, force=True)
        x, y = np.asarray(dataset.ImageOrientationPatient, float).reshape(2, 3)
        row = rng.integers(0, dataset.Rows, 40)
        column = rng.integers(0, dataset.Columns, 40)
        patient = (
            np.asarray(dataset.ImagePositionPatient, float)
            + np.outer(row * float(dataset.PixelSpacing[0]), y)
            + np.outer(column * float(dataset.PixelSpacing[1]), x)
        )
        index = volume.geometry.to_index(patient)
        nearest = np.rint(index).astype(int)
        places.append(float(np.abs((index - nearest) * volume.geometry.spacing).max()))
        slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
        meant = dataset.pixel_array[row, column] * slope + intercept
        values.append(float(np.abs(volume.voxels[tuple(nearest.T)] - meant).max()))
    return max(places), max(values)


DICOM_CASES = [
    "totalsegmentator/tests/reference_files/example_ct_dicom",
    "dcm_qa_decubitus/In/HFDL",
    "dcm_qa_decubitus/In/HFS",
    "dcm_qa_ct/In/Philips/S21610/S3010",
    "dcm_qa_ct/In/Philips/S21570/S2010",
    "dcm_qa_frag/In",
    "ibsi/ibsi_validation/dicom/STS_001/PET/image",
    "ibsi/ibsi_validation/dicom/STS_001/MR_T1/image",
    "ibsi/ibsi_validation/dicom/STS_001/CT/image",
]


@pytest.mark.parametrize("case", DICOM_CASES)
def test_voxels_lie_where_their_own_files_say(real_data: Path, case: str) -> None:
    volume = open_volume(real_data / case)
    place, value = disagreement(volume)
    assert place < 2e-3
    assert value < 1e-3 * max(1.0, float(np.abs(volume.voxels).max()) * 1e-3)


@pytest.mark.parametrize("case", ["STS_001", "STS_005"])
def test_stored_suv_are_those_of_the_reference(real_data: Path, case: str) -> None:
    volume = open_volume(real_data / f"ibsi/ibsi_validation/dicom/{case}/PET/image")
    meant = nib.load(real_data / f"ibsi/ibsi_validation/nifti/{case}/PET_image.nii.gz")
    assert (volume.quantity, volume.unit) == ("SUV", "g/mL")
    assert [finding.code for finding in volume.origin_provenance.findings] == ["dicom.suv"]
    np.testing.assert_array_equal(value_at(meant, volume.geometry, 0.01), volume.voxels)


def test_the_real_ct_is_what_it_is(real_ct_folder: Path) -> None:
    volume = open_volume(real_ct_folder)
    assert volume.voxels.shape == (20, 512, 512)
    assert volume.voxels.dtype == np.int16
    assert volume.geometry.spacing == (2.0, 0.9765625, 0.9765625)
    assert volume.unit == "HU"
    codes = {finding.code for finding in volume.origin_provenance.findings}
    assert codes == {"dicom.empty_uids", "dicom.thickness_differs"}


def test_labels_of_the_real_ct_come_and_go_in_the_right_place(real_ct_folder: Path, tmp_path: Path) -> None:
    reference = nib.load(real_ct_folder.parent / "example_seg_dicom.nii.gz")
    volume = open_volume(real_ct_folder)
    segmentation = load_labels(real_ct_folder.parent / "example_seg_dicom.nii.gz", volume)
    np.testing.assert_array_equal(segmentation.labels, value_at(reference, volume.geometry))

    exported = nib.load(save_labels_nifti(tmp_path / "a.nii.gz", segmentation, volume))
    np.testing.assert_array_equal(value_at(exported, volume.geometry), segmentation.labels)
    assert exported.shape == reference.shape

    save_dicom_seg(tmp_path / "a.dcm", segmentation, volume)
    written = pydicom.dcmread(tmp_path / "a.dcm")
    source = pydicom.dcmread(volume.origin_provenance.paths[0], stop_before_pixels=True)
    referenced = written.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert source.file_meta.MediaStorageSOPInstanceUID in {item.ReferencedSOPInstanceUID for item in referenced}
    assert "derived" in written.DerivationDescription
    values = np.array([0, *segmentation.table.values])
    np.testing.assert_array_equal(values[load_labels(tmp_path / "a.dcm", volume).labels], segmentation.labels)


def test_our_reading_agrees_with_dcm2niix(real_data: Path) -> None:
    volume = open_volume(real_data / "dcm_qa_frag/In")
    (reference,) = (real_data / "dcm_qa_frag/Ref").glob("*.nii")
    # Its slice step is rounded, so that the far end is 0.005 voxels off; the test above holds ours to the tags.
    np.testing.assert_array_equal(value_at(nib.load(reference), volume.geometry, 0.01), volume.voxels)


NIFTI_CASES = {
    "spinalcord/t1/t1w.nii.gz": ["t1w_seg-manual.nii.gz"],
    "spinalcord/t2/t2.nii.gz": ["t2_seg-manual.nii.gz", "t2_seg-manual_labeled.nii.gz"],
    "spinalcord/t2s/t2s.nii.gz": ["t2s_gmseg_manual.nii.gz"],
    "totalsegmentator/tests/reference_files/example_mr_sm.nii.gz": ["example_seg_mr.nii.gz"],
    "ibsi/ibsi_validation/nifti/STS_001/CT_image.nii.gz": ["CT_mask.nii.gz"],
}


@pytest.mark.parametrize("case", NIFTI_CASES)
def test_nifti_images_and_their_manual_labels(real_data: Path, tmp_path: Path, case: str) -> None:
    path = real_data / case
    volume = open_volume(path)
    np.testing.assert_allclose(value_at(nib.load(path), volume.geometry), volume.voxels, rtol=1e-6)
    for name in NIFTI_CASES[case]:
        image = nib.load(path.parent / name)
        segmentation = load_labels(path.parent / name, volume)
        np.testing.assert_array_equal(value_at(image, volume.geometry), segmentation.labels)
        exported = nib.load(save_labels_nifti(tmp_path / name, segmentation, volume))
        np.testing.assert_allclose(exported.affine, nib.load(path).affine, atol=1e-6)


def test_the_mixed_folder_is_sorted_out(real_data: Path) -> None:
    result = scan(real_data / "dcm_qa_ct/In")
    placed = [found for found in result.found if not found.decisions]
    screenshots = [found for found in result.found if found.decisions]
    assert [found.slices for found in placed] == [1, 28, 58]
    assert {found.description for found in screenshots} == {"Exam Summary"}
    assert {refused.code for refused in result.refused} == {"dicom.directory_missing", "dicom.several_per_position"}
    tilted = load(placed[2])
    assert tilted.geometry.is_sheared


def test_screenshots_do_not_stand_in_the_way_of_the_only_volume(real_data: Path, tmp_path: Path) -> None:
    for series in ("S21570/S2010", "S21570/S4010"):
        shutil.copytree(real_data / "dcm_qa_ct/In/Philips" / series, tmp_path / series)
    assert open_volume(tmp_path).voxels.shape == (28, 512, 512)


def test_a_diffusion_series_in_one_file_agrees_with_dcm2niix(real_data: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.decompress((real_data / "dcm_qa_canon_61/In/enh/9000.dcm.gz").read_bytes()))
    volume = open_volume(tmp_path)
    meant = nib.load(real_data / "dcm_qa_canon_61/Ref/9000_SAG_DTI_PA-ortho_enh.nii.gz")
    assert volume.time is not None
    assert (volume.time.name, volume.time.values) == ("b-value", (0.0, *[1500.0] * 12))
    for t in (0, 7, 12):
        one = nib.Nifti1Image(np.asanyarray(meant.dataobj)[..., t], meant.affine)
        np.testing.assert_array_equal(value_at(one, volume.geometry, 0.01), volume.at_time(t).voxels)


@pytest.mark.parametrize(("case", "code"), [("ibsi/ibsi_validation/dicom/STS_001/CT/mask", "dicom.not_an_image")])
def test_what_can_not_be_opened_yet_is_refused_by_name(real_data: Path, case: str, code: str) -> None:
    result = scan(real_data / case)
    assert not result.found
    assert {refused.code for refused in result.refused} == {code}


@pytest.mark.parametrize("patient", ["STS_001", "STS_005"])
@pytest.mark.parametrize("kind", ["CT", "MR_T1", "PET"])
def test_series_agree_with_the_nifti_files_that_came_with_them(real_data: Path, patient: str, kind: str) -> None:
    volume = open_volume(real_data / f"ibsi/ibsi_validation/dicom/{patient}/{kind}/image")
    reference = nib.load(real_data / f"ibsi/ibsi_validation/nifti/{patient}/{kind}_image.nii.gz")
    np.testing.assert_array_equal(value_at(reference, volume.geometry, 1e-4), volume.voxels)


def test_a_tilted_stack_keeps_the_steps_that_its_positions_say(real_data: Path) -> None:
    stored = open_volume(real_data / "dcm_qa_ct/In/Philips/S21610/S3010").origin_provenance.source_geometry
    along_column = stored.matrix[:3, 1] / stored.spacing[1]
    np.testing.assert_allclose(stored.matrix[:3, 0], (0, 0, 2.5), atol=1e-9)
    assert np.degrees(np.arcsin(along_column[2])) == pytest.approx(16.5, abs=1e-4)


#: Series with several images at each position, in one file or many: which volume of it, and what dcm2niix made.
ENHANCED_AND_TIMED = {
    "Siemens, four files of a time each": ("dcm_qa_enh", 1, "Siemens_REST1_w_SMS_PF7-8_6.nii"),
    "Philips, field map within a file": ("dcm_qa_enh", 3, "Philips_WIP_B0_NS_801_e2_fieldmaphz.nii"),
    "Siemens, one file": ("dcm_qa_xa30", 1, "5_anat-T1w_acq-tfl.nii"),
    "Siemens, first echo": ("dcm_qa_xa30", 2, "8_gre_field_mapping_e1.nii"),
    "Siemens, second echo": ("dcm_qa_xa30", 3, "8_gre_field_mapping_e2.nii"),
    "GE, ten times as single files": ("dcm_qa_nih", 2, "DCM2NIIX_regression_test_4.nii"),
}


@pytest.mark.parametrize(("case", "number", "reference"), ENHANCED_AND_TIMED.values(), ids=ENHANCED_AND_TIMED.keys())
def test_enhanced_and_timed_series_agree_with_dcm2niix(
    real_data: Path, case: str, number: int, reference: str
) -> None:
    volume = load(scan(real_data / case / "In").found[number - 1])
    meant = nib.load(real_data / case / "Ref" / reference)
    times = volume.voxels.shape[0] if volume.time else 1
    for t in range(times):
        one = nib.Nifti1Image(np.asanyarray(meant.dataobj)[..., t] if times > 1 else meant.dataobj, meant.affine)
        np.testing.assert_allclose(value_at(one, volume.geometry, 0.01), volume.at_time(t).voxels, atol=1e-2)


#: Siemens mosaics, alone or two of a series, one of them in nine transfer syntaxes.
MOSAICS = {
    "dcm_qa_nih/In/20180918Si": "dcm_qa_nih/Ref/EPI_PE=AP_3.nii",
    **{f"dcm_qa_ts/In/{n}.dcm": f"dcm_qa_ts/Ref/{n}.nii" for n in range(1, 10)},
}


@pytest.mark.parametrize("case", MOSAICS)
def test_mosaics_agree_with_dcm2niix(real_data: Path, case: str) -> None:
    volume = open_volume(real_data / case)
    meant = nib.load(real_data / MOSAICS[case])
    times = volume.voxels.shape[0] if volume.time else 1
    assert meant.shape == (*volume.geometry.shape[::-1], *([times] if times > 1 else []))
    for t in range(times):
        one = nib.Nifti1Image(np.asanyarray(meant.dataobj)[..., t] if times > 1 else meant.dataobj, meant.affine)
        np.testing.assert_array_equal(value_at(one, volume.geometry, 0.01), volume.at_time(t).voxels)
    assert corner_error(volume, meant) < 1e-2


def corner_error(volume: Volume, image: nib.Nifti1Image) -> float:
    """Largest distance between corner voxels of a NIfTI image and voxels of a volume, mm."""
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in image.shape[:3]])).reshape(3, -1)
    places = nib.affines.apply_affine(np.diag([-1, -1, 1, 1]) @ image.affine, corners.T)
    nearest = volume.geometry.to_patient(np.rint(volume.geometry.to_index(places)))
    return float(np.linalg.norm(nearest - places, axis=1).max())
