"""Finished bands of a model are drawn over the slice that they meet, in the colours of its card."""

from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.app.live import Sighting
from napari_volseg.core import Box, Segment, SegmentTable
from napari_volseg.inference import Band
from napari_volseg.viewer.live import LIVE, BandVoxels

TABLE = SegmentTable((Segment(3, "Heart", color=(200, 10, 30)),))


def band(start, stop, value=3):
    box = Box(start, stop)
    return Band(box, np.full(box.shape, value, np.uint8))


@pytest.fixture
def sight(app):
    """Shows bands as if a model had just finished them."""

    def sight(*bands):
        if app.live.sighting is None:
            app.live.sighting = Sighting(app.case, TABLE, [])
        app.live.sighting.bands.extend(bands)
        app.live.changed.emit(bands[-1].box)

    return sight


def layer_of(viewer):
    return next((layer for layer in viewer.layers if layer.name == LIVE), None)


def drawn(layer):
    return np.asarray(layer._slice.image.raw)


def test_bands_are_put_together_where_they_are_looked_at():
    bands = [band((0, 1, 2), (2, 4, 5), 1), band((2, 0, 0), (4, 2, 2), 2)]
    whole = np.zeros((5, 6, 7), np.uint16)
    for part in bands:
        whole[part.box.slices] = part.labels
    voxels = BandVoxels(whole.shape, bands)
    assert np.array_equal(np.asarray(voxels), whole)
    for index in (0, 3, (slice(None), 1), (slice(1, 4), slice(None), 3), (slice(None, None, -2), 1, 2)):
        assert np.array_equal(voxels[index], whole[index])


def test_they_appear_on_the_slice_and_go(app, viewer, binding, sight):
    z, _, _ = shape = app.case.volume.geometry.shape
    viewer.dims.set_current_step(0, z - 1)
    sight(band((0, 0, 0), (1, 2, 2)))
    layer = layer_of(viewer)
    assert not drawn(layer).any()
    sight(band((z - 1, 1, 0), (z, 3, 2)))
    assert np.argwhere(drawn(layer)).tolist() == [[1, 0], [1, 1], [2, 0], [2, 1]]
    assert np.allclose(layer.colormap.color_dict[3], (200 / 255, 10 / 255, 30 / 255, 1))
    assert not app.case.segmentation.labels.any()
    app.live.sighting = None
    app.live.changed.emit(Box.whole(shape))
    assert layer_of(viewer) is None


def test_they_lie_in_the_way_of_nothing_in_3d(app, viewer, binding, sight):
    sight(band((0, 0, 0), (1, 2, 2)))
    app.view.three_d = True
    assert layer_of(viewer) is None
    app.view.three_d = False
    assert layer_of(viewer) is not None


def test_prompts_stay_above_them(app, viewer, binding, sight):
    sight(band((0, 0, 0), (1, 2, 2)))
    names = [layer.name for layer in viewer.layers]
    labels, prompts = binding.main.shown.labels.name, binding.main.shown.prompts.name
    assert names.index(labels) < names.index(LIVE) < names.index(prompts)
