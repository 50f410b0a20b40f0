"""Pixels of a series: slices decoded in parallel, rescaled one by one, put straight where they are shown."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

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
from napari_volseg.formats.dicom.mosaic import cut_tiles, mosaic_of
from napari_volseg.formats.dicom.native import NativePixels
from napari_volseg.formats.dicom.palette import PALETTE
from napari_volseg.formats.dicom.stack import Stack, fillings
from napari_volseg.formats.filling import allocate
from napari_volseg.formats.rescale import INTEGER_TYPES, keeps_integers, rescale_into

_T = TypeVar("_T")

#: Share of red, green and blue in what is seen as brightness (ITU-R BT.601).
_BRIGHTNESS = np.array([0.299, 0.587, 0.114])
#: Slices of the grid for each that has an image, beyond which nobody means to fill the gaps.
_MAX_SLICES_PER_IMAGE = 4
#: Characters of a decoder's own words that are passed on.
_LONGEST_REASON = 200
#: Frames of one file that one thread decodes in a row.
_FRAMES_AT_ONCE = 16
#: Files of one image each that one thread reads in a row.
_FILES_AT_ONCE = 8
#: Compressed files of one image each that are decoded in a row; more would leave one thread waiting for the other.
_CODESTREAMS_AT_ONCE = 4


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

    def read(files: Sequence[Batch]) -> int:
        for batch in files:
            if cancel is not None:
                cancel.check()
            _read_file([target[cell] for cell in batch], [cells[cell] for cell in batch])
            for _, z in batch:
                arrivals.add(z)
        return sum(map(len, files))

    def counts(pool: ThreadPoolExecutor) -> Iterator[int]:
        if arrivals.wanted:
            yield read(batches.pop(0))
        yield from pool.map(read, batches)

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        try:
            ends = itertools.chain.from_iterable(map(range, counts(pool)))
            for done, _ in enumerate(ends, 1):
                progress(Progress(done, len(cells), "Reading slices"))
                if cancel is not None:
                    cancel.check()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


#: Time and slice of an image.
Cell = tuple[int, int]
#: Cells whose images are read together: those of one file, or some codestreams.
Batch = list[Cell]


def _batches(cells: Mapping[Cell, Instance], arrivals: Arrivals) -> list[list[Batch]]:
    """Return cells by file in the order in which they are to be read: from the middle slice outwards.

    Several plain files come at once, or some frames of a large one in their order; the slice that is waited for comes
    alone.
    """

    def distance(cell: Cell) -> tuple[int, int]:
        return cell[0], abs(cell[1] - arrivals.middle)

    nearest = [min(cells, key=distance)] if arrivals.wanted else []
    rest = _by_file({cell: image for cell, image in cells.items() if cell not in nearest})
    if arrivals.wanted:
        rest.sort(key=lambda batch: min(map(distance, batch)))
    if all(image.codestream is not None for image in cells.values()):
        rest = [list(itertools.chain.from_iterable(files)) for files in _in_pieces(rest, _CODESTREAMS_AT_ONCE)]
    at_once = _FILES_AT_ONCE if all(image.native is not None for image in cells.values()) else 1
    return [*([[nearest]] if nearest else []), *_in_pieces(rest, at_once)]


def _by_file(cells: Mapping[Cell, Instance]) -> list[Batch]:
    """Return cells by file, those of a multi-frame file in the order of its frames and not too many at once.

    The tiles of a mosaic stay together, since they are decoded together.
    """
    by_file: dict[Path, Batch] = {}
    for cell, image in cells.items():
        by_file.setdefault(image.path, []).append(cell)
    return [
        piece
        for batch in by_file.values()
        for piece in _in_pieces(
            sorted(batch, key=lambda cell: cells[cell].frame or 0),
            _FRAMES_AT_ONCE if cells[batch[0]].tile is None else len(batch),
        )
    ]


def _in_pieces(items: list[_T], size: int) -> list[list[_T]]:
    """Return a list in pieces of as many items, the last of which may be shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _read_file(planes: Sequence[NDArray[Any]], images: Sequence[Instance]) -> None:
    """Fill planes (y, x) with the rescaled values of the images of a batch; errors as in ``decode``."""
    first = images[0]
    if first.native is not None and first.tile is None and _read_native(planes[0], first, first.native):
        return
    for plane, image, pixels in zip(planes, images, decode(images), strict=True):
        rescale_into(plane, pixels, image.slope, image.intercept)


def _read_native(plane: NDArray[Any], image: Instance, native: NativePixels) -> bool:
    """Fill a plane (y, x) with plain pixels, without a copy of them where their type allows it."""
    dtype = np.dtype(native.dtype)
    in_place = plane.dtype.kind in "iu" and plane.dtype.itemsize == dtype.itemsize and plane.flags.c_contiguous
    stored = plane.view(dtype) if in_place and dtype.isnative else np.empty(native.shape, dtype)
    with _told_as_damaged(image.path):
        if stored.shape != plane.shape:
            raise ValueError(f"{stored.shape} pixels where the series has {plane.shape}")
        if not native.read_into(image.path, stored):
            return False
        rescale_into(plane, stored, image.slope, image.intercept, native.limits)
    return True


@contextmanager
def _told_as_damaged(path: Path) -> Iterator[None]:
    """Turn whatever damaged data leads a parser or decoder into, into a refusal."""
    try:
        yield
    except (GeneratorExit, OverflowError, VolsegError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON]
        raise RefusedError(
            f"{path.name} can't be decoded ({reason}): copy the series again", "dicom.damaged"
        ) from error


def decode(images: Sequence[Instance]) -> Iterator[NDArray[Any]]:
    """Yield the stored values (y, x) of images of one file, or that are codestreams; those of a lookup table, if any.

    Raises
    ------
    RefusedError
        Where the file is gone, damaged, or not as its header said when it was scanned.
    """
    if images[0].tile is not None:
        yield from cut_tiles(images, next(decode([mosaic_of(images[0])])))
        return
    arriving = _decoded(images)
    for image in images:
        with _told_as_damaged(image.path):
            pixels = next(arriving)
            if pixels.shape[:2] != (image.rows, image.columns) or pixels.ndim != 2 + image.colour:
                raise ValueError(f"{pixels.shape} pixels where its header says {(image.rows, image.columns)}")
        yield np.rint(pixels @ _BRIGHTNESS).astype(pixels.dtype) if image.colour else pixels
    next(arriving, None)  # to its end, where it gives its process back


def _decoded(images: Sequence[Instance]) -> Iterator[NDArray[Any]]:
    first = images[0]
    if UID(first.transfer_syntax).is_encapsulated or first.photometric == PALETTE:
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
