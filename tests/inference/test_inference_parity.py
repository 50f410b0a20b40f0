"""The same folder and image through nnU-Net itself, where it is installed: images, logits and labels agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_volseg.core import CancelToken, Geometry, Volume
from napari_volseg.inference import NnunetModel
from napari_volseg.inference.engine import prepare_volumes, reorientation_for
from napari_volseg.inference.sliding import WindowGrid, stream_logits

pytest.importorskip("nnunetv2")


RESIDUAL = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"


@dataclass(frozen=True)
class Variant:
    """How a folder differs from the plain one."""

    spacing: list[float]
    scheme: str = "ZScoreNormalization"
    transpose: tuple[int, int, int] = (0, 1, 2)
    residual: bool = False
    flat: bool = False
    channels: int = 1
    labels: dict[str, Any] = field(default_factory=lambda: {"background": 0, "liver": 1, "kidney": 2})
    order: tuple[int, ...] = ()
    mirroring: bool = False
    inside: bool = False


VARIANTS = {
    "plain": Variant([2.5, 1.3, 1.1], "CTNormalization"),
    "anisotropic, transposed": Variant([6.0, 1.3, 1.3], "CTNormalization", (1, 0, 2)),
    "inside": Variant([2.0, 1.5, 1.5], transpose=(2, 0, 1), inside=True),
    "residual": Variant([2.5, 1.3, 1.1], residual=True, mirroring=True),
    "two channels": Variant([2.0, 1.5, 1.5], "RescaleTo01Normalization", channels=2, inside=True),
    "regions": Variant([2.5, 1.3, 1.1], labels={"background": 0, "all": [1, 2], "core": 2}, order=(1, 2)),
    "2D": Variant([1.3, 1.1], flat=True, mirroring=True),
    "2D, transposed": Variant([2.3, 1.1], flat=True, transpose=(2, 0, 1)),
}


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def variant(request: pytest.FixtureRequest) -> Variant:
    return request.param


@pytest.fixture
def dataset(variant: Variant) -> dict[str, Any]:
    names = {str(i): f"image {i}" for i in range(variant.channels)}
    return {
        "channel_names": names,
        "labels": variant.labels,
        **({"regions_class_order": list(variant.order)} if variant.order else {}),
        "file_ending": ".nii.gz",
    }


@pytest.fixture
def plans(plans: dict[str, Any], variant: Variant) -> dict[str, Any]:
    configuration = plans["configurations"]["3d_fullres"]
    configuration |= {
        "normalization_schemes": [variant.scheme] * variant.channels,
        "use_mask_for_norm": [variant.inside] * variant.channels,
        "spacing": variant.spacing,
    }
    facts = plans["foreground_intensity_properties_per_channel"]
    facts["1"] = facts["0"]
    block = configuration["architecture"]
    if variant.residual:
        block["network_class_name"] = RESIDUAL
        block["arch_kwargs"]["n_blocks_per_stage"] = block["arch_kwargs"].pop("n_conv_per_stage")
    if variant.flat:
        configuration["patch_size"] = [8, 8]
        block["arch_kwargs"] |= {
            "conv_op": "torch.nn.modules.conv.Conv2d",
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
            "kernel_sizes": [[3, 3], [3, 3]],
            "strides": [[1, 1], [2, 2]],
        }
    plans["transpose_forward"] = list(variant.transpose)
    plans["transpose_backward"] = [int(i) for i in np.argsort(variant.transpose)]
    plans["label_manager"] = "LabelManager"
    return plans


def test_images_logits_and_labels_are_nnunets(
    trained_folder: Path, variant: Variant, checkpoint: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from nnunetv2.inference import predict_from_raw_data as peer
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape

    spacing = (3.0, 1.7, 0.9)
    image = np.random.default_rng(0).normal(0, 200, (variant.channels, 12, 21, 27)).astype(np.float32)
    image[:, :2], image[:, :, :3], image[0, 5, 9:12] = 0, 0, 0
    if variant.flat:  # two axes only
        checkpoint["inference_allowed_mirroring_axes"] = (0, 1)
        torch.save(checkpoint, trained_folder / "fold_0" / "checkpoint_final.pth")
    predictor = peer.nnUNetPredictor(device=torch.device("cpu"), use_mirroring=variant.mirroring, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(trained_folder), (0,))
    preprocessor = predictor.configuration_manager.preprocessor_class(verbose=False)
    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    their_image, _, facts = preprocessor.run_case_npy(
        image, None, {"spacing": list(spacing)}, plans, configuration, predictor.dataset_json
    )
    # nnU-Net blends in half precision, which costs more than any difference looked for here
    monkeypatch.setattr(torch, "half", torch.float32)
    gaussian = peer.compute_gaussian
    monkeypatch.setattr(
        peer, "compute_gaussian", lambda *args, **options: gaussian(*args, **{**options, "dtype": torch.float32})
    )
    their_logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(their_image))
    their_labels = convert_predicted_logits_to_segmentation_with_correct_shape(
        their_logits.clone(), plans, configuration, predictor.label_manager, facts
    )

    model = NnunetModel(trained_folder, mirroring=variant.mirroring)
    volumes = [Volume(channel, Geometry.from_spacing(channel.shape, spacing)) for channel in image]
    ours = prepare_volumes(volumes, reorientation_for(volumes[0], model.card), model.plan, CancelToken())
    np.testing.assert_allclose(ours.voxels, their_image, atol=1e-4)
    network = model.open_network(torch.device("cpu"), "torch").forward
    grid = WindowGrid(ours.shape, model.plan.patch_size)
    outputs = len(model.plan.outputs.names)
    with torch.inference_mode():
        blocks = [
            p.clone() for _, p in stream_logits(network, torch.from_numpy(ours.voxels), grid, outputs, lambda: None)
        ]
    our_logits = torch.cat(blocks, 1).movedim(1, grid.axis + 1)
    assert (our_logits - their_logits).abs().max() < 1e-3
    assert np.mean(model.predict(volumes[0], further=volumes[1:]).labels == their_labels) > 0.9999
