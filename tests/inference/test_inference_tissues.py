"""Tissues of the sample CT, of cuts of it that scanners make, and of a real CT."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_volseg.core import (
    CancelledError,
    CancelToken,
    Geometry,
    Progress,
    RefusedError,
    Segmentation,
    UsageError,
    Volume,
)
from napari_volseg.formats import load_labels, open_volume
from napari_volseg.inference import CtTissues, Prediction
from napari_volseg.inference.tissue_grid import WorkingGrid, closed, dilate, erode, opened
from napari_volseg.inference.tissues import BONE, FAT, LEFT_LUNG, MUSCLE, RIGHT_LUNG
from napari_volseg.spatial import apply_reorientation, reorient_geometry, reorientation_to

#: Values of the sample's truth.
TRUE_RIGHT_LUNG, TRUE_LEFT_LUNG, LIVER, AORTA, TRUE_BONE, NODULE = 1, 2, 4, 8, 10, 12


class Case:
    """A CT with its truth."""

    def __init__(self, volume: Volume, truth: NDArray[Any]) -> None:
        self.volume, self.truth = volume, truth

    def cut(self, *where: slice) -> Case:
        """Return a part of the case, or every n-th voxel of it."""
        steps = np.array([part.step or 1 for part in where])
        voxels = self.volume.voxels[where]
        return Case(
            Volume(voxels, Geometry.from_spacing(voxels.shape, steps * self.volume.geometry.spacing), "CT", "HU"),
            self.truth[where],
        )

    def with_voxels(self, voxels: NDArray[Any]) -> Case:
        return Case(replace(self.volume, voxels=voxels), self.truth)

    @property
    def true_right_lung(self) -> NDArray[np.bool_]:
        return np.isin(self.truth, (TRUE_RIGHT_LUNG, NODULE))


@pytest.fixture(scope="module")
def sample(sample_data: Path) -> Case:
    volume = open_volume(sample_data / "torso-ct.nii.gz")
    truth: Segmentation = load_labels(sample_data / "torso-labels.nii.gz", volume)
    return Case(replace(volume, modality="CT"), truth.labels)


@pytest.fixture(scope="module")
def coarse(sample: Case) -> Case:
    """Every second voxel: an eighth of the time."""
    return sample.cut(slice(None, None, 2), slice(None, None, 2), slice(None, None, 2))


@pytest.fixture(scope="module")
def prediction(sample: Case) -> Prediction:
    return CtTissues().predict(sample.volume)


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return 2 * np.count_nonzero(a & b) / max(1, np.count_nonzero(a) + np.count_nonzero(b))


def lungs_agree(case: Case, at_least: float) -> bool:
    labels = CtTissues().predict(case.volume).labels
    right = dice(labels == RIGHT_LUNG, case.true_right_lung)
    left = dice(labels == LEFT_LUNG, case.truth == TRUE_LEFT_LUNG)
    return min(right, left) >= at_least


def test_tissues_of_the_sample(sample: Case, prediction: Prediction) -> None:
    labels, truth = prediction.labels, sample.truth
    assert dice(labels == RIGHT_LUNG, sample.true_right_lung) >= 0.98
    assert dice(labels == LEFT_LUNG, truth == TRUE_LEFT_LUNG) >= 0.98
    assert dice(labels == BONE, truth == TRUE_BONE) >= 0.88
    assert np.mean(labels[truth == LIVER] == MUSCLE) < 0.02
    assert np.isin(labels, (RIGHT_LUNG, LEFT_LUNG))[truth == LIVER].mean() < 0.005
    density = sample.volume.voxels[labels == FAT]
    assert -115 < density.mean() < -90


def test_the_table_is_left_out(sample: Case, prediction: Prediction) -> None:
    # the body's truth is not labelled: no labelled voxel may lie behind the lowest voxel of the skin at the midline
    rows = np.flatnonzero((prediction.labels > 0).any((0, 2)))
    table = np.flatnonzero((sample.volume.voxels[:, -20:] > -500).any((0, 2)))
    assert table.size
    assert rows[-1] < sample.volume.geometry.shape[1] - 10


@pytest.mark.parametrize("codes", ["RAI", "LSP"])
def test_sides_are_the_patients_whatever_the_grid(coarse: Case, codes: str) -> None:
    change = reorientation_to(coarse.volume.geometry, codes)
    turned = Volume(
        apply_reorientation(coarse.volume.voxels, change),
        reorient_geometry(coarse.volume.geometry, change),
        "CT",
        "HU",
    )
    expected = apply_reorientation(CtTissues().predict(coarse.volume).labels, change)
    np.testing.assert_array_equal(CtTissues().predict(turned).labels, expected)


@pytest.mark.parametrize(
    "where",
    [
        (slice(60, 80), slice(None), slice(None)),
        (slice(80, 100), slice(None), slice(None)),
        (slice(55, 75), slice(40, 110), slice(45, 135)),
    ],
    ids=["slab", "top", "narrow"],
)
def test_lungs_that_touch_the_edges(sample: Case, where: tuple[slice, ...]) -> None:
    assert lungs_agree(sample.cut(*where), 0.97)


def test_one_half_of_the_patient(sample: Case) -> None:
    half = sample.cut(slice(50, 75), slice(None), slice(90, 180))
    labels = CtTissues().predict(half.volume).labels
    assert dice(labels == LEFT_LUNG, half.truth == TRUE_LEFT_LUNG) > 0.97
    assert not (labels == RIGHT_LUNG).any()


def test_a_round_field_of_view(sample: Case) -> None:
    part = sample.cut(slice(55, 75), slice(None), slice(None))
    y, x = np.indices(part.volume.geometry.shape[1:])
    seen = (y - 75) ** 2 + (x - 90) ** 2 < 62**2
    part = Case(replace(part.volume, voxels=np.where(seen, part.volume.voxels, -2000)), np.where(seen, part.truth, 0))
    assert lungs_agree(part, 0.96)
    assert not CtTissues().predict(part.volume).labels[:, ~seen].any()


def test_bowel_gas_is_no_lung(sample: Case) -> None:
    abdomen = sample.cut(slice(0, 25), slice(None), slice(None))
    assert (abdomen.volume.voxels[abdomen.truth == 0] < -900).any()
    labels = CtTissues().predict(abdomen.volume).labels
    assert not np.isin(labels, (RIGHT_LUNG, LEFT_LUNG)).any()


def test_noise_and_arterial_contrast(sample: Case) -> None:
    chest = sample.cut(slice(55, 75), slice(None), slice(None))
    voxels = chest.volume.voxels + np.random.default_rng(0).normal(0, 50, chest.truth.shape)
    voxels[chest.truth == AORTA] += 250
    noisy = chest.with_voxels(voxels.astype(np.int16))
    assert lungs_agree(noisy, 0.97)
    labels = CtTissues().predict(noisy.volume).labels
    assert np.mean(labels[noisy.truth == AORTA] == BONE) < 0.2


def test_a_real_abdomen(real_ct_folder: Path) -> None:
    volume = open_volume(real_ct_folder)
    labels = CtTissues().predict(volume).labels
    millilitres = {
        s.name: np.count_nonzero(labels == s.value) * volume.geometry.voxel_volume / 1000
        for s in CtTissues().card.segments
    }
    assert millilitres["Left lung"] + millilitres["Right lung"] < 10
    assert 120 < millilitres["Bone"] < 250
    assert 600 < millilitres["Fat"] < 900
    assert 500 < millilitres["Muscle"] < 900
    assert 3000 < sum(millilitres.values()) < 3700


def test_report_and_progress(coarse: Case) -> None:
    seen: list[Progress] = []
    report = CtTissues().predict(coarse.volume, progress=seen.append).report
    assert report.windows == 0
    assert report.device == "CPU"
    assert report.seconds.total >= report.seconds.before > 0
    assert [p.done for p in seen] == list(range(6))
    assert {p.total for p in seen} == {6}


def test_it_can_be_cancelled(coarse: Case) -> None:
    token = CancelToken()

    def progress(p: Progress) -> None:
        if p.done == 2:
            token.cancel()

    with pytest.raises(CancelledError):
        CtTissues().predict(coarse.volume, progress=progress, cancel=token)


@pytest.mark.parametrize("modality", ["MR", "PT"])
def test_other_modalities_are_refused(coarse: Case, modality: str) -> None:
    with pytest.raises(RefusedError, match=modality) as refusal:
        CtTissues().predict(replace(coarse.volume, modality=modality, quantity="arbitrary"))
    assert refusal.value.code == "model.not_ct"


def test_an_unknown_image_is_taken_only_if_it_looks_like_hu(coarse: Case) -> None:
    unknown = replace(coarse.volume, modality="OT", quantity="arbitrary")
    assert CtTissues().predict(unknown).labels.any()
    with pytest.raises(RefusedError):
        CtTissues().predict(replace(unknown, voxels=unknown.voxels + 2000))
    with pytest.raises(UsageError, match="torch"):
        CtTissues().predict(unknown, backend="torch")


@pytest.mark.parametrize("value", [-1000, 40])
def test_images_without_a_patient(value: int) -> None:
    voxels = np.full((4, 8, 8), value, np.int16)
    labels = CtTissues().predict(Volume(voxels, Geometry.from_spacing((4, 8, 8)), "CT", "HU")).labels
    assert not np.isin(labels, (LEFT_LUNG, RIGHT_LUNG, BONE)).any()


def test_the_working_grid_averages_blocks() -> None:
    voxels = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    grid = WorkingGrid.of(voxels, (1.0, 1.0, 3.0), CancelToken())
    assert grid.factors == (2, 2, 1)
    assert grid.spacing == (2.0, 2.0, 3.0)
    np.testing.assert_array_equal(grid.hu[0, 1], voxels[:2, 2:].mean((0, 1)))
    np.testing.assert_array_equal(grid.hu[1, 0], voxels[2, :2].mean(0))
    assert grid.plane_on_source(grid.hu, 2, (4, 5)).shape == (4, 5)


def test_morphology_is_in_millimetres() -> None:
    spacing = (3.0, 1.0, 1.0)
    dot = np.zeros((5, 9, 9), bool)
    dot[2, 4, 4] = True
    grown = dilate(dot, spacing, 3.0)
    assert grown.any((1, 2)).tolist() == [False, True, True, True, False]
    assert grown[2].sum() == 29
    np.testing.assert_array_equal(erode(grown, spacing, 2.9), dot)
    assert not opened(dot, spacing, 1.0).any()
    gap = np.ones((5, 9, 9), bool)
    gap[:, 4] = False
    assert closed(gap, spacing, 1.5).all()
