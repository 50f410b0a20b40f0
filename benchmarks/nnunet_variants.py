"""Small trained nnU-Net folders of every kind, made by nnunetv2 itself from the hippocampus cases.

Each recipe differs in what an engine may get wrong: the kind of network, anisotropy, regions, folds, 2D, channels,
transposed axes. Run it with the interpreter that has nnunetv2; what is trained already is left as it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from hippocampus import LABELS, read_cases
from nnunet_training import Case, Json, Recipe, Workshop
from scipy import ndimage

SOFT = (1.25, 1.1, 1.2)


@dataclass(frozen=True)
class Variant:
    """A recipe, what it does to a case, and whether to average over mirrored windows."""

    recipe: Recipe
    change: Callable[[Case], Case] = lambda case: case
    mirroring: bool = False


def thinned(axis: int, step: int) -> Callable[[Case], Case]:
    """Return a change that keeps every n-th plane along an axis (z 0, y 1, x 2)."""

    def change(case: Case) -> Case:
        keep = [slice(None)] * 3
        keep[axis] = slice(step // 2, None, step)
        spacing = tuple(s * (step if i == axis else 1) for i, s in enumerate(case.spacing))
        channels, labels = case.channels[(slice(None), *keep)], case.labels[tuple(keep)]
        return replace(case, channels=channels, labels=labels, spacing=spacing)

    return change


def with_edges(case: Case) -> Case:
    """Add a second channel: the gradient's magnitude."""
    edges = ndimage.gaussian_gradient_magnitude(case.channels[0], 1.0)
    return replace(case, channels=np.stack([case.channels[0], edges]).astype(np.float32))


def tiny(patch: list[int] | None = None) -> Callable[[Json], None]:
    """Return a change of planned configurations to one that a CPU trains in a minute or two."""

    def adjust(configuration: Json) -> None:
        kwargs = configuration["architecture"]["arch_kwargs"]
        stages = len(kwargs["features_per_stage"])
        kwargs["features_per_stage"] = [8 * 2 ** min(stage, 3) for stage in range(stages)]
        if "n_blocks_per_stage" in kwargs:
            kwargs["n_blocks_per_stage"] = [1, 2, 2, 2, 2, 2, 2][:stages]
        configuration["batch_size"] = 1 if len(configuration["patch_size"]) == 3 else 12
        configuration["patch_size"] = patch or configuration["patch_size"]

    return adjust


def _recipe(number: int, name: str, **options: object) -> Recipe:
    defaults = {"channel_names": ("T1",), "labels": LABELS, "adjust": tiny(), "target_spacing": SOFT}
    schedule = {"adam": True, "epochs": 2, "iterations": 50}
    return Recipe(number, name, **{**defaults, **schedule, **options})  # type: ignore[arg-type]


REGIONS = {"background": 0, "hippocampus": [1, 2], "posterior": 2}
RESIDUAL = "nnUNetPlannerResEncM"
PLAIN = _recipe(20, "Plain")
VARIANTS = {
    "plain, isotropic": Variant(PLAIN),
    "mirroring": Variant(PLAIN, mirroring=True),
    "residual, isotropic": Variant(_recipe(21, "Residual", planner=RESIDUAL)),
    "plain, anisotropic": Variant(
        _recipe(22, "Anisotropic", channel_names=("CT",), target_spacing=(4.0, 1.2, 1.1), epochs=4), thinned(0, 4)
    ),
    "regions": Variant(_recipe(23, "Regions", labels=REGIONS, regions_class_order=(1, 2))),
    "2D": Variant(_recipe(25, "Flat", configuration="2d")),
    "two channels": Variant(_recipe(26, "Channels", channel_names=("T1", "rescale_to_0_1")), with_edges),
    "residual, anisotropic, transposed": Variant(
        _recipe(27, "Transposed", planner=RESIDUAL, target_spacing=(1.2, 1.1, 4.0), epochs=4), thinned(2, 4)
    ),
    "two folds": Variant(_recipe(24, "Folds", folds=(0, 1))),
}


def cases_of(variant: Variant, data: Path, count: int = 30) -> Iterator[Case]:
    """Yield a variant's cases."""
    return (variant.change(case) for case in read_cases(data, count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the hippocampus cases")
    parser.add_argument("--out", type=Path, required=True, help="where nnU-Net works and leaves the models")
    parser.add_argument("--only", nargs="*", help="names of variants")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    workshop = Workshop(options.out)
    for name in options.only or VARIANTS:
        variant = VARIANTS[name]
        print(name, workshop.train(variant.recipe, cases_of(variant, options.data)), flush=True)


if __name__ == "__main__":
    main()
