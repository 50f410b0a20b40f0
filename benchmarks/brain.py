"""The model of brain structures over whole heads that it has not seen, in four contrasts, thin and thick slices.

::

    python benchmarks/brain.py --maps heads.npz [--json brain.json]

``heads.npz`` comes from ``python -m napari_volseg.training.brain_maps``. The images are synthetic; the contrasts are
those of usual sequences, or random ones. The model runs as a user runs it, largest shape kept.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_volseg.app.postprocessing import corrected, corrections
from napari_volseg.core import Geometry, Volume
from napari_volseg.inference import load_model
from napari_volseg.measure import dice_per_label
from napari_volseg.training.brain_maps import SPACING, STRUCTURES, HeadMaps

#: Brightness of fluid, grey and white matter; None for random ones.
CONTRASTS = {"T1": (0.15, 0.5, 0.8), "T2": (0.95, 0.6, 0.4), "FLAIR": (0.1, 0.7, 0.5), "random": None}
SLICES = {"1.5 mm": 1, "6 mm": 4}


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=Path, required=True)
    parser.add_argument("--model", default="brain-structures")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    maps, model = HeadMaps.load(options.maps).part(held_out=True), load_model(options.model)
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
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
