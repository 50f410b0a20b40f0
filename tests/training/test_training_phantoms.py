"""Phantoms: same for one seed, right way round, plausible in HU; and the network that was trained on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_volseg.core import Geometry, UsageError
from napari_volseg.measure import dice_per_label
from napari_volseg.training import phantoms as ph
from napari_volseg.training.phantoms_patches import Intensities, make_case, organ_labels, patches
from napari_volseg.training.phantoms_scan import finer, reconstruction_noise
from napari_volseg.training.phantoms_shapes import Scene, Tissue, Warp, capsule, ellipsoid
from napari_volseg.training.train_phantom_unet import (
    Recipe,
    Training,
    write_model,
)

SEED = 7
COARSE = (6.0, 6.0, 6.0)


@pytest.fixture(scope="module")
def case() -> ph.PhantomCase:
    return ph.torso(SEED, spacing=COARSE)


@pytest.fixture(scope="module")
def mr_case() -> ph.PhantomCase:
    return ph.head(SEED, spacing=(4.0, 4.0, 4.0), supersample=1)


def center(case: ph.PhantomCase, value: int) -> np.ndarray:
    """Patient (x, y, z) of a label's centroid."""
    return case.volume.geometry.to_patient(np.argwhere(case.segmentation.labels == value)).mean(axis=0)


def test_a_seed_gives_one_torso(case: ph.PhantomCase) -> None:
    again = ph.torso(SEED, spacing=COARSE)
    assert np.array_equal(again.volume.voxels, case.volume.voxels)
    assert np.array_equal(again.segmentation.labels, case.segmentation.labels)
    assert again.volume.geometry == case.volume.geometry


def test_another_seed_gives_another_torso(case: ph.PhantomCase) -> None:
    other = ph.torso(SEED + 1, spacing=COARSE, supersample=1)
    changed = other.segmentation.labels != case.segmentation.labels
    assert 0.03 < changed.mean() < 0.4


@pytest.mark.parametrize("seed", [SEED, 8, 9])
def test_the_torso_is_not_mirrored(seed: int) -> None:
    case = ph.torso(seed, spacing=(8.0, 8.0, 8.0), supersample=1)
    for right, left in ((ph.RIGHT_LUNG, ph.LEFT_LUNG), (ph.RIGHT_KIDNEY, ph.LEFT_KIDNEY), (ph.LIVER, ph.SPLEEN)):
        assert center(case, right)[0] < -20
        assert center(case, left)[0] > 20
    for value in (ph.HEART, ph.STOMACH):
        assert center(case, value)[0] > 0
    assert center(case, ph.LIVER)[2] < center(case, ph.HEART)[2]
    assert center(case, ph.BONE)[1] > center(case, ph.HEART)[1]
    assert sum(case.segmentation.labels == ph.RIGHT_LUNG).sum() > sum(case.segmentation.labels == ph.LEFT_LUNG).sum()


def test_air_in_the_stomach_is_on_top(case: ph.PhantomCase) -> None:
    stomach = case.segmentation.labels == ph.STOMACH
    place = case.volume.geometry.to_patient(np.argwhere(stomach))
    air = case.volume.voxels[stomach] < -600
    assert air.sum() > 20
    assert place[air, 1].max() < np.percentile(place[~air, 1], 60)
    assert place[air, 1].mean() < place[~air, 1].mean() - 15


def test_intensities_are_those_of_ct(case: ph.PhantomCase) -> None:
    voxels, labels = case.volume.voxels, case.segmentation.labels
    expected = {
        ph.RIGHT_LUNG: (-900, -700),
        ph.LEFT_LUNG: (-900, -700),
        ph.LIVER: (90, 130),
        ph.SPLEEN: (90, 145),
        ph.RIGHT_KIDNEY: (120, 210),
        ph.AORTA: (115, 185),
        ph.HEART: (80, 170),
        ph.BONE: (200, 500),
        ph.LIVER_LESION: (35, 90),
    }
    for value, (low, high) in expected.items():
        assert low < np.median(voxels[labels == value]) < high, ph.TORSO_TABLE[value].name
    assert np.median(voxels[:, 0]) == pytest.approx(-1000, abs=10)
    assert voxels.min() >= -1024


