"""What a model that runs has labelled so far, drawn over the slices."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_volseg.app.case import LABEL_TYPE
from napari_volseg.app.live import Sighting
from napari_volseg.inference import Band
from napari_volseg.viewer.computed import ComputedVoxels
from napari_volseg.viewer.layers import keep_untouched, placement, segment_colormap

LIVE = "Model"


class BandVoxels(ComputedVoxels):
    """The labels (z, y, x) of bands, which hold them; 0 where none has come.

    Parameters
    ----------
    shape
        Of the volume (z, y, x).
    bands
        The bands; more may be appended.
    """

    def __init__(self, shape: tuple[int, int, int], bands: list[Band]) -> None:
        super().__init__(shape, LABEL_TYPE)
        self._bands = bands

    def part(self, places: list[NDArray[np.intp]]) -> NDArray[Any]:
        """Return the voxels at the given indices along each axis."""
        out = np.zeros([len(place) for place in places], self.dtype)
        for band in self._bands:
            start, stop = band.box.start, band.box.stop
            inside = [(p >= a) & (p < b) for p, a, b in zip(places, start, stop, strict=True)]
            if all(hit.any() for hit in inside):
                here = [place[hit] - a for place, hit, a in zip(places, inside, start, strict=True)]
                out[np.ix_(*inside)] = band.labels[np.ix_(*here)]
        return out


def live_layer(sighting: Sighting) -> Labels:
    """Return a layer that shows the bands of a run in the colours of the model's card; more of them may come."""
    geometry = sighting.case.volume.geometry
    layer = Labels(
        BandVoxels(geometry.shape, sighting.bands),
        name=LIVE,
        colormap=segment_colormap(sighting.table),
        **placement(geometry.spacing),
    )
    keep_untouched(layer)
    return layer
