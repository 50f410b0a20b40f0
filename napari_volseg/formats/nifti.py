"""NIfTI in: files by content, voxels streamed into a display-ordered array."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import (
    CancelToken,
    Finding,
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
from napari_volseg.formats.nifti_header import (
    NiftiHeader,
    header_of_pair,
    incomplete,
    looks_like_nifti,
    read_header,
)
from napari_volseg.formats.placement import decide
from napari_volseg.formats.rescale import looks_like_ct, rescale_into
from napari_volseg.formats.streams import DAMAGE, GZIP_MAGIC, fill, open_inflated, planes_of, read_to_end, skip
from napari_volseg.spatial import apply_reorientation, display_reorientation, invert_reorientation, reorient_geometry

NAME = "NIfTI"
ENDINGS = (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz")


def stem(path: Path) -> str:
    """Return the file name without .nii, .nii.gz and their kin."""
    name = path.name
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return path.stem


def is_nifti(path: Path) -> bool:
    """Whether a file is NIfTI by its content, claims to be by its name, or is the .img of a NIfTI .hdr."""
    if looks_like_nifti(path) or path.name.lower().endswith((".nii", ".nii.gz")):
        return True
    header = header_of_pair(path)
    return header is not None and looks_like_nifti(header)


def scan_file(path: Path) -> Scan:
    """Look at one NIfTI file: its header, and whether its gzip data is whole."""
    try:
        header = read_header(path)
        _refuse_cut_gzip(header)
    except RefusedError as error:
        return Scan(refused=(RefusedFile(path, error.code, str(error)),))
    found = FoundVolume(
        id="1",
        format=NAME,
        paths=(path,),
        description=stem(path),
        modality="OT",
        geometry=header.geometry,
        findings=header.findings,
        decisions=header.placement.decisions,
    )
    return Scan(found=(found,))


def load(
    found: FoundVolume,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
    orientation: str | None = None,
    form: str | None = None,
    preview: PreviewCallback | None = None,
) -> Volume:
    """Read the voxels of a file that was scanned.

    Parameters
    ----------
    found
        From a scan.
    progress, cancel
        Called and looked at after each slice.
    orientation
        For a file without qform and sform: where its index (i, j, k) runs, one of ``ORIENTATIONS``.
    form
        For a file whose sform and qform contradict each other: "sform" or "qform".
    preview
        Told of a 3D volume that is under way.

    Raises
    ------
    RefusedError
        Where the file is damaged.
    DecisionNeededError
        Where the file doesn't say, or says twice, how it lies in the patient and the caller doesn't choose.
    """
    # The header is read again because the file may have been written anew since the scan.
    return read_volume(placed(read_header(found.paths[0]), orientation, form), progress, cancel, preview)


def placed(header: NiftiHeader, orientation: str | None = None, form: str | None = None) -> NiftiHeader:
    """Return the header in the place that the user chose, itself where it is clear; errors as in ``load``."""
    placement, findings = decide(header.placement, orientation, form)
    return replace(header, placement=placement, findings=(*header.findings, *findings))


def read_volume(
    header: NiftiHeader,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
    preview: PreviewCallback | None = None,
) -> Volume:
    """Read the voxels that a header describes; parameters and errors as in ``load``."""
    stored = header.geometry
    reorientation = display_reorientation(stored)
    lead = (header.volumes,) if header.volumes > 1 else ()
    shown, in_stored_order = allocate(stored, reorientation, _value_type(header), lead)
    arrivals = Arrivals(
        shown, in_stored_order, reorientation, lambda voxels: _volume(header, reorientation, voxels), preview
    )
    places = list(np.ndindex(in_stored_order.shape[:-2]))
    scratch = _scratch(header)
    as_they_are = not header.has_scaling and header.dtype == shown.dtype
    direct = as_they_are and in_stored_order[places[0]].flags.c_contiguous
    planes = (in_stored_order[place] if direct else scratch for place in places)
    for number, (place, plane) in enumerate(zip(places, _filled(header, planes), strict=True)):
        if cancel is not None:
            cancel.check()
        if header.has_scaling:
            rescale_into(in_stored_order[place], plane, header.slope, header.intercept)
        elif not direct:
            in_stored_order[place] = _shown(plane)
        arrivals.add(place[-1])
        progress(Progress(number + 1, len(places), f"Reading {header.image_path.name}"))
    return _volume(header, reorientation, shown)


def holds_voxels(header: NiftiHeader, voxels: NDArray[Any]) -> bool:
    """Tell whether a file holds exactly the voxels (z, y, x) or (t, z, y, x) of a display grid, NaN where they do.

    It is compared plane by plane as it is read, in the memory of one.

    Raises
    ------
    RefusedError
        Where the file is damaged.
    """
    meant = apply_reorientation(voxels, invert_reorientation(display_reorientation(header.geometry)))
    lead = (header.volumes,) if meant.ndim == 4 else ()
    if header.has_scaling or meant.shape != (*lead, *header.geometry.shape):
        return False
    planes = itertools.repeat(_scratch(header), math.prod(meant.shape[:-2]))
    has_nan = meant.dtype.kind == "f"
    # All are read, to the checksum at the end.
    same = [
        np.array_equal(read, plane, equal_nan=has_nan)
        for read, plane in zip(_filled(header, planes), planes_of(meant), strict=True)
    ]
    return all(same)


def _volume(header: NiftiHeader, reorientation: Reorientation, shown: NDArray[Any]) -> Volume:
    """Return the volume of voxels on the display grid, as their values tell that they are HU or not."""
    stored = header.geometry
    findings = (*header.findings, *_value_findings(header, shown))
    is_ct = any(finding.code == "nifti.assumed_ct" for finding in findings)
    return Volume(
        voxels=shown,
        geometry=reorient_geometry(stored, reorientation),
        modality="CT" if is_ct else "OT",
        quantity="HU" if is_ct else "arbitrary",
        unit="HU" if is_ct else "",
        name=stem(header.path),
        provenance=Provenance(NAME, stored, reorientation, (header.path,), {}, _details(header), findings),
        time=_time_axis(header),
    )


def _value_type(header: NiftiHeader) -> np.dtype[Any]:
    if header.has_scaling or header.dtype.kind in "fc":
        return np.dtype(np.float32)
    if header.dtype.kind == "V":
        return np.dtype(np.uint8)
    return header.dtype.newbyteorder("=")


def _shown(plane: NDArray[Any]) -> NDArray[Any]:
    """Return values as they are, complex numbers as magnitude and colours as brightness (ITU-R BT.601)."""
    if plane.dtype.kind == "c":
        return np.abs(plane)
    if plane.dtype.kind == "V":
        return np.rint(0.299 * plane["R"] + 0.587 * plane["G"] + 0.114 * plane["B"]).astype(np.uint8)
    return plane


def _scratch(header: NiftiHeader) -> NDArray[Any]:
    """Return room for one stored plane (j, i)."""
    return np.empty(header.geometry.shape[1:], header.dtype)


def _filled(header: NiftiHeader, planes: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Fill planes (j, i), contiguous and of the stored type, one by one in file order, and yield each.

    After the last it reads on to the end, where gzip keeps its checksum.
    """
    try:
        with open_inflated(header.image_path) as stream:
            skip(stream, header.offset)
            for plane in planes:
                fill(stream, plane.reshape(-1).view(np.uint8).data)
                yield plane
            read_to_end(stream)
    except DAMAGE as error:
        raise incomplete(header.image_path, error) from error


