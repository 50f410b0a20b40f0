"""Train the demonstration U-Net that labels the organs of a torso phantom.

::

    python -m napari_volseg.training.train_phantom_unet --out FOLDER --minutes 25

Writes a model folder in nnU-Net's layout. Stopped at any time, the same command goes on where it was; the phantoms
it learns from and its state lie in ``--work``. No image is mirrored in training: left and right differ in name only.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Segment
from napari_volseg.inference import Architecture, build_unet, load_model, write_model_folder
from napari_volseg.measure import dice_per_label
from napari_volseg.training.phantoms import ORGANS, TORSO_TABLE, torso
from napari_volseg.training.phantoms_patches import Batch, Intensities, organ_labels, patches, stored_cases

if TYPE_CHECKING:
    from torch import Tensor, nn

MODEL_ID = "phantom-organs"
#: Phantoms with these seeds are never learned from: the sample data and the tests use them.
RESERVED_SEEDS = range(1000)
#: Phantoms on which the finished model is measured.
VALIDATION_SEEDS = (1, 2, 3, 4, 5, 7)
_CONFIGURATION = "3d_fullres"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what is learned, but the time.

    Parameters
    ----------
    spacing
        Grid of the network (z, y, x), mm.
    patch
        Training patch and inference window (z, y, x), voxels.
    features
        Channels per stage of the U-Net.
    cases
        Number of phantoms to learn from.
    batch
        Patches per step.
    rate
        Highest learning rate; it falls with the cosine of the elapsed time.
    memory
        Share of the past in the running mean of the weights that is shipped.
    """

    spacing: tuple[float, float, float] = (4.0, 4.0, 4.0)
    patch: tuple[int, int, int] = (64, 64, 80)
    features: tuple[int, ...] = (12, 24, 48, 64, 64)
    cases: int = 48
    batch: int = 1
    rate: float = 2e-3
    memory: float = 0.99

    @property
    def seeds(self) -> range:
        """Seeds of the phantoms to learn from."""
        return range(RESERVED_SEEDS.stop, RESERVED_SEEDS.stop + self.cases)

    def architecture(self) -> Architecture:
        """Return the network: two convolutions per encoder stage, one per decoder stage."""
        stages = len(self.features)
        return Architecture(
            features=self.features,
            kernel_sizes=((3, 3, 3),) * stages,
            strides=((1, 1, 1), *((2, 2, 2),) * (stages - 1)),
            encoder_convs=(2,) * stages,
            decoder_convs=(1,) * (stages - 1),
        )


