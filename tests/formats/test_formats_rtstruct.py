"""RT Structure Sets: contours from which labels return exactly, at the right places, with names and references."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_factory import Recipe, write_series
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.measure import points_in_poly
from test_formats_dicom_corpus import ROWS, marked, open_it
from test_formats_export import RECIPES, TABLE, some_labels

from napari_volseg.core import RefusedError, Segmentation, VolsegError, Volume
from napari_volseg.formats import load_labels, open_volume, save_rtstruct
from napari_volseg.formats.dicom import structure_set
from napari_volseg.formats.dicom.contours import mask_within, outlines_of


@settings(max_examples=300, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.booleans()))
def test_every_mask_returns_from_its_outlines(mask: np.ndarray) -> None:
    assert np.array_equal(mask_within(outlines_of(mask), mask.shape), mask)


@pytest.mark.parametrize("seed", range(8))
def test_blobs_with_holes_and_islands_within_return_after_rounding(seed: int) -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(90, 70)), 3)
    mask = np.abs(noise) < 0.05
    outlines = [np.round(outline * 0.731 - 211, 4) for outline in outlines_of(mask)]
    back = [(outline + 211) / 0.731 for outline in outlines]
    assert np.array_equal(mask_within(back, mask.shape), mask)


def test_a_hole_is_joined_to_its_outline_and_an_island_in_it_is_not() -> None:
    mask = np.zeros((30, 30), bool)
    mask[2:28, 3:27] = True
    mask[8:22, 8:22] = False
    mask[12:16, 13:18] = True
    outlines = outlines_of(mask)
    assert len(outlines) == 2
    assert np.array_equal(mask_within(outlines, mask.shape), mask)


def test_outlines_have_no_needless_points() -> None:
    mask = np.zeros((30, 30), bool)
    mask[4:20, 5:25] = True
    (outline,) = outlines_of(mask)
    assert len(outline) == 8  # a rectangle with its corners cut


def contours_of(dataset: pydicom.Dataset, number: int) -> list[tuple[np.ndarray, str]]:
    """The contours of a region, patient (x, y, z), mm, and the image that each refers to."""
    region = next(item for item in dataset.ROIContourSequence if item.ReferencedROINumber == number)
    return [
        (np.array(c.ContourData, float).reshape(-1, 3), str(c.ContourImageSequence[0].ReferencedSOPInstanceUID))
        for c in region.ContourSequence
    ]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_contours_lie_on_the_right_slices_around_the_right_voxels(tmp_path: Path, recipe: Recipe) -> None:
    paths = write_series(tmp_path / "series", recipe)
    volume = open_volume(tmp_path / "series")
    segmentation = some_labels(volume, 2, 7)
    for value in recipe.beads:
        segmentation.labels[volume.voxels == value] = 2 if value % 2 else 7
    dataset = pydicom.dcmread(save_rtstruct(tmp_path / "rt.dcm", segmentation, volume))
    images = {str(image.SOPInstanceUID): image for image in map(pydicom.dcmread, paths)}
    expected = {int(v): 0 for v in np.unique(segmentation.labels) if v}
    within = dict.fromkeys(expected, 0)
    numbers = {label: number for number, label in enumerate((s.value for s in TABLE if s.value in expected), 1)}
    for label, number in numbers.items():
        expected[label] = int((segmentation.labels == label).sum())
        for points, uid in contours_of(dataset, number):
            image = images[uid]
            row, column = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
            away = points - np.array(image.ImagePositionPatient, float)
            assert np.abs(away @ np.cross(row, column)).max() < 1e-3  # in the plane of the image that it names
            flat = np.stack([away @ column / image.PixelSpacing[0], away @ row / image.PixelSpacing[1]], 1)
            grid = np.stack(np.meshgrid(*map(np.arange, recipe.shape[1:]), indexing="ij"), -1).reshape(-1, 2)
            inside = grid[points_in_poly(grid, flat)]
            k = next(k for k, path in enumerate(paths) if pydicom.dcmread(path).SOPInstanceUID == uid)
            for r, c in inside:
                place = recipe.place((k, r, c))
                z, y, x = np.round(volume.geometry.to_index(place)).astype(int)
                assert segmentation.labels[z, y, x] == label
            within[label] += len(inside)
    assert within == expected


def test_names_colours_codes_and_references_go_along(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "series")
    volume = open_volume(tmp_path / "series")
    segmentation = some_labels(volume, 2, 7)
    dataset = pydicom.dcmread(save_rtstruct(tmp_path / "rt.dcm", segmentation, volume))
    image = pydicom.dcmread(paths[0])
    assert dataset.SOPClassUID == pydicom.uid.RTStructureSetStorage
    assert dataset.StudyInstanceUID == image.StudyInstanceUID
    assert dataset.SeriesInstanceUID != image.SeriesInstanceUID
    assert [str(roi.ROIName) for roi in dataset.StructureSetROISequence] == [s.name for s in TABLE]
    assert [roi.ROIGenerationAlgorithm for roi in dataset.StructureSetROISequence] == [
        s.algorithm_type for s in TABLE
    ]
    assert [tuple(map(int, r.ROIDisplayColor)) for r in dataset.ROIContourSequence] == [s.color for s in TABLE]
    seen = dataset.RTROIObservationsSequence[1].RTROIIdentificationCodeSequence[0]
    assert (seen.CodeValue, seen.CodeMeaning) == (list(TABLE)[1].type.value, list(TABLE)[1].type.meaning)
    (frame,) = dataset.ReferencedFrameOfReferenceSequence
    assert frame.FrameOfReferenceUID == image.FrameOfReferenceUID
    (series,) = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence
    assert series.SeriesInstanceUID == image.SeriesInstanceUID
    assert len(series.ContourImageSequence) == len(paths)


def test_a_large_shape_with_holes_returns_through_the_file(tmp_path: Path) -> None:
    recipe = replace(RECIPES["oblique"], shape=(7, 60, 50))
    write_series(tmp_path / "series", recipe)
    volume = open_volume(tmp_path / "series")
    noise = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=volume.voxels.shape), 2)
    labels = np.where(noise > 0.05, 2, np.where(noise < -0.05, 7, 0)).astype(np.uint16)
    segmentation = Segmentation(labels, volume.geometry, TABLE)
    save_rtstruct(tmp_path / "rt.dcm", segmentation, volume)  # it reads the file back and compares


@pytest.mark.filterwarnings("ignore:The value for the data element .3006,0050. exceeds:UserWarning")
@pytest.mark.parametrize("explicit", [False, True])
def test_a_contour_of_more_points_than_explicit_vr_holds_returns(tmp_path: Path, explicit: bool) -> None:
    write_series(tmp_path / "series", replace(RECIPES["tilted"], shape=(3, 80, 90)))
    volume = open_volume(tmp_path / "series")
    labels = np.zeros(volume.geometry.shape, np.uint16)
    labels[1, 2:-2, 3:-1] = 7
    labels[1, 4:-4:2, 5:-4:2] = 0
    path = save_rtstruct(tmp_path / "rt.dcm", Segmentation(labels, volume.geometry, TABLE), volume)
    if explicit:  # as others write it
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=True)
    np.testing.assert_array_equal(load_labels(path, volume).labels != 0, labels != 0)


def test_frames_of_a_multi_frame_file_are_named(tmp_path: Path) -> None:
    truth = ROWS["D61 frames shuffled"].make(tmp_path / "in")
    volume = open_it(tmp_path / "in", truth).at_time(0)
    dataset = pydicom.dcmread(save_rtstruct(tmp_path / "rt.dcm", marked(volume, (3, 4, 5), (17, 2, 1)), volume))
    frames = volume.origin_provenance.details["frames"]
    named = {
        int(contour.ContourImageSequence[0].ReferencedFrameNumber)
        for contour in dataset.ROIContourSequence[0].ContourSequence
    }
    assert named == {frames[3] + 1, frames[17] + 1}


def test_what_reads_back_differently_is_refused_and_the_old_file_stays(tmp_path: Path, monkeypatch) -> None:
    write_series(tmp_path / "series")
    volume = open_volume(tmp_path / "series")
    segmentation = some_labels(volume, 2, 7)
    target = tmp_path / "rt.dcm"
    target.write_bytes(b"before")
    right = structure_set.outlines_of
    monkeypatch.setattr(structure_set, "outlines_of", lambda mask: [o + 1 for o in right(mask)])
    with pytest.raises(RefusedError, match="read back, its voxels differ"):
        save_rtstruct(target, segmentation, volume)
    assert target.read_bytes() == b"before"


def test_other_sources_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    volume = open_volume(tmp_path / "series")
    other = replace(volume, provenance=replace(volume.provenance, format="NIfTI"))
    with pytest.raises(RefusedError, match="an RT Structure Set refers to DICOM images"):
        save_rtstruct(tmp_path / "rt.dcm", some_labels(volume, 2), other)
    empty = some_labels(volume, 2)
    empty.labels[...] = 0
    with pytest.raises(RefusedError, match="no labelled voxel"):
        save_rtstruct(tmp_path / "rt.dcm", empty, volume)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_a_structure_set_is_loaded_where_it_was_saved(tmp_path: Path, recipe: Recipe) -> None:
    write_series(tmp_path / "series", recipe)
    volume = open_volume(tmp_path / "series")
    segmentation = some_labels(volume, 2, 7)
    for value in recipe.beads:
        segmentation.labels[volume.voxels == value] = 2 if value % 2 else 7
    back = load_labels(save_rtstruct(tmp_path / "rt.dcm", segmentation, volume), volume)
    present = [segment for segment in TABLE if (segmentation.labels == segment.value).any()]
    values = np.array([0, *(segment.value for segment in present)])
    np.testing.assert_array_equal(values[back.labels], segmentation.labels)
    kept = [(s.name, s.color, s.type.value, s.algorithm_type) for s in back.table]
    assert kept == [(s.name, s.color, s.type.value, s.algorithm_type) for s in present]
    assert back.findings == ()


def edited(tmp_path: Path, edit) -> tuple[Path, Volume]:
    """A structure set of two cubes, one within the other, after an edit."""
    write_series(tmp_path / "series", Recipe(shape=(7, 30, 28)))
    volume = open_volume(tmp_path / "series")
    labels = np.zeros(volume.geometry.shape, np.uint16)
    labels[1:6, 4:24, 4:22] = 2
    labels[2:5, 9:18, 8:15] = 7
    path = save_rtstruct(tmp_path / "rt.dcm", Segmentation(labels, volume.geometry, TABLE), volume)
    dataset = pydicom.dcmread(path)
    edit(dataset)
    dataset.save_as(path)
    return path, volume


def without_keyholes(dataset) -> None:
    """Let the outer region fill its hole, as where regions overlap."""
    outer = max(dataset.ROIContourSequence, key=lambda region: len(region.ContourSequence))
    for contour in outer.ContourSequence:
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        low, high, z = points.min(0), points.max(0), points[0, 2]
        corners = [(low[0], low[1], z), (high[0], low[1], z), (high[0], high[1], z), (low[0], high[1], z)]
        contour.ContourData = [f"{c:.4f}" for corner in corners for c in corner]
        contour.NumberOfContourPoints = 4


def test_overlapping_regions_are_told_and_the_smaller_one_is_seen(tmp_path: Path) -> None:
    path, volume = edited(tmp_path, without_keyholes)
    labels = load_labels(path, volume)
    assert sorted(np.bincount(labels.labels.ravel())[1:]) == [3 * 9 * 7, 5 * 20 * 18 - 3 * 9 * 7]
    (finding,) = labels.findings
    assert finding.code == "labels.overlap"
    assert all(segment.name in finding.message for segment in labels.table)


def between_slices(dataset) -> None:
    contour = dataset.ROIContourSequence[0].ContourSequence[0]
    points = np.array(contour.ContourData, float).reshape(-1, 3) + np.array([0, 0, 1.4])
    contour.ContourData = [f"{c:.4f}" for c in points.ravel()]


def open_contours(dataset) -> None:
    for region in dataset.ROIContourSequence:
        for contour in region.ContourSequence:
            contour.ContourGeometricType = "OPEN_PLANAR"


def no_regions(dataset) -> None:
    del dataset.StructureSetROISequence


@pytest.mark.parametrize(
    ("edit", "told"),
    [(between_slices, "has to lie on a slice"), (open_contours, "no closed contour"), (no_regions, "is damaged")],
)
def test_what_can_not_be_placed_is_refused(tmp_path: Path, edit, told: str) -> None:
    path, volume = edited(tmp_path, edit)
    with pytest.raises(VolsegError, match=told):
        load_labels(path, volume)


@pytest.mark.parametrize("patient", ["STS_001", "STS_005"])
@pytest.mark.parametrize("modality", ["CT", "MR_T1", "PET"])
def test_contours_of_radiologists_are_the_published_masks(real_data: Path, patient: str, modality: str) -> None:
    root = real_data / "ibsi" / "ibsi_validation"
    folder = root / "dicom" / patient / modality
    volume = open_volume(folder)
    (structures,) = folder.rglob("RS.dcm")
    meant = load_labels(root / "nifti" / patient / f"{modality}_mask.nii.gz", volume)
    assert np.array_equal(load_labels(structures, volume).labels > 0, meant.labels > 0)
