"""The cases that simulated clicks are measured on, by group: yields of name, image and labels (z, y, x)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_volseg.core import Geometry, Volume
from napari_volseg.formats import load_labels, open_volume
from napari_volseg.training.evaluate_clicks import read_case
from napari_volseg.training.phantoms import PhantomCase, head, torso

Case = tuple[str, Volume, NDArray[Any]]

_SEEDS = (101, 102, 103, 104)
_HIPPOCAMPI = 6
_CORDS = (("t1/t1w", "t1/t1w_seg-manual"), ("t2/t2", "t2/t2_seg-manual"), ("t2s/t2s", "t2s/t2s_gmseg_manual"))


def at_spacing(volume: Volume, labels: NDArray[Any], spacing: float) -> tuple[Volume, NDArray[Any]]:
    """Return image and labels on a grid of cubes of ``spacing`` mm; directions are those of the axes."""
    scale = [step / spacing for step in volume.geometry.spacing]
    blur = [0.4 * max(0.0, 1 / s - 1) for s in scale]
    smooth = ndimage.gaussian_filter(np.asarray(volume.voxels, np.float32), blur)
    voxels = ndimage.zoom(smooth, scale, order=1, grid_mode=True, mode="nearest")
    values = ndimage.zoom(labels, scale, order=0, grid_mode=True, mode="nearest")
    geometry = Geometry.from_spacing(voxels.shape, (spacing,) * 3)
    return Volume(voxels, geometry, volume.modality, volume.quantity, name=volume.name), values


def _abdomen(data: Path) -> tuple[Volume, NDArray[Any]] | None:
    folder = data / "totalsegmentator/tests/reference_files"
    if not folder.is_dir():
        return None
    volume = open_volume(folder / "example_ct_dicom")
    return volume, np.asarray(load_labels(folder / "example_seg_dicom.nii.gz", volume).labels)


def _ct(data: Path) -> Iterator[Case]:
    if found := _abdomen(data):
        yield "CT", *found


def _ct3(data: Path) -> Iterator[Case]:
    if found := _abdomen(data):
        yield "CT at 3 mm", *at_spacing(*found, 3.0)


def _mr(data: Path) -> Iterator[Case]:
    folder = data / "totalsegmentator/tests/reference_files"
    if folder.is_dir():
        yield "MR", *read_case(folder / "example_mr_sm.nii.gz", folder / "example_seg_mr.nii.gz", "MR")


def _tumours(kind: str, modality: str) -> Callable[[Path], Iterator[Case]]:
    def cases(data: Path) -> Iterator[Case]:
        for image in sorted(data.glob(f"ibsi/ibsi_validation/nifti/*/{kind}_image.nii.gz")):
            mask = image.with_name(f"{kind}_mask.nii.gz")
            yield image.parent.name, *read_case(image, mask, modality)

    return cases


def _hippocampus(data: Path) -> Iterator[Case]:
    folder = data / "hippocampus/data/TrainingSet"
    for image in sorted((folder / "images").glob("*.nii.gz"))[:_HIPPOCAMPI]:
        yield image.name.removesuffix(".nii.gz"), *read_case(image, folder / "labels" / image.name, "MR")


def _cord(data: Path) -> Iterator[Case]:
    folder = data / "spinalcord"
    for image, labels in _CORDS if folder.is_dir() else ():
        yield image, *read_case(folder / f"{image}.nii.gz", folder / f"{labels}.nii.gz", "MR")


def _of(name: str, phantom: PhantomCase) -> Case:
    return name, phantom.volume, np.asarray(phantom.segmentation.labels)


def _torso(data: Path) -> Iterator[Case]:
    return (_of(f"torso {seed}", torso(seed, spacing=(3.0, 3.0, 3.0), noise=12.0)) for seed in _SEEDS)


def _head(data: Path) -> Iterator[Case]:
    return (_of(f"head {seed}", head(seed)) for seed in _SEEDS[:1])


GROUPS: dict[str, Callable[[Path], Iterator[Case]]] = {
    "ct3": _ct3,
    "ct": _ct,
    "mr": _mr,
    "torso": _torso,
    "head": _head,
    "tumours-ct": _tumours("CT", "CT"),
    "tumours-t1": _tumours("MR_T1", "MR"),
    "tumours-pet": _tumours("PET", "PT"),
    "hippocampus": _hippocampus,
    "cord": _cord,
}
