"""Train small models with nnunetv2 itself, on the CPU, from images in memory; a training that was stopped goes on.

Runs in the environment that holds nnunetv2 (see README.md), not in the project's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

Json = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """An image of one or more channels (c, z, y, x), its labels (z, y, x), and the spacing (z, y, x) in mm."""

    name: str
    channels: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]


@dataclass(frozen=True)
class Recipe:
    """What to train and how long.

    ``adjust`` changes the chosen configuration of the plans in place, ``adam`` takes Adam instead of nnU-Net's
    optimizer, ``held_back`` is the share of cases that each fold keeps for validation.
    """

    number: int
    name: str
    channel_names: tuple[str, ...]
    labels: Mapping[str, Any]
    adjust: Callable[[Json], None]
    regions_class_order: tuple[int, ...] = ()
    configuration: str = "3d_fullres"
    planner: str = "ExperimentPlanner"
    adam: bool = False
    target_spacing: tuple[float, float, float] | None = None
    folds: tuple[int, ...] = (0,)
    epochs: int = 10
    iterations: int = 50
    held_back: float = 0.2

    @property
    def dataset(self) -> str:
        """Folder name of the data set, as nnU-Net wants it."""
        return f"Dataset{self.number:03d}_{self.name}"


@dataclass
class Workshop:
    """The folders in which nnU-Net works."""

    root: Path
    folders: dict[str, Path] = field(init=False)

    def __post_init__(self) -> None:
        self.folders = {kind: self.root / kind for kind in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
        for name, folder in self.folders.items():
            folder.mkdir(parents=True, exist_ok=True)
            os.environ[name] = str(folder)
        os.environ.update(nnUNet_compile="false")

    def model_folder(self, recipe: Recipe) -> Path:
        """Return where nnU-Net leaves the trained model."""
        trained = f"nnUNetTrainer__nnUNetPlans__{recipe.configuration}"
        return self.folders["nnUNet_results"] / recipe.dataset / trained

    def train(self, recipe: Recipe, cases: Iterable[Case]) -> Path:
        """Return the folder of a trained model, training what is missing of it."""
        target = self.model_folder(recipe)
        if not all((target / f"fold_{fold}" / "checkpoint_final.pth").is_file() for fold in recipe.folds):
            prepared = self.folders["nnUNet_preprocessed"] / recipe.dataset
            if not (prepared / "splits_final.json").is_file():
                self._prepare(recipe, list(cases), prepared)
            for fold in recipe.folds:
                self._train_fold(recipe, fold, target / f"fold_{fold}")
        return target

    def held_back(self, recipe: Recipe, fold: int = 0) -> list[str]:
        """Return the names of the cases that a fold has not seen."""
        splits = self.folders["nnUNet_preprocessed"] / recipe.dataset / "splits_final.json"
        return json.loads(splits.read_text())[fold]["val"]

    def _prepare(self, recipe: Recipe, cases: list[Case], prepared: Path) -> None:
        from nnunetv2.experiment_planning.plan_and_preprocess_api import (
            extract_fingerprints,
            plan_experiments,
            preprocess,
        )

        os.environ.update(nnUNet_n_proc_DA="1")  # planning takes no 0
        write_dataset(self.folders["nnUNet_raw"] / recipe.dataset, recipe, cases)
        extract_fingerprints([recipe.number], num_processes=1, show_progress_bar=False)
        plan_experiments(
            [recipe.number],
            recipe.planner,
            overwrite_target_spacing=recipe.target_spacing,
            overwrite_plans_name="nnUNetPlans",
        )
        plans_path = prepared / "nnUNetPlans.json"
        plans = json.loads(plans_path.read_text())
        recipe.adjust(plans["configurations"][recipe.configuration])
        plans_path.write_text(json.dumps(plans, indent=2))
        preprocess([recipe.number], "nnUNetPlans", (recipe.configuration,), (1,), show_progress_bar=False)
        (prepared / "splits_final.json").write_text(json.dumps(make_splits(cases, recipe)))

    def _train_fold(self, recipe: Recipe, fold: int, folder: Path) -> None:
        from nnunetv2.run.run_training import get_trainer_from_args, maybe_load_checkpoint
        from torch import device

        if (folder / "checkpoint_final.pth").is_file():
            return
        os.environ.update(nnUNet_n_proc_DA="0")  # augment in this process
        goes_on = (folder / "checkpoint_latest.pth").is_file()
        trainer = get_trainer_from_args(
            recipe.dataset,
            recipe.configuration,
            fold,
            continue_training=goes_on,
            device=device("cpu"),
        )
        trainer.num_epochs, trainer.num_iterations_per_epoch = recipe.epochs, recipe.iterations
        trainer.num_val_iterations_per_epoch, trainer.save_every = 3, 1
        trainer.plot_network_architecture = lambda: None
        if recipe.adam:
            trainer.configure_optimizers = partial(_adam, trainer)
        maybe_load_checkpoint(trainer, goes_on, False)
        trainer.run_training()


def _adam(trainer: Any) -> tuple[Any, Any]:
    """Return Adam and a learning rate that falls as nnU-Net's does; it labels something within a hundred steps."""
    from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
    from torch.optim import AdamW

    optimizer = AdamW(trainer.network.parameters(), lr=6e-3, weight_decay=trainer.weight_decay)
    return optimizer, PolyLRScheduler(optimizer, 6e-3, trainer.num_epochs)


def make_splits(cases: list[Case], recipe: Recipe) -> list[Json]:
    """Return one split per fold; fold i keeps back every n-th case from the i-th on."""
    names, stride = sorted(case.name for case in cases), round(1 / recipe.held_back)
    held = [set(names[fold::stride]) for fold in range(max(recipe.folds) + 1)]
    return [{"train": [n for n in names if n not in back], "val": sorted(back)} for back in held]


def write_dataset(folder: Path, recipe: Recipe, cases: list[Case]) -> None:
    """Write cases in nnU-Net's raw layout."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for case in cases:
        for index, channel in enumerate(case.channels):
            write_nifti(folder / "imagesTr" / f"{case.name}_{index:04d}.nii.gz", channel, case.spacing)
        write_nifti(folder / "labelsTr" / f"{case.name}.nii.gz", case.labels.astype(np.uint8), case.spacing)
    facts: Json = {
        "channel_names": {str(i): name for i, name in enumerate(recipe.channel_names)},
        "labels": dict(recipe.labels),
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
    }
    if recipe.regions_class_order:
        facts["regions_class_order"] = list(recipe.regions_class_order)
    (folder / "dataset.json").write_text(json.dumps(facts, indent=2))


def write_nifti(path: Path, array: np.ndarray, spacing: tuple[float, float, float]) -> None:
    """Write (z, y, x) so that SimpleITK reads the same (z, y, x)."""
    nib.save(nib.Nifti1Image(np.ascontiguousarray(array.T), np.diag([*spacing[::-1], 1.0])), path)
