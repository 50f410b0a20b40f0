"""Labels as NIfTI, on the grid of the image they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_volseg.core import RefusedError, Segmentation, SegmentTable, Volume
from napari_volseg.formats import save_labels_nifti
from napari_volseg.viewer.handover import TABLE_KEY, VOLUME_KEY


def write_labels(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a labels layer of the open case as NIfTI; return the path that was written.

    Raises
    ------
    RefusedError
        For a layer that does not say which image it belongs to: where it lies in the patient is then unknown.
    """
    metadata = attributes.get("metadata", {})
    volume, table = metadata.get(VOLUME_KEY), metadata.get(TABLE_KEY)
    if not isinstance(volume, Volume):
        raise RefusedError(
            f'layer "{attributes.get("name", "labels")}" does not say which image it belongs to: '
            "export from the napari-volseg panel, which knows",
            "labels.no_image",
        )
    labels = np.asarray(data)
    segmentation = Segmentation(labels, volume.geometry, table() if callable(table) else SegmentTable())
    return [str(save_labels_nifti(Path(path), segmentation, volume))]
