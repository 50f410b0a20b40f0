"""Siemens mosaics: slices in their place and order, as the private headers tell; nothing where they don't."""

from __future__ import annotations

import gzip
import shutil
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import AXIAL, CORONAL, SAGITTAL, Recipe, rotated
from mosaic_factory import Private, csa, private_of, write_mosaic
from pydicom.uid import ImplicitVRLittleEndian

from napari_volseg.core import RefusedError, Segment, Segmentation, SegmentTable, Volume
from napari_volseg.formats import load_labels, open_volume, save_dicom_seg, save_labels_nifti, scan
from napari_volseg.formats.dicom import read_file
from napari_volseg.formats.dicom.csa import read_csa, slice_places

with warnings.catch_warnings():  # nibabel warns of its own readers
    warnings.simplefilter("ignore")
    from nibabel.nicom import csareader
    from nibabel.nicom.dicomwrappers import wrapper_from_file

#: Odd sizes, and a number of slices that leaves tiles to spare.
BASE = Recipe(shape=(7, 12, 9))
_SIEMENS = Path(csareader.__file__).parent / "tests" / "data"


def beads_are_in_place(volume: Volume, recipe: Recipe, add: int = 0) -> bool:
    for value, index in recipe.beads.items():
        seen = np.argwhere(volume.voxels == value + add)
        if len(seen) != 1 or np.abs(volume.geometry.to_patient(seen[0]) - recipe.place(index)).max() > 1e-3:
            return False
    return True


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, rotated(33)])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("count", [1, 7, 9, 10])
def test_every_slice_lies_where_it_was_measured(
    tmp_path: Path, orientation: tuple[float, ...], sign: int, count: int
) -> None:
    normal = np.cross(*np.reshape(orientation, (2, 3)))
    recipe = BASE.also(shape=(count, 12, 9), orientation=orientation, step=tuple((sign * 3.0 * normal).tolist()))
    write_mosaic(tmp_path, recipe, private_of(recipe))
    volume = open_volume(tmp_path)
    assert beads_are_in_place(volume, recipe)
    assert not [f for f in volume.origin_provenance.findings if f.severity == "warning"]


@pytest.mark.parametrize(
    "told",
    [{"places": None}, {"normal": None}, {"normal": None, "xa": True}],
    ids=["normal alone", "plan alone", "XA without CSA header"],
)
@pytest.mark.parametrize("step", [3.0, -3.0])
def test_the_normal_or_the_plan_suffices(tmp_path: Path, told: dict, step: float) -> None:
    recipe = BASE.also(step=(0, 0, step))
    write_mosaic(tmp_path, recipe, private_of(recipe, **told))
    assert beads_are_in_place(open_volume(tmp_path), recipe)


def test_the_plan_tells_the_distance_where_the_public_header_does_not(tmp_path: Path) -> None:
    write_mosaic(tmp_path, BASE, private_of(BASE), SpacingBetweenSlices=None, SliceThickness=1)
    assert beads_are_in_place(open_volume(tmp_path), BASE)


def test_a_plan_about_another_origin_is_no_contradiction(tmp_path: Path) -> None:
    moved = private_of(BASE).places + 500
    write_mosaic(tmp_path, BASE, private_of(BASE, places=moved))
    assert beads_are_in_place(open_volume(tmp_path), BASE)


def test_implicit_value_representations(tmp_path: Path) -> None:
    recipe = BASE.also(syntax=ImplicitVRLittleEndian)
    write_mosaic(tmp_path, recipe, private_of(recipe))
    assert beads_are_in_place(open_volume(tmp_path), recipe)


@pytest.mark.parametrize(
    ("private", "words"),
    [
        (None, "no private header says how many"),
        (Private(None, (0, 0, 1)), "no private header says how many"),
        (private_of(BASE, normal=None, places=None), "the direction in which they follow"),
        (private_of(BASE, normal=None, places=private_of(BASE).places + 500), "the direction in which they follow"),
        (private_of(BASE, normal=(0, 0, -1)), "contradict each other about the direction"),
        (private_of(BASE, normal=(0, 1, 0)), "not at right angles"),
        (private_of(BASE, normal=(0, float("nan"), 0)), "not finite"),
        (private_of(BASE, count=11), "11 slices don't fill an image of 36 × 27 pixels"),
        (private_of(BASE, count=8), "8 or 7 slices"),
        (private_of(BASE, count=6, places=None), "more than the 6 slices"),
        (private_of(BASE, count=99999, places=None), "99999"),
        (private_of(BASE, places=private_of(BASE).places * 2), "3 mm and 6 mm apart"),
    ],
)
def test_what_is_missing_or_contradicts_itself_is_refused(
    tmp_path: Path, private: Private | None, words: str
) -> None:
    write_mosaic(tmp_path, BASE, private)
    with pytest.raises(RefusedError, match="Siemens mosaic") as caught:
        open_volume(tmp_path)
    assert caught.value.code == "dicom.mosaic"
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes", [{"ImagePositionPatient": None}, {"ImageOrientationPatient": None}, {"SpacingBetweenSlices": None}]
)
def test_without_public_geometry_it_is_refused(tmp_path: Path, changes: dict) -> None:
    write_mosaic(tmp_path, BASE, private_of(BASE, places=None), **changes)
    (refused,) = scan(tmp_path).refused
    assert refused.code == "dicom.mosaic"


def test_an_image_in_a_spare_tile_is_no_spare_tile(tmp_path: Path) -> None:
    write_mosaic(tmp_path, BASE, private_of(BASE), spare=300)
    with pytest.raises(RefusedError, match="more than the 7 slices"):
        open_volume(tmp_path)


