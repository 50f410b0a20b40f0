"""The U-Net: parameter names of nnU-Net, shapes, deep supervision."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_volseg.inference import Architecture, build_unet
from napari_volseg.inference.networks import canonical_weights

ARCHITECTURE = Architecture(
    features=(4, 6, 8),
    kernel_sizes=((1, 3, 3), (3, 3, 3), (3, 3, 3)),
    strides=((1, 1, 1), (1, 2, 2), (2, 2, 2)),
    encoder_convs=(2, 1, 2),
    decoder_convs=(1, 2),
)


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(1)
    return build_unet(ARCHITECTURE, 1, 3)


def test_parameters_are_named_and_shaped_as_in_nnunet(network: torch.nn.Module) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert shapes["encoder.stages.0.0.convs.1.conv.weight"] == (4, 4, 1, 3, 3)
    assert shapes["encoder.stages.1.0.convs.0.norm.weight"] == (6,)
    assert shapes["decoder.transpconvs.0.weight"] == (8, 6, 2, 2, 2)
    assert shapes["decoder.stages.0.convs.0.conv.weight"] == (6, 12, 3, 3, 3)
    assert shapes["decoder.stages.1.convs.1.conv.bias"] == (4,)
    assert shapes["decoder.seg_layers.1.weight"] == (3, 4, 1, 1, 1)
    # 8 blocks of conv and norm, 2 transposed convolutions and 2 output layers, each with weight and bias
    assert len(shapes) == 8 * 4 + 4 * 2


def test_nnunets_repeated_names_are_dropped(network: torch.nn.Module) -> None:
    own = network.state_dict()
    repeated = {f"module.{name}": tensor for name, tensor in own.items()}
    for name, tensor in own.items():
        stem, _, leaf = name.rpartition(".")
        repeated[f"module.{stem.rpartition('.')[0]}.all_modules.0.{leaf}"] = tensor
        if name.startswith("encoder."):
            repeated[f"module.decoder.{name}"] = tensor
    assert canonical_weights(repeated).keys() == own.keys()


def test_output_has_the_size_of_the_input(network: torch.nn.Module) -> None:
    with torch.no_grad():
        assert network(torch.zeros(2, 1, 4, 16, 8)).shape == (2, 3, 4, 16, 8)


def test_deep_supervision_gives_the_finest_first(network: torch.nn.Module) -> None:
    image = torch.randn(1, 1, 4, 8, 8)
    with torch.no_grad():
        plain = network(image)
        network.deep_supervision = True
        outputs = network(image)
    assert [tuple(o.shape[2:]) for o in outputs] == [(4, 8, 8), (4, 4, 4)]
    assert torch.equal(outputs[0], plain)


RESIDUAL = replace(ARCHITECTURE, features=(4, 4, 8), residual=True)


def test_residual_encoders_are_named_as_in_nnunet() -> None:
    shapes = {name: tuple(t.shape) for name, t in build_unet(RESIDUAL, 2, 3).state_dict().items()}
    assert shapes["encoder.stem.convs.0.conv.weight"] == (4, 2, 1, 3, 3)
    assert shapes["encoder.stages.0.blocks.1.conv2.norm.bias"] == (4,)
    # behind a pooling layer, as the stage has a stride; without bias
    assert shapes["encoder.stages.2.blocks.0.skip.1.conv.weight"] == (8, 4, 1, 1, 1)
    assert "encoder.stages.2.blocks.0.skip.1.conv.bias" not in shapes
    assert not any(name.startswith("encoder.stages.1.blocks.0.skip") for name in shapes)
    assert shapes["decoder.stages.0.convs.0.conv.weight"] == (4, 8, 3, 3, 3)


def test_a_residual_block_adds_its_input() -> None:
    encoder = build_unet(RESIDUAL, 1, 3).encoder
    block = encoder.stages[1].blocks[0]
    torch.nn.init.zeros_(block.conv2.norm.weight)
    image = torch.randn(1, 4, 4, 8, 8)
    with torch.no_grad():
        pooled = torch.nn.functional.avg_pool3d(image, (1, 2, 2))
        torch.testing.assert_close(block(image), torch.nn.functional.leaky_relu(pooled, 0.01))


def test_kernels_of_2d_networks_become_one_voxel_thick() -> None:
    (weight,) = canonical_weights({"encoder.stages.0.0.convs.0.conv.weight": torch.zeros(4, 1, 3, 3)}).values()
    assert weight.shape == (4, 1, 1, 3, 3)
