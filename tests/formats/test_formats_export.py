"""Exports land on the source grid bit for bit, are judged by other readers, and never cost an existing file."""

from __future__ import annotations

import json
from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_factory import CORONAL, SAGITTAL, Recipe, deleting, rotated, setting, setting_each, write_series
from test_formats_nifti import ALL_CODES, affine_towards, write

from napari_volseg.core import (
    Code,
    Geometry,
    GeometryError,
    RefusedError,
    Segment,
    Segmentation,
    SegmentTable,
    UsageError,
    Volume,
)
from napari_volseg.formats import (
    load_labels,
    nifti_export,
    open_volume,
    save_dicom_seg,
    save_labels_nifti,
    save_volume_nifti,
)
from napari_volseg.formats.dicom import segmentation_export
from napari_volseg.formats.labels import present_values
from napari_volseg.formats.nifti import holds_voxels
from napari_volseg.formats.nifti_header import read_header

LIVER = Segment(
    2,
    "Liver",
    (221, 130, 101),
    type=Code("10200004", "SCT", "Liver"),
    algorithm_type="AUTOMATIC",
    algorithm_name="some-net",
    status="done",
    locked=True,
)
NODULE = Segment(7, "Knötchen", (10, 200, 30))
TABLE = SegmentTable((NODULE, LIVER))


def some_labels(volume: Volume, *values: int) -> Segmentation:
    """Chiral labels on a volume: noise of the values in one corner region, single voxels at others."""
    rng = np.random.default_rng(11)
    labels = np.zeros(volume.geometry.shape, np.uint16)
    region = labels[: labels.shape[0] // 2 + 1, 1:4, 2:6]
    region[...] = rng.choice([0, *values], region.shape)
    labels[0, 0, 0], labels[-1, -1, 0] = values[0], values[-1]
    return Segmentation(labels, volume.geometry, TABLE)


def value_at(image: nib.Nifti1Image, geometry: Geometry, tolerance: float = 1e-3) -> np.ndarray:
    """Values of a NIfTI file, looked up by patient position for every voxel of a grid (z, y, x)."""
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1)
    ras = geometry.to_patient(index) * [-1, -1, 1]
    ijk = (ras - image.affine[:3, 3]) @ np.linalg.inv(image.affine[:3, :3]).T
    assert np.abs(ijk - np.rint(ijk)).max() < tolerance
    i, j, k = np.moveaxis(np.rint(ijk).astype(int), -1, 0)
    return np.asarray(image.dataobj)[i, j, k]


def corner_error(image: nib.Nifti1Image, affine: np.ndarray) -> float:
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in image.shape])).reshape(3, -1)
    difference = (image.affine - affine)[:3]
    return float(np.abs(difference[:, :3] @ corners + difference[:, 3:]).max())


@pytest.mark.parametrize("letters", ALL_CODES)
@pytest.mark.parametrize("sheared", [False, True])
def test_labels_return_to_the_grid_of_all_48_orders(tmp_path: Path, letters: str, sheared: bool) -> None:
    affine = affine_towards(letters, sheared)
    volume = open_volume(write(tmp_path / "image.nii", affine=affine))
    segmentation = some_labels(volume, 2, 7)
    image = nib.load(save_labels_nifti(tmp_path / "labels.nii.gz", segmentation, volume))
    assert image.shape == (5, 6, 7)
    assert corner_error(image, affine) < 1e-3
    np.testing.assert_array_equal(value_at(image, volume.geometry), segmentation.labels)
    assert image.header["sform_code"] == 1
    assert image.header["qform_code"] == (0 if sheared else 1)
    assert image.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(load_labels(tmp_path / "labels.nii.gz", volume).labels, segmentation.labels)


