"""How each library is asked to open a row of ``oddities.py``, and where it puts the beads.

``python oddities_readers.py READER`` imports one library, then answers jobs from standard input, one line of JSON
each, every one in a process of its own (``oddities_process.py``). Runs under this project's interpreter for ``ours``
and ``written``, under that of the peers for the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from oddities_process import Job, serve

#: Beads that are seen more often than this are not listed further.
_LISTED = 3
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Opened:
    """One volume that a reader made: arrays over time, and the 4×4 from their index to (x, y, z), mm, LPS."""

    name: str
    frames: list[NDArray[Any]]
    matrix: NDArray[np.float64]


Read = Callable[[Path, Path], Iterator[Opened]]


def simpleitk() -> Read:
    import SimpleITK

    def read(source: Path, work: Path) -> Iterator[Opened]:
        if source.is_file():
            yield _from_itk(source.name, SimpleITK.ReadImage(str(source)))
            return
        for series in SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(str(source)):
            reader = SimpleITK.ImageSeriesReader()
            reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(source), series))
            yield _from_itk(series, reader.Execute())

    return read


def _from_itk(name: str, image: Any) -> Opened:
    import SimpleITK

    count = image.GetDimension()
    array = SimpleITK.GetArrayFromImage(image)
    if array.dtype.kind == "c":
        array = np.abs(array)
    if image.GetNumberOfComponentsPerPixel() > 1:
        array = array[..., 0]
    matrix = np.eye(4)
    directions = np.reshape(image.GetDirection(), (count, count)) * image.GetSpacing()
    used = min(count, 3)
    matrix[:used, :used] = directions[:used, :used]
    matrix[:3, 3] = np.nan
    matrix[:used, 3] = image.GetOrigin()[:used]
    frames = list(array) if count == 4 else [array if count == 3 else array[None]]
    return Opened(name, frames, matrix[:, [2, 1, 0, 3]])


def dicom2nifti() -> Read:
    import dicom2nifti as library
    import nibabel

    def read(source: Path, work: Path) -> Iterator[Opened]:
        library.dicom_series_to_nifti(str(source), str(work / "volume.nii"), reorient_nifti=False)
        yield _from_nibabel(nibabel.load(work / "volume.nii"), "volume")

    return read


def dcm2niix() -> Read:
    import subprocess

    import dcm2niix as library

    written_files = written()

    def read(source: Path, work: Path) -> Iterator[Opened]:
        command = [library.bin, "-z", "n", "-b", "n", "-f", "%s_%p", "-o", str(work), str(source)]
        code = subprocess.run(command, check=False).returncode
        if code and not list(work.glob("*.nii")):
            raise SystemExit(code)
        yield from written_files(source, work)

    return read


def naive() -> Read:
    import pydicom

    def read(source: Path, work: Path) -> Iterator[Opened]:
        # The loop of the tutorials: numbers order the slices, the first file speaks for all.
        datasets = [pydicom.dcmread(file) for file in sorted(source.rglob("*")) if file.is_file()]
        datasets.sort(key=lambda dataset: dataset.InstanceNumber)
        first = datasets[0]
        slope, intercept = float(first.get("RescaleSlope", 1)), float(first.get("RescaleIntercept", 0))
        array = np.stack([dataset.pixel_array * slope + intercept for dataset in datasets])
        along_row, along_column = np.reshape(first.ImageOrientationPatient, (2, 3)).astype(float)
        matrix = np.eye(4)
        matrix[:3, 0] = np.cross(along_row, along_column) * float(first.SliceThickness)
        matrix[:3, 1] = along_column * float(first.PixelSpacing[0])
        matrix[:3, 2] = along_row * float(first.PixelSpacing[1])
        matrix[:3, 3] = np.array(first.ImagePositionPatient, float)
        yield Opened("stack", [array if array.ndim == 3 else array[..., 0]], matrix)

    return read


def nibabel() -> Read:
    import nibabel as library

    def read(source: Path, work: Path) -> Iterator[Opened]:
        yield _from_nibabel(library.load(source), source.name)

    return read


def written() -> Read:
    """Return what reads the NIfTI files that a converter left in its folder."""
    import nibabel

    def read(source: Path, work: Path) -> Iterator[Opened]:
        for file in sorted(work.glob("*.nii*")):
            yield _from_nibabel(nibabel.load(file), file.name)

    return read


def _from_nibabel(image: Any, name: str) -> Opened:
    array = np.asanyarray(image.dataobj)
    if array.dtype.kind == "V":
        array = array[array.dtype.names[0]]
    if array.dtype.kind == "c":
        array = np.abs(array)
    if array.ndim == 2:
        array = array[..., None]
    frames = array.reshape(*array.shape[:3], -1)
    return Opened(name, [frames[..., t] for t in range(frames.shape[3])], _TO_LPS @ image.affine)


READERS = {reader.__name__: reader for reader in (simpleitk, dicom2nifti, dcm2niix, naive, nibabel, written)}


def places_of(frame: NDArray[Any], matrix: NDArray[np.float64], value: float) -> list[list[float]]:
    """Return where in the patient a value is seen, (x, y, z), mm, LPS; the first few."""
    whole = frame.dtype.kind in "iu" and float(value).is_integer()
    seen = frame == int(value) if whole else np.isclose(frame, value, rtol=1e-6, atol=0)
    return [(matrix @ [*index, 1])[:3].tolist() for index in np.argwhere(seen)[:_LISTED]]


def looking(read: Read) -> Callable[[Job], Any]:
    """Return the task that opens a source and lists, for each volume and time, the places of each value."""

    def task(job: Job) -> Any:
        return [
            {
                "name": opened.name,
                "frames": [[places_of(f, opened.matrix, value) for value in job["values"]] for f in opened.frames],
            }
            for opened in read(Path(job["source"]), Path(job["work"]))
        ]

    return task


def ours() -> Callable[[Job], Any]:
    """Return the task that runs a command of this project's command line."""
    import napari_volseg.formats  # noqa: F401  what the commands import on their own, before time is taken
    from napari_volseg.cli import main

    def task(job: Job) -> Any:
        raise SystemExit(main(job["arguments"]))

    return task


if __name__ == "__main__":
    serve(ours() if sys.argv[1] == "ours" else looking(READERS[sys.argv[1]]()))
