"""Networks with fewer features than labels: features are blended, and what they map to is what logits would give."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_volseg.core import Box, Geometry, Volume
from napari_volseg.inference import NnunetModel
from napari_volseg.inference.engine import LoadedNetwork
from napari_volseg.inference.heads import PLANES, Head, mapped, mean_of, split
from napari_volseg.inference.memory import memory_need
from napari_volseg.inference.sliding import MonaiWindows, WindowGrid, Windows, stream_logits

CPU = torch.device("cpu")


@pytest.fixture
def dataset() -> dict[str, Any]:
    """A dataset.json with far more segments than the network has features."""
    names = ["background", *(f"part_{number}" for number in range(1, 19))]
    return {"channel_names": {"0": "CT"}, "labels": dict(zip(names, count(), strict=False))}


@pytest.fixture
def checkpoint(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Fresh weights with a last layer that prefers many labels."""
    torch.manual_seed(5)
    weights = checkpoint["network_weights"]
    for name in [name for name in weights if name.endswith("seg_layers.0.weight")]:
        weights[name] = torch.randn_like(weights[name])
        weights[name.replace("weight", "bias")] = 0.1 * torch.randn(len(weights[name]))
    return checkpoint


@pytest.fixture
def volume() -> Volume:
    voxels = np.random.default_rng(3).normal(100, 30, (17, 19, 14)).astype(np.float32)
    return Volume(voxels, Geometry.from_spacing(voxels.shape, (1.3, 0.8, 1.1)), "MR")


def random_head(channels: int, features: int) -> Head:
    return Head(torch.randn(channels, features), torch.randn(channels))


def whole(model: NnunetModel) -> NnunetModel:
    """Have a model blend logits instead of features."""
    network = model.open_network(CPU, "torch")
    assert network.head is not None
    model._opened = model._opened[0], LoadedNetwork(network.forward, network.backend)
    return model


@pytest.mark.parametrize("rule", [Windows(), MonaiWindows(0.5, gaussian=True)])
def test_features_that_are_blended_map_to_blended_logits(rule: Windows | MonaiWindows) -> None:
    torch.manual_seed(1)
    grid, head = WindowGrid((23, 9, 11), (8, 6, 6), rule), random_head(12, 3)
    image = torch.randn(1, *grid.shape)

    def trunk(window: torch.Tensor) -> torch.Tensor:
        return torch.cat([window, window.roll(1, 3).abs(), (window - window.mean()) ** 2], 1)

    def blended(network, channels):
        return stream_logits(network, image, grid, channels, lambda: None)

    expected = [p.clone() for _, p in blended(lambda window: head(trunk(window)[0])[None], 12)]
    places, found = zip(*((first, p.clone()) for first, p in mapped(blended(trunk, 3), head)), strict=True)
    assert max(p.shape[1] for p in found) <= PLANES
    assert list(places) == list(np.cumsum([0, *(p.shape[1] for p in found[:-1])]))
    torch.testing.assert_close(torch.cat(found, 1), torch.cat(expected, 1))


def test_the_mean_of_heads_is_that_of_their_logits() -> None:
    heads, features = [random_head(7, 4), random_head(7, 4)], torch.randn(8, 2, 5, 6)
    expected = (heads[0](features[:4]) + heads[1](features[4:])) / 2
    torch.testing.assert_close(mean_of(heads)(features), expected)


@pytest.mark.parametrize("mirroring", [False, True])
@pytest.mark.parametrize("folds", [1, 2])
def test_labels_are_those_of_blended_logits(
    trained_folder: Path, checkpoint: dict[str, Any], volume: Volume, mirroring: bool, folds: int
) -> None:
    for fold in range(1, folds):
        other = copy.deepcopy(checkpoint)
        other["network_weights"] = {name: t * 1.3 for name, t in checkpoint["network_weights"].items()}
        (trained_folder / f"fold_{fold}").mkdir()
        torch.save(other, trained_folder / f"fold_{fold}" / "checkpoint_final.pth")
    model = NnunetModel(trained_folder, mirroring=mirroring)
    network = model.open_network(CPU, "torch")
    assert network.head is not None
    assert network.head.features == 4 * folds
    found = model.predict(volume, device="cpu", backend="torch").labels
    expected = whole(model).predict(volume, device="cpu", backend="torch").labels
    assert len(np.unique(expected)) > 4
    assert (found == expected).mean() > 0.999  # ties may fall either way


