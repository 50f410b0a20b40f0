"""What a tool would do is drawn over the case, and nothing of it is left."""

from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.app import SEGMENT_TOOLS, run_command
from napari_volseg.app.correcting import set_settings
from napari_volseg.core import Box, Segment, SegmentTable
from napari_volseg.editing import Author
from napari_volseg.viewer.drafts import LOST_CODE, PREVIEW, STRIPE, DraftVoxels, codes_of, free_values

LIVER, SPLEEN = 1, 2


@pytest.fixture
def drawn(app, binding):
    """A liver that differs from its mirror images, and a spleen at its side."""
    labels = np.zeros(app.case.volume.geometry.shape, np.uint16)
    labels[4:9, 5:12, 5:10] = LIVER
    labels[6, 5:7, 10:13] = LIVER
    labels[4:9, 12:15, 6:9] = SPLEEN
    whole = Box.whole(labels.shape)
    app.case.session.replace(whole, labels, name="Draw", author=Author("hand", "user"))
    app.jobs.inbox.pump()
    return app


def settle(app):
    while app.jobs.inbox.pump() or app.jobs.active:
        app.jobs.wait()


def preview(app, tool_id, **settings):
    app.tools.segment_tool = tool_id
    set_settings(app, SEGMENT_TOOLS[tool_id], settings)
    app.tools.previewing = True
    settle(app)


def layer_of(viewer):
    return next((layer for layer in viewer.layers if layer.name == PREVIEW and layer.visible), None)


def seen(viewer):
    return np.asarray(layer_of(viewer)._slice.image.raw)


def striped(shape):
    return np.indices(shape).sum(0) // STRIPE % 2 == 0


def would(app, tool_id):
    """Return the labels after the tool, and take it back."""
    before = app.case.segmentation.labels.copy()
    run_command(app, f"tool.{tool_id}")
    settle(app)
    after = app.case.segmentation.labels.copy()
    app.undo()
    assert np.array_equal(app.case.segmentation.labels, before)
    return before, after


def expected(before, after):
    lost = np.where(striped(before.shape), LOST_CODE, 0)
    return np.where(before != after, np.where(after == 0, lost, after), 0)  # segments 1 and 2 have codes 1 and 2


@pytest.mark.parametrize(("plane", "axis"), [("axial", 0), ("coronal", 1), ("sagittal", 2)])
def test_the_slice_shows_what_would_be_gained_and_lost(drawn, viewer, plane, axis):
    set_settings(drawn, SEGMENT_TOOLS["hollow"], {"mm": 4, "side": "both"})
    change = expected(*would(drawn, "hollow"))
    assert {LIVER, LOST_CODE} <= set(np.unique(change))
    drawn.view.plane = plane
    preview(drawn, "hollow")
    for k in (4, 6, 7):
        viewer.dims.set_current_step(axis, k)
        assert np.array_equal(seen(viewer), np.take(change, k, axis))
    assert viewer.layers.selection.active.name == "chiral"


def test_in_3d_the_segments_themselves_show_it(drawn, viewer, binding):
    set_settings(drawn, SEGMENT_TOOLS["hollow"], {"mm": 4, "side": "both"})
    before, after = would(drawn, "hollow")
    drawn.view.three_d = True
    preview(drawn, "hollow")
    small = np.asarray(binding.main.shown.segments_3d.layer.data)
    steps = [-(-n // m) for n, m in zip(before.shape, small.shape, strict=True)]
    old, new = (a[tuple(slice(None, None, s) for s in steps)] for a in (before, after))
    _, lost, liver, spleen = free_values((1, 2), 4, small.dtype)
    assert np.array_equal(small == lost, (old != new) & (new == 0))
    assert np.array_equal(small == liver, (old != new) & (new == LIVER))
    assert np.array_equal(small == spleen, (old != new) & (new == SPLEEN))
    assert np.array_equal(small[old == new], old[old == new])
    assert layer_of(viewer) is None
    drawn.view.three_d = False
    assert np.array_equal(np.asarray(binding.main.shown.segments_3d.layer.data), old)
    settle(drawn)
    assert layer_of(viewer) is not None


@pytest.mark.parametrize("end", ["escape", "tool", "brush", "case", "apply"])
def test_nothing_is_left_of_it(drawn, viewer, binding, end):
    preview(drawn, "margin", mm=4)
    assert seen(viewer).any()
    match end:
        case "escape":
            run_command(drawn, "segment.cancel")
        case "tool":
            drawn.tools.segment_tool = "hollow"
        case "brush":
            drawn.tools.tool = "brush"
        case "case":
            drawn.adopt(drawn.case.volume)
        case "apply":
            run_command(drawn, "tool.apply")
    settle(drawn)
    assert layer_of(viewer) is None
    assert not drawn.tools.previewing
    assert drawn.tool_preview.draft is None


def test_an_array_that_is_computed_where_it_is_looked_at(drawn):
    before, after = would(drawn, "margin")
    preview(drawn, "margin")
    voxels = DraftVoxels(drawn.case.segmentation.labels)
    assert not np.asarray(voxels).any()
    voxels.show(drawn.tool_preview.draft)
    change = expected(before, after)
    assert np.array_equal(np.asarray(voxels), change)
    for index in (3, (slice(None), 6), (slice(2, 9, 2), slice(None), 7), (5, 6, 7), (slice(None, None, 3),) * 3):
        assert np.array_equal(voxels[index], change[index])


def test_the_segment_that_would_be_made_is_seen_in_3d(drawn, binding):
    drawn.view.three_d = True
    preview(drawn, "mirror", use="new")
    small = np.asarray(binding.main.shown.segments_3d.layer.data)
    assert (small == 65535).any()
    run_command(drawn, "segment.cancel")
    settle(drawn)
    assert small.max() == SPLEEN


def test_colours_of_a_byte_are_shared_by_many_segments():
    codes = codes_of(SegmentTable(tuple(Segment(v, "s") for v in range(1, 400))))
    assert (codes[1], codes[254], codes[255], codes[399]) == (1, 254, 1, 145)


def test_values_that_are_free():
    assert free_values((255, 253), 3, np.dtype(np.uint8)) == (254, 252, 251)
