"""Train the model that labels brain structures in MR of any contrast, on images made from label maps.

::

    python -m napari_volseg.training.train_brain --maps heads.npz --out FOLDER --minutes 5

``heads.npz`` comes from :mod:`napari_volseg.training.brain_maps`. Writes a model folder in nnU-Net's layout and stops
by the clock; ``--resume`` goes on from the weights of such a folder. With a CUDA device it computes in bfloat16 and
compiles the network.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_volseg.inference import Architecture, build_unet, write_model_folder
from napari_volseg.training.brain_maps import HELD_OUT, SPACING, STRUCTURES, HeadMaps
from napari_volseg.training.train_phantom_unet import network_facts, segment_facts

if TYPE_CHECKING:
    from torch import Tensor, nn

MODEL_ID = "brain-structures"
_CONFIGURATION = "3d_fullres"
#: Seed of the images that are only validated on.
VALIDATION_SEED = 900_001
_TELL_EVERY = 10.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what is learned, but the time.

    Parameters
    ----------
    edge
        Of the images and of the inference window, voxels of :data:`napari_volseg.training.brain_maps.SPACING`.
    features
        Channels per stage of the U-Net.
    batch
        Images a step.
    rate
        Highest learning rate; it falls with the cosine of the elapsed time.
    memory
        Share of the past in the running mean of the weights that is shipped.
    """

    edge: int = 96
    features: tuple[int, ...] = (16, 32, 64, 128, 160)
    batch: int = 8
    rate: float = 2e-3
    memory: float = 0.998

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


@dataclass(slots=True)
class Training:
    """A network on its way: weights, their running mean, optimizer and steps.

    Parameters
    ----------
    recipe
        What is trained.
    device
        Where.
    compiled
        Whether forward pass and loss are compiled (CUDA).
    """

    recipe: Recipe
    device: str
    compiled: bool = False
    network: nn.Module = field(init=False)
    mean: list[Tensor] = field(init=False)
    optimizer: Any = field(init=False)
    losses: Callable[..., Any] = field(init=False)
    steps: int = 0

    def __post_init__(self) -> None:
        import torch

        torch.manual_seed(0)
        self.network = build_unet(self.recipe.architecture(), 1, len(STRUCTURES) + 1).to(self.device)
        if self.device == "cuda":
            _fit_for_compiling(self.network)
            self.network.to(self.device)
            for parameter in self.network.parameters():
                if parameter.ndim == 5:
                    parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
        parameters = list(self.network.parameters())
        self.mean = [p.detach().clone() for p in parameters]
        on_gpu = self.device == "cuda"
        self.optimizer = torch.optim.AdamW(parameters, self.recipe.rate, weight_decay=1e-3, fused=on_gpu)
        self.losses = torch.compile(self._loss, dynamic=False) if self.compiled else self._loss

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from weights."""
        import torch

        self.network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        with torch.no_grad():
            for mean, parameter in zip(self.mean, self.network.parameters(), strict=True):
                mean.copy_(parameter)

    def step(self, images: Tensor, labels: Tensor, share: float) -> Tensor:
        """Learn from a batch when ``share`` (0 to 1) of the time is over; return the loss."""
        import torch

        warm = min(1.0, (self.steps + 1) / 100)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate * warm * (0.01 + 0.495 * (1 + math.cos(math.pi * min(1.0, share))))
        if self.device == "cuda":
            images = images.contiguous(memory_format=torch.channels_last_3d)
        loss = self.losses(images, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        if self.device == "cuda":  # read by the fused kernel, so that a broken step is skipped without waiting for it
            setattr(self.optimizer, "found_inf", (~norm.isfinite()).float())  # noqa: B010
        self.optimizer.step()
        self.steps += 1
        keep = min(self.recipe.memory, self.steps / (self.steps + 10))
        with torch.no_grad():
            torch._foreach_lerp_(self.mean, [p.detach() for p in self.network.parameters()], 1 - keep)
        return loss.detach()

    def averaged(self) -> dict[str, Tensor]:
        """Return the running mean of the weights by name."""
        names = [name for name, _ in self.network.named_parameters()]
        return {name: value.detach().half().contiguous() for name, value in zip(names, self.mean, strict=True)}

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        import torch

        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            logits = self.network(images)
        return overlap_loss(logits.float(), labels)


def overlap_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return cross entropy plus soft Dice of the structures over the batch.

    Parameters
    ----------
    logits
        (n, c, z, y, x), float32.
    labels
        (n, z, y, x), int64.
    """
    import torch

    entropy = torch.nn.functional.cross_entropy(logits, labels)
    values = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1, 1)
    truth = (labels[:, None] == values).float()
    share = logits.softmax(1)
    axes = (0, 2, 3, 4)
    both = (share * truth).sum(axes)[1:]
    sizes = (share + truth).sum(axes)[1:]
    return entropy + 1 - ((2 * both + 10) / (sizes + 10)).mean()


