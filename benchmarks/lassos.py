"""One lasso around a structure's largest slice, as hands of different steadiness draw it, on labelled images.

::

    python benchmarks/lassos.py --data FOLDER [--groups ct3,mr] [--part held-out] [--engine regions] [--json FILE]

The line is the true outline, 6 % wider, that swings by some share of its radius in slow waves. Dice in 3D and on the
slice, mean over structures of at least 400 voxels, beside that of one click into the deepest place.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from clicks import PARTS, structures
from extending import dice
from numpy.typing import NDArray
from skimage.measure import find_contours

from napari_volseg.core import Geometry, LassoPrompt, PointPrompt, Prompt
from napari_volseg.interactive import load_engine, next_click

WIDER, SWINGS, WAVES, LEAST = 1.06, (0.0, 0.06, 0.12), (1, 2, 3, 4), 400

Mask = NDArray[np.bool_]


def drawn_around(
    mask: Mask, index: int, geometry: Geometry, swing: float, random: np.random.Generator
) -> LassoPrompt:
    """Return a lasso around a mask (y, x) on an axial slice."""
    line = max(find_contours(np.pad(mask, 1).astype(float), 0.5), key=len) - 1
    middle, turn = line.mean(0), np.linspace(0, 2 * np.pi, len(line), endpoint=False)
    waves = (random.normal() * np.cos(n * turn + random.uniform(0, 2 * np.pi)) / np.sqrt(n) for n in WAVES)
    line = middle + (line - middle) * (WIDER + swing * sum(waves))[:, None]
    places = geometry.to_patient(np.insert(line[::2], 0, index, axis=1))
    return LassoPrompt(tuple((float(x), float(y), float(z)) for x, y, z in places))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of real cases")
    parser.add_argument("--groups", default="ct3,mr")
    parser.add_argument("--part", choices=PARTS, default="all")
    parser.add_argument("--engine", default="regions")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    engine, found = load_engine(options.engine), {}
    groups = options.groups.split(",")
    cases = [case for group in groups for case in structures(group, options.data, options.part, LEAST)]
    for name in ("click", *SWINGS):
        rows = []
        for seed, case in enumerate(cases):
            reference, geometry = case.reference, case.volume.geometry
            index = int(reference.sum((1, 2)).argmax())
            prompt: Prompt | None
            if isinstance(name, str):
                prompt = next_click(np.zeros_like(reference), reference, geometry, np.random.default_rng(seed))
            else:
                prompt = drawn_around(reference[index], index, geometry, name, np.random.default_rng(seed))
            assert isinstance(prompt, PointPrompt | LassoPrompt)
            session = engine.open(case.volume)
            session.add(prompt)
            mask = session.result().expand(reference.shape)
            rows.append((dice(mask, reference), dice(mask[index], reference[index])))
        found[str(name)] = dict(zip(("3D", "slice"), np.round(np.mean(rows, 0), 3).tolist(), strict=True))
        print(name, found[str(name)], len(cases), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