RECIPES = {
    "axial": Recipe(),
    "coronal": Recipe(orientation=CORONAL),
    "sagittal": Recipe(orientation=SAGITTAL),
    "oblique": Recipe(orientation=rotated(33)),
    "tilted": Recipe(step=(0, 0.8, 3.0)),
    "column reversed": Recipe(orientation=(1, 0, 0, 0, -1, 0)),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_labels_on_dicom_as_nifti_and_as_segmentation(tmp_path: Path, recipe: Recipe) -> None:
    paths = write_series(tmp_path / "series", recipe)
    volume = open_volume(tmp_path / "series")
    segmentation = some_labels(volume, 2, 7)
    for value, index in recipe.beads.items():
        segmentation.labels[volume.voxels == value] = 2 if value % 2 else 7
        assert (volume.voxels == value).sum() == 1, index

    image = nib.load(save_labels_nifti(tmp_path / "a.nii", segmentation, volume))
    np.testing.assert_array_equal(value_at(image, volume.geometry), segmentation.labels)

    written = highdicom.seg.segread(save_dicom_seg(tmp_path / "a.dcm", segmentation, volume))
    uids = [pydicom.dcmread(path).SOPInstanceUID for path in paths]
    masks = written.get_pixels_by_source_instance(
        uids, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
    )
    for value, (k, row, column) in recipe.beads.items():
        assert masks[k, row, column].tolist() == ([0, 1] if value % 2 else [1, 0])
    assert int(masks.sum()) == np.count_nonzero(segmentation.labels)
    for group in written.PerFrameFunctionalGroupsSequence:
        position = np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, float)
        assert min(np.abs(position - recipe.position(k)).max() for k in range(recipe.shape[0])) < 1e-3
    assert len(written.PerFrameFunctionalGroupsSequence) == int(masks.any(axis=(1, 2)).sum())

    back = load_labels(tmp_path / "a.dcm", volume)
    np.testing.assert_array_equal(np.array([0, 7, 2])[back.labels], segmentation.labels)


def test_segments_keep_names_codes_colours_and_authors(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    volume = open_volume(tmp_path / "series")
    segmentation = some_labels(volume, 2, 7)
    save_labels_nifti(tmp_path / "a.nii.gz", segmentation, volume)
    assert load_labels(tmp_path / "a.nii.gz", volume).table == TABLE

    save_dicom_seg(tmp_path / "a.dcm", segmentation, volume)
    first, second = load_labels(tmp_path / "a.dcm", volume).table
    assert (first.name, second.name, second.type, second.category) == (
        "Knötchen",
        "Liver",
        LIVER.type,
        LIVER.category,
    )
    assert (second.algorithm_type, second.algorithm_name) == ("AUTOMATIC", "some-net")
    assert np.abs(np.subtract(second.color, LIVER.color)).max() <= 1


def test_names_beyond_ascii_and_patient_names_survive_together(tmp_path: Path) -> None:
    edit = setting(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")
    write_series(tmp_path / "series", Recipe().also(edit))
    volume = open_volume(tmp_path / "series")
    for name in ("肝臓", "Liver\\left " + "x" * 80):
        table = SegmentTable((Segment(2, name),))
        segmentation = Segmentation(some_labels(volume, 2).labels, volume.geometry, table)
        dataset = pydicom.dcmread(save_dicom_seg(tmp_path / "a.dcm", segmentation, volume))
        assert str(dataset.PatientName) == "Müller^Jörg"
        assert dataset.SegmentSequence[0].SegmentLabel == name.replace("\\", "/")[:64]


def test_labels_without_a_table_are_named_by_value(tmp_path: Path) -> None:
    volume = open_volume(write(tmp_path / "image.nii"))
    save_labels_nifti(tmp_path / "a.nii.gz", some_labels(volume, 2, 9), volume)
    (tmp_path / "a.segments.json").unlink()
    table = load_labels(tmp_path / "a.nii.gz", volume).table
    assert [(segment.value, segment.name) for segment in table] == [(2, "Segment 2"), (9, "Segment 9")]


@pytest.mark.parametrize(
    ("highest", "dtype"),
    [(255, np.uint8), (256, np.uint16), (65535, np.uint16), (65536, np.uint32), (2**31 - 1, np.uint32)],
)
def test_large_label_values_take_a_wider_type(tmp_path: Path, highest: int, dtype: type) -> None:
    volume = open_volume(write(tmp_path / "image.nii"))
    labels = some_labels(volume, 2, 7).labels.astype(np.uint32)
    labels[labels == 7] = highest
    segmentation = Segmentation(labels, volume.geometry, SegmentTable((LIVER,)))
    image = nib.load(save_labels_nifti(tmp_path / "a.nii", segmentation, volume))
    assert image.get_data_dtype() == dtype
    np.testing.assert_array_equal(load_labels(tmp_path / "a.nii", volume).labels, labels)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int64, np.float32])
