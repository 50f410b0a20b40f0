"""What layers carry so that readers, writers and the panel hand images and labels to each other."""

from __future__ import annotations

from napari.layers import Labels

from napari_volseg.app import Case

#: Key of layer metadata for the volume that a layer shows or belongs to.
VOLUME_KEY = "napari_volseg_volume"
#: Key of layer metadata for a function that returns the segment table of a labels layer as it is now.
TABLE_KEY = "napari_volseg_table"


def describe_labels(layer: Labels, case: Case) -> None:
    """Leave on our labels layer what napari's own "save" needs to write it where it belongs."""
    layer.metadata.update({VOLUME_KEY: case.volume, TABLE_KEY: lambda: case.table})
