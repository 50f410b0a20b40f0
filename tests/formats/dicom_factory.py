"""Synthetic DICOM series with beads of distinct value, whose places in the patient follow from the raw tags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

STUDY = "1.2.826.0.1.3680043.8.498.1"
SERIES = "1.2.826.0.1.3680043.8.498.2"
FRAME = "1.2.826.0.1.3680043.8.498.3"

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)

Edit = Callable[[int, Dataset], None]


@dataclass(frozen=True)
class Recipe:
    """How a series is made; ``step`` is the way from slice to slice in (x, y, z), mm, LPS."""

    shape: tuple[int, int, int] = (7, 12, 9)
    orientation: tuple[float, ...] = AXIAL
    pixel_spacing: tuple[float, float] = (2.0, 1.5)
    step: tuple[float, float, float] | None = None
    gap: float = 3.0
    origin: tuple[float, float, float] = (-31.5, 12.25, -140.0)
    intercept: float = 0.0
    slope: float = 1.0
    syntax: str = ExplicitVRLittleEndian
    series_uid: str = SERIES
    description: str = "Chest"
    edits: tuple[Edit, ...] = field(default=())

    def also(self, *edits: Edit, **changes: object) -> Recipe:
        return replace(self, edits=(*self.edits, *edits), **changes)  # type: ignore[arg-type]

    @property
    def row_and_column(self) -> np.ndarray:
        return np.asarray(self.orientation, float).reshape(2, 3)

    def position(self, k: int) -> np.ndarray:
        step = self.step if self.step is not None else np.cross(*self.row_and_column) * self.gap
        return np.asarray(self.origin) + k * np.asarray(step)

    def place(self, index: Sequence[int]) -> np.ndarray:
        """Patient (x, y, z) of stored index (k, row, column), by the equation of PS3.3 C.7.6.2.1.1."""
        k, row, column = index
        x, y = self.row_and_column
        return self.position(k) + y * self.pixel_spacing[0] * row + x * self.pixel_spacing[1] * column

    @property
    def beads(self) -> dict[int, tuple[int, int, int]]:
        """Bead value to stored index, chiral and off every centre."""
        z, y, x = self.shape
        places = ((0, 0, 0), (z - 1, 1, 2), (1, y - 1, 1), (2, 3, x - 1), (z - 2, y - 3, 5))
        return {1001 + n: place for n, place in enumerate(places) if min(place) >= 0 and place[0] < z}

    def stored(self) -> np.ndarray:
        """Stored values (k, row, column), int16, noise below 500 and the beads."""
        values = np.random.default_rng(7).integers(0, 500, self.shape).astype(np.int16)
        for value, index in self.beads.items():
            values[index] = value
        return values


def write_series(folder: Path, recipe: Recipe | None = None) -> list[Path]:
    """Write one file per slice, names in random order; returns their paths by slice."""
    recipe = recipe or Recipe()
    folder.mkdir(parents=True, exist_ok=True)
    names = np.random.default_rng(3).permutation(recipe.shape[0])
    voxels = recipe.stored()
    paths = []
    for k in range(recipe.shape[0]):
        dataset = make_instance(recipe, k, voxels[k])
        for edit in recipe.edits:
            edit(k, dataset)
        path = folder / f"IM{names[k]:04d}_{recipe.series_uid[-4:]}"
        save(dataset, path, recipe.syntax)
        paths.append(path)
    return paths


def save(dataset: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> None:
    if syntax == ExplicitVRBigEndian and "PixelData" in dataset:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    pydicom.dcmwrite(path, dataset, implicit_vr=implicit, little_endian=little, enforce_file_format=False)


def make_instance(recipe: Recipe, k: int, pixels: np.ndarray) -> FileDataset:
    uid = f"{recipe.series_uid}.{k + 1}"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = recipe.syntax
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = STUDY, recipe.series_uid, FRAME
    ds.Modality, ds.SeriesDescription, ds.SeriesNumber = "CT", recipe.description, 4
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.StudyDate = ds.SeriesDate = "20240229"
    ds.InstanceNumber = k + 1
    ds.ImageOrientationPatient = [f"{v:.12g}" for v in recipe.orientation]
    ds.ImagePositionPatient = [f"{v:.12g}" for v in recipe.position(k)]
    ds.PixelSpacing = list(recipe.pixel_spacing)
    ds.SliceThickness = recipe.gap
    ds.SliceLocation = k * recipe.gap
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleSlope, ds.RescaleIntercept = recipe.slope, recipe.intercept
    ds.PixelData = pixels.astype("<i2").tobytes()
    return ds


def setting(**values: object) -> Edit:
    """An edit that sets elements to the same value in every slice."""
    return setting_each(lambda k: values)


def setting_each(values: Callable[[int], dict[str, object]]) -> Edit:
    """An edit that sets elements by slice."""

    def edit(k: int, dataset: Dataset) -> None:
        for keyword, value in values(k).items():
            setattr(dataset, keyword, value)

    return edit


def deleting(*keywords: str, where: Callable[[int], bool] = lambda k: True) -> Edit:
    """An edit that removes elements."""

    def edit(k: int, dataset: Dataset) -> None:
        for keyword in keywords:
            if where(k) and keyword in dataset:
                delattr(dataset, keyword)

    return edit


def rotated(degrees: float, axis: tuple[float, float, float] = (1, 2, -1)) -> tuple[float, ...]:
    """Axial cosines turned about an axis."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return tuple((np.asarray(AXIAL).reshape(2, 3) @ turn.T).reshape(-1).tolist())
