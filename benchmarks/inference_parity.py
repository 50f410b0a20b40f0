"""Images, logits and labels of trained nnU-Net folders: ours, nnunetv2's, and who is nearer to a float64 reference.

Run it with the interpreter that has nnunetv2, after nnunet_variants.py, with the project on the path.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunet_training import Case, Workshop
from nnunet_variants import VARIANTS, Variant, cases_of
from scipy import ndimage
from skimage.transform import resize

from napari_volseg.core import CancelToken, Geometry, Volume
from napari_volseg.inference import NnunetModel
from napari_volseg.inference.engine import prepare_volumes, reorientation_for
from napari_volseg.inference.sliding import WindowGrid, stream_logits


@dataclass
class Answer:
    """What one engine makes of one case: the image (c, z, y, x), logits (c, z, y, x) and labels (z, y, x)."""

    image: np.ndarray
    logits: np.ndarray
    labels: np.ndarray


@dataclass
class Row:
    """Figures of one variant over all its cases."""

    variant: str
    cases: int
    image_difference: float
    mean_dice: float
    worst_dice: float
    equal_share: float
    our_logit_error: float
    their_logit_error: float
    our_wrong_voxels: int
    their_wrong_voxels: int
    voxels: int
    dice_to_truth: float

    @property
    def passed(self) -> bool:
        """Whether images and labels agree and we are no further from the reference than nnunetv2."""
        near = self.our_logit_error <= self.their_logit_error and self.our_wrong_voxels <= self.their_wrong_voxels
        return self.image_difference <= 1e-3 and self.mean_dice >= 0.9995 and self.worst_dice >= 0.998 and near


class Peer:
    """nnunetv2's predictor for a folder, and the same computation in float64."""

    def __init__(self, folder: Path, folds: Sequence[int], mirroring: bool) -> None:
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

        self.predictor = nnUNetPredictor(
            device=torch.device("cpu"), use_mirroring=mirroring, perform_everything_on_device=False, allow_tqdm=False
        )
        self.predictor.initialize_from_trained_model_folder(str(folder), tuple(folds))
        self.plans, self.configuration = self.predictor.plans_manager, self.predictor.configuration_manager

    def prepare(self, case: Case) -> tuple[np.ndarray, dict[str, Any]]:
        """Return nnunetv2's image and the facts that it needs to go back."""
        facts: dict[str, Any] = {"spacing": list(case.spacing)}
        preprocessor = self.configuration.preprocessor_class(verbose=False)
        image, _, facts = preprocessor.run_case_npy(
            case.channels, None, facts, self.plans, self.configuration, self.predictor.dataset_json
        )
        return image, facts

    def answer(self, case: Case) -> Answer:
        """Return what nnunetv2 does by default."""
        from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape

        image, facts = self.prepare(case)
        logits = self.predictor.predict_logits_from_preprocessed_data(torch.from_numpy(image))
        labels = convert_predicted_logits_to_segmentation_with_correct_shape(
            logits.clone(), self.plans, self.configuration, self.predictor.label_manager, facts, num_threads_torch=1
        )
        return Answer(image, logits.double().numpy(), np.asarray(labels))

    def reference(self, case: Case) -> Answer:
        """Return the same in float64 from the image on: network, blending, resampling."""
        from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape

        image, facts = self.prepare(case)
        logits = self.double_logits(torch.from_numpy(image).double())
        labels = convert_predicted_logits_to_segmentation_with_correct_shape(
            logits.clone(), self.plans, self.configuration, self.predictor.label_manager, facts, num_threads_torch=1
        )
        return Answer(image, logits.numpy(), np.asarray(labels))

    @torch.inference_mode()
    def double_logits(self, image: torch.Tensor) -> torch.Tensor:
        """Return blended logits (c, z, y, x), everything in float64, averaged over folds."""
        from acvl_utils.cropping_and_padding.padding import pad_nd_image
        from nnunetv2.inference.predict_from_raw_data import compute_gaussian

        patch, network = tuple(self.configuration.patch_size), self.predictor.network
        padded, back = pad_nd_image(image, patch, "constant", {"value": 0}, True, None)
        cpu = torch.device("cpu")
        weight = compute_gaussian(patch, sigma_scale=1 / 8, value_scaling_factor=10, dtype=torch.float64, device=cpu)
        total: Any = 0
        for parameters in self.predictor.list_of_parameters:
            network.load_state_dict(parameters)
            network.double().eval()
            heads = self.predictor.label_manager.num_segmentation_heads
            sums, counts = torch.zeros((heads, *padded.shape[1:])).double(), torch.zeros(padded.shape[1:]).double()
            for where in self.predictor._internal_get_sliding_window_slicers(padded.shape[1:]):
                found = self.predictor._internal_maybe_mirror_and_predict(padded[where][None])[0]
                sums[where] += found * weight
                counts[where[1:]] += weight
            total = total + sums / counts
        network.float()
        return total[(slice(None), *back[1:])] / len(self.predictor.list_of_parameters)