def _refuse_cut_gzip(header: NiftiHeader) -> None:
    """Refuse gzip data that ends early: by the size it says to have, or where that differs, by inflating it."""
    expected = header.offset + header.voxel_bytes
    with header.image_path.open("rb") as raw:
        if raw.read(2) != GZIP_MAGIC:
            return
        raw.seek(-4, 2)
        (size,) = struct.unpack("<I", raw.read(4))
    if size == expected % 2**32:
        return
    for _ in _filled(header, itertools.repeat(_scratch(header), header.geometry.shape[0] * header.volumes)):
        pass


def _value_findings(header: NiftiHeader, voxels: NDArray[Any]) -> Iterator[Finding]:
    if header.dtype.itemsize == 8 and header.dtype.kind == "f":
        yield Finding("nifti.narrowed", f"{header.path.name} holds float64; it is shown and kept as float32", "note")
    if not header.is_labels and looks_like_ct(voxels):
        yield Finding(
            "nifti.assumed_ct", f"{header.path.name} doesn't name its modality; its values look like CT in HU", "note"
        )


def _details(header: NiftiHeader) -> Mapping[str, Any]:
    details: dict[str, Any] = {"is_labels": header.is_labels, "view_only": header.view_only}
    if header.window is not None:
        low, high = header.window
        details["windows"] = (((low + high) / 2, high - low, "From file"),)
    return details


def _time_axis(header: NiftiHeader) -> TimeAxis | None:
    if header.volumes == 1:
        return None
    return TimeAxis("time", "s", tuple(header.time_offset + header.time_step * n for n in range(header.volumes)))
