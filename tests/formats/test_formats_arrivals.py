"""Readers announce a volume as soon as its first slice is there, and fill the very array that they announced."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import Recipe, setting, setting_each, write_series

from napari_volseg.core import Answers, CancelledError, CancelToken
from napari_volseg.formats import load, save_volume_nrrd, scan


class Witness:
    """Keeps what was announced, and how the array looked then."""

    def __init__(self) -> None:
        self.announced, self.seen, self.arrived = [], [], []

    def __call__(self, arriving) -> None:
        self.announced.append(arriving)
        self.seen.append(arriving.volume.voxels.copy())
        self.arrived.append(arriving.arrived.copy())


def opened(path):
    witness = Witness()
    volume = load(scan(path).found[0], preview=witness)
    return volume, witness


def assert_truthful(volume, witness, number=0):
    """What had arrived is as it is in the end, and the rest held the lowest value of it."""
    arriving, seen, arrived = witness.announced[number], witness.seen[number], witness.arrived[number]
    there = np.compress(arrived, seen, arriving.axis)
    np.testing.assert_array_equal(there, np.compress(arrived, volume.voxels, arriving.axis))
    lowest = np.compress(witness.arrived[0], witness.seen[0], arriving.axis).min()
    assert (np.compress(~arrived, seen, arriving.axis) == lowest).all()
    assert arriving.volume.geometry == volume.geometry


@pytest.mark.parametrize("codes", ["LPS", "RAS", "PIL", "SAR"])
def test_a_nifti_is_announced_twice_and_filled(tmp_path, codes):
    voxels = np.random.default_rng(2).integers(-50, 900, (5, 6, 7)).astype(np.int16)
    image = nib.Nifti1Image(voxels, np.diag([2.0, 3.0, 4.0, 1.0]))
    turned = image.as_reoriented(
        nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(codes))
    )
    nib.save(turned, tmp_path / "image.nii.gz")
    volume, witness = opened(tmp_path / "image.nii.gz")
    assert len(witness.announced) == 2
    assert witness.arrived[0].sum() == 1
    last = witness.announced[-1]
    assert last.best == last.middle
    assert last.arrived.all()
    for number, arriving in enumerate(witness.announced):
        assert_truthful(volume, witness, number)
        assert arriving.is_filled_for(volume.voxels)


def test_an_nrrd_is_announced(tmp_path, sample_data):
    volume = load(scan(sample_data / "torso-ct.nii.gz").found[0])
    save_volume_nrrd(tmp_path / "image.nrrd", volume)
    again, witness = opened(tmp_path / "image.nrrd")
    assert_truthful(again, witness)
    assert witness.announced[0].is_filled_for(again.voxels)


SAGITTAL, CORONAL = (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), SAGITTAL, CORONAL, (-1, 0, 0, 0, 1, 0)])
def test_the_middle_slice_of_a_series_is_there_first(tmp_path, orientation):
    write_series(tmp_path, Recipe(orientation=orientation))
    volume, witness = opened(tmp_path)
    (arriving,) = witness.announced
    assert np.flatnonzero(witness.arrived[0]).tolist() == [arriving.middle[arriving.axis]]
    assert_truthful(volume, witness)
    assert arriving.arrived.all()
    assert arriving.is_filled_for(volume.voxels)
    assert (arriving.volume.modality, arriving.volume.name) == (volume.modality, volume.name)


def test_the_announcement_follows_where_values_need_another_type(tmp_path):
    high = np.full((12, 9), 40_000, "<u2").tobytes()
    edit = setting_each(lambda k: {"PixelData": high} if k == 6 else {})
    bits = setting(BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=0)
    write_series(tmp_path, Recipe().also(bits, edit))
    volume, witness = opened(tmp_path)
    assert [arriving.volume.voxels.dtype for arriving in witness.announced] == [np.int16, np.uint16]
    assert [arriving.is_filled_for(volume.voxels) for arriving in witness.announced] == [False, True]


def test_what_is_interpolated_is_not_announced(tmp_path):
    places = (0, 3, 6, 9, 12.9, 17, 21)
    write_series(tmp_path, Recipe().also(setting_each(lambda k: {"ImagePositionPatient": [0, 0, places[k]]})))
    witness = Witness()
    load(scan(tmp_path).found[0], answers=Answers(on_uneven_spacing="resample"), preview=witness)
    assert witness.announced == []


def test_cancelling_is_heard_between_slices(tmp_path):
    write_series(tmp_path)
    token = CancelToken()
    with pytest.raises(CancelledError):
        load(scan(tmp_path).found[0], cancel=token, preview=lambda _: token.cancel())
