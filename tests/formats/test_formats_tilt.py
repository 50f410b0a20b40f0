"""Labels on tilted CT slices, sent through the grid of models and back, exported, and judged by other readers."""

from __future__ import annotations

from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
from dicom_factory import Recipe, write_series
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_volseg.core import Segment, Segmentation, SegmentTable, Volume
from napari_volseg.formats import open_volume, save_dicom_seg, save_labels_nifti
from napari_volseg.spatial import straightening

SHAPE = (24, 48, 40)
TABLE = SegmentTable((Segment(1, "Painted", (200, 30, 30)),))
TILTS = (-20, -15, -2, 2, 15, 20)


def leaning(degrees: float) -> Recipe:
    """Slices turned about the patient's x by the gantry, following each other along the table."""
    lean = np.radians(degrees)
    orientation = (1.0, 0.0, 0.0, 0.0, float(np.cos(lean)), float(np.sin(lean)))
    return Recipe(SHAPE, orientation, step=(0.0, 0.0, 3.0))


def drifting(degrees: float) -> Recipe:
    """Axial slices that drift towards the back."""
    return Recipe(SHAPE, step=(0.0, 3.0 * float(np.tan(np.radians(degrees))), 3.0))


RECIPES = {f"{make.__name__} {tilt}": make(tilt) for make in (leaning, drifting) for tilt in TILTS}


def painted() -> NDArray[np.bool_]:
    """A chiral hook on the stored slices (k, row, column), up to two faces of the volume."""
    mask = np.zeros(SHAPE, bool)
    mask[4:20, 6:14, 5:9] = mask[16:24, 6:40, 5:9] = mask[16:20, 30:40, 5:31] = True
    return mask


def places(recipe: Recipe, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Patient (n, 3) of voxels of a mask on the stored slices, by the raw tags."""
    return np.array([recipe.place(index) for index in np.argwhere(mask)])


def in_nifti(path: Path) -> NDArray[np.float64]:
    """Patient (n, 3), LPS, of labelled voxels as nibabel places them."""
    image = nib.load(path)
    ijk = np.argwhere(np.asarray(image.dataobj) == 1)
    return nib.affines.apply_affine(image.affine, ijk) * [-1, -1, 1]


def in_dicom_seg(path: Path) -> NDArray[np.float64]:
    """Patient (n, 3) of labelled pixels by each frame's own position, orientation and spacing (C.7.6.2.1.1)."""
    written = highdicom.seg.segread(path)
    shared = written.SharedFunctionalGroupsSequence[0]
    x, y = np.asarray(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    down, right = (float(s) for s in shared.PixelMeasuresSequence[0].PixelSpacing)
    found = []
    for group, frame in zip(written.PerFrameFunctionalGroupsSequence, written.pixel_array, strict=True):
        rows, columns = np.nonzero(frame)
        origin = np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, float)
        found.append(origin + rows[:, None] * y * down + columns[:, None] * x * right)
    return np.concatenate(found)


def through_a_models_grid(volume: Volume, labels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    way = straightening(volume.geometry)
    assert way is not None
    return way.labels_back(way.labels(labels))


def assert_within_half_a_voxel(found: NDArray[np.float64], meant: NDArray[np.float64], recipe: Recipe) -> None:
    """Centroid and extent per patient axis, and every voxel of either, in mm."""
    half = np.array([recipe.pixel_spacing[1], recipe.pixel_spacing[0], 3.0]) / 2
    assert (np.abs(found.mean(0) - meant.mean(0)) < half).all()
    assert (np.abs(found.min(0) - meant.min(0)) < half).all()
    assert (np.abs(found.max(0) - meant.max(0)) < half).all()
    assert cKDTree(meant).query(found)[0].max() < half.min()
    assert cKDTree(found).query(meant)[0].max() < half.min()


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_labels_return_through_a_models_grid_and_both_exports(tmp_path: Path, recipe: Recipe) -> None:
    write_series(tmp_path / "series", recipe)
    volume = open_volume(tmp_path / "series")
    mask = painted()
    meant = places(recipe, mask)
    labels = np.zeros(volume.geometry.shape, np.uint16)
    labels[tuple(np.rint(volume.geometry.to_index(meant)).astype(int).T)] = 1
    back = through_a_models_grid(volume, labels)
    np.testing.assert_array_equal(back, labels)
    segmentation = Segmentation(back, volume.geometry, TABLE)

    for found in (
        in_nifti(save_labels_nifti(tmp_path / "a.nii.gz", segmentation, volume)),
        in_dicom_seg(save_dicom_seg(tmp_path / "a.dcm", segmentation, volume)),
    ):
        assert len(found) == len(meant)
        assert_within_half_a_voxel(found, meant, recipe)
        assert cKDTree(meant).query(found)[0].max() < 1e-3
    surface = mask & ~ndimage.binary_erosion(mask)
    assert cKDTree(in_dicom_seg(tmp_path / "a.dcm")).query(places(recipe, surface))[0].max() < 1e-3


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_native_corners_are_those_of_the_tags(tmp_path: Path, recipe: Recipe) -> None:
    write_series(tmp_path / "series", recipe)
    volume = open_volume(tmp_path / "series")
    ends = [(k, r, c) for k in (0, SHAPE[0] - 1) for r in (0, SHAPE[1] - 1) for c in (0, SHAPE[2] - 1)]
    meant = np.array([recipe.place(end) for end in ends])
    distance, which = cKDTree(meant).query(volume.geometry.corners())
    assert distance.max() < 1e-3
    assert sorted(which) == list(range(8))
    assert volume.geometry.is_sheared

    empty = Segmentation(np.ones(volume.geometry.shape, np.uint16), volume.geometry, TABLE)
    image = nib.load(save_labels_nifti(tmp_path / "a.nii", empty, volume))
    corners = nib.affines.apply_affine(image.affine, [np.array(e)[::-1] for e in ends]) * [-1, -1, 1]
    assert cKDTree(meant).query(corners)[0].max() < 1e-3


def test_what_a_model_finds_on_its_grid_lands_within_half_a_voxel(tmp_path: Path) -> None:
    """A ball that a model draws on its grid, as a surface of the patient, on the slices of the file."""
    recipe = leaning(20)
    write_series(tmp_path / "series", recipe)
    volume = open_volume(tmp_path / "series")
    way = straightening(volume.geometry)
    assert way is not None
    center, radius = places(recipe, np.ones(SHAPE, bool)).mean(0) + np.array((4, -6, 5)), 18.0
    grid = way.target.to_patient(np.moveaxis(np.indices(way.target.shape), 0, -1))
    ball = (np.linalg.norm(grid - center, axis=-1) < radius).astype(np.uint16)
    segmentation = Segmentation(way.labels_back(ball), volume.geometry, TABLE)
    path = save_dicom_seg(tmp_path / "a.dcm", segmentation, volume)
    found = in_dicom_seg(path)
    everywhere = places(recipe, np.ones(SHAPE, bool))
    depth = radius - np.linalg.norm(everywhere - center, axis=1)
    inside = cKDTree(found).query(everywhere)[0] < 1e-3
    wrong = inside != (depth > 0)
    assert np.abs(depth[wrong]).max() < 3.0 / 2
    assert np.abs(found.mean(0) - center).max() < 0.5
    assert pydicom.dcmread(path).NumberOfFrames == len(np.unique(np.argwhere(segmentation.labels)[:, 0]))
