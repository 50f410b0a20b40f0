"""One measurement in a process of its own: an engine over an image, from array to label array."""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inference_data import PATCH, STEPS

from napari_volseg.core import CancelToken, Geometry, Volume
from napari_volseg.inference import NnunetModel
from napari_volseg.inference.backends import open_module
from napari_volseg.inference.engine import prepare_volumes, reorientation_for
from napari_volseg.inference.fused import compiled_winners
from napari_volseg.inference.heads import mapped
from napari_volseg.inference.networks import leave_out_head
from napari_volseg.inference.outputs import Exclusive
from napari_volseg.inference.runs import peak_memory_bytes
from napari_volseg.inference.sliding import Network, WindowGrid, stream_logits
from napari_volseg.inference.stitching import LabelStitcher

Work = Callable[[], Any]


def volume_of(image: np.ndarray) -> Volume:
    return Volume(image, Geometry.from_spacing(image.shape, STEPS), "CT", "HU")


def ours(folder: Path, image: np.ndarray, backend: str) -> Work:
    model, volume = NnunetModel(folder), volume_of(image)
    model.predict(volume_of(image[:70, :97, :97]), device="cpu", backend=backend)
    return lambda: model.predict(volume, device="cpu", backend=backend).labels


def predictor_of(folder: Path) -> Any:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        device=torch.device("cpu"), use_mirroring=False, perform_everything_on_device=False, allow_tqdm=False
    )
    predictor.initialize_from_trained_model_folder(str(folder), (0,))
    return predictor


def nnunet(folder: Path, image: np.ndarray) -> Work:
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape

    predictor = predictor_of(folder)
    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    predictor.predict_logits_from_preprocessed_data(torch.zeros(1, *PATCH))

    def work() -> np.ndarray:
        preprocessor = configuration.preprocessor_class(verbose=False)
        prepared, _, facts = preprocessor.run_case_npy(
            image[None], None, {"spacing": list(STEPS)}, plans, configuration, predictor.dataset_json
        )
        logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(prepared))
        return convert_predicted_logits_to_segmentation_with_correct_shape(
            logits, plans, configuration, predictor.label_manager, facts, num_threads_torch=torch.get_num_threads()
        )

    return work


def prepared_case(folder: Path, image: np.ndarray) -> tuple[NnunetModel, torch.Tensor, WindowGrid]:
    model, volume = NnunetModel(folder), volume_of(image)
    prepared = prepare_volumes([volume], reorientation_for(volume, model.card), model.plan, CancelToken())
    return model, torch.from_numpy(prepared.voxels), WindowGrid(prepared.shape, model.plan.patch_size)


def as_trained(model: NnunetModel, backend: str) -> Network:
    """Return the network as others run it, from windows to logits in one."""
    (module,) = model._networks
    leave_out_head(module, False)
    return open_module(module, (1, 1, *PATCH), torch.device("cpu"), backend)[0]


def forward(folder: Path, image: np.ndarray, backend: str) -> Work:
    """The same windows through the same network, and nothing else."""
    model, _, grid = prepared_case(folder, image)
    network = as_trained(model, backend)
    network(torch.zeros(1, 1, *PATCH))
    return lambda: [network(torch.zeros(1, 1, *PATCH)).sum() for _ in range(grid.windows)]


def windows_only(folder: Path, image: np.ndarray, engine: str) -> Work:
    """Labels on the network's grid: ours, or MONAI's sliding window and argmax."""
    model, prepared, grid = prepared_case(folder, image)
    names = model.plan.outputs.names
    if engine == "monai":
        from monai.inferers import sliding_window_inference

        network = as_trained(model, "torch")
        network(torch.zeros(1, 1, *PATCH))
        return lambda: (
            sliding_window_inference(prepared[None], PATCH, 1, network, 0.5, "gaussian")[0].argmax(0).numpy()
        )

    run, blended, head = model.open_network(torch.device("cpu"), "torch").streamed(len(names))
    run(torch.zeros(1, 1, *PATCH))

    def work() -> np.ndarray:
        labels = np.zeros(grid.shape, np.uint8)
        target = np.moveaxis(labels, grid.axis, 0)
        stitcher = LabelStitcher(target.shape, target, Exclusive(names))
        bands = stream_logits(run, prepared, grid, blended, lambda: None)
        for first, planes in bands if head is None else mapped(bands, head):
            stitcher.add(first, planes)
        return labels

    return work


def export(folder: Path, image: np.ndarray, engine: str) -> Work:
    """The way back from logits of the network's grid to labels of the image's, alone."""
    model, prepared, _ = prepared_case(folder, image)
    names = model.plan.outputs.names
    field = prepared.clone()[0]
    levels = torch.linspace(float(field.min()), float(field.max()), len(names))
    logits = torch.stack([2 * level * field - level**2 for level in levels])
    if engine == "ours":
        return lambda: our_export(logits, image.shape, names)
    spacing = [list(model.plan.spacing), list(STEPS)]
    if engine == "nnunet":
        from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape as resample
    else:
        from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet as resample
    half = logits.half()
    options = {"order": 1, "order_z": 0} if engine == "nnunet" else {"num_threads": torch.get_num_threads()}
    return lambda: np.asarray(resample(half, image.shape, *spacing, is_seg=False, **options)).argmax(0)


def our_export(logits: torch.Tensor, shape: tuple[int, ...], names: tuple[str, ...]) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    stitcher = LabelStitcher(tuple(logits.shape[1:]), labels, Exclusive(names))
    for first in range(0, logits.shape[1], 32):
        stitcher.add(first, logits[:, first : first + 32])
    return labels


ENGINES: dict[str, Callable[[Path, np.ndarray], Work]] = {
    "ours": lambda folder, image: ours(folder, image, "torch"),
    "ours, OpenVINO": lambda folder, image: ours(folder, image, "openvino"),
    "nnunetv2": nnunet,
    "forward": lambda folder, image: forward(folder, image, "torch"),
    "forward, OpenVINO": lambda folder, image: forward(folder, image, "openvino"),
    "windows, ours": lambda folder, image: windows_only(folder, image, "ours"),
    "windows, MONAI": lambda folder, image: windows_only(folder, image, "monai"),
    "export, ours": lambda folder, image: export(folder, image, "ours"),
    "export, nnunetv2": lambda folder, image: export(folder, image, "nnunet"),
    "export, nnunetv2 torch": lambda folder, image: export(folder, image, "torch"),
}


def resident_bytes() -> int:
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return next(1024 * int(words[1]) for words in lines if words and words[0] == "VmRSS:")


def main() -> None:
    engine, folder, image_path, labels_path, threads = sys.argv[1:]
    warnings.filterwarnings("ignore")
    torch.set_num_threads(int(threads))
    image = np.load(image_path)
    compiled_winners()
    with torch.inference_mode():
        work = ENGINES[engine](Path(folder), image)
        Path("/proc/self/clear_refs").write_text("5")
        before, wall, cpu = resident_bytes(), time.perf_counter(), time.process_time()
        result = work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if isinstance(result, np.ndarray):
        np.save(labels_path, result.astype(np.uint8))
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak_memory_bytes() - before}))


if __name__ == "__main__":
    main()
