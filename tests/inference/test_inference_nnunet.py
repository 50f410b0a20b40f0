"""A model folder from end to end: labels land where they belong, runs stop and fail cleanly."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_volseg.core import (
    CancelledError,
    CancelToken,
    Geometry,
    Progress,
    Provenance,
    RefusedError,
    Reorientation,
    UsageError,
    Volume,
)
from napari_volseg.inference import NnunetModel, write_model_folder
from napari_volseg.spatial import apply_reorientation, reorient_geometry

ALL_REORIENTATIONS = [
    Reorientation(axes, flips)
    for axes in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]


class Pointer(torch.nn.Module):
    """Labels bright voxels 1, and 2 the voxel that follows them along the last axis of the network's grid."""

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        following = torch.nn.functional.pad(window, (1, 0))[..., :-1]
        return torch.cat((torch.full_like(window, 0.5), window, following), 1)


def pointing_model(folder: Path, plans: dict[str, Any], dataset: dict[str, Any], card: dict[str, Any]) -> NnunetModel:
    write_model_folder(
        folder, plans=plans, dataset=dataset, configuration="3d_fullres", weights={"x": torch.zeros(1)}, card=card
    )
    model = NnunetModel(folder)
    model.__dict__["_networks"] = (Pointer(),)
    return model


def bright_spot() -> Volume:
    """A volume whose index runs towards (S, P, L), bright at (4, 3, 5) and nowhere zero: nothing is cropped."""
    voxels = np.full((9, 10, 11), 0.01, np.float32)
    voxels[4, 3, 5] = 1.0
    return Volume(voxels, Geometry.from_spacing(voxels.shape), "CT", "HU")


def reoriented(volume: Volume, change: Reorientation) -> Volume:
    return Volume(
        apply_reorientation(volume.voxels, change), reorient_geometry(volume.geometry, change), "CT", "HU", "HU"
    )


@pytest.mark.parametrize("transpose", [[0, 1, 2], [2, 0, 1]])
def test_a_stated_orientation_is_given_to_the_network(
    tmp_path: Path, plans: dict[str, Any], dataset: dict[str, Any], transpose: list[int]
) -> None:
    plans["transpose_forward"] = transpose
    model = pointing_model(tmp_path / "m", plans, dataset, {"orientation": "IAL"})
    # the last axis of the network's grid is axis transpose[2] of an image whose index runs towards (I, A, L)
    step = {2: (0, 0, 1), 1: (0, -1, 0)}[transpose[2]]
    source = bright_spot()
    expected = source.geometry.to_patient(np.add((4, 3, 5), step))
    for change in ALL_REORIENTATIONS:
        volume = reoriented(source, change)
        labels = model.predict(volume).labels
        assert labels.shape == volume.voxels.shape
        assert np.count_nonzero(labels) == 2
        np.testing.assert_allclose(volume.geometry.to_patient(np.argwhere(labels == 2)[0]), expected, atol=1e-9)


def test_without_an_orientation_the_stored_grid_is_used(
    tmp_path: Path, plans: dict[str, Any], dataset: dict[str, Any]
) -> None:
    model = pointing_model(tmp_path / "m", plans, dataset, {})
    stored = bright_spot()
    for change in ALL_REORIENTATIONS:
        shown = reoriented(stored, change)
        provenance = Provenance("NIfTI", stored.geometry, change)
        volume = Volume(shown.voxels, shown.geometry, "CT", "HU", provenance=provenance)
        position = np.argwhere(model.predict(volume).labels == 2)[0]
        np.testing.assert_allclose(volume.geometry.to_patient(position), stored.geometry.to_patient((4, 3, 6)))