def _fit_for_compiling(module: nn.Module) -> None:
    """Put an instance normalization that a compiler fuses in the place of PyTorch's; weights keep their names."""
    from torch import nn

    from napari_volseg.interactive.click_network import Norm

    for name, child in module.named_children():
        if isinstance(child, nn.InstanceNorm3d):
            setattr(module, name, Norm(child.num_features))
        else:
            _fit_for_compiling(child)


def train(training: Training, maps: HeadMaps, seconds: float, begin: float, seed: int) -> list[dict[str, float]]:
    """Learn until ``seconds`` after ``begin`` (:func:`time.monotonic`) and return how it went."""
    import torch

    from napari_volseg.training.brain_images import HeadImages

    images = HeadImages(maps, training.device, seed)
    history: list[dict[str, float]] = []
    recent: list[Tensor] = []
    told = time.monotonic()
    while (share := (time.monotonic() - begin) / seconds) < 1 or training.steps == 0:
        batch = images.draw(training.recipe.batch, training.recipe.edge, training.steps)
        recent.append(training.step(*batch, share))
        if len(recent) % 10 == 0 and training.device == "cuda":
            torch.cuda.synchronize()
        if time.monotonic() - told > _TELL_EVERY:
            loss = float(torch.stack(recent).mean())
            line = {"seconds": time.monotonic() - begin, "steps": training.steps, "loss": loss}
            history.append({name: round(value, 4) for name, value in line.items()})
            print(json.dumps(history[-1]), flush=True)
            told, recent = time.monotonic(), []
    return history


def validated(training: Training, maps: HeadMaps, rounds: int) -> dict[str, float]:
    """Return the Dice coefficient of each structure over images of ``maps``, all contrasts mixed."""
    import torch

    from napari_volseg.training.brain_images import HeadImages

    network = build_unet(training.recipe.architecture(), 1, len(STRUCTURES) + 1).to(training.device).eval()
    network.load_state_dict({name: tensor.float() for name, tensor in training.averaged().items()})
    images = HeadImages(maps, training.device, VALIDATION_SEED)
    values = torch.arange(1, len(STRUCTURES) + 1, device=training.device).view(1, -1, 1, 1, 1)
    both = torch.zeros(len(STRUCTURES), device=training.device)
    sizes = torch.zeros_like(both)
    for index in range(rounds):
        image, truth = images.draw(4, training.recipe.edge, index)
        with torch.inference_mode():
            found = network(image).argmax(1)
        a, b = (found[:, None] == values), (truth[:, None] == values)
        both += (a & b).sum((0, 2, 3, 4))
        sizes += a.sum((0, 2, 3, 4)) + b.sum((0, 2, 3, 4))
    dice = (2 * both / sizes.clamp_min(1)).tolist()
    return {s.name: round(d, 3) for s, d in zip(STRUCTURES, dice, strict=True)}


