"""The hippocampus model of train_hippocampus.py as MONAI bundle, TorchScript and ONNX, and whether all label alike.

Run it with the interpreter that has nnunetv2, MONAI and onnxruntime, with the project on the path.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hippocampus import LABELS, read_cases
from inference_parity import dice
from nnunet_training import Case, Workshop
from train_hippocampus import RECIPE

from napari_volseg.core import Geometry, Volume
from napari_volseg.inference import NnunetModel, load_model
from napari_volseg.inference.backends import to_onnx
from napari_volseg.inference.folders import write_json

Json = dict[str, Any]

#: Towards which the axes of an array (z, y, x) of this data set run.
ORIENTATION = "SAR"


def volume_of(case: Case) -> Volume:
    """Return a case where its file puts it, but for the origin."""
    z, y, x = case.spacing
    matrix = np.array([[0, 0, -x, 0], [0, -y, 0, 0], [z, 0, 0, 0], [0, 0, 0, 1.0]])
    return Volume(case.channels[0], Geometry(case.labels.shape, matrix), "MR")


def monai_network(model: NnunetModel) -> tuple[Json, torch.nn.Module]:
    """Return the arguments of the DynUNet that computes the same, and it with the model's weights.

    Its convolutions have no bias; instance normalization removes one anyway.
    """
    from monai.networks.nets import DynUNet

    a = model.plan.architecture
    arguments: Json = {
        "spatial_dims": 3,
        "in_channels": len(model.plan.channels),
        "out_channels": len(model.plan.outputs.names),
        "kernel_size": [list(kernel) for kernel in a.kernel_sizes],
        "strides": [list(stride) for stride in a.strides],
        "upsample_kernel_size": [list(stride) for stride in a.strides[1:]],
        "filters": list(a.features),
        "norm_name": ["INSTANCE", {"affine": True}],
        "act_name": ["leakyrelu", {"inplace": True, "negative_slope": a.slope}],
        "trans_bias": True,
    }
    network = DynUNet(**arguments).eval()
    source, target = model._networks[0], network.state_dict()
    blocks = [*(stage[0] for stage in source.encoder.stages), *source.decoder.stages]
    names = ["input_block", *(f"downsamples.{i}" for i in range(len(a.features) - 2)), "bottleneck"]
    names += [f"upsamples.{i}.conv_block" for i in range(len(a.features) - 1)]
    for name, block in zip(names, blocks, strict=True):
        for number, conv in enumerate(block.convs, 1):
            target[f"{name}.conv{number}.conv.weight"].copy_(conv.conv.weight)
            target[f"{name}.norm{number}.weight"].copy_(conv.norm.weight)
            target[f"{name}.norm{number}.bias"].copy_(conv.norm.bias)
    for i, up in enumerate(source.decoder.transpconvs):
        target[f"upsamples.{i}.transp_conv.conv.weight"].copy_(up.weight)
        target[f"upsamples.{i}.transp_conv.conv.bias"].copy_(up.bias)
    target["output_block.conv.conv.weight"].copy_(source.decoder.seg_layers[-1].weight)
    target["output_block.conv.conv.bias"].copy_(source.decoder.seg_layers[-1].bias)
    return arguments, network


def write_bundle(folder: Path, model: NnunetModel) -> Path:
    """Write a MONAI bundle."""
    arguments, network = monai_network(model)
    for part in ("configs", "models"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    transforms = [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        {"_target_": "Orientationd", "keys": "image", "axcodes": ORIENTATION},
        {"_target_": "Spacingd", "keys": "image", "pixdim": list(model.plan.spacing), "mode": "bilinear"},
        {"_target_": "NormalizeIntensityd", "keys": "image"},
    ]
    inferer = {
        "_target_": "SlidingWindowInferer",
        "roi_size": list(model.plan.patch_size),
        "overlap": 0.5,
        "mode": "gaussian",
    }
    config = {
        "network_def": {"_target_": "DynUNet", **arguments},
        "preprocessing": {"_target_": "Compose", "transforms": transforms},
        "inferer": inferer,
    }
    definition = {str(i): name for i, name in enumerate(model.plan.outputs.names)}
    metadata = {
        "name": "Hippocampus",
        "version": "1",
        "task": "anterior and posterior hippocampus in T1",
        "network_data_format": {
            "inputs": {"image": {"num_channels": 1, "modality": "MR", "channel_def": {"0": "T1"}}},
            "outputs": {"pred": {"channel_def": definition}},
        },
    }
    write_json(folder / "configs" / "inference.json", config)
    write_json(folder / "configs" / "metadata.json", metadata)
    return folder


def write_file_model(folder: Path, model: NnunetModel, kind: str) -> Path:
    """Write the network as TorchScript or ONNX, with a card."""
    folder.mkdir(parents=True, exist_ok=True)
    window = (1, 1, *model.plan.patch_size)
    network, name = model._networks[0], {"onnx": "model.onnx", "torchscript": "model.ts"}[kind]
    if kind == "onnx":
        (folder / name).write_bytes(to_onnx(network, window))
    else:
        torch.jit.trace(network, torch.zeros(window)).save(str(folder / name))
    content = {
        "network": {"kind": kind, "file": name},
        "channels": [{"name": "T1", "scheme": model.plan.normalizations[0].scheme}],
        "labels": list(model.plan.outputs.names),
        "spacing": list(model.plan.spacing),
        "patch_size": list(model.plan.patch_size),
        "orientation": ORIENTATION,
        "order": 3,
    }
    write_json(folder / "card.json", content)
    return folder


def held_back(options: argparse.Namespace, workshop: Workshop) -> Iterator[Case]:
    """Yield the cases that the training has not seen."""
    names = set(workshop.held_back(RECIPE)[: options.cases])
    return (case for case in read_cases(options.data) if case.name in names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the hippocampus cases")
    parser.add_argument("--models", type=Path, required=True, help="where train_hippocampus.py has worked")
    parser.add_argument("--out", type=Path, required=True, help="where to write the three layouts")
    parser.add_argument("--cases", type=int, help="of those held back; all unless told")
    options = parser.parse_args()
    workshop = Workshop(options.models)
    original = NnunetModel(workshop.model_folder(RECIPE))
    with torch.no_grad():
        folders = {
            "MONAI bundle": write_bundle(options.out / "bundle", original),
            "TorchScript": write_file_model(options.out / "torchscript", original, "torchscript"),
            "ONNX": write_file_model(options.out / "onnx", original, "onnx"),
        }
    models = {"nnU-Net": original} | {name: load_model(folder, trusted=True) for name, folder in folders.items()}
    cases = list(held_back(options, workshop))
    found = {
        name: [model.predict(volume_of(case), device="cpu").labels for case in cases]
        for name, model in models.items()
    }
    print(json.dumps(report(cases, found), indent=2))


def report(cases: list[Case], found: dict[str, list[np.ndarray]]) -> Json:
    """Return per layout the mean Dice to the manual labels, and its agreement with the nnU-Net folder."""
    rows: Json = {"cases": len(cases)}
    for name, labels in found.items():
        equal = [np.mean(a == b) for a, b in zip(labels, found["nnU-Net"], strict=True)]
        rows[name] = {
            segment: float(np.mean([dice(a == v, c.labels == v) for a, c in zip(labels, cases, strict=True)]))
            for segment, v in LABELS.items()
            if v
        } | {"equal voxels": float(np.mean(equal))}
    return rows


if __name__ == "__main__":
    main()
