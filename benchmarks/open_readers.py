"""One measurement of ``open.py``: a process of its own that reads one volume by one library and tells what it took.

Runs under this project's interpreter for ``ours`` and under that of the peers for the rest, so it imports nothing
but numpy before it knows which library it is to measure.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from open_agreement import corners, fingerprint


@dataclass(frozen=True)
class Opened:
    """An array, the 4×4 from its index to patient (x, y, z), mm, LPS, and when the first slice was there.

    ``owner`` keeps the memory of an array that is a view.
    """

    array: NDArray[Any]
    matrix: NDArray[np.float64]
    first_slice_at: float | None = None
    owner: Any = None


Read = Callable[[Path], Opened]


def ours() -> Read:
    from napari_volseg.formats import load, scan

    def read(source: Path) -> Opened:
        arrivals: list[float] = []
        (found,) = scan(source).found
        volume = load(found, lambda _: arrivals or arrivals.append(time.perf_counter()))
        return Opened(volume.voxels, volume.geometry.matrix, arrivals[0])

    return read


def simpleitk() -> Read:
    import SimpleITK

    def read(source: Path) -> Opened:
        if source.is_dir():
            reader = SimpleITK.ImageSeriesReader()
            reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(source)))
            image = reader.Execute()
        else:
            image = SimpleITK.ReadImage(str(source))
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
        matrix[:3, 3] = image.GetOrigin()
        # A view, which spares SimpleITK the copy that its users make.
        return Opened(SimpleITK.GetArrayViewFromImage(image), matrix[:, [2, 1, 0, 3]], owner=image)

    return read


def dicom2nifti() -> Read:
    import dicom2nifti as library

    # Its least work: nothing is written, nothing reoriented.
    return lambda source: _from_nibabel(library.dicom_series_to_nifti(str(source), None, reorient_nifti=False)["NII"])


def dicom2nifti_file() -> Read:
    import dicom2nifti as library
    import nibabel

    def read(source: Path) -> Opened:
        # As it is used in pipelines: by its defaults into a .nii.gz, which is read again.
        with tempfile.TemporaryDirectory() as folder:
            written = Path(folder) / "volume.nii.gz"
            library.dicom_series_to_nifti(str(source), str(written))
            return _from_nibabel(nibabel.load(written))

    return read


def dcm2niix() -> Read:
    import dcm2niix as library
    import nibabel

    def read(source: Path) -> Opened:
        with tempfile.TemporaryDirectory() as folder:
            command = [library.bin, "-z", "n", "-b", "n", "-f", "volume", "-o", folder, str(source)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            (written,) = Path(folder).glob("*.nii")
            return _from_nibabel(nibabel.load(written, mmap=False))

    return read


def pydicom() -> Read:
    import pydicom as library

    def read(source: Path) -> Opened:
        datasets = [library.dcmread(file) for file in source.iterdir()]
        datasets.sort(key=lambda dataset: dataset.ImagePositionPatient[2])
        array = np.stack([d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in datasets])
        first, last = datasets[0], datasets[-1]
        along_row, along_column = np.reshape(first.ImageOrientationPatient, (2, 3)).astype(float)
        start, end = np.array(first.ImagePositionPatient, float), np.array(last.ImagePositionPatient, float)
        matrix = np.eye(4)
        matrix[:3, 0] = (end - start) / (len(datasets) - 1)
        matrix[:3, 1] = along_column * first.PixelSpacing[0]
        matrix[:3, 2] = along_row * first.PixelSpacing[1]
        matrix[:3, 3] = start
        return Opened(array, matrix)

    return read


def nibabel() -> Read:
    import nibabel as library

    return lambda source: _from_nibabel(library.load(source))


def _from_nibabel(image: Any) -> Opened:
    return Opened(np.asanyarray(image.dataobj), np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine)


READERS: dict[str, Callable[[], Read]] = {
    reader.__name__: reader for reader in (ours, simpleitk, dicom2nifti, dicom2nifti_file, dcm2niix, pydicom, nibabel)
}


def cpu_seconds() -> float:
    """Return user and system time of this process, its threads and its child processes, ended or not."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ticks = sum(sum(map(int, stat[11:13])) for stat in map(_stat, _children()))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages) + ticks / os.sysconf("SC_CLK_TCK")


def peak_bytes() -> int:
    """Return the highest resident size so far of this process and its live child processes, added up.

    Files that are mapped (the libraries' code) count once, in this process, where they are the same for all. Of
    processes that it has waited for, the largest counts (Linux: KiB).
    """
    own, waited = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return 1024 * (max(own, waited) + sum(map(_peak_kib, _children())))


def _children() -> list[str]:
    """Return the process ids of the live children (proc_pid_task_children(5))."""
    pids: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # the thread has just ended
            pids += (task / "children").read_text().split()
    return pids


def _stat(pid: str) -> list[str]:
    """Return the fields of a process behind its name (proc_pid_stat(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _peak_kib(pid: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    return sizes["VmHWM"] - sizes["RssFile"]


def resident_bytes() -> int:
    """Return the resident size of this process now (Linux, proc_pid_statm(5))."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    name, source = sys.argv[1], Path(sys.argv[2])
    read = READERS[name]()
    start_cpu, start_resident, start = cpu_seconds(), resident_bytes(), time.perf_counter()
    opened = read(source)
    wall, cpu, peak = time.perf_counter() - start, cpu_seconds() - start_cpu, peak_bytes()
    outcome = {
        "wall_s": wall,
        "cpu_s": cpu,
        "import_cpu_s": start_cpu,
        "first_slice_s": None if opened.first_slice_at is None else opened.first_slice_at - start,
        "peak_bytes": peak,
        "peak_growth_bytes": peak - start_resident,
        "dtype": str(opened.array.dtype),
        "corners": corners(opened.array.shape, opened.matrix),
        "fingerprint": fingerprint(opened.array, opened.matrix),
    }
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
