"""Medical images as napari layers that lie where the program itself would put them.

napari asks every plugin about every folder, so a look at a few bytes decides. The layers carry their volume: where
the panel is open, it takes them over as the open case.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_volseg.app import Case, looks_medical
from napari_volseg.core import Volume
from napari_volseg.formats import choose, load, scan
from napari_volseg.viewer.handover import VOLUME_KEY
from napari_volseg.viewer.layers import placement

PathOrPaths = str | os.PathLike[str] | Sequence[str]
LayerData = tuple[Any, dict[str, Any], str]
Reader = Callable[[PathOrPaths], list[LayerData]]


def get_nifti_reader(path: PathOrPaths) -> Reader | None:
    """Return the reader for NIfTI, NRRD and MetaImage files, None for anything else."""
    paths = _paths(path)
    return read if all(p.is_file() and looks_medical(p) for p in paths) else None


def get_dicom_reader(path: PathOrPaths) -> Reader | None:
    """Return the reader for DICOM files and folders with medical images in them, None for anything else."""
    return read if all(map(looks_medical, _paths(path))) else None


def read(path: PathOrPaths) -> list[LayerData]:
    """Return a layer for each volume at a path or at several.

    Raises
    ------
    RefusedError
        Where there is no volume, with the reason.
    """
    paths = _paths(path)
    result = scan(paths)
    found = result.found or (choose(result, paths),)
    return [layer_data(load(volume)) for volume in found]


def layer_data(volume: Volume) -> LayerData:
    """Return voxels and place of a volume for napari: its display grid, millimetres, axes (z, y, x)."""
    meta = placement(volume.geometry.spacing)
    if volume.time is not None:
        meta = {
            "scale": (1.0, *meta["scale"]),
            "translate": (0.0, *meta["translate"]),
            "units": ("pixel", *meta["units"]),
            "axis_labels": ("t", *meta["axis_labels"]),
        }
    meta |= {
        "name": volume.name,
        "colormap": "gray",
        "contrast_limits": Case(volume).first_window().limits,
        "metadata": {VOLUME_KEY: volume},
    }
    return volume.voxels, meta, "image"


def _paths(path: PathOrPaths) -> list[Path]:
    return [Path(path)] if isinstance(path, str | os.PathLike) else [Path(p) for p in path]
