"""The hippocampus cases of the Medical Segmentation Decathlon (task 04, CC BY-SA 4.0) as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from nnunet_training import Case

#: Labels of the data set.
LABELS = {"background": 0, "anterior": 1, "posterior": 2}


def read_cases(folder: Path, count: int | None = None) -> Iterator[Case]:
    """Yield cases in order of their names; ``folder`` holds TrainingSet/images and TrainingSet/labels."""
    training = folder if (folder / "images").is_dir() else next(folder.rglob("TrainingSet"))
    for path in sorted((training / "images").glob("*.nii.gz"))[:count]:
        image, labels = nib.load(path), nib.load(training / "labels" / path.name)
        spacing = tuple(float(step) for step in image.header.get_zooms()[2::-1])
        voxels = np.asarray(image.dataobj, np.float32).T
        yield Case(path.name.removesuffix(".nii.gz"), voxels[None], np.asarray(labels.dataobj).T, spacing)
