"""The images of ``real_series.py``: ours, those of other programs, and where the files' own tags put each slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
from numpy.typing import NDArray
from open_agreement import upright, upright_matrix
from pydicom.dataset import Dataset

from napari_volseg.core import Volume

_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Image:
    """An array (t, z, y, x) whose axes run towards (S, P, L), and the 4×4 from (z, y, x) to (x, y, z), mm, LPS."""

    name: str
    array: NDArray[Any]
    matrix: NDArray[np.float64]
    placed: bool = True

    def place(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the places (n, 3) of indices (n, 3)."""
        return np.asarray(index @ self.matrix[:3, :3].T + self.matrix[:3, 3])

    def index(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the indices (n, 3) of places (n, 3)."""
        return np.asarray(np.linalg.solve(self.matrix[:3, :3], (places - self.matrix[:3, 3]).T).T)

    @property
    def corners(self) -> NDArray[np.float64]:
        """Places (8, 3) of the corner voxels."""
        ends = np.array(np.meshgrid(*((0, n - 1) for n in self.array.shape[1:]), indexing="ij"))
        return self.place(ends.reshape(3, 8).T)


def of_volume(volume: Volume) -> Image:
    """Return a volume that this project read."""
    frames = volume.voxels if volume.time else volume.voxels[None]
    details = volume.origin_provenance.details
    return _image(volume.name, frames, volume.geometry.matrix, not details.get("uncalibrated", False))


def of_nifti(path: Path) -> Image:
    """Return an image as nibabel reads it, colours as brightness."""
    image = nib.load(path)
    array = np.asanyarray(image.dataobj)
    if array.dtype.kind == "V":
        array = np.rint(0.299 * array["R"] + 0.587 * array["G"] + 0.114 * array["B"]).astype(np.uint8)
    frames = np.moveaxis(array.reshape(*array.shape[:3], -1), -1, 0)
    return _image(path.name, frames, _TO_LPS @ image.affine)


def _image(name: str, frames: NDArray[Any], matrix: NDArray[np.float64], placed: bool = True) -> Image:
    turned = np.stack([upright(frame, matrix) for frame in frames])
    return Image(name, turned, upright_matrix(frames.shape[1:], matrix), placed)


def stated_corners(source: Path) -> NDArray[np.float64]:
    """Return the places (slices, 4, 3) that the tags of each slice give its corner pixels."""
    files = [file for file in sorted(source.rglob("*")) if file.is_file()]
    datasets = (pydicom.dcmread(file, stop_before_pixels=True, force=True) for file in files)
    return np.array([corners for dataset in datasets for corners in _corners(dataset)]).reshape(-1, 4, 3)


def _corners(dataset: Dataset) -> Iterator[NDArray[np.float64]]:
    """Yield the corners of each frame (PS3.3 C.7.6.2.1.1); none for an image without geometry."""
    for plane in _planes(dataset):
        position, orientation, spacing = plane
        along_row, along_column = np.reshape(orientation, (2, 3)).astype(float)
        ends = [(row, column) for row in (0, dataset.Rows - 1) for column in (0, dataset.Columns - 1)]
        yield np.array(
            [
                np.asarray(position, float) + along_column * row * spacing[0] + along_row * column * spacing[1]
                for row, column in ends
            ]
        )


def _planes(dataset: Dataset) -> Iterator[tuple[Sequence[float], ...]]:
    if "PerFrameFunctionalGroupsSequence" not in dataset:
        names = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
        if all(dataset.get(name) for name in names):
            yield tuple(dataset.get(name) for name in names)
        return
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        yield (
            _group(groups, shared, "PlanePositionSequence").ImagePositionPatient,
            _group(groups, shared, "PlaneOrientationSequence").ImageOrientationPatient,
            _group(groups, shared, "PixelMeasuresSequence").PixelSpacing,
        )


def _group(groups: Dataset, shared: Dataset, name: str) -> Dataset:
    found = groups.get(name) or shared.get(name)
    return found[0]


def off_the_tags(image: Image, guide: Image, stated: NDArray[np.float64]) -> float:
    """Return how far, mm, an image puts a corner of a slice from where the tags do.

    ``guide`` tells which voxel a corner is: an image with the same voxels and the right grid.
    """
    places = stated.reshape(-1, 3)
    voxels = np.rint(guide.index(places))
    return float(np.linalg.norm(image.place(voxels) - places, axis=1).max())
