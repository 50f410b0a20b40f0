"""The model of brain structures over whole heads that it has not seen, in four contrasts, thin and thick slices.

::

    python benchmarks/brain.py --maps heads.npz [--json brain.json]
    python benchmarks/brain.py --template FOLDER

``heads.npz`` comes from ``python -m napari_volseg.training.brain_maps``. The images are synthetic; the contrasts are
those of usual sequences, or random ones. The model runs as a user runs it, largest shape kept.

``FOLDER`` is ``nilearn/datasets/data`` of an installation of nilearn: a real T1 template with maps of white and grey
matter, as it is and spoilt in several ways.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_volseg.app.postprocessing import corrected, corrections
from napari_volseg.core import Geometry, Volume
from napari_volseg.formats import open_volume
from napari_volseg.inference import SegmentationModel, load_model
from napari_volseg.measure import dice, dice_per_label
from napari_volseg.spatial import covered, resample
from napari_volseg.training.brain_maps import SPACING, STRUCTURES, HeadMaps

#: Brightness of fluid, grey and white matter; None for random ones.
CONTRASTS = {"T1": (0.15, 0.5, 0.8), "T2": (0.95, 0.6, 0.4), "FLAIR": (0.1, 0.7, 0.5), "random": None}
SLICES = {"1.5 mm": 1, "6 mm": 4}
#: Files of the ICBM 152 template as nilearn names them.
TEMPLATE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"


def image_of(labels: np.ndarray, maps: HeadMaps, levels: tuple[float, ...] | None, thick: int, seed: int) -> Volume:
    """Return an image of a label map (z, y, x), its slices ``thick`` times as thick as the map's."""
    random = np.random.default_rng(seed)
    tissues = int(maps.tissues.max()) + 1
    means = random.uniform(0.05, 0.95, tissues)
    if levels is not None:
        family = np.zeros(tissues, int)
        family[maps.tissues] = maps.families
        means = np.where(family > 0, np.array((0, *levels))[family] + random.normal(0, 0.04, tissues), means)
    means[0] = 0
    image = means[maps.tissues][labels]
    image *= np.exp(0.15 * ndimage.zoom(random.normal(0, 1, (4, 4, 4)), np.array(image.shape) / 4, order=1))
    image = ndimage.gaussian_filter(image, 0.5)
    if thick > 1:
        image = np.add.reduceat(image, np.arange(0, len(image), thick)) / thick
    image = np.abs(image + random.normal(0, 0.03, image.shape))
    geometry = Geometry.from_spacing(image.shape, (SPACING * thick, SPACING, SPACING))
    return Volume((1000 * image).astype(np.int16), geometry, "MR", "arbitrary")


def spoilt(image: Volume) -> Iterator[tuple[str, Volume]]:
    """Yield the image, and what becomes of it with thick slices, few of them, another contrast, or noise."""
    voxels, geometry = image.voxels.astype(np.float32), image.geometry
    bright = float(np.percentile(voxels, 99.5))
    yield "as it is", image
    for axis, plane in enumerate(("axial", "coronal", "sagittal")):
        yield f"6 mm, {plane}", thick_slices(image, axis, 6)
    third = geometry.shape[0] // 3
    matrix = geometry.matrix.copy()
    matrix[:3, 3] = geometry.to_patient((third, 0, 0))
    middle = voxels[third : 2 * third]
    yield "middle third", replace(image, voxels=middle, geometry=Geometry(middle.shape, matrix))
    yield (
        "bright and dark exchanged",
        replace(image, voxels=np.where(voxels > 0.02 * bright, bright - voxels, 0).clip(0)),
    )
    noise = np.random.default_rng(0).normal(0, 0.08 * bright, voxels.shape)
    yield "noise of 8 %", replace(image, voxels=np.abs(voxels + noise))


def thick_slices(image: Volume, axis: int, count: int) -> Volume:
    """Return the image with ``count`` slices along an axis made one."""
    rows = np.moveaxis(image.voxels, axis, 0).astype(np.float32)
    rows = rows[: len(rows) // count * count]
    voxels = np.moveaxis(rows.reshape(-1, count, *rows.shape[1:]).mean(1), 0, axis)
    matrix = image.geometry.matrix.copy()
    matrix[:3, 3] += matrix[:3, axis] * (count - 1) / 2
    matrix[:3, axis] *= count
    return replace(image, voxels=voxels, geometry=Geometry(voxels.shape, matrix))


def run_template(folder: Path, model: SegmentationModel) -> None:
    """Print the agreement with the template's tissue maps, within the image and outside cerebellum and brain stem."""
    head, grey, white = (open_volume(folder / TEMPLATE.format(kind)) for kind in ("t1", "gm", "wm"))
    names = {s.name: s.value for s in model.card.segments}
    inner = [v for n, v in names.items() if n not in ("Cerebral white matter", "Brain ventricle")]
    lower = [names["Cerebellum"], names["Brain stem"]]
    above = None
    for name, image in spoilt(head):
        prediction = model.predict(image, device="cpu")
        labels = corrected(prediction.labels, corrections(model.card, prediction, image.geometry))
        labels = resample(labels, image.geometry, head.geometry, order=0, cval=0)
        above = ~np.isin(labels, lower) if above is None else above
        seen = above & covered(image.geometry, head.geometry)
        pairs = (
            (labels == names["Cerebral white matter"], white.voxels > 0.5 * white.voxels.max()),
            (np.isin(labels, sorted(set(inner) - set(lower))), grey.voxels > 0.5 * grey.voxels.max()),
        )
        scores = [dice(found & seen, truth & seen) for found, truth in pairs]
        print(f"{name:28s} white matter {scores[0]:.3f}, grey matter {scores[1]:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=Path)
    parser.add_argument("--template", type=Path)
    parser.add_argument("--model", default="brain-structures")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = load_model(options.model)
    if options.template:
        run_template(options.template, model)
    if options.maps:
        run_maps(HeadMaps.load(options.maps).part(held_out=True), model, options.json)


def run_maps(maps: HeadMaps, model: SegmentationModel, out: Path | None) -> None:
    """Print the Dice coefficient of each structure in each contrast, and write them to ``out``."""
    values = range(1, len(STRUCTURES) + 1)
    found = {}
    for kind, levels in CONTRASTS.items():
        for slices, thick in SLICES.items():
            scores = []
            for seed, labels in enumerate(maps.labels):
                volume = image_of(labels, maps, levels, thick, seed)
                prediction = model.predict(volume, device="cpu")
                found_labels = corrected(prediction.labels, corrections(model.card, prediction, volume.geometry))
                truth = maps.targets[labels][thick // 2 :: thick]
                scores.append(dice_per_label(found_labels[: len(truth)], truth, values))
            means = {s.name: round(float(np.mean([d[v] for d in scores])), 3) for v, s in enumerate(STRUCTURES, 1)}
            found[f"{kind}, {slices}"] = means
            print(f"{kind}, {slices}", means, "mean", round(float(np.mean(list(means.values()))), 3), flush=True)
    if out:
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