def write_model(out: Path, training: Training, facts: Mapping[str, Any]) -> Path:
    """Write the model folder; weights are the running mean, in half precision."""
    return write_model_folder(
        out,
        plans=_plans(training.recipe),
        dataset={
            "channel_names": {"0": "MR"},
            "labels": {"background": 0, **{s.name: value for value, s in enumerate(STRUCTURES, 1)}},
            "numTraining": 20 - HELD_OUT,
            "file_ending": ".nii.gz",
            "name": "BrainStructures",
        },
        configuration=_CONFIGURATION,
        weights=training.averaged(),
        card=_card(facts),
        mirroring_axes=(2,),
    )


def _plans(recipe: Recipe) -> dict[str, Any]:
    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": False}
    configuration = {
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": recipe.batch,
        "patch_size": [recipe.edge] * 3,
        "spacing": [SPACING] * 3,
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_probabilities_kwargs": resampling,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": network_facts(recipe.architecture()),
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": True,
    }
    nothing = dict.fromkeys(("mean", "std", "percentile_00_5", "percentile_99_5"), 0.0)
    return {
        "dataset_name": "Dataset001_BrainStructures",
        "plans_name": "brainPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {_CONFIGURATION: configuration},
        "foreground_intensity_properties_per_channel": {"0": nothing},
    }


def _card(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": MODEL_ID,
        "title": "Brain structures (experimental)",
        "version": "1",
        "task": "Ten structures of the brain in MR of the head, of any sequence",
        "intended_use": "Research on whole-head MR; learned from synthetic images alone, every result needs a look.",
        "code_license": "BSD-3-Clause",
        "weights_license": "BSD-3-Clause",
        "orientation": "SPL",
        "segments": {s.name: segment_facts(s.segment(value)) for value, s in enumerate(STRUCTURES, 1)},
        "postprocessing": [{"step": "keep_largest", "together": True}],
        **facts,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    begin = time.monotonic()
    options = _parser().parse_args(arguments)
    import torch
    from safetensors.torch import load_file

    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    recipe = Recipe(edge=options.edge, batch=options.batch, rate=options.rate)
    training = Training(recipe, device, compiled=device == "cuda" and not options.eager)
    if options.resume:
        training.restore(load_file(options.resume / "fold_0" / "checkpoint_final.safetensors"))
    maps = HeadMaps.load(options.maps)
    history = train(training, maps.part(held_out=False), 60 * options.minutes, begin, options.seed)
    facts: dict[str, Any] = {
        "training": {
            "data": "images of random contrast made from 16 of the 20 label maps of SynthSeg (B. Billot et al., "
            "Apache-2.0); no image of a patient",
            "command": "python -m napari_volseg.training.train_brain",
            "device": torch.cuda.get_device_name() if device == "cuda" else device,
            "steps": training.steps,
            "batch": recipe.batch,
            "seconds": round(time.monotonic() - begin, 1),
            "optimizer": f"AdamW, rate {recipe.rate}, cosine; running mean of the weights {recipe.memory}",
            "loss": [line["loss"] for line in history[:: max(1, len(history) // 10)]],
        }
    }
    write_model(options.out, training, facts)
    dice = validated(training, maps.part(held_out=True), options.validation)
    facts["measured"] = {"dice": dice, "images": f"synthetic, of the {HELD_OUT} label maps held out"}
    write_model(options.out, training, facts)
    print("Dice on images of unseen heads:", dice, flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    standard = Recipe()
    parser.add_argument("--maps", type=Path, required=True, help="label maps (.npz)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--minutes", type=float, required=True, help="time to learn in this call")
    parser.add_argument("--device", default=None, help="cuda or cpu; the best one by default")
    parser.add_argument("--resume", type=Path, default=None, help="model folder to go on from")
    parser.add_argument("--edge", type=int, default=standard.edge, help="of the images, voxels")
    parser.add_argument("--batch", type=int, default=standard.batch, help="images a step")
    parser.add_argument("--rate", type=float, default=standard.rate, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=1, help="of the images")
    parser.add_argument("--validation", type=int, default=10, help="batches of four images to validate on")
    parser.add_argument("--eager", action="store_true", help="do not compile")
    return parser


if __name__ == "__main__":
    sys.exit(main())
