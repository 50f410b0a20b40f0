"""Tiny models in nnU-Net's layout."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 2,
        "features_per_stage": [4, 6],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[1, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [1, 2, 2]],
        "n_conv_per_stage": [2, 2],
        "n_conv_per_stage_decoder": [2],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}


def _resampling(name: str, order: int) -> dict[str, Any]:
    kwargs = {"is_seg": False, "order": order, "order_z": 0, "force_separate_z": None}
    return {f"resampling_fn_{name}": "resample_data_or_seg_to_shape", f"resampling_fn_{name}_kwargs": kwargs}


@pytest.fixture
def plans() -> dict[str, Any]:
    """A plans.json with one configuration of today's spelling."""
    configuration = {
        "preprocessor_name": "DefaultPreprocessor",
        "patch_size": [4, 8, 8],
        "spacing": [1.0, 1.0, 1.0],
        "normalization_schemes": ["NoNormalization"],
        "use_mask_for_norm": [False],
        "architecture": copy.deepcopy(ARCHITECTURE),
        **_resampling("data", 3),
        **_resampling("seg", 1),
        **_resampling("probabilities", 1),
    }
    facts = {"mean": 20.0, "std": 50.0, "percentile_00_5": -100.0, "percentile_99_5": 200.0}
    return {
        "plans_name": "nnUNetPlans",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "image_reader_writer": "SimpleITKIO",
        "foreground_intensity_properties_per_channel": {"0": facts},
        "configurations": {"3d_fullres": configuration},
    }


@pytest.fixture
def dataset() -> dict[str, Any]:
    """A dataset.json with one channel and two segments."""
    return {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "left_kidney": 2}}


def as_nnunet_saves(state: dict[str, Any]) -> dict[str, Any]:
    """Return weights under all the names that nnU-Net's state dicts give them."""
    repeated = dict(state)
    for name, tensor in state.items():
        stem, _, leaf = name.rpartition(".")
        block, _, layer = stem.rpartition(".")
        if layer in ("conv", "norm"):
            repeated[f"{block}.all_modules.{('conv', 'norm').index(layer)}.{leaf}"] = tensor
    return repeated | {f"decoder.{name}": t for name, t in repeated.items() if name.startswith("encoder.")}


@pytest.fixture
def checkpoint(plans: dict[str, Any], dataset: dict[str, Any]) -> dict[str, Any]:
    """What nnU-Net's trainer saves, with fresh weights and the NumPy numbers of its log."""
    import numpy as np
    import torch

    from napari_volseg.inference import build_unet, parse_plan

    torch.manual_seed(0)
    plan = parse_plan(plans, dataset, "3d_fullres")
    network = build_unet(plan.architecture, len(plan.channels), len(plan.outputs.names))
    flat = plan.spacing[0] is None
    weights = {name: t.squeeze(2) if flat and t.ndim == 5 else t for name, t in network.state_dict().items()}
    return {
        "network_weights": as_nnunet_saves(weights),
        "optimizer_state": {"state": {}, "param_groups": []},
        "logging": {"mean_fg_dice": [np.float64(0.5)], "train_losses": [np.float32(-0.25)], "steps": [np.int64(3)]},
        "_best_ema": np.float64(0.75),
        "current_epoch": 1,
        "init_args": {"configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }


@pytest.fixture
def trained_folder(
    tmp_path: Path, plans: dict[str, Any], dataset: dict[str, Any], checkpoint: dict[str, Any]
) -> Path:
    """A folder as nnU-Net v2 leaves it behind."""
    import torch

    folder = tmp_path / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    return folder