def test_other_spacings_and_cropping_keep_the_place(
    tmp_path: Path, plans: dict[str, Any], dataset: dict[str, Any]
) -> None:
    model = pointing_model(tmp_path / "m", plans, dataset, {"orientation": "SPL"})
    voxels = np.zeros((12, 14, 16), np.float32)
    voxels[2:, 1:13, 3:15] = 0.01
    voxels[6:10, 5:9, 9:13] = 1.0
    volume = Volume(voxels, Geometry.from_spacing(voxels.shape, (0.5, 0.5, 0.5)), "CT", "HU")
    labels = model.predict(volume).labels
    np.testing.assert_array_equal(labels[8, 7], [0] * 9 + [1, 1, 1, 2, 2, 2] + [0])
    np.testing.assert_allclose(np.argwhere(labels).mean(0)[:2], (7.5, 6.5), atol=1e-9)
    assert not labels[:2].any()


def test_a_folder_of_nnunet_runs(trained_folder: Path) -> None:
    seen: list[Progress] = []
    prediction = NnunetModel(trained_folder).predict(bright_spot(), device="cpu", progress=seen.append)
    report = prediction.report.as_dict()
    # 9 planes in windows of 4, 10 and 11 rows and columns in windows of 8
    assert report["windows"] == 4 * 2 * 2
    assert [p.done for p in seen if p.total] == list(range(16))
    assert {p.total for p in seen} == {0, 16}
    assert report["device"].startswith("CPU")
    assert report["model"] == trained_folder.name
    assert report["peak_memory_bytes"] > 1e7
    seconds = prediction.report.seconds
    assert 0 < seconds.network < seconds.total
    assert seconds.before + seconds.network + seconds.after == pytest.approx(seconds.total, abs=0.05)
    assert prediction.labels.dtype == np.uint8
    assert prediction.as_segmentation(bright_spot()).table.values == (1, 2)


def test_both_kinds_of_weights_give_the_same_labels(
    trained_folder: Path, tmp_path: Path, plans: dict[str, Any], dataset: dict[str, Any], checkpoint: dict[str, Any]
) -> None:
    weights = checkpoint["network_weights"]
    shipped = write_model_folder(
        tmp_path / "s", plans=plans, dataset=dataset, configuration="3d_fullres", weights=weights, card={}
    )
    volume = Volume(
        np.random.default_rng(0).normal(size=(6, 12, 9)).astype(np.float32), Geometry.from_spacing((6, 12, 9))
    )
    labels = [NnunetModel(folder).predict(volume).labels for folder in (trained_folder, shipped)]
    assert len(np.unique(labels[0])) > 1
    np.testing.assert_array_equal(*labels)


def test_mirroring_averages_over_all_combinations(trained_folder: Path) -> None:
    model = NnunetModel(trained_folder, mirroring=True)
    model.__dict__["_networks"] = (Pointer(),)
    window = torch.zeros(1, 1, 3, 3, 5)
    window[0, 0, 1, 1, 2] = 8.0
    with torch.inference_mode():
        following = model.open_network(torch.device("cpu"), "torch").forward(window)[0, 2, 1, 1]
    # half of the eight combinations flip the last axis, and point the other way
    assert following.tolist() == [0.0, 4.0, 0.0, 4.0, 0.0]


def test_a_run_stops_before_its_next_window(trained_folder: Path) -> None:
    token, windows = CancelToken(), []

    def progress(p: Progress) -> None:
        windows.append(p)
        if p.total and p.done == 1:
            token.cancel()

    with pytest.raises(CancelledError):
        NnunetModel(trained_folder).predict(bright_spot(), progress=progress, cancel=token)
    assert windows[-1].done == 1


def test_the_card_says_what_the_files_say(
    tmp_path: Path, plans: dict[str, Any], dataset: dict[str, Any], checkpoint: dict[str, Any]
) -> None:
    facts = {
        "id": "demo",
        "title": "Demo",
        "version": "2.1",
        "task": "organs",
        "intended_use": "A demonstration, not for patients.",
        "code_license": "BSD-3-Clause",
        "weights_license": "CC0-1.0",
        "orientation": "SPL",
        "segments": {"liver": {"type": ["10200004", "SCT", "Liver"], "color": [1, 2, 3]}},
    }
    folder = write_model_folder(
        tmp_path / "m",
        plans=plans,
        dataset=dataset,
        configuration="3d_fullres",
        weights=checkpoint["network_weights"],
        card=facts,
        mirroring_axes=(0, 1),
    )
    card = NnunetModel(folder).card
    assert (card.id, card.title, card.version, card.orientation) == ("demo", "Demo", "2.1", "SPL")
    assert (card.code_license, card.weights_license) == ("BSD-3-Clause", "CC0-1.0")
    assert card.intended_use == facts["intended_use"]
    assert len(card.checksum) == 64
    assert card.spacing == (1.0, 1.0, 1.0)
    liver, kidney = card.segments
    assert (liver.name, liver.type.value, liver.color) == ("Liver", "10200004", (1, 2, 3))
    assert (kidney.name, kidney.value, kidney.algorithm_type) == ("Left kidney", 2, "AUTOMATIC")