def test_every_segment_is_present_and_coded(case: ph.PhantomCase) -> None:
    assert case.volume.voxels.dtype == np.int16
    assert case.volume.geometry.axis_codes == "SPL"
    fine = ph.torso(SEED, spacing=(3.0, 2.5, 2.5), supersample=1)
    sizes = np.bincount(fine.segmentation.labels.ravel(), minlength=13) * fine.volume.geometry.voxel_volume / 1000
    assert (sizes[1:] > 0).all()
    assert 0.3 < sizes[ph.LUNG_NODULE] < 0.5  # a 9 mm sphere has 0.38 mL
    assert 900 < sizes[ph.LIVER] < 2000
    assert all(segment.type.scheme == "SCT" for segment in case.segmentation.table)


def test_anatomy_does_not_depend_on_the_grid(case: ph.PhantomCase) -> None:
    other = ph.torso(SEED, spacing=(8.0, 5.0, 7.0), supersample=1)
    for value in ph.ORGANS:
        assert np.abs(center(other, value) - center(case, value)).max() < 4


def test_the_head_is_oblique_and_not_mirrored(mr_case: ph.PhantomCase) -> None:
    geometry = mr_case.volume.geometry
    assert geometry.axis_codes == "SPL"
    assert geometry.obliquity > 5
    assert mr_case.volume.origin_provenance.source_geometry.axis_codes == "LIP"
    assert center(mr_case, ph.LESION)[0] > 15
    assert center(mr_case, ph.LEFT_EYE)[0] > center(mr_case, ph.RIGHT_EYE)[0] + 40
    assert center(mr_case, ph.LEFT_EYE)[1] < center(mr_case, ph.CEREBELLUM)[1] - 80


def test_both_sequences_show_one_head(mr_case: ph.PhantomCase) -> None:
    flair = ph.head(SEED, "FLAIR", spacing=(5.0, 3.0, 3.0), supersample=1)
    for value in (ph.GREY_MATTER, ph.VENTRICLES, ph.CEREBELLUM, ph.LESION):
        assert np.abs(center(flair, value) - center(mr_case, value)).max() < 5
    lesion, white = (flair.segmentation.labels == v for v in (ph.LESION, ph.WHITE_MATTER))
    assert np.median(flair.volume.voxels[lesion]) > 1.5 * np.median(flair.volume.voxels[white])
    t1 = mr_case.volume.voxels
    lesion, white = (mr_case.segmentation.labels == v for v in (ph.LESION, ph.WHITE_MATTER))
    assert np.median(t1[lesion]) < np.median(t1[white])


def test_an_unknown_sequence_is_named() -> None:
    with pytest.raises(UsageError, match="T1, FLAIR"):
        ph.head(1, "T9")


def test_an_ellipsoid_has_its_volume_and_place() -> None:
    scene = Scene(Tissue((0.0,)), np.eye(4), Warp(*(np.zeros(s) for s in ((3, 1), (3, 1, 3), (3, 1)))))
    scene.paint(ellipsoid((10, -5, 3), (12, 8, 6), (20, 30, 40)), Tissue((1.0,), label=1))
    geometry = Geometry.from_spacing((40, 50, 60), (1, 1, 1), (-20, -30, -17))
    inside = np.argwhere(scene.sample(geometry) == 1)
    assert len(inside) == pytest.approx(4 / 3 * np.pi * 12 * 8 * 6, rel=0.02)
    assert geometry.to_patient(inside).mean(axis=0) == pytest.approx((10, -5, 3), abs=0.1)


def test_painting_over_respects_what_lies_below() -> None:
    scene = Scene(Tissue((0.0,)), np.eye(4), Warp(*(np.zeros(s) for s in ((3, 1), (3, 1, 3), (3, 1)))))
    organ, vessel = Tissue((1.0,), label=1), Tissue((2.0,), label=2)
    scene.paint(ellipsoid((0, 0, 0), (8, 8, 8)), organ)
    scene.paint(capsule((-20, 0, 0), (20, 0, 0), (2, 2)), vessel, over=(organ,))
    place = Geometry.from_spacing((41, 41, 41), (1, 1, 1), (-20, -20, -20))
    x = place.to_patient(np.argwhere(scene.sample(place) == 2))[:, 0]
    assert np.abs(x).max() == pytest.approx(8, abs=1)


def test_a_finer_grid_covers_the_same_space() -> None:
    coarse = Geometry.from_spacing((4, 5, 6), (3, 2, 1), (1, 2, 3))
    fine = finer(coarse, 2)
    assert fine.to_patient((-0.5, -0.5, -0.5)) == pytest.approx(coarse.to_patient((-0.5, -0.5, -0.5)))
    assert fine.to_patient((7.5, 9.5, 11.5)) == pytest.approx(coarse.to_patient((3.5, 4.5, 5.5)))


