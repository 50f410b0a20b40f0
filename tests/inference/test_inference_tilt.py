"""Models on tilted CT: they see the patient unsheared, and their labels land on the slices as acquired."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_volseg.core import CancelledError, CancelToken, Geometry, Progress, RefusedError, Volume
from napari_volseg.inference import NnunetModel, load_model, write_model_folder
from napari_volseg.measure import dice_per_label
from napari_volseg.training.phantoms import PhantomCase, torso

SHAPE, SPACING = (40, 60, 50), (2.0, 1.5, 1.5)
TILTS = (-20.0, -15.0, -2.0, 2.0, 15.0, 20.0)


class Threshold(torch.nn.Module):
    """Labels what is brighter than a half, and keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[np.ndarray] = []

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        self.seen.append(window[0, 0].numpy().copy())
        return torch.cat((1 - window, window, torch.full_like(window, -9.0)), 1)


def thresholding_model(folder: Path, plans: dict[str, Any], dataset: dict[str, Any]) -> NnunetModel:
    plans["configurations"]["3d_fullres"] |= {"spacing": [1.5, 1.5, 1.5], "patch_size": [128, 128, 96]}
    write_model_folder(
        folder,
        plans=plans,
        dataset=dataset,
        configuration="3d_fullres",
        weights={"x": torch.zeros(1)},
        card={"orientation": "SPL"},
    )
    model = NnunetModel(folder)
    model.__dict__["_networks"] = (Threshold(),)
    return model


def leaning(degrees: float) -> Geometry:
    """Slices of a gantry that leans, centred on the scanner's origin."""
    lean = np.radians(degrees)
    matrix = Geometry.from_spacing(SHAPE, SPACING).matrix.copy()
    matrix[1:3, 1] = SPACING[1] * np.cos(lean), SPACING[1] * np.sin(lean)
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return Geometry(SHAPE, matrix)


def drifting(degrees: float) -> Geometry:
    """Axial slices that drift towards the back, centred on the scanner's origin."""
    matrix = Geometry.from_spacing(SHAPE, SPACING).matrix.copy()
    matrix[1, 0] = SPACING[0] * np.tan(np.radians(degrees))
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return Geometry(SHAPE, matrix)


def depth(geometry: Geometry) -> np.ndarray:
    """Depth (z, y, x), mm, inside two balls of unlike size, which no flip leaves where they are."""
    place = geometry.to_patient(np.moveaxis(np.indices(geometry.shape), 0, -1))
    large, small = (r - np.linalg.norm(place - c, axis=-1) for r, c in ((14, (4, 3, -6)), (6, (-20, -12, 14))))
    return np.maximum(large, small)


def balls(geometry: Geometry) -> Volume:
    """Bright balls with edges as soft as a scanner's; nowhere zero, so that nothing is cropped."""
    return Volume(np.clip(0.5 + depth(geometry) / 2, 0.01, 1).astype(np.float32), geometry, "CT", "HU")


def overlap(model: NnunetModel, geometry: Geometry) -> float:
    return dice_per_label(model.predict(balls(geometry)).labels, (depth(geometry) > 0).astype(np.uint8))[1]


@pytest.mark.parametrize("make", [leaning, drifting])
@pytest.mark.parametrize("degrees", TILTS)
def test_a_network_finds_in_tilted_slices_what_it_finds_in_straight_ones(
    tmp_path: Path, plans: dict[str, Any], dataset: dict[str, Any], make: Any, degrees: float
) -> None:
    model = thresholding_model(tmp_path / "m", plans, dataset)
    straight, tilted = overlap(model, make(0.0)), overlap(model, make(degrees))
    assert straight > 0.97
    assert tilted > straight - 0.02
    volume = balls(make(degrees))
    found = volume.geometry.to_patient(np.argwhere(model.predict(volume).labels)).mean(0)
    expected = volume.geometry.to_patient(np.argwhere(depth(volume.geometry) > 0)).mean(0)
    assert np.abs(found - expected).max() < 0.75