def our_answer(model: NnunetModel, case: Case) -> Answer:
    """Return what this project does."""
    volumes = [Volume(channel, Geometry.from_spacing(channel.shape, case.spacing)) for channel in case.channels]
    prepared = prepare_volumes(volumes, reorientation_for(volumes[0], model.card), model.plan, CancelToken())
    grid, outputs = WindowGrid(prepared.shape, model.plan.patch_size), len(model.plan.outputs.names)
    network, image = model.open_network(torch.device("cpu"), "torch").forward, torch.from_numpy(prepared.voxels)
    with torch.inference_mode():
        bands = [planes.clone() for _, planes in stream_logits(network, image, grid, outputs, lambda: None)]
    logits = torch.cat(bands, 1).movedim(1, grid.axis + 1).double().numpy()
    labels = model.predict(volumes[0], further=volumes[1:], device="cpu", backend="torch").labels
    return Answer(prepared.voxels, logits, labels)


def finer(case: Case, spacing: float = 0.7) -> Case:
    """Return a case on a finer grid along axes that are not coarse, so that every image is resampled."""
    steps = [min(step, spacing) if step < 2 else step for step in case.spacing]
    shape = [round(n * old / new) for n, old, new in zip(case.labels.shape, case.spacing, steps, strict=True)]
    exact = tuple(n * old / new for n, old, new in zip(case.labels.shape, case.spacing, shape, strict=True))
    channels = np.stack([resize(channel, shape, order=1, mode="edge") for channel in case.channels])
    factors = np.divide(shape, case.labels.shape)
    labels = ndimage.zoom(case.labels, factors, order=0, mode="nearest", grid_mode=True)
    return replace(case, channels=channels.astype(np.float32), labels=labels, spacing=exact)


def compare(name: str, variant: Variant, workshop: Workshop, data: Path, count: int) -> Row:
    """Return the figures of a variant on cases that its first fold has not seen."""
    folder, folds = workshop.model_folder(variant.recipe), variant.recipe.folds
    unseen = set(workshop.held_back(variant.recipe)[:count])
    cases = [finer(case) for case in cases_of(variant, data) if case.name in unseen]
    peer, model = Peer(folder, folds, variant.mirroring), NnunetModel(folder, mirroring=variant.mirroring)
    triples = [(our_answer(model, case), peer.answer(case), peer.reference(case)) for case in cases]
    ours, theirs, truth = (np.concatenate([t[i].labels.ravel() for t in triples]) for i in range(3))
    manual = np.concatenate([case.labels.ravel() for case in cases])
    values = sorted(model.plan.outputs.segments)
    dices = [dice(ours == value, theirs == value) for value in values]

    def error(which: int) -> float:
        return float(np.mean([np.abs(t[which].logits - t[2].logits).mean() for t in triples]))

    return Row(
        variant=name,
        cases=len(cases),
        image_difference=max(float(np.abs(t[0].image - t[1].image).max()) for t in triples),
        mean_dice=float(np.mean(dices)),
        worst_dice=min(dices),
        equal_share=float(np.mean(ours == theirs)),
        our_logit_error=error(0),
        their_logit_error=error(1),
        our_wrong_voxels=int(np.sum(ours != truth)),
        their_wrong_voxels=int(np.sum(theirs != truth)),
        voxels=len(ours),
        dice_to_truth=float(np.mean([dice(ours == value, manual == value) for value in values])),
    )


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Return the overlap of two masks, 1 where both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0


def as_markdown(row: Row) -> str:
    """Return a row of the table in docs/models.md."""
    return (
        f"| {row.variant} | {row.image_difference:.1e} | {row.mean_dice:.5f} | {row.worst_dice:.5f} "
        f"| {100 * row.equal_share:.4f} % | {row.our_logit_error:.1e} / {row.their_logit_error:.1e} "
        f"| {row.our_wrong_voxels} / {row.their_wrong_voxels} of {row.voxels} | {row.dice_to_truth:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the hippocampus cases")
    parser.add_argument("--models", type=Path, required=True, help="where nnunet_variants.py has worked")
    parser.add_argument("--cases", type=int, default=6, help="cases a variant")
    parser.add_argument("--only", nargs="*", help="names of variants")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    workshop, rows = Workshop(options.models), []
    for name, variant in VARIANTS.items():
        if not options.only or name in options.only:
            rows.append(compare(name, variant, workshop, options.data, options.cases))
            print(as_markdown(rows[-1]), "" if rows[-1].passed else "FAILED", flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) | {"passed": row.passed} for row in rows], indent=2))


if __name__ == "__main__":
    main()
