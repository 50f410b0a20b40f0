"""Pixels of a series: slices decoded in parallel, rescaled one by one, put straight where they are shown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels import get_decoder  # type: ignore[attr-defined]
from pydicom.uid import UID

from napari_volseg.core import (
    CancelToken,
    Geometry,
    Progress,
    ProgressCallback,
    RefusedError,
    Reorientation,
    no_progress,
)
from napari_volseg.formats.dicom.instances import Instance, transfer_syntax
from napari_volseg.formats.filling import allocate
from napari_volseg.formats.rescale import INTEGER_TYPES, keeps_integers, rescale_into


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
    instances: Sequence[Instance],
    stored: Geometry,
    reorientation: Reorientation,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> NDArray[Any]:
    """Return the rescaled voxels on the display grid.

    Integers stay integers (int16 where they fit) where every slope is 1 and every intercept whole; otherwise
    the result is float32.

    Parameters
    ----------
    instances
        One per slice of the stored grid.
    stored
        Their grid.
    reorientation
        From the stored to the display grid.
    progress, cancel
        Called and looked at after each slice.

    Raises
    ------
    RefusedError
        Where a slice can't be decoded.
    """
    refuse_missing_decoders(instances)
    whole = all(keeps_integers(instance.slope, instance.intercept) for instance in instances)
    for dtype in (*(INTEGER_TYPES if whole else ()), np.float32):
        shown, in_stored_order = allocate(stored, reorientation, dtype)
        try:
            _decode_into(in_stored_order, instances, progress, cancel)
        except OverflowError:
            continue
        return shown
    raise AssertionError("float32 never overflows")


def _decode_into(
    target: NDArray[Any], instances: Sequence[Instance], progress: ProgressCallback, cancel: CancelToken | None
) -> None:
    def read_slice(number: int) -> None:
        if cancel is not None:
            cancel.check()
        instance = instances[number]
        rescale_into(target[number], decode(instance), instance.slope, instance.intercept)

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        try:
            for number, _ in enumerate(pool.map(read_slice, range(len(instances)))):
                progress(Progress(number + 1, len(instances), "Reading slices"))
                if cancel is not None:
                    cancel.check()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def decode(instance: Instance) -> NDArray[Any]:
    """Return the stored values (y, x) of one file.

    Raises
    ------
    RefusedError
        Where the file is gone, damaged, or not as its header said when it was scanned.
    """
    try:
        dataset = pydicom.dcmread(instance.path, force=not instance.has_preamble)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax(dataset))
        pixels = dataset.pixel_array
    except Exception as error:  # parsers and decoders raise whatever damaged data leads them into
        raise RefusedError(
            f"{instance.path.name} can't be decoded ({error}): copy the series again", "dicom.damaged"
        ) from error
    if pixels.shape != (instance.rows, instance.columns):
        raise RefusedError(
            f"{instance.path.name} decodes to {pixels.shape} pixels where its header says "
            f"{(instance.rows, instance.columns)}: copy the series again",
            "dicom.damaged",
        )
    return np.asarray(pixels)
