"""A nnU-Net folder with any number of segments, and an image that it labels sensibly.

No training gives 60 organs in a minute, and labels of random weights are noise that no engine can agree on. So the
network's features stay random, and its last layer is fitted: a linear mix of the features is brought to the image's
intensity, and each segment becomes the interval of intensities around its own level. What is labelled are the level
sets of a smooth image: compact, with sharp borders.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from napari_volseg.inference import build_unet, parse_plan
from napari_volseg.inference.folders import write_json

PATCH = (64, 96, 96)
SPACING = (1.5, 1.5, 1.5)
STEPS = (1.0, 1.0, 1.0)


def make_image(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Return a smooth image (z, y, x) of values from 0 to 1000 with a little noise, nowhere zero."""
    rng = np.random.default_rng(seed)
    coarse = ndimage.gaussian_filter(rng.normal(size=[n // 4 + 1 for n in shape]), 3)
    smooth = ndimage.zoom(coarse, 4, order=1)[tuple(slice(n) for n in shape)]
    ranks = np.interp(smooth, np.quantile(smooth, np.linspace(0, 1, 101)), np.linspace(0, 1000, 101))
    return (ranks + rng.normal(0, 2, shape) + 10).astype(np.float32)


def make_plans(features: int) -> dict[str, Any]:
    """Return plans of a plain U-Net of four stages."""
    stages = 4
    kwargs = {
        "n_stages": stages,
        "features_per_stage": [features * 2**stage for stage in range(stages)],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * stages,
        "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    configuration = {
        "preprocessor_name": "DefaultPreprocessor",
        "patch_size": list(PATCH),
        "spacing": list(SPACING),
        "batch_size": 2,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": kwargs,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    for what, order in (("data", 3), ("seg", 1), ("probabilities", 1)):
        configuration[f"resampling_fn_{what}"] = "resample_data_or_seg_to_shape"
        configuration[f"resampling_fn_{what}_kwargs"] = {
            "is_seg": what == "seg",
            "order": order,
            "order_z": 0,
            "force_separate_z": None,
        }
    facts = {"mean": 500.0, "std": 290.0, "percentile_00_5": 0.0, "percentile_99_5": 1100.0}
    return {
        "dataset_name": "Dataset100_Levels",
        "plans_name": "nnUNetPlans",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "image_reader_writer": "SimpleITKIO",
        "label_manager": "LabelManager",
        "experiment_planner_used": "ExperimentPlanner",
        "foreground_intensity_properties_per_channel": {"0": facts},
        "configurations": {"3d_fullres": configuration},
    }


def write_folder(folder: Path, segments: int, features: int) -> Path:
    """Write a folder as nnunetv2 leaves it, with a background and ``segments`` - 1 others."""
    plans = make_plans(features)
    names = {"background": 0} | {f"level_{i}": i for i in range(1, segments)}
    dataset = {"channel_names": {"0": "CT"}, "labels": names, "file_ending": ".nii.gz"}
    torch.manual_seed(0)
    network = build_unet(parse_plan(plans, dataset, "3d_fullres").architecture, 1, segments).eval()
    _fit_last_layer(network, segments)
    return _write(folder, plans, dataset, network)


def write_random(folder: Path, plans: dict[str, Any], segments: int) -> Path:
    """Write a folder with random weights, for plans of any size."""
    names = {"background": 0} | {f"level_{i}": i for i in range(1, segments)}
    dataset = {"channel_names": {"0": "CT"}, "labels": names, "file_ending": ".nii.gz"}
    network = build_unet(parse_plan(plans, dataset, "3d_fullres").architecture, 1, segments).eval()
    return _write(folder, plans, dataset, network)


def _write(folder: Path, plans: dict[str, Any], dataset: dict[str, Any], network: Any) -> Path:
    (folder / "fold_0").mkdir(parents=True, exist_ok=True)
    write_json(folder / "plans.json", plans)
    write_json(folder / "dataset.json", dataset)
    checkpoint = {
        "network_weights": _under_all_names(network.state_dict()),
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "3d_fullres", "fold": 0},
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    return folder


@torch.inference_mode()
def _fit_last_layer(network: Any, segments: int) -> None:
    """Set the last layer so that the largest logit is that of the nearest of ``segments`` levels."""
    image = torch.from_numpy((make_image(PATCH, seed=5) - 500) / 290)[None, None]
    kept: list[torch.Tensor] = []
    head = network.decoder["seg_layers"][-1]
    handle = head.register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0][0]))
    network(image)
    handle.remove()
    features = kept[0].flatten(1).T.double()
    design = torch.cat((features, torch.ones(len(features), 1, dtype=torch.float64)), 1)
    mix = torch.linalg.lstsq(design, image.flatten()[:, None].double()).solution[:, 0]
    levels = (torch.linspace(0, 1000, segments).double() + 10 - 500) / 290
    sharp = 2.0 * segments
    head.weight.copy_((sharp * 2 * levels[:, None] * mix[:-1])[:, :, None, None, None].float())
    head.bias.copy_((sharp * (2 * levels * mix[-1] - levels**2)).float())


def _under_all_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights under all the names that nnU-Net's state dicts give them."""
    repeated = dict(state)
    for name, tensor in state.items():
        stem, _, leaf = name.rpartition(".")
        block, _, layer = stem.rpartition(".")
        if layer in ("conv", "norm"):
            repeated[f"{block}.all_modules.{('conv', 'norm').index(layer)}.{leaf}"] = tensor
    return repeated | {f"decoder.{name}": t for name, t in repeated.items() if name.startswith("encoder.")}