@pytest.mark.parametrize("make", [leaning, drifting])
def test_a_network_sees_balls_as_balls(
    tmp_path: Path, plans: dict[str, Any], dataset: dict[str, Any], make: Any
) -> None:
    model = thresholding_model(tmp_path / "m", plans, dataset)
    model.predict(balls(make(20.0)))
    (window,) = model.__dict__["_networks"][0].seen
    bright = np.argwhere(window > 0.5)
    large = bright[np.linalg.norm(bright - np.median(bright, axis=0), axis=1) < 12]
    spread = np.linalg.eigvalsh(np.cov(large.T))
    assert spread[-1] / spread[0] < 1.1
    assert len(large) * 1.5**3 == pytest.approx(4 / 3 * np.pi * 14**3, rel=0.03)


def test_the_report_says_what_the_model_saw(tmp_path: Path, plans: dict[str, Any], dataset: dict[str, Any]) -> None:
    model, volume = thresholding_model(tmp_path / "m", plans, dataset), balls(leaning(20.0))
    prediction = model.predict(volume)
    (finding,) = prediction.report.findings
    assert finding.code == "model.straightened"
    assert "20°" in finding.message
    told = json.loads(json.dumps(prediction.report.as_dict()))["model_grid"]
    seen = Geometry(tuple(told["shape"]), np.array(told["affine"]))
    assert seen.shear < 1e-12
    last = np.append(np.array(SHAPE) - 1, 1)
    np.testing.assert_allclose(
        seen.matrix @ told["from_image"] @ last, volume.geometry.matrix @ last, rtol=0, atol=1e-9
    )
    seconds = prediction.report.seconds
    assert seconds.before + seconds.network + seconds.after == pytest.approx(seconds.total, abs=0.05)
    assert np.array_equal(volume.voxels, balls(leaning(20.0)).voxels)


def test_straight_slices_are_given_as_they_are(
    tmp_path: Path, plans: dict[str, Any], dataset: dict[str, Any]
) -> None:
    plans["configurations"]["3d_fullres"]["spacing"] = [1.5, 1.5, 1.5]
    model = thresholding_model(tmp_path / "m", plans, dataset)
    geometry = Geometry.from_spacing(SHAPE, (1.5, 1.5, 1.5))
    volume = Volume(np.random.default_rng(1).random(SHAPE, np.float32) + 1, geometry, "CT", "HU")
    report = model.predict(volume).report
    (window,) = model.__dict__["_networks"][0].seen
    corner = tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(window.shape, SHAPE, strict=True))
    np.testing.assert_array_equal(window[corner], volume.voxels)
    assert report.findings == ()
    assert "model_grid" not in report.as_dict()


def test_what_is_refused_stays_refused_and_runs_stop(
    tmp_path: Path, plans: dict[str, Any], dataset: dict[str, Any]
) -> None:
    model, volume = thresholding_model(tmp_path / "m", plans, dataset), balls(leaning(20.0))
    voxels = volume.voxels.copy()
    voxels[3, 4, 5] = np.nan
    with pytest.raises(RefusedError, match="finite"):
        model.predict(replace(volume, voxels=voxels))
    token = CancelToken()

    def progress(p: Progress) -> None:
        if p.total:
            token.cancel()

    with pytest.raises(CancelledError):
        model.predict(volume, progress=progress, cancel=token)


def found(model: str, tilt: float) -> dict[str, float]:
    """Dice by name of the structures that a model labels in a torso, scanned by a gantry that leans."""
    case: PhantomCase = torso(7, spacing=(3.0, 3.0, 3.0), supersample=1, tilt=tilt)
    prediction = load_model(model).predict(case.volume)
    truth = case.segmentation.labels.copy()
    by_name = {s.name: s.value for s in case.segmentation.table}
    for lesion, organ in (("Lung nodule", "Right lung"), ("Liver lesion", "Liver")):
        truth[truth == by_name[lesion]] = by_name[organ]
    labels = np.zeros_like(truth)
    shared = [(s.value, by_name[s.name]) for s in prediction.segments if s.name in by_name]
    for value, true_value in shared:
        labels[prediction.labels == value] = true_value
    scores = dice_per_label(labels, truth, [v for _, v in shared])
    return {s.name: scores[s.value] for s in case.segmentation.table if s.value in scores}


@pytest.mark.parametrize("model", ["ct-tissues", "phantom-organs"])
def test_a_leaning_gantry_costs_models_little(model: str) -> None:
    straight = found(model, 0.0)
    for tilt in (-20.0, 15.0):
        tilted = found(model, tilt)
        assert np.mean(list(tilted.values())) > np.mean(list(straight.values())) - 0.02, tilted
        assert all(tilted[name] > straight[name] - 0.05 for name in straight), tilted