def test_noise_has_unit_variance_and_lacks_low_frequencies() -> None:
    geometry = Geometry.from_spacing((20, 64, 64), (3, 2, 2))
    noise = reconstruction_noise(np.random.default_rng(0), geometry)
    assert noise.std() == pytest.approx(1, abs=1e-3)
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0)
    ring = np.hypot(*np.meshgrid(*[np.fft.fftfreq(64) * 64] * 2))
    low, middle, high = (power[(a < ring) & (ring < b)].mean() for a, b in ((0, 3), (8, 14), (28, 32)))
    assert low < 0.5 * middle
    assert high < 0.5 * middle


def test_lesions_belong_to_the_organ_around_them(case: ph.PhantomCase) -> None:
    labels = case.segmentation.labels
    merged = organ_labels(labels)
    assert (merged[labels == ph.LIVER_LESION] == ph.LIVER).all()
    assert set(np.unique(merged)) == {0, *ph.ORGANS}


def test_training_patches_keep_image_and_labels_together() -> None:
    case = make_case(5, (12.0, 12.0, 12.0))
    images, labels = next(patches([case], Intensities.of([case]), (16, 16, 16), 2, np.random.default_rng(0)))
    assert images.shape == (2, 1, 16, 16, 16)
    assert labels.shape == (2, 16, 16, 16)
    bone, lung = labels == ph.BONE, (labels == ph.RIGHT_LUNG) | (labels == ph.LEFT_LUNG)
    assert images[:, 0][bone].mean() > images[:, 0][lung].mean() + 1


def test_stopped_training_goes_on_where_it_was(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the inference extra is not installed")
    recipe = Recipe(patch=(16, 16, 16), features=(4, 8))
    case = make_case(5, (14.0, 14.0, 14.0))
    batches = patches([case], Intensities.of([case]), recipe.patch, recipe.batch, np.random.default_rng(0))
    training = Training(recipe)
    losses = [training.step(*next(batches), share=0.0, bfloat16=False) for _ in range(20)]
    training.save(tmp_path / "state.pt")
    resumed = Training(recipe)
    resumed.restore(tmp_path / "state.pt")
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert resumed.steps == 20
    assert all(torch.equal(resumed.mean[name], training.mean[name]) for name in training.mean)
    batch = next(batches)
    assert resumed.step(*batch, 0.5, False) == pytest.approx(training.step(*batch, 0.5, False), rel=1e-4)


def test_the_written_folder_is_a_model(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the inference extra is not installed")
    from napari_volseg.inference import load_model

    recipe = Recipe(patch=(16, 16, 16), features=(4, 8))
    write_model(tmp_path / "tiny", Training(recipe), Intensities(0.0, 100.0, -200.0, 200.0), {"mean": 0.5})
    card = load_model(tmp_path / "tiny").card
    assert [segment.name for segment in card.segments] == [ph.TORSO_TABLE[value].name for value in ph.ORGANS]
    assert card.segments[3].type == ph.TORSO_TABLE[ph.LIVER].type
    assert "not for patients" in card.intended_use


def test_sample_files_show_the_phantom(sample_data: Path) -> None:
    import nibabel as nib

    image = nib.load(sample_data / "torso-ct.nii.gz")
    labels = np.asarray(nib.load(sample_data / "torso-labels.nii.gz").dataobj)
    place = Geometry.from_ras_ijk(image.affine, image.shape)
    liver = place.to_patient(np.argwhere(labels.T == ph.LIVER)).mean(axis=0)
    assert liver[0] < -20
    assert set(np.unique(labels)) == set(range(13))
    size = sum(path.stat().st_size for path in sample_data.rglob("*") if path.is_file())
    assert size <= 12_000_000


def test_the_shipped_network_knows_a_phantom_it_has_not_seen() -> None:
    pytest.importorskip("torch", reason="the inference extra is not installed")
    from napari_volseg.inference import load_model

    case = ph.torso(2, spacing=(4.0, 3.0, 3.0), supersample=1)
    found = load_model("phantom-organs").predict(case.volume, device="cpu").labels
    scores = dice_per_label(found, organ_labels(case.segmentation.labels), ph.ORGANS)
    assert np.mean(list(scores.values())) >= 0.90
    assert min(scores.values()) > 0.75
