"""The images that a DICOM segmentation refers to, and the order in which it wants the labels of their slices."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from napari_volseg.core import Provenance, RefusedError
from napari_volseg.formats.dicom.frames import single_frames


@dataclass(frozen=True, slots=True, eq=False)
class SourceImages:
    """Source images of a volume.

    Parameters
    ----------
    datasets, paths
        Headers and files: one per slice that has an image, or a single multi-frame one that is cut down to the frames
        of the volume, since highdicom takes no two frames at one place.
    positions
        (z, 3) Image Position (Patient) by stored slice, mm, LPS; NaN where a slice has no image.
    slices
        For each image or frame of ``datasets``, the stored slice that it fills.
    frames
        For each frame, its index in the file; empty where files hold single images.
    """

    datasets: list[Dataset]
    paths: tuple[Path, ...]
    positions: NDArray[np.float64]
    slices: tuple[int, ...]
    frames: tuple[int, ...]

    def in_their_order(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return labels (z, y, x) by image or frame."""
        return labels[list(self.slices)]

    def name_frames_of_the_file(self, segmentation: Dataset) -> None:
        """Let a segmentation refer to frames by their numbers in the file, from 1, instead of in the cut header."""
        if not self.frames:
            return
        for groups in segmentation.PerFrameFunctionalGroupsSequence:
            for derivation in groups.DerivationImageSequence:
                for source in derivation.SourceImageSequence:
                    source.ReferencedFrameNumber = self.frames[int(source.ReferencedFrameNumber) - 1] + 1

    def refuse_labels_beside_images(self, labels: NDArray[Any]) -> None:
        """Raise RefusedError where labels (z, y, x) lie on slices that have no image."""
        without = np.flatnonzero(np.isnan(self.positions).any(1))
        labelled = [int(number) for number in without if labels[number].any()]
        if labelled:
            raise RefusedError(
                f"slice {labelled[0]} is labelled but its image is missing, so that a DICOM segmentation can't refer "
                "to it: erase the labels there or save them as NIfTI",
                "export.no_source_slices",
            )


def refuse_without_source_slices(origin: Provenance) -> None:
    """Raise RefusedError where a volume's slices are not those of its files."""
    for detail, why in (
        ("resampled", "its slices were interpolated between those of the files"),
        ("uncalibrated", "its files give no place in the patient"),
        ("mosaic", "its slices are tiles of one mosaic image"),
    ):
        if origin.details.get(detail):
            raise RefusedError(
                f"a DICOM segmentation refers to source images slice by slice, and {why}: save the labels as NIfTI",
                "export.no_source_slices",
            )


def source_images(origin: Provenance) -> SourceImages:
    """Read the headers of a volume's source images.

    Raises
    ------
    RefusedError
        Where files are gone.
    """
    empty = set(origin.details.get("empty_slices", ()))
    filled = [number for number in range(origin.source_geometry.shape[0]) if number not in empty]
    frames = origin.details.get("frames", ())
    paths = tuple(dict.fromkeys(origin.paths)) if frames else origin.paths
    if frames and len(paths) > 1:
        raise RefusedError(
            f"the frames come from {len(paths)} multi-frame files, and a DICOM segmentation can refer to one: "
            "save the labels as NIfTI",
            "export.no_source_slices",
        )
    datasets = _read(paths)
    if frames:
        _keep_frames(datasets[0], frames)
    headers = itertools.chain.from_iterable(map(single_frames, paths, datasets))
    positions = np.full((origin.source_geometry.shape[0], 3), np.nan)
    for header, number in zip(headers, filled, strict=True):
        positions[number] = header.ImagePositionPatient
    return SourceImages(datasets, paths, positions, tuple(filled), tuple(frames))


def _keep_frames(dataset: Dataset, frames: Sequence[int]) -> None:
    """Cut the header of a multi-frame file down to some frames, in this order."""
    described = dataset.PerFrameFunctionalGroupsSequence
    dataset.PerFrameFunctionalGroupsSequence = [described[index] for index in frames]
    dataset.NumberOfFrames = len(frames)


def _read(paths: Sequence[Path]) -> list[Dataset]:
    try:
        return [pydicom.dcmread(path, stop_before_pixels=True, force=True) for path in paths]
    except OSError as error:
        raise RefusedError(
            f"the source images are needed to write a DICOM segmentation, and one can't be read ({error}): "
            "put them back or save the labels as NIfTI",
            "export.source_gone",
        ) from error
