"""Networks in files of other makers: what runs, what is refused, and that nothing runs unasked."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_volseg.core import Geometry, RefusedError, UsageError, Volume
from napari_volseg.inference import load_model
from napari_volseg.inference.backends import is_installed, to_onnx

Json = dict[str, Any]

NETWORKS: dict[str, Json] = {
    "UNet": {
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 3,
        "channels": [4, 8],
        "strides": [2],
        "norm": "instance",
    },
    "DynUNet": {
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 3,
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
        "filters": [4, 8, 8],
    },
    "SegResNet": {"spatial_dims": 3, "init_filters": 8, "in_channels": 1, "out_channels": 3},
    "UNETR": {
        "in_channels": 1,
        "out_channels": 3,
        "img_size": [32, 32, 32],
        "feature_size": 4,
        "hidden_size": 24,
        "mlp_dim": 32,
        "num_heads": 2,
    },
    "SwinUNETR": {"in_channels": 1, "out_channels": 3, "feature_size": 12, "depths": [1, 1, 1, 1]},
}


def card(kind: str, file: str, **changes: Any) -> Json:
    return {
        "network": {"kind": kind, "file": file, "arguments": NETWORKS.get(kind, {})},
        "channels": [{"name": "T1", "scheme": "ZScoreNormalization"}],
        "labels": ["background", "anterior", "posterior"],
        "spacing": [1.0, 1.0, 1.0],
        "patch_size": [32, 32, 32],
        "orientation": "RAS",
        "windows": {"overlap": 0.25, "gaussian": True},
        **changes,
    }


def write_card(folder: Path, content: Json) -> Path:
    (folder / "card.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def volume() -> Volume:
    voxels = np.random.default_rng(0).normal(size=(20, 40, 36)).astype(np.float32)
    return Volume(voxels, Geometry.from_spacing(voxels.shape), "MR")


@pytest.fixture
def threshold() -> torch.nn.Module:
    """Labels 1 above 0 and 2 above 1.5 deviations."""
    conv = torch.nn.Conv3d(1, 3, 1)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([0.0, 1.0, 2.0]).reshape(3, 1, 1, 1, 1))
        conv.bias.copy_(torch.tensor([0.0, 0.0, -1.5]))
    return conv.eval()


def expected(volume: Volume) -> Any:
    scored = (volume.voxels - volume.voxels.mean()) / volume.voxels.std()
    return np.digitize(scored, [0.0, 1.5])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_monai_gives_what_monai_gives(tmp_path: Path, volume: Volume, name: str) -> None:
    nets, inferers = pytest.importorskip("monai.networks.nets"), pytest.importorskip("monai.inferers")
    if "UNETR" in name:
        pytest.importorskip("einops")
    torch.manual_seed(0)
    network = getattr(nets, name)(**NETWORKS[name]).eval()
    torch.save({"state_dict": network.state_dict()}, tmp_path / "model.pt")
    patch = (64, 64, 64) if name == "SwinUNETR" else (32, 32, 32)  # it halves its windows five times
    model = load_model(write_card(tmp_path, card(name, "model.pt", orientation="SPL", patch_size=patch)))
    labels = model.predict(volume, device="cpu", backend="torch").labels
    scored = torch.from_numpy((volume.voxels - volume.voxels.mean()) / volume.voxels.std())
    with torch.inference_mode():
        logits = inferers.sliding_window_inference(scored[None, None], patch, 1, network, 0.25, "gaussian")
    assert len(np.unique(labels)) > 1
    assert np.mean(labels == logits[0].argmax(0).numpy()) > 0.9999


def test_the_orientation_of_the_card_is_given_to_the_network(tmp_path: Path) -> None:
    network = torch.nn.Conv3d(1, 2, (3, 1, 1), padding=(1, 0, 0), bias=False)
    with torch.no_grad():
        network.weight.zero_()
        network.weight[1, 0, 0] = 1.0  # what follows a bright voxel along the first axis
    torch.jit.script(network).save(tmp_path / "model.ts")
    content = card("torchscript", "model.ts", labels=["background", "next"], patch_size=[8, 8, 8])
    content["channels"] = [{"name": "CT", "scheme": "NoNormalization"}]
    model = load_model(write_card(tmp_path, content), trusted=True)
    voxels = np.zeros((9, 10, 11), np.float32)
    voxels[4, 3, 5] = 5.0
    labels = model.predict(Volume(voxels, Geometry.from_spacing(voxels.shape), "CT", "HU"), device="cpu").labels
    # the first axis of "RAS" runs to the right, the last of the volume to the left
    assert np.argwhere(labels).tolist() == [[4, 3, 4]]


@pytest.mark.skipif(not is_installed("onnx"), reason="onnxruntime is not installed")
def test_onnx_runs(tmp_path: Path, volume: Volume, threshold: torch.nn.Module) -> None:
    (tmp_path / "model.onnx").write_bytes(to_onnx(threshold, (1, 1, 32, 32, 32)))
    prediction = load_model(write_card(tmp_path, card("onnx", "model.onnx"))).predict(volume, device="cpu")
    np.testing.assert_array_equal(prediction.labels, expected(volume))
    assert prediction.report.backend == "ONNX Runtime"


def test_torchscript_runs_only_where_it_is_trusted(
    tmp_path: Path, volume: Volume, threshold: torch.nn.Module
) -> None:
    torch.jit.script(threshold).save(tmp_path / "model.ts")
    write_card(tmp_path, card("torchscript", "model.ts"))
    assert load_model(tmp_path).card.channels == ("T1",)
    with pytest.raises(RefusedError, match="a program") as refusal:
        load_model(tmp_path).predict(volume, device="cpu")
    assert refusal.value.code == "model.untrusted"
    labels = load_model(tmp_path, trusted=True).predict(volume, device="cpu").labels
    np.testing.assert_array_equal(labels, expected(volume))
    with pytest.raises(UsageError, match="by torch alone"):
        load_model(tmp_path, trusted=True).predict(volume, device="cpu", backend="openvino")


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_weights_with_a_payload_do_not_run(tmp_path: Path, volume: Volume) -> None:
    canary = tmp_path / "canary"
    (tmp_path / "model.pt").write_bytes(pickle.dumps({"state_dict": Canary(canary)}))
    model = load_model(write_card(tmp_path, card("UNet", "model.pt")))
    with pytest.raises(RefusedError):
        model.predict(volume, device="cpu")
    assert not canary.exists()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"network": {"kind": "VNet", "file": "model.pt"}}, "model.network"),
        ({"network": {"kind": "UNet", "file": "absent.pt"}}, "model.no_weights"),
        ({"network": {"kind": "UNet", "file": "../model.pt"}}, "model.path"),
        ({"network": {"kind": "UNet", "file": "model.pt", "arguments": {"act": "$print(1)"}}}, "model.code"),
        ({"network": {"kind": "UNet", "file": "model.pt", "arguments": {"channels": [10**9]}}}, "model.network"),
        ({"channels": [{"name": "T1", "scheme": "Odd"}]}, "model.card"),
        ({"spacing": [1.0, 0.0, 1.0]}, "model.card"),
        ({"labels": None}, "model.card"),
    ],
)
def test_cards_that_are_refused(tmp_path: Path, change: Json, code: str) -> None:
    torch.save({}, tmp_path / "model.pt")
    with pytest.raises(RefusedError) as refusal:
        load_model(write_card(tmp_path, card("UNet", "model.pt") | change))
    assert refusal.value.code == code


def test_weights_of_another_network_are_refused(tmp_path: Path, volume: Volume, threshold: torch.nn.Module) -> None:
    pytest.importorskip("monai")
    torch.save(threshold.state_dict(), tmp_path / "model.pt")
    with pytest.raises(RefusedError, match="do not fit"):
        load_model(write_card(tmp_path, card("UNet", "model.pt"))).predict(volume, device="cpu")


def test_a_file_that_was_exchanged_is_refused(tmp_path: Path, volume: Volume) -> None:
    torch.save({}, tmp_path / "model.pt")
    model = load_model(write_card(tmp_path, card("UNet", "model.pt", sha256="0" * 64)))
    with pytest.raises(RefusedError, match="SHA-256"):
        model.predict(volume, device="cpu")