def test_volumes_return_bit_for_bit(tmp_path: Path, dtype: type) -> None:
    affine = affine_towards("PIR")
    data = (np.random.default_rng(0).random((5, 6, 7)) * 200).astype(dtype)
    image = nib.Nifti1Image(data, affine, dtype=dtype)
    nib.save(image, tmp_path / "a.nii")
    volume = open_volume(tmp_path / "a.nii")
    copy = nib.load(save_volume_nifti(tmp_path / "b.nii.gz", volume))
    np.testing.assert_array_equal(np.asarray(copy.dataobj), data)
    assert copy.get_data_dtype() == dtype
    assert corner_error(copy, affine) < 1e-3


def test_time_series_keep_their_axis(tmp_path: Path) -> None:
    data = np.arange(5 * 6 * 7 * 3, dtype=np.int16).reshape(5, 6, 7, 3)
    image = nib.Nifti1Image(data, affine_towards("LPS"))
    image.header["pixdim"][4] = 2
    nib.save(image, tmp_path / "a.nii")
    copy = nib.load(save_volume_nifti(tmp_path / "b.nii", open_volume(tmp_path / "a.nii")))
    np.testing.assert_array_equal(np.asarray(copy.dataobj), data)
    assert copy.header["pixdim"][4] == 2


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (np.full((5, 6, 7), 0.5, np.float32), "labels.not_integers"),
        (np.full((5, 6, 7), -1, np.int16), "labels.range"),
        (np.full((5, 6, 7), 2**31, np.uint32), "labels.range"),
        (np.full((5, 6, 7), np.nan, np.float32), "labels.not_integers"),
        (np.zeros((5, 6, 7, 2), np.uint8), "labels.not_3d"),
    ],
)
def test_what_is_no_label_map_is_refused(tmp_path: Path, data: np.ndarray, code: str) -> None:
    volume = open_volume(write(tmp_path / "image.nii"))
    with pytest.raises(RefusedError) as caught:
        load_labels(write(tmp_path / "labels.nii", data=data), volume)
    assert caught.value.code == code


def test_nearly_whole_numbers_are_labels(tmp_path: Path) -> None:
    volume = open_volume(write(tmp_path / "image.nii"))
    data = np.zeros((5, 6, 7), np.float64)
    data[1, 2, 3] = 1.99995
    assert load_labels(write(tmp_path / "labels.nii", data=data), volume).labels.max() == 2


def test_labels_in_another_storage_order_are_turned(tmp_path: Path) -> None:
    affine = affine_towards("RAS")
    volume = open_volume(write(tmp_path / "image.nii", affine=affine))
    data = np.zeros((5, 6, 7), np.uint8)
    data[4, 1, 2] = 3
    stored = nib.Nifti1Image(data, affine)
    turned = stored.as_reoriented(nib.orientations.io_orientation(affine_towards("PSL")))
    nib.save(turned, tmp_path / "labels.nii.gz")
    labels = load_labels(tmp_path / "labels.nii.gz", volume).labels
    place = volume.geometry.to_patient(np.argwhere(labels == 3)[0]) * [-1, -1, 1]
    np.testing.assert_allclose(place, affine[:3, :3] @ (4, 1, 2) + affine[:3, 3], atol=1e-3)


def test_labels_without_orientation_follow_their_image(tmp_path: Path) -> None:
    volume = open_volume(write(tmp_path / "image.nii", sform=0), orientation="LPS")
    data = np.zeros((5, 6, 7), np.uint8)
    data[4, 1, 2] = 3
    segmentation = load_labels(write(tmp_path / "labels.nii", data=data, sform=0), volume)
    marked = volume.voxels[segmentation.labels == 3]
    assert marked.tolist() == [np.ravel_multi_index((4, 1, 2), (5, 6, 7))]
    placed = open_volume(write(tmp_path / "placed.nii"))
    with pytest.raises(GeometryError, match="doesn't say how it lies"):
        load_labels(tmp_path / "labels.nii", placed)


def test_a_path_to_no_labels_is_a_wrong_path(tmp_path: Path) -> None:
    volume = open_volume(write(tmp_path / "image.nii"))
    with pytest.raises(UsageError, match="is not a file"):
        load_labels(tmp_path / "nothing.nii.gz", volume)