def test_logits_are_those_of_the_network_as_it_was_trained(
    trained_folder: Path, checkpoint: dict[str, Any], plans: dict[str, Any], dataset: dict[str, Any]
) -> None:
    from napari_volseg.inference import build_unet, parse_plan
    from napari_volseg.inference.networks import canonical_weights

    plan = parse_plan(plans, dataset, "3d_fullres")
    trained = build_unet(plan.architecture, 1, 19).eval()
    trained.load_state_dict(canonical_weights(checkpoint["network_weights"]))
    window = torch.randn(1, 1, 4, 8, 8)
    with torch.inference_mode():
        found = NnunetModel(trained_folder).open_network(CPU, "torch").forward(window)
        torch.testing.assert_close(found, trained(window))


def test_the_band_that_comes_first_changes_no_label(trained_folder: Path, volume: Volume) -> None:
    model = NnunetModel(trained_folder)
    expected = model.predict(volume, device="cpu", backend="torch").labels
    for plane in range(0, volume.geometry.shape[1], 5):
        look_at = Box((0, plane, 0), (17, plane + 1, 14))
        found = model.predict(volume, device="cpu", backend="torch", look_at=look_at).labels
        np.testing.assert_array_equal(found, expected)


def test_without_windows_in_air_logits_are_blended(
    trained_folder: Path, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window that is left out counts as zero logits, and the head's bias would say otherwise."""
    from napari_volseg.inference import engine

    monkeypatch.setattr(engine, "windows_in_air", lambda *args: np.ones([len(s) for s in args[4].starts], bool))
    ct = replace(volume, modality="CT", quantity="HU")
    labels = NnunetModel(trained_folder).predict(ct, device="cpu", backend="torch", skip_air=True).labels
    assert not labels.any()


MANY = 30


def monai(name: str, **arguments: Any) -> torch.nn.Module:
    from monai.networks import nets

    torch.manual_seed(2)
    return getattr(nets, name)(in_channels=1, out_channels=MANY, **arguments).eval()


@pytest.mark.parametrize(
    ("network", "features"),
    [
        (monai("SegResNet", spatial_dims=3, init_filters=8), 8),
        (monai("SwinUNETR", feature_size=12, depths=[1, 1, 1, 1]), 12),
        (
            monai(
                "DynUNet",
                spatial_dims=3,
                kernel_size=[3, 3, 3],
                strides=[1, 2, 2],
                upsample_kernel_size=[2, 2],
                filters=[4, 8, 8],
                deep_supervision=True,
                deep_supr_num=1,
            ),
            4,
        ),
        (monai("UNet", spatial_dims=3, channels=[4, 8], strides=[2]), None),
    ],
    ids=["SegResNet", "SwinUNETR", "DynUNet", "UNet"],
)
def test_a_last_layer_is_taken_off_where_it_maps_features_to_the_output(network, features) -> None:
    image = torch.randn(1, 1, 64, 64, 64)
    with torch.inference_mode():
        expected = network(image)
        head = split(network, image.shape)
        assert (head.features if head else None) == features
        found = network(image) if head is None else head(network(image)[0])[None]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_layer_that_does_something_else_stays() -> None:
    """Its output goes through more than itself."""
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 4, 1), torch.nn.Conv3d(4, 9, 1), torch.nn.Tanh()).eval()
    before = list(network)
    assert split(network, (1, 1, 4, 4, 4)) is None
    assert list(network) == before


def test_a_few_features_take_little_memory() -> None:
    grid = WindowGrid((200, 256, 256), (128, 128, 128))
    logits = memory_need(grid, grid.shape, 1, 118)
    features = memory_need(grid, grid.shape, 1, 118, blended=32)
    assert features.band < 0.4 * logits.band
    assert features.window < 0.4 * logits.window