def test_mosaics_of_a_series_are_times(tmp_path: Path) -> None:
    for number in (3, 1, 2):
        write_mosaic(tmp_path, BASE, private_of(BASE), add=1000 * number, number=number)
    volume = open_volume(tmp_path)
    assert volume.voxels.shape == (3, 7, 12, 9)
    for t in range(3):
        assert beads_are_in_place(volume.at_time(t), BASE, 1000 * (t + 1))


def test_mosaics_of_diffusion_tell_their_b_values(tmp_path: Path) -> None:
    for number, b_value in enumerate((0, 1000, 1000), 1):
        write_mosaic(tmp_path, BASE, private_of(BASE, b_value=b_value), number=number)
    time = open_volume(tmp_path).time
    assert time is not None
    assert (time.name, time.values) == ("b-value", (0.0, 1000.0, 1000.0))


def test_a_copy_of_a_mosaic_is_left_out_whole(tmp_path: Path) -> None:
    path = write_mosaic(tmp_path, BASE, private_of(BASE))
    shutil.copy(path, tmp_path / "copy.ima")
    volume = open_volume(tmp_path)
    assert beads_are_in_place(volume, BASE)
    (told,) = [f for f in volume.origin_provenance.findings if f.code == "dicom.copies"]
    assert told.message.startswith("1 file")


def test_labels_go_to_nifti_and_not_to_slices_that_are_no_images(tmp_path: Path) -> None:
    write_mosaic(tmp_path / "in", BASE, private_of(BASE))
    volume = open_volume(tmp_path / "in")
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[1, 2, 3] = 1
    segmentation = Segmentation(labels, volume.geometry, SegmentTable((Segment(1, "Mark", (255, 0, 0)),)))
    saved = save_labels_nifti(tmp_path / "a.nii.gz", segmentation, volume)
    np.testing.assert_array_equal(load_labels(saved, volume).labels, labels)
    with pytest.raises(RefusedError, match="tiles of one mosaic image") as caught:
        save_dicom_seg(tmp_path / "a.dcm", segmentation, volume)
    assert caught.value.code == "export.no_source_slices"


def real_mosaics(folder: Path) -> list[Path]:
    """Two mosaics of a Siemens scanner that come with nibabel."""
    paths = []
    for name in ("siemens_dwi_0", "siemens_dwi_1000"):
        paths.append(folder / f"{name}.dcm")
        paths[-1].write_bytes(gzip.decompress((_SIEMENS / f"{name}.dcm.gz").read_bytes()))
    return paths


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_real_mosaics_are_those_of_nibabel(tmp_path: Path) -> None:
    paths = real_mosaics(tmp_path)
    volume = open_volume(tmp_path)
    assert volume.time is not None
    assert volume.time.values == (0.0, 1000.0)
    for t, path in enumerate(paths):
        meant = wrapper_from_file(path)
        data = np.asarray(meant.get_data())  # (row, column, slice)
        index = np.indices(data.shape).reshape(3, -1)
        at = np.rint(volume.geometry.to_index(nib.affines.apply_affine(meant.affine, index.T))).astype(int)
        np.testing.assert_array_equal(volume.voxels[t][tuple(at.T)], data.reshape(-1))
        corners = nib.affines.apply_affine(meant.affine, index.T[[0, -1]])
        assert np.abs(volume.geometry.to_patient(at[[0, -1]]) - corners).max() < 1e-2


def test_csa_headers_are_read_as_nibabel_reads_them() -> None:
    for name in ("csa2_b0.bin", "csa2_b1000.bin"):
        content = (_SIEMENS / name).read_bytes()
        tags = csareader.read(content)["tags"]
        read = read_csa(content)
        assert read.keys() == tags.keys()
        for key, texts in read.items():
            meant = [item for item in tags[key]["items"] if item != ""]
            assert [type(item)(text) for item, text in zip(meant, texts, strict=False)] == [
                item.strip() if isinstance(item, str) else item for item in meant
            ]


@pytest.mark.parametrize("name", ["csa_str_1001n_items.bin", "csa_str_valid.bin"])
def test_headers_of_another_layout_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"CSA|damaged|entries"):
        read_csa((_SIEMENS / name).read_bytes()[4:])


def test_damaged_private_headers_are_refused_or_change_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    path = write_mosaic(tmp_path, BASE, private_of(BASE))
    content = path.read_bytes()
    start = content.index(b"SV10")
    for _ in range(400):
        damaged = bytearray(content)
        for at in rng.integers(start, content.index(b"\xe0\x7f\x10\x00"), rng.integers(1, 6)):
            damaged[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)])
        path.write_bytes(damaged)
        outcome = read_file(path)
        assert outcome is not None
        if not isinstance(outcome, tuple):
            assert outcome.code.startswith("dicom."), outcome


def test_lengths_that_lead_back_or_out_end_the_reading() -> None:
    whole = csa({"A": ["1"], "B": ["2"]})
    assert read_csa(whole) == {"A": ("1",), "B": ("2",)}
    for length in (-1, -(2**31), 2**31 - 1, len(whole)):
        at = 16 + 84 + 4
        with pytest.raises(ValueError, match="damaged"):
            read_csa(whole[:at] + np.int32(length).tobytes() + whole[at + 4 :])
    for cut in range(len(whole)):
        with pytest.raises(ValueError, match=r"CSA|damaged|entries"):
            read_csa(whole[:cut])


def test_plans_with_holes_are_no_plans() -> None:
    begin = "### ASCCONV BEGIN ###\nsSliceArray.lSize = 3\nsSliceArray.asSlice[0].sPosition.dTra = 1e1\n"
    assert slice_places(begin)[0] == 3
    assert slice_places(begin)[1].shape == (0, 3)
    assert slice_places("")[0] == 0