def test_segmentations_of_other_kinds_are_refused_by_kind(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    volume = open_volume(tmp_path / "s")
    dataset = pydicom.dcmread(save_dicom_seg(tmp_path / "a.dcm", some_labels(volume, 2), volume))
    dataset.SegmentationType = "FRACTIONAL"
    dataset.BitsAllocated = 8
    dataset.save_as(tmp_path / "b.dcm")
    with pytest.raises(RefusedError, match="FRACTIONAL") as caught:
        load_labels(tmp_path / "b.dcm", volume)
    assert caught.value.code == "labels.segmentation_type"


def test_overlapping_segments_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "s")
    volume = open_volume(tmp_path / "s")
    dataset = pydicom.dcmread(save_dicom_seg(tmp_path / "a.dcm", some_labels(volume, 2, 7), volume))
    dataset.PixelData = b"\xff" * len(dataset.PixelData)
    dataset.save_as(tmp_path / "b.dcm")
    with pytest.raises(RefusedError, match="overlap") as caught:
        load_labels(tmp_path / "b.dcm", volume)
    assert caught.value.code == "labels.overlap"


def test_labels_of_another_image_are_refused_with_both_grids(tmp_path: Path) -> None:
    volume = open_volume(write(tmp_path / "image.nii"))
    shifted = affine_towards("RAS")
    for name, data, affine in (("shape", np.zeros((5, 6, 8), np.uint8), None), ("place", None, shifted)):
        path = write(tmp_path / f"{name}.nii", data=data, **({} if affine is None else {"affine": affine}))
        with pytest.raises(GeometryError) as caught:
            load_labels(path, volume)
        assert caught.value.code == "labels.mismatch"
        assert str(caught.value).count("affine [") == 2
        assert str(caught.value).count("voxels (z, y, x)") == 2
    other = Segmentation(np.zeros((2, 2, 2), np.uint8), Geometry.from_spacing((2, 2, 2)))
    with pytest.raises(GeometryError):
        save_labels_nifti(tmp_path / "x.nii", other, volume)


def test_a_segmentation_of_another_series_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "a")
    write_series(tmp_path / "b", Recipe(origin=(0, 0, 0)))
    volume, other = open_volume(tmp_path / "a"), open_volume(tmp_path / "b")
    save_dicom_seg(tmp_path / "a.dcm", some_labels(volume, 2), volume)
    with pytest.raises(GeometryError, match="lies on no slice"):
        load_labels(tmp_path / "a.dcm", other)


def test_a_damaged_table_is_refused_by_name(tmp_path: Path) -> None:
    volume = open_volume(write(tmp_path / "image.nii"))
    save_labels_nifti(tmp_path / "a.nii.gz", some_labels(volume, 2), volume)
    table = tmp_path / "a.segments.json"
    assert json.loads(table.read_text(encoding="utf-8"))["segments"][0]["name"] == "Knötchen"
    for content in ("{", "[]", '{"segments": [{"value": 1}]}'):
        table.write_text(content)
        with pytest.raises(RefusedError, match=r"a\.segments\.json"):
            load_labels(tmp_path / "a.nii.gz", volume)


def test_a_segmentation_needs_dicom_voxels_and_the_source_files(tmp_path: Path) -> None:
    nifti = open_volume(write(tmp_path / "image.nii"))
    with pytest.raises(RefusedError) as caught:
        save_dicom_seg(tmp_path / "a.dcm", some_labels(nifti, 2), nifti)
    assert caught.value.code == "export.not_dicom"
    paths = write_series(tmp_path / "series")
    volume = open_volume(tmp_path / "series")
    empty = Segmentation(np.zeros(volume.geometry.shape, np.uint8), volume.geometry)
    with pytest.raises(RefusedError) as caught:
        save_dicom_seg(tmp_path / "a.dcm", empty, volume)
    assert caught.value.code == "export.empty"
    paths[2].unlink()
    with pytest.raises(RefusedError) as caught:
        save_dicom_seg(tmp_path / "a.dcm", some_labels(volume, 2), volume)
    assert caught.value.code == "export.source_gone"


def test_slices_of_several_frames_of_reference_give_no_segmentation(tmp_path: Path) -> None:
    write_series(tmp_path / "s", Recipe().also(setting_each(lambda k: {"FrameOfReferenceUID": f"1.2.{k + 1}"})))
    volume = open_volume(tmp_path / "s")
    with pytest.raises(RefusedError) as caught:
        save_dicom_seg(tmp_path / "a.dcm", some_labels(volume, 2), volume)
    assert caught.value.code == "export.frame_of_reference"


