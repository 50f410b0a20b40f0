"""Other back ends give torch's labels where they are installed, and are refused by name where not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_volseg.core import Geometry, UsageError, Volume
from napari_volseg.inference import NnunetModel, backends

CPU = torch.device("cpu")
OTHERS = [
    pytest.param(name, marks=pytest.mark.skipif(not backends.is_installed(name), reason=f"{name} is not installed"))
    for name in ("openvino", "onnx")
]


@pytest.fixture
def volume() -> Volume:
    voxels = np.random.default_rng(0).normal(size=(6, 12, 9)).astype(np.float32)
    return Volume(voxels, Geometry.from_spacing(voxels.shape))


@pytest.mark.parametrize("backend", OTHERS)
def test_labels_are_those_of_torch(trained_folder: Path, volume: Volume, backend: str) -> None:
    model = NnunetModel(trained_folder)
    plain, other = (model.predict(volume, device="cpu", backend=name) for name in ("torch", backend))
    assert len(np.unique(plain.labels)) > 1
    assert np.mean(plain.labels == other.labels) > 0.999
    names = {"openvino": "OpenVINO", "onnx": "ONNX Runtime"}
    assert (plain.report.backend, other.report.backend) == ("torch", names[backend])


@pytest.mark.parametrize("backend", OTHERS)
def test_an_answer_outlives_the_next_window(trained_folder: Path, backend: str) -> None:
    network = NnunetModel(trained_folder).open_network(CPU, backend).forward
    with torch.inference_mode():
        first = network(torch.ones(1, 1, 4, 8, 8))
        kept = first.clone()
        network(torch.randn(1, 1, 4, 8, 8))
    assert torch.equal(first, kept)


def test_a_network_is_opened_once(trained_folder: Path) -> None:
    model = NnunetModel(trained_folder)
    assert model.open_network(CPU, "torch") is model.open_network(CPU, "torch")


def test_auto_takes_what_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    module = torch.nn.Identity()
    monkeypatch.setattr(backends, "is_installed", lambda name: True)
    monkeypatch.setattr(backends, "compile_openvino", lambda module, window: lambda tensor: tensor + 1)
    for seconds, expected in (([1.0, 2.0], "OpenVINO"), ([1.0, 1.05], "torch")):
        taken = iter(seconds)
        monkeypatch.setattr(backends, "_seconds", lambda network, window, taken=taken: next(taken))
        assert backends.open_module(module, (1, 1, 2, 2, 2), CPU, "auto")[1] == expected


def test_what_can_not_compute_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="tflite"):
        backends.require_backend("tflite", CPU)
    monkeypatch.setattr(backends, "is_installed", lambda name: True)
    with pytest.raises(UsageError, match="on the CPU only"):
        backends.require_backend("openvino", torch.device("cuda"))
    monkeypatch.setattr(backends, "is_installed", lambda name: name == "torch")
    with pytest.raises(UsageError, match=r"napari-volseg\[openvino\]"):
        backends.require_backend("openvino", CPU)