def test_weights_that_were_exchanged_are_refused(
    tmp_path: Path, plans: dict[str, Any], dataset: dict[str, Any], checkpoint: dict[str, Any]
) -> None:
    folder = write_model_folder(
        tmp_path / "m",
        plans=plans,
        dataset=dataset,
        configuration="3d_fullres",
        weights=checkpoint["network_weights"],
        card={},
    )
    weights = folder / "fold_0" / "checkpoint_final.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(RefusedError, match="SHA-256"):
        NnunetModel(folder).predict(bright_spot())


def test_plans_of_another_network_are_refused(trained_folder: Path, plans: dict[str, Any]) -> None:
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["features_per_stage"] = [4, 8]
    (trained_folder / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(RefusedError, match="do not fit"):
        NnunetModel(trained_folder).predict(bright_spot())


@pytest.mark.parametrize("content", ["", "[1, 2]", "{", "[" * 100_000])
def test_plans_that_are_not_json_are_refused(trained_folder: Path, content: str) -> None:
    (trained_folder / "plans.json").write_text(content)
    with pytest.raises(RefusedError, match=r"plans\.json"):
        NnunetModel(trained_folder)


@pytest.mark.parametrize("segments", [[1], {"liver": {"color": ["red", 0, 0]}}, {"liver": {"type": ["1"]}}])
def test_a_card_that_is_none_is_refused(trained_folder: Path, segments: Any) -> None:
    (trained_folder / "card.json").write_text(json.dumps({"configuration": "3d_fullres", "segments": segments}))
    with pytest.raises(RefusedError, match="is not a card of a model"):
        NnunetModel(trained_folder)


def test_a_network_larger_than_its_checkpoint_takes_no_memory(trained_folder: Path, plans: dict[str, Any]) -> None:
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"] |= {
        "kernel_sizes": [[63] * 3] * 2,
        "features_per_stage": [2**14] * 2,
    }
    (trained_folder / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(RefusedError, match="do not fit"):
        NnunetModel(trained_folder).predict(Volume(np.zeros((4, 8, 8)), Geometry.from_spacing((4, 8, 8))))


def test_the_first_fold_and_the_final_checkpoint_are_used(trained_folder: Path) -> None:
    final = trained_folder / "fold_0" / "checkpoint_final.pth"
    (trained_folder / "fold_3").mkdir()
    final.rename(trained_folder / "fold_3" / "checkpoint_best.pth")
    assert NnunetModel(trained_folder).predict(bright_spot()).report.windows == 16
    (trained_folder / "fold_3" / "checkpoint_best.pth").unlink()
    with pytest.raises(RefusedError, match="holds no weights"):
        NnunetModel(trained_folder)


def test_requests_that_make_no_sense(trained_folder: Path) -> None:
    model = NnunetModel(trained_folder)
    with pytest.raises(UsageError, match="gpu"):
        model.predict(bright_spot(), device="gpu")
    with pytest.raises(UsageError, match="tflite"):
        model.predict(bright_spot(), backend="tflite")
    with pytest.raises(RefusedError, match="over time"):
        model.predict(Volume(np.zeros((2, 3, 3, 3)), Geometry.from_spacing((3, 3, 3))))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this computer has a CUDA device")
def test_a_missing_device_is_named(trained_folder: Path) -> None:
    with pytest.raises(UsageError, match="cuda"):
        NnunetModel(trained_folder).predict(bright_spot(), device="cuda")
