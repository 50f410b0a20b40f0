"""Preprocessing against skimage, with which nnU-Net computes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.transform import resize

from napari_volseg.core import Box, CancelledError, CancelToken, RefusedError
from napari_volseg.inference import Plan, parse_plan
from napari_volseg.inference.plans import Normalization, Resampling
from napari_volseg.inference.preprocessing import prepare, resampled_shape, separate_axis


@pytest.fixture
def plan(plans: dict[str, Any], dataset: dict[str, Any]) -> Plan:
    return parse_plan(plans, dataset, "3d_fullres")


@pytest.fixture
def image() -> NDArray[np.int16]:
    return np.random.default_rng(0).integers(-900, 900, (9, 14, 11)).astype(np.int16)


def reference(image: NDArray[Any], shape: tuple[int, ...], order: int = 3) -> NDArray[np.float64]:
    return resize(image.astype(float), shape, order=order, mode="edge", anti_aliasing=False)


@pytest.mark.parametrize("spacing", [(2.0, 1.5, 0.8), (0.7, 1.0, 0.4), (1.0, 1.0, 1.0)])
def test_cubic_resampling_is_skimages(plan: Plan, image: NDArray[np.int16], spacing: tuple[float, ...]) -> None:
    prepared = prepare([image], spacing, plan)
    shape = resampled_shape(image.shape, spacing, plan.spacing)
    assert prepared.voxels.dtype == np.float32
    np.testing.assert_allclose(prepared.voxels[0], reference(image, shape), atol=2e-3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_coarse_axis_of_an_anisotropic_image_takes_the_nearest_plane(
    plan: Plan, image: NDArray[np.int16], axis: int
) -> None:
    spacing = [0.8, 0.8, 0.8]
    spacing[axis] = 5.0
    prepared = prepare([image], spacing, plan)
    moved = np.moveaxis(image, axis, 0)
    shape = np.moveaxis(prepared.voxels[0], axis, 0).shape
    planes = np.stack([reference(plane, shape[1:]) for plane in moved])
    nearest = np.floor((np.arange(shape[0]) + 0.5) * len(moved) / shape[0]).astype(int)
    np.testing.assert_allclose(np.moveaxis(prepared.voxels[0], axis, 0), planes[nearest], atol=2e-3)
    assert prepared.separate_axis == axis


def test_which_axis_is_separate() -> None:
    rule = Resampling(3)
    assert separate_axis(rule, (5, 1, 1), (1, 1, 1)) == 0
    assert separate_axis(rule, (1, 1, 1), (1, 1, 4)) == 2
    assert separate_axis(rule, (5, 5, 1), (9, 1, 1)) is None
    assert separate_axis(rule, (3, 1, 1), (1, 1, 1)) is None
    assert separate_axis(replace(rule, separate_z=False), (9, 1, 1), (1, 1, 1)) is None
    assert separate_axis(replace(rule, separate_z=True), (2, 1, 1), (1, 1, 1)) == 0


def test_empty_borders_are_cropped(plan: Plan, image: NDArray[np.int16]) -> None:
    padded = np.pad(np.where(image == 0, 1, image), ((2, 0), (0, 3), (1, 1)))
    prepared = prepare([padded], (1.0, 1.0, 1.0), plan)
    assert prepared.box == Box((2, 0, 1), (11, 14, 12))
    np.testing.assert_array_equal(prepared.voxels[0], np.where(image == 0, 1, image))
    assert prepare([np.zeros((3, 4, 5))], (1.0, 1.0, 1.0), plan).box == Box.whole((3, 4, 5))


def test_normalizations(plan: Plan, image: NDArray[np.int16]) -> None:
    def normalized(rule: Normalization, of: NDArray[Any] = image) -> NDArray[np.float32]:
        return prepare([of], (1.0, 1.0, 1.0), replace(plan, normalizations=(rule,))).voxels[0]

    ct = normalized(Normalization("CTNormalization", mean=20.0, std=50.0, low=-100.0, high=200.0))
    np.testing.assert_allclose(ct, (np.clip(image, -100.0, 200.0) - 20) / 50, atol=1e-5)
    scored = normalized(Normalization("ZScoreNormalization"))
    assert abs(float(scored.mean())) < 1e-5
    assert float(scored.std()) == pytest.approx(1.0, abs=1e-5)
    unit = normalized(Normalization("RescaleTo01Normalization"))
    assert (unit.min(), unit.max()) == (0.0, 1.0)
    np.testing.assert_allclose(normalized(Normalization("RGBTo01Normalization")), image / 255, atol=1e-5)
    np.testing.assert_array_equal(normalized(Normalization("ZScoreNormalization"), np.full((3, 3, 3), 7)), 0)


@pytest.mark.parametrize("coarse", [0, 1, 2])
def test_z_score_inside_the_non_zero_region_leaves_the_rest_alone(plan: Plan, coarse: int) -> None:
    image = np.zeros((4, 6, 6), np.float32)
    image[:, 1:, 1:] = np.random.default_rng(1).normal(50, 9, (4, 5, 5))
    image[0, 0, 0] = 40.0
    inside = image != 0
    rule = Normalization("ZScoreNormalization", inside_only=True)
    spacing = [1.0, 1.0, 1.0]
    spacing[coarse] = 4.0  # of image and network: the axis is apart, and nothing is resampled
    same = replace(plan, spacing=tuple(spacing), normalizations=(rule,))
    voxels = prepare([image], spacing, same).voxels[0]
    assert not voxels[~inside].any()
    np.testing.assert_allclose(
        voxels[inside], (image[inside] - image[inside].mean()) / image[inside].std(), atol=1e-4
    )


def test_values_that_are_not_finite_are_refused(plan: Plan) -> None:
    image = np.ones((3, 3, 3), np.float32)
    image[1, 1, 1] = np.nan
    with pytest.raises(RefusedError, match="not finite"):
        prepare([image], (1.0, 1.0, 1.0), plan)


def test_preprocessing_can_be_cancelled(plan: Plan, image: NDArray[np.int16]) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(CancelledError):
        prepare([image], (2.0, 2.0, 2.0), plan, token)
