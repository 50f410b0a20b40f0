"""Pixels of a series: slices decoded in parallel, rescaled one by one, put straight where they are shown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels import apply_modality_lut, get_decoder, iter_pixels  # type: ignore[attr-defined]
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from napari_volseg.core import (
    CancelToken,
    Geometry,
    PreviewCallback,
    Progress,
    ProgressCallback,
    RefusedError,
    Reorientation,
    VolsegError,
    no_progress,
)
from napari_volseg.formats.arrivals import Arrivals, Describe
from napari_volseg.formats.dicom.decoding import decode_apart
from napari_volseg.formats.dicom.encoding import transfer_syntax
from napari_volseg.formats.dicom.instances import Instance
from napari_volseg.formats.dicom.stack import Stack, fillings
from napari_volseg.formats.filling import allocate
from napari_volseg.formats.rescale import INTEGER_TYPES, keeps_integers, rescale_into

#: Share of red, green and blue in what is seen as brightness (ITU-R BT.601).
_BRIGHTNESS = np.array([0.299, 0.587, 0.114])
#: Slices of the grid for each that has an image, beyond which nobody means to fill the gaps.
_MAX_SLICES_PER_IMAGE = 4
#: Characters of a decoder's own words that are passed on.
_LONGEST_REASON = 200
#: Frames of one file that one thread decodes in a row.
_FRAMES_AT_ONCE = 16


def refuse_missing_decoders(instances: Sequence[Instance]) -> None:
    """Raise RefusedError where pixels are compressed in a way that nothing installed can undo."""
    for syntax in sorted({instance.transfer_syntax for instance in instances}):
        uid = UID(syntax)
        try:
            available = not uid.is_compressed or get_decoder(uid).is_available
        except (NotImplementedError, ValueError):
            available = False
        if not available:
            raise RefusedError(
                f"{instances[0].path.name} is compressed as {uid.name}, which no installed decoder reads: "
                'install them with pip install "napari-volseg[codecs]"',
                "dicom.no_decoder",
            )


def read_voxels(
    stack: Stack,
    stored: Geometry,
    reorientation: Reorientation,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
    describe: Describe | None = None,
    preview: PreviewCallback | None = None,
) -> NDArray[Any]:
    """Return the rescaled voxels, (z, y, x) or (t, z, y, x), on the display grid.

    Integers stay integers (int16 where they fit) where every slope is 1 and every intercept whole; otherwise
    the result is float32. Slices without an image hold the lowest value of all others.

    Parameters
    ----------
    stack
        Which image fills which slice.
    stored
        Their grid.
    reorientation
        From the stored to the display grid.
    progress, cancel
        Called and looked at after each image.
    describe, preview
        Makes a volume of voxels under way, and is told of it; anew with each type that is tried.

    Raises
    ------
    RefusedError
        Where an image can't be decoded.
    """
    images = stack.images
    refuse_missing_decoders(images)
    _refuse_mostly_empty(stack, stored)
    whole = stack.is_even and all(keeps_integers(image.slope, image.intercept) for image in images)
    times = len(stack.columns[0])
    for dtype in (*(INTEGER_TYPES if whole else ()), np.float32):
        shown, in_stored_order = allocate(stored, reorientation, dtype, (times,))
        voxels = shown if stack.time is not None else shown[0]
        arrivals = Arrivals(voxels, in_stored_order[0], reorientation, describe, preview if stack.is_even else None)
        try:
            _fill(in_stored_order, stack, arrivals, progress, cancel)
        except OverflowError:
            continue
        return voxels
    raise AssertionError("float32 never overflows")


def _refuse_mostly_empty(stack: Stack, stored: Geometry) -> None:
    """Refuse gaps so wide that made-up slices would outnumber real ones many times, and fill the memory."""
    if stored.shape[0] > _MAX_SLICES_PER_IMAGE * len(stack.columns) + 16:
        raise RefusedError(
            f"{len(stack.columns)} slices spread over the room of {stored.shape[0]}: open the blocks between the "
            'gaps instead (on_missing_slice or on_uneven_spacing = "blocks")',
            "dicom.missing_slices",
        )


def _fill(
    target: NDArray[Any],
    stack: Stack,
    arrivals: Arrivals,
    progress: ProgressCallback,
    cancel: CancelToken | None,
) -> None:
    """Fill ``target`` (t, z, y, x) with the images of a stack."""
    if stack.is_even:
        slots = [int(slot) for slot in stack.slots]
        cells = {(t, slots[column]): image for (t, column), image in fillings(stack)}
        _decode_into(target, cells, arrivals, progress, cancel)
        _leave_empty(target, set(cells))
        return
    native = np.empty((target.shape[0], len(stack.columns), *target.shape[2:]), target.dtype)
    cells = dict(fillings(stack))
    _decode_into(native, cells, arrivals, progress, cancel)
    _leave_empty(native, set(cells))
    _interpolate(target, native, np.asarray(stack.slots))


def _leave_empty(target: NDArray[Any], filled: set[tuple[int, int]]) -> None:
    empty = [cell for cell in np.ndindex(target.shape[:2]) if cell not in filled]
    if empty:
        lowest = min(target[cell].min() for cell in filled)
        for cell in empty:
            target[cell] = lowest


def _interpolate(target: NDArray[Any], native: NDArray[Any], slots: NDArray[np.float64]) -> None:
    """Fill the slices of ``target`` (t, z, y, x) linearly between those of ``native``, which lie at ``slots``."""
    for z in range(target.shape[1]):
        above = min(int(np.searchsorted(slots, z)), len(slots) - 1)
        below = max(above - 1, 0)
        share = 1.0 if above == below else (z - slots[below]) / (slots[above] - slots[below])
        target[:, z] = native[:, below] * np.float32(1 - share) + native[:, above] * np.float32(share)


def _decode_into(
    target: NDArray[Any],
    cells: Mapping[Cell, Instance],
    arrivals: Arrivals,
    progress: ProgressCallback,
    cancel: CancelToken | None,
) -> None:
    batches = _batches(cells, arrivals)

    def read(batch: Batch) -> int:
        for cell, pixels in zip(batch, decode([cells[cell] for cell in batch]), strict=True):
            if cancel is not None:
                cancel.check()
            rescale_into(target[cell], pixels, cells[cell].slope, cells[cell].intercept)
            arrivals.add(cell[1])
        return len(batch)

    def counts(pool: ThreadPoolExecutor) -> Iterator[int]:
        if arrivals.wanted:
            yield read(batches.pop(0))
        yield from pool.map(read, batches)

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        try:
            done = 0
            for count in counts(pool):
                done += count
                progress(Progress(done, len(cells), "Reading slices"))
                if cancel is not None:
                    cancel.check()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


#: Time and slice of an image.
Cell = tuple[int, int]
#: Cells whose images come from one file.
Batch = list[Cell]


def _batches(cells: Mapping[Cell, Instance], arrivals: Arrivals) -> list[Batch]:
    """Return cells by file in the order in which they are to be read: from the middle slice outwards.

    Those of a multi-frame file come in the order of its frames and not too many at once; the slice that is waited for
    is a batch of its own.
    """

    def distance(cell: Cell) -> tuple[int, int]:
        return cell[0], abs(cell[1] - arrivals.middle)

    nearest = [min(cells, key=distance)] if arrivals.wanted else []
    rest = _by_file({cell: image for cell, image in cells.items() if cell not in nearest})
    return [*([nearest] if nearest else []), *sorted(rest, key=lambda batch: min(map(distance, batch)))]


def _by_file(cells: Mapping[Cell, Instance]) -> list[Batch]:
    by_file: dict[Path, Batch] = {}
    for cell, image in cells.items():
        by_file.setdefault(image.path, []).append(cell)
    return [
        ordered[start : start + _FRAMES_AT_ONCE]
        for batch in by_file.values()
        for ordered in (sorted(batch, key=lambda cell: cells[cell].frame or 0),)
        for start in range(0, len(ordered), _FRAMES_AT_ONCE)
    ]


def decode(images: Sequence[Instance]) -> Iterator[NDArray[Any]]:
    """Yield the stored values (y, x) of images that lie in one file; those of a lookup table, where it has one.

    Raises
    ------
    RefusedError
        Where the file is gone, damaged, or not as its header said when it was scanned.
    """
    path = images[0].path
    try:
        for image, pixels in zip(images, _decoded(images), strict=True):
            if pixels.shape[:2] != (image.rows, image.columns) or pixels.ndim != 2 + image.colour:
                raise ValueError(f"{pixels.shape} pixels where its header says {(image.rows, image.columns)}")
            yield np.rint(pixels @ _BRIGHTNESS).astype(pixels.dtype) if image.colour else pixels
    except (GeneratorExit, OverflowError, VolsegError):
        raise
    except Exception as error:  # parsers and decoders raise whatever damaged data leads them into
        reason = " ".join(str(error).split())[:_LONGEST_REASON]
        raise RefusedError(
            f"{path.name} can't be decoded ({reason}): copy the series again", "dicom.damaged"
        ) from error


def _decoded(images: Sequence[Instance]) -> Iterator[NDArray[Any]]:
    first = images[0]
    pixels = first.native.read(first.path) if first.native is not None else None
    if pixels is not None:
        yield pixels
        return
    if UID(first.transfer_syntax).is_encapsulated:
        yield from decode_apart(images)
        return
    frames = [image.frame for image in images if image.frame is not None]
    if frames and first.has_preamble and first.transfer_syntax != DeflatedExplicitVRLittleEndian:
        yield from iter_pixels(first.path, indices=frames, raw=not first.colour)
        return
    dataset = pydicom.dcmread(first.path, force=not first.has_preamble)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax(dataset))
    if frames:
        yield from iter_pixels(dataset, indices=frames, raw=not first.colour)
    else:
        yield apply_modality_lut(dataset.pixel_array, dataset) if first.has_lut else dataset.pixel_array
