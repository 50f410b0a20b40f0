"""MONAI bundles give what MONAI gives, and none of their code runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_volseg.core import Geometry, RefusedError, Volume
from napari_volseg.inference import load_model
from napari_volseg.spatial import apply_reorientation, reorientation_to

Json = dict[str, Any]

NETWORK = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": "@classes",
    "channels": [4, 8],
    "strides": [2],
    "norm": "instance",
}


def configuration() -> Json:
    return {
        "imports": ["$import os", "$os.system('touch canary')"],
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "classes": 3,
        "network_def": dict(NETWORK),
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "reader": "$print('no')"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": [1.0, 1.0, 1.0], "mode": "bilinear"},
                {
                    "_target_": "ScaleIntensityRanged",
                    "keys": "image",
                    "a_min": -100,
                    "a_max": 300,
                    "b_min": -1.0,
                    "b_max": 1.0,
                    "clip": True,
                },
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "overlap": 0.5, "mode": "gaussian"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {"_target_": "Invertd", "transform": "@preprocessing"},
                {"_target_": "SaveImaged", "output_dir": "$os.getcwd()"},
            ],
        },
    }


METADATA: Json = {
    "name": "Organs",
    "version": "0.1.2",
    "task": "liver and kidney",
    "intended_use": "for tests",
    "network_data_format": {
        "inputs": {"image": {"num_channels": 1, "modality": "CT", "channel_def": {"0": "image"}}},
        "outputs": {"pred": {"channel_def": {"0": "background", "1": "liver", "2": "kidney"}}},
    },
}


def write_bundle(folder: Path, config: Json, metadata: Json = METADATA) -> Path:
    nets = pytest.importorskip("monai.networks.nets")
    torch.manual_seed(0)
    arguments = {key: value for key, value in NETWORK.items() if key != "_target_"} | {"out_channels": 3}
    (folder / "configs").mkdir()
    (folder / "models").mkdir()
    torch.save(nets.UNet(**arguments).state_dict(), folder / "models" / "model.pt")
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    return folder


def test_labels_are_monais(tmp_path: Path) -> None:
    inferers, nets = pytest.importorskip("monai.inferers"), pytest.importorskip("monai.networks.nets")
    model = load_model(write_bundle(tmp_path, configuration()))
    voxels = np.random.default_rng(0).normal(100, 150, (20, 26, 33)).astype(np.float32)
    volume = Volume(voxels, Geometry.from_spacing(voxels.shape), "CT", "HU")
    labels = model.predict(volume, device="cpu", backend="torch").labels

    to_ras = reorientation_to(volume.geometry, "RAS")
    seen = apply_reorientation(voxels, to_ras)
    scaled = torch.from_numpy(np.clip((seen + 100) / 200 - 1, -1, 1))
    network = nets.UNet(**{k: v for k, v in NETWORK.items() if k != "_target_"} | {"out_channels": 3}).eval()
    network.load_state_dict(torch.load(tmp_path / "models" / "model.pt", weights_only=True))
    with torch.inference_mode():
        logits = inferers.sliding_window_inference(scaled[None, None], (16, 16, 16), 1, network, 0.5, "gaussian")
    expected = logits[0].argmax(0).numpy()
    assert len(np.unique(expected)) > 1
    assert np.mean(apply_reorientation(labels, to_ras) == expected) > 0.9999


def test_the_card_says_what_the_metadata_says(tmp_path: Path) -> None:
    card = load_model(write_bundle(tmp_path, configuration())).card
    assert (card.title, card.version, card.task) == ("Organs", "0.1.2", "liver and kidney")
    assert [segment.name for segment in card.segments] == ["Liver", "Kidney"]
    assert (card.orientation, card.spacing, card.channels) == ("RAS", (1.0, 1.0, 1.0), ("image",))


def test_sigmoid_outputs_are_regions(tmp_path: Path) -> None:
    config = configuration()
    config["postprocessing"]["transforms"][0] = {"_target_": "Activationsd", "sigmoid": True}
    assert load_model(write_bundle(tmp_path, config)).plan.outputs.values == (1, 2, 3)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        (("network_def", "out_channels"), "$len('abc')", "model.code"),
        (("network_def", "out_channels"), "%other.json", "model.code"),
        (("network_def", "out_channels"), "@loop", "model.code"),
        (("network_def", "out_channels"), "@absent", "model.bundle"),
        (("network_def", "_target_"), "os.system", "model.network"),
        (("network_def", "_target_"), "monai.networks.nets.VNet", "model.network"),
        (("inferer", "_target_"), "SimpleInferer", "model.bundle"),
        (("inferer", "roi_size"), [10**6] * 3, "model.bundle"),
        (("preprocessing", "transforms", 2, "_target_"), "CropForegroundd", "model.bundle"),
        (("preprocessing", "transforms", 4, "_target_"), "Lambdad", "model.bundle"),
        (("preprocessing", "transforms", 4, "a_min"), "$-100", "model.code"),
    ],
)
def test_what_is_refused(tmp_path: Path, path: tuple[Any, ...], value: Any, code: str) -> None:
    config = configuration() | {"loop": "@loop"}
    part: Any = config
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    with pytest.raises(RefusedError) as refusal:
        load_model(write_bundle(tmp_path, config))
    assert refusal.value.code == code


def test_no_code_of_a_bundle_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_model(write_bundle(tmp_path, configuration()))
    assert not (tmp_path / "canary").exists()
