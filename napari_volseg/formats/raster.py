"""Images whose header is text (NRRD, MetaImage): one description of them, one way to their voxels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import (
    CancelToken,
    Finding,
    Geometry,
    PreviewCallback,
    Progress,
    ProgressCallback,
    Provenance,
    RefusedError,
    Reorientation,
    TimeAxis,
    Volume,
    no_progress,
)
from napari_volseg.formats.arrivals import Arrivals
from napari_volseg.formats.catalog import FoundVolume, RefusedFile, Scan
from napari_volseg.formats.filling import allocate
from napari_volseg.formats.placement import Placement, decide
from napari_volseg.formats.rescale import looks_like_ct
from napari_volseg.formats.streams import DAMAGE, Inflated, fill, read_to_end, refuse_promises, skip
from napari_volseg.spatial import display_reorientation, reorient_geometry

#: Longer headers are refused: thousands of segments need less.
MAX_HEADER = 4 << 20
#: Longest name of a file, bytes.
_MAX_NAME = 255
#: Offset that stands for "the last bytes of the file".
AT_THE_END = -1


@dataclass(frozen=True, slots=True)
class Raster:
    """What is needed to read the voxels that a text header describes.

    Parameters
    ----------
    format
        ``"NRRD"`` or ``"MetaImage"``.
    path, data_path
        The file with the header and the file with the voxels, often the same.
    placement
        Grid of the array (k, j, i), or the grids that the file may mean.
    dtype
        Type of the stored values, with their byte order.
    offset
        First byte of the data in its file, before inflating; ``AT_THE_END`` where the data ends the file.
    surplus
        Bytes between there and the first voxel, after inflating.
    deflated
        Whether the data is a zlib or gzip stream.
    layers
        Values per voxel, stored side by side.
    volumes
        Sizes of the axes behind (k, j, i), multiplied.
    time
        Meaning of layers or volumes where they are a series.
    modality
        DICOM modality, ``"OT"`` where unknown.
    fields
        Further keys and values of the header, such as names of segments.
    findings
        What was found, repaired or assumed.
    """

    format: str
    path: Path
    data_path: Path
    placement: Placement
    dtype: np.dtype[Any]
    offset: int
    surplus: int = 0
    deflated: bool = False
    layers: int = 1
    volumes: int = 1
    time: TimeAxis | None = None
    modality: str = "OT"
    fields: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def geometry(self) -> Geometry:
        """The stored grid (k, j, i); where only the user can tell, the first of its readings."""
        return self.placement.geometry

    @property
    def name(self) -> str:
        """The file name without its ending, for people."""
        return stem(self.path)


def stem(path: Path) -> str:
    """Return a file name without its ending, of which ``.seg.nrrd`` is one."""
    name = path.name
    return name[: -len(".seg.nrrd")] if name.lower().endswith(".seg.nrrd") else path.stem


def check_promises(raster: Raster) -> Raster:
    """Return the raster with its offset known.

    Raises
    ------
    RefusedError
        Where its data file can't hold what the header promises.
    """
    code = f"{raster.format.lower()}.incomplete"
    k, j, i = raster.geometry.shape
    promised = k * j * i * raster.layers * raster.volumes * raster.dtype.itemsize + raster.surplus
    start = max(0, raster.offset)
    refuse_promises(raster.data_path, promised, raster.deflated, code, start)
    if raster.offset != AT_THE_END:
        return raster
    return replace(raster, offset=raster.data_path.stat().st_size - promised)


def beside(path: Path, name: str, code: str) -> Path:
    """Return the file that a header names for its data.

    Raises
    ------
    RefusedError
        Where it lies in another folder, or doesn't exist.
    """
    if not name or name in (".", "..") or any(mark in name for mark in ("/", "\\", "\0", ":")):
        raise RefusedError(
            f"{path.name} keeps its voxels in {name[:80]!r}, outside its own folder: put both files into one folder "
            "and name the data file without a path",
            code,
        )
    partner = path.with_name(name)
    if len(os.fsencode(name)) > _MAX_NAME or not partner.is_file():
        raise RefusedError(f"{path.name} has no {name[:80]!r} beside it, where its voxels are: copy both files", code)
    return partner


def scan_raster(path: Path, read_header: Any) -> Scan:
    """Look at one file with the reader of its header."""
    try:
        raster = read_header(path)
        if raster.layers > 1 and raster.time is None:
            raise RefusedError(
                f"{path.name} holds {raster.layers} values per voxel, as colours or vectors do: extract one first",
                f"{raster.format.lower()}.vector",
            )
    except RefusedError as error:
        return Scan(refused=(RefusedFile(path, error.code, str(error)),))
    found = FoundVolume(
        id="1",
        format=raster.format,
        paths=(path,),
        description=raster.name,
        modality=raster.modality,
        geometry=raster.geometry,
        findings=raster.findings,
        decisions=raster.placement.decisions,
    )
    return Scan(found=(found,))


def read_raster(
    raster: Raster,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
    orientation: str | None = None,
    preview: PreviewCallback | None = None,
) -> Volume:
    """Read the voxels that a header describes.

    Parameters
    ----------
    raster
        From the header.
    progress, cancel
        Called and looked at after each slice.
    orientation
        For a file without directions: "RAS", "LAS" or "LPS".
    preview
        Told of a 3D volume that is under way.

    Returns
    -------
    Volume
        (z, y, x), or with layers or volumes as its first axis.

    Raises
    ------
    RefusedError
        Where the data is damaged.
    DecisionNeededError
        Where the file doesn't say how it lies in the patient and ``orientation`` doesn't either.
    """
    placement, chosen = decide(raster.placement, orientation)
    stored = placement.geometry
    reorientation = display_reorientation(stored)
    count = raster.layers * raster.volumes
    shown, in_stored_order = allocate(stored, reorientation, raster.dtype.newbyteorder("="), (count,))
    result = shown if count > 1 else shown[0]

    def describe(voxels: NDArray[Any]) -> Volume:
        return _volume(raster, stored, reorientation, voxels, chosen)

    arrivals = Arrivals(result, in_stored_order[0], reorientation, describe, preview)
    total = stored.shape[0] * raster.volumes
    for number, plane in enumerate(_stored_planes(raster)):
        if cancel is not None:
            cancel.check()
        volume, k = divmod(number, stored.shape[0])
        in_stored_order[volume * raster.layers : (volume + 1) * raster.layers, k] = np.moveaxis(plane, -1, 0)
        arrivals.add(k)
        progress(Progress(number + 1, total, f"Reading {raster.data_path.name}"))
    return describe(result)


def _volume(
    raster: Raster, stored: Geometry, reorientation: Reorientation, voxels: NDArray[Any], chosen: Sequence[Finding]
) -> Volume:
    """Return the volume of voxels on the display grid, as their values tell that they are HU or not."""
    findings = [*raster.findings, *chosen]
    is_ct = raster.modality == "CT" or looks_like_ct(voxels)
    if is_ct and raster.modality != "CT":
        message = f"{raster.path.name} doesn't name its modality; its values look like CT in HU"
        findings.append(Finding(f"{raster.format.lower()}.assumed_ct", message, "note"))
    return Volume(
        voxels=voxels,
        geometry=reorient_geometry(stored, reorientation),
        modality="CT" if is_ct else raster.modality,
        quantity="HU" if is_ct else "arbitrary",
        unit="HU" if is_ct else "",
        name=raster.name,
        provenance=Provenance(raster.format, stored, reorientation, (raster.path,), {}, {}, tuple(findings)),
        time=raster.time if voxels.ndim == 4 else None,
    )


def _stored_planes(raster: Raster) -> Iterator[NDArray[Any]]:
    """Yield the stored planes (j, i, layer) in file order, then read on to the end, where checksums are."""
    shape = (*raster.geometry.shape[1:], raster.layers)
    buffer = bytearray(int(np.prod(shape)) * raster.dtype.itemsize)
    plane = np.frombuffer(buffer, raster.dtype).reshape(shape)
    try:
        with _open_data(raster) as stream:
            skip(stream, raster.surplus)
            for _ in range(raster.geometry.shape[0] * raster.volumes):
                fill(stream, memoryview(buffer))
                yield plane
            read_to_end(stream)
    except DAMAGE as error:
        raise RefusedError(
            f"{raster.data_path.name} is damaged or incomplete ({error}): copy or download it again",
            f"{raster.format.lower()}.incomplete",
        ) from error


@contextmanager
def _open_data(raster: Raster) -> Iterator[IO[bytes]]:
    with raster.data_path.open("rb") as source:
        source.seek(raster.offset)
        yield cast(IO[bytes], Inflated(source)) if raster.deflated else source