def test_empty_uids_are_derived_the_same_way_each_time_and_stated(tmp_path: Path) -> None:
    edits = (
        setting(StudyInstanceUID="", SeriesInstanceUID="", SOPInstanceUID="", SOPClassUID="", FrameOfReferenceUID=""),
        deleting("StudyDate", "SeriesNumber"),
    )
    write_series(tmp_path / "s", Recipe().also(*edits))
    volume = open_volume(tmp_path / "s")
    written = [
        pydicom.dcmread(save_dicom_seg(tmp_path / f"{n}.dcm", some_labels(volume, 2), volume)) for n in range(2)
    ]
    for dataset in written:
        assert "derived" in dataset.DerivationDescription
        references = dataset.ReferencedSeriesSequence[0]
        assert references.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID.startswith("1.2.826")
        for uid in (dataset.StudyInstanceUID, references.SeriesInstanceUID, dataset.FrameOfReferenceUID):
            assert uid.startswith("2.25.")
            assert uid.is_valid
    assert written[0].StudyInstanceUID == written[1].StudyInstanceUID
    assert written[0].FrameOfReferenceUID == written[1].FrameOfReferenceUID
    assert written[0].SOPInstanceUID != written[1].SOPInstanceUID


@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_a_file_that_reads_back_differently_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    write_series(tmp_path / "series")
    volume = open_volume(tmp_path / "series")
    segmentation = some_labels(volume, 2, 7)
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / ("a.nii.gz" if kind == "nifti" else "a.dcm")
    save = save_labels_nifti if kind == "nifti" else save_dicom_seg
    save(target, segmentation, volume)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    if kind == "nifti":
        honest = nifti_export._image
        monkeypatch.setattr(nifti_export, "_image", lambda stored, geometry: honest(stored[::-1], geometry))
    else:
        honest_object = segmentation_export._segmentation_object
        monkeypatch.setattr(
            segmentation_export,
            "_segmentation_object",
            lambda images, numbered, segments: honest_object(images, numbered[::-1], segments),
        )
    segmentation.labels[0, 0, 1] = 7
    with pytest.raises(RefusedError) as caught:
        save(target, segmentation, volume)
    assert caught.value.code == "export.voxels_differ"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_every_value_that_occurs_is_found() -> None:
    rng = np.random.default_rng(0)
    for dtype, highest in ((np.uint8, 255), (np.uint16, 65535), (np.uint32, 90_000)):
        labels = np.zeros((4, 5, 6), dtype)
        labels.flat[rng.choice(labels.size, 20, replace=False)] = rng.integers(0, highest + 1, 20)
        labels[0, 0, 0], labels[-1, -1, -1] = highest, 7
        for view in (labels, labels.transpose(2, 0, 1), labels[::-1, ::-1]):
            assert present_values(view) == tuple(v for v in np.unique(labels).tolist() if v)
    assert present_values(np.zeros((2, 3, 4), np.uint16)) == ()


@pytest.mark.parametrize("place", [(0, 0, 0), (2, 3, 4), (-1, -1, -1)])
def test_one_voxel_that_differs_is_found(tmp_path: Path, place: tuple[int, int, int]) -> None:
    volume = open_volume(write(tmp_path / "image.nii", affine=affine_towards("AIL", False)))
    segmentation = some_labels(volume, 2, 7)
    header = read_header(save_labels_nifti(tmp_path / "a.nii.gz", segmentation, volume))
    assert holds_voxels(header, segmentation.labels)
    assert not holds_voxels(header, segmentation.labels[:-1])
    segmentation.labels[place] += 1
    assert not holds_voxels(header, segmentation.labels)


def test_a_misplaced_file_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = open_volume(write(tmp_path / "image.nii"))
    honest = nifti_export._image

    def shifted(stored: np.ndarray, geometry: Geometry) -> nib.Nifti1Image:
        matrix = geometry.matrix.copy()
        matrix[0, 3] += 0.01
        return honest(stored, Geometry(geometry.shape, matrix))

    monkeypatch.setattr(nifti_export, "_image", shifted)
    with pytest.raises(RefusedError) as caught:
        save_labels_nifti(tmp_path / "a.nii.gz", some_labels(volume, 2), volume)
    assert caught.value.code == "export.misplaced"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.nii"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    volume = open_volume(write(tmp_path / "image.nii"))
    with pytest.raises(RefusedError, match="missing") as caught:
        save_labels_nifti(tmp_path / "missing" / "a.nii.gz", some_labels(volume, 2), volume)
    assert caught.value.code == "export.not_written"
    with pytest.raises(UsageError, match=r"\.nii"):
        save_labels_nifti(tmp_path / "a.nrrd", some_labels(volume, 2), volume)