def segmentation_loss(outputs: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Return cross entropy plus soft Dice over all scales, each half as heavy as the finer one.

    Parameters
    ----------
    outputs
        Logits (n, c, z, y, x), finest first.
    labels
        (n, z, y, x) on the finest grid.
    """
    import torch

    weights = [0.5**i for i in range(len(outputs))]
    total = torch.zeros(())
    for weight, logits in zip(weights, outputs, strict=True):
        step = labels.shape[-1] // logits.shape[-1]
        target = labels[:, ::step, ::step, ::step]
        total = total + weight * _loss_at_scale(logits.float(), target)
    return total / sum(weights)


def _loss_at_scale(logits: Tensor, target: Tensor) -> Tensor:
    import torch
    from torch.nn import functional

    probabilities = logits.softmax(1)
    truth = functional.one_hot(target, logits.shape[1]).movedim(-1, 1).to(probabilities.dtype)
    common = (probabilities * truth).sum((0, 2, 3, 4))[1:]
    sizes = (probabilities + truth).sum((0, 2, 3, 4))[1:]
    dice = (2 * common + 1) / (sizes + 1)
    return torch.nn.functional.cross_entropy(logits, target) + 1 - dice.mean()


@dataclass(slots=True)
class Training:
    """A network on its way: weights, their running mean, optimizer, and the time spent.

    Parameters
    ----------
    recipe
        What is trained.
    """

    recipe: Recipe
    network: nn.Module = field(init=False)
    mean: dict[str, Tensor] = field(init=False)
    optimizer: Any = field(init=False)
    seconds: float = 0.0
    steps: int = 0

    def __post_init__(self) -> None:
        import torch

        torch.manual_seed(0)
        self.network = build_unet(self.recipe.architecture(), 1, len(ORGANS) + 1, deep_supervision=True)
        self.mean = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(self.network.parameters(), self.recipe.rate, weight_decay=1e-3)

    def step(self, images: NDArray[np.float32], labels: NDArray[np.int64], share: float, bfloat16: bool) -> float:
        """Learn from one batch when ``share`` (0 to 1) of the time is over, and return the loss."""
        import torch

        for group in self.optimizer.param_groups:
            group["lr"] = (
                self.recipe.rate * min(1.0, (self.steps + 1) / 30) * (0.01 + 0.495 * (1 + math.cos(math.pi * share)))
            )
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            outputs = self.network(torch.from_numpy(images))
        loss = segmentation_loss(outputs, torch.from_numpy(labels))
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.steps += 1
        self._update_mean()
        return loss.item()

    def _update_mean(self) -> None:
        keep = min(self.recipe.memory, self.steps / (self.steps + 10))
        for name, tensor in self.network.state_dict().items():
            self.mean[name].lerp_(tensor, 1 - keep)

    def save(self, path: Path) -> None:
        """Write the state beside ``path``, then put it in its place."""
        import torch

        state = {
            "network": self.network.state_dict(),
            "mean": self.mean,
            "optimizer": self.optimizer.state_dict(),
            "seconds": self.seconds,
            "steps": self.steps,
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def restore(self, path: Path) -> None:
        """Go on from a saved state."""
        import torch

        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.mean, self.seconds, self.steps = state["mean"], state["seconds"], state["steps"]


def train(work: Path, recipe: Recipe, minutes: float, workers: int, bfloat16: bool) -> tuple[Training, Intensities]:
    """Learn until ``minutes`` of training (without making phantoms) have been spent over all calls."""
    cases = stored_cases(work / "cases", recipe.seeds, recipe.spacing, workers)
    intensities = Intensities.of(cases)
    training, state = Training(recipe), work / "state.pt"
    if state.exists():
        training.restore(state)
    rng = np.random.default_rng([0, training.steps])
    batches = patches(cases, intensities, recipe.patch, recipe.batch, rng)
    while training.seconds < 60 * minutes:
        _learn_for_a_while(training, batches, 60 * minutes, bfloat16)
        training.save(state)
    return training, intensities


def _learn_for_a_while(
    training: Training, batches: Iterator[Batch], total: float, bfloat16: bool, steps: int = 25
) -> None:
    losses = []
    for _ in range(steps):
        start = time.monotonic()
        images, labels = next(batches)
        losses.append(training.step(images, labels, min(1.0, training.seconds / total), bfloat16))
        training.seconds += time.monotonic() - start
    print(f"{training.seconds / 60:6.1f} min  step {training.steps:5d}  loss {np.mean(losses):.4f}", flush=True)


def write_model(out: Path, training: Training, intensities: Intensities, measured: Mapping[str, float]) -> Path:
    """Write the model folder; weights are the running mean, in half precision."""
    recipe = training.recipe
    names = {TORSO_TABLE[value].name: value for value in ORGANS}
    dataset = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **names},
        "numTraining": recipe.cases,
        "file_ending": ".nii.gz",
        "name": "TorsoPhantom",
    }
    return write_model_folder(
        out,
        plans=_plans(recipe, intensities),
        dataset=dataset,
        configuration=_CONFIGURATION,
        weights={name: tensor.half() for name, tensor in training.mean.items()},
        card=_card(training, measured),
    )


def _plans(recipe: Recipe, intensities: Intensities) -> dict[str, Any]:
    configuration = {
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": recipe.batch,
        "patch_size": list(recipe.patch),
        "spacing": list(recipe.spacing),
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": False},
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": False},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": network_facts(recipe.architecture()),
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": True,
    }
    foreground = {
        "mean": intensities.mean,
        "std": intensities.std,
        "percentile_00_5": intensities.low,
        "percentile_99_5": intensities.high,
    }
    return {
        "dataset_name": "Dataset000_TorsoPhantom",
        "plans_name": "phantomPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {_CONFIGURATION: configuration},
        "foreground_intensity_properties_per_channel": {"0": foreground},
    }


def network_facts(design: Architecture) -> dict[str, Any]:
    """Return a network as plans tell it."""
    return {
        "n_stages": len(design.features),
        "features_per_stage": list(design.features),
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [list(k) for k in design.kernel_sizes],
        "strides": [list(s) for s in design.strides],
        "n_conv_per_stage": list(design.encoder_convs),
        "n_conv_per_stage_decoder": list(design.decoder_convs),
        "conv_bias": design.bias,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": design.norm_eps, "affine": design.norm_affine},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True, "negative_slope": design.slope},
    }


def _card(training: Training, measured: Mapping[str, float]) -> dict[str, Any]:
    recipe = training.recipe
    return {
        "id": MODEL_ID,
        "title": "Phantom organs (demonstration)",
        "version": "1",
        "task": "Organs of the torso phantom in CT",
        "intended_use": "A demonstration on the synthetic torso phantoms of this program; not for patients.",
        "code_license": "BSD-3-Clause",
        "weights_license": "BSD-3-Clause",
        "orientation": "SPL",
        "segments": {TORSO_TABLE[value].name: segment_facts(TORSO_TABLE[value]) for value in ORGANS},
        "training": {
            "data": f"torso phantoms, seeds {recipe.seeds.start} to {recipe.seeds.stop - 1}; no patients",
            "command": "python -m napari_volseg.training.train_phantom_unet",
            "steps": training.steps,
            "minutes": round(training.seconds / 60, 1),
            "batch": recipe.batch,
            "optimizer": f"AdamW, rate {recipe.rate}, cosine; running mean of the weights {recipe.memory}",
            "augmentation": "crops, HU scale and offset, blur, noise; no mirroring",
        },
        "measured": {"dice": dict(measured), "seeds": list(VALIDATION_SEEDS)} if measured else {},
    }


def segment_facts(segment: Segment) -> dict[str, Any]:
    """Return type, category and colour of a segment as cards tell them."""
    return {
        "type": [segment.type.value, segment.type.scheme, segment.type.meaning],
        "category": [segment.category.value, segment.category.scheme, segment.category.meaning],
        "color": list(segment.color),
    }


def evaluate(folder: Path, seeds: Sequence[int] = VALIDATION_SEEDS) -> dict[str, float]:
    """Return the mean Dice of each organ over phantoms of unseen seeds, as a user runs the model, and their mean."""
    model = load_model(str(folder))
    scores = []
    for seed in seeds:
        case = torso(seed)
        found = model.predict(case.volume, device="cpu").labels
        scores.append(dice_per_label(found, organ_labels(case.segmentation.labels), ORGANS))
    means = {TORSO_TABLE[v].name: round(float(np.mean([s[v] for s in scores])), 3) for v in ORGANS}
    return {**means, "mean": round(float(np.mean(list(means.values()))), 3)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument(
        "--minutes", type=float, default=25, help="time to learn, over all calls with the same --work"
    )
    parser.add_argument("--work", type=Path, default=Path("out/train-phantom-unet"), help="phantoms and state")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bfloat16", action="store_true", help="faster on CPUs that compute in bfloat16")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    training, intensities = train(options.work, Recipe(), options.minutes, options.threads, options.bfloat16)
    write_model(options.out, training, intensities, {})
    measured = evaluate(options.out)
    write_model(options.out, training, intensities, measured)
    print("Dice on unseen phantoms:", measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
