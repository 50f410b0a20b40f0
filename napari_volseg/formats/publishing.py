"""How every file leaves the program: written beside its target, read back, compared, then renamed over it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import SAME_GRID_MM, Geometry, RefusedError, Volume


@dataclass(frozen=True, slots=True)
class Draft:
    """One file to publish.

    Parameters
    ----------
    target
        Where it shall lie in the end.
    write
        Writes the file to the path it is given.
    verify
        Reads that path again and raises RefusedError where it differs from what was meant.
    """

    target: Path
    write: Callable[[Path], None]
    verify: Callable[[Path], None]


def publish(drafts: Sequence[Draft]) -> None:
    """Write, verify and rename files; no target is touched before all of them are verified.

    Raises
    ------
    RefusedError
        Where a file can't be written or reads back differently; existing targets are then as before.
    """
    pairs = [(draft, _temporary_name(draft.target)) for draft in drafts]
    try:
        for draft, temporary in pairs:
            draft.write(temporary)
            _flush_to_disk(temporary)
            draft.verify(temporary)
        for draft, temporary in pairs:
            os.replace(temporary, draft.target)
        for folder in {draft.target.parent for draft in drafts}:
            _flush_to_disk(folder)
    except OSError as error:
        raise RefusedError(
            f"{drafts[0].target} can't be written ({error.strerror or error}): choose a folder that is writable "
            "and has room",
            "export.not_written",
        ) from error
    finally:
        for _, temporary in pairs:
            temporary.unlink(missing_ok=True)


def _temporary_name(target: Path) -> Path:
    """Return a hidden name in the same folder with the same ending, by which writers choose the format."""
    return target.with_name(f".{uuid.uuid4().hex[:12]}.{target.name}")


def _flush_to_disk(path: Path) -> None:
    """Wait until a file or folder has reached the disk; Windows can't open folders and doesn't need it."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def require_no_source(target: Path, volume: Volume) -> None:
    """Raise RefusedError where ``target`` is a file that the volume was read from: it must outlive every export."""
    source = volume.origin_provenance
    sources = (*source.paths, source.archive) if source.archive else source.paths
    if target.exists() and any(path.exists() and target.samefile(path) for path in sources):
        raise RefusedError(
            f"{target} is a source file of {volume.name} and would be lost: choose another name", "export.over_source"
        )


def require_same_place(written: Geometry, meant: Geometry, target: str) -> None:
    """Raise RefusedError where the corners of two grids differ by 1e-3 mm or more."""
    if written.shape != meant.shape:
        raise RefusedError(
            f"{target} was not saved: read back, it has {written.shape} voxels where {meant.shape} are meant",
            "export.misplaced",
        )
    require_same_positions(written.corners(), meant.corners(), target)


def require_same_positions(written: NDArray[np.float64], meant: NDArray[np.float64], target: str) -> None:
    """Raise RefusedError where patient positions (..., 3), mm, differ by 1e-3 mm or more."""
    shift = float(np.abs(written - meant).max())
    if shift >= SAME_GRID_MM:
        raise RefusedError(
            f"{target} was not saved: read back, it lies {shift:.3g} mm off its source where less than "
            f"{SAME_GRID_MM} mm is needed",
            "export.misplaced",
        )


def require_same_voxels(equal: bool, target: str) -> None:
    """Raise RefusedError where voxels read back are not those that were meant."""
    if not equal:
        raise RefusedError(
            f"{target} was not saved: read back, its voxels differ from those on screen; check the disk",
            "export.voxels_differ",
        )
