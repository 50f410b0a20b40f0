"""A case on which every segment tool has something to do, and settings under which it does."""

from __future__ import annotations

import numpy as np

from napari_volseg.app import SEGMENT_TOOLS, Application, run_command
from napari_volseg.app.correcting import set_settings
from napari_volseg.core import Box, BoxMask, Geometry, Volume
from napari_volseg.editing import Author

SHAPE = (12, 20, 24)
LIVER, SPLEEN = 1, 2
HAND = Author("hand", "user")


def block(array, start, stop, value):
    array[Box.of(start, stop).slices] = value


def chiral_labels():
    """A liver of a block with a cavity, a spike and a speck, and a spleen against it; no mirror image of itself."""
    labels = np.zeros(SHAPE, np.uint16)
    block(labels, (3, 4, 4), (9, 12, 12), LIVER)
    block(labels, (5, 6, 6), (6, 8, 7), 0)
    block(labels, (4, 5, 12), (5, 6, 17), LIVER)
    block(labels, (9, 17, 20), (10, 18, 22), LIVER)
    block(labels, (3, 12, 4), (9, 16, 9), SPLEEN)
    return labels


def make_app():
    """A program with that case and a list of what it told."""
    application = Application()
    application.notices = []
    application.noticed.connect(application.notices.append)
    voxels = np.zeros(SHAPE, np.int16)
    block(voxels, (3, 4, 4), (9, 12, 10), 200)
    application.adopt(Volume(voxels, Geometry.from_spacing(SHAPE, (3.0, 2.0, 1.5)), "CT", "HU", "HU", "block"))
    for name in ("Liver", "Spleen"):
        application.case.add_segment(name)
    application.case.session.replace(Box.whole(SHAPE), chiral_labels(), name="Draw", author=HAND)
    application.case.active = LIVER
    application.view.index = (4, 8, 8)
    return application


def labels(app):
    return app.case.segmentation.labels


def told(app):
    return app.notices[-1].text


def use(app, tool_id, **settings):
    """Run a tool's command with some settings and wait until all that it began is done."""
    set_settings(app, SEGMENT_TOOLS[tool_id], settings)
    run_command(app, f"tool.{tool_id}")
    app.jobs.wait()


#: Settings under which each tool changes the case above, on the slice that is shown too.
CHANGING = {
    "threshold": {"low": 100, "high": 300},
    "grow-seeds": {"mm": 4},
    "keep-largest": {},
    "remove-small": {"volume": 30},
    "split-islands": {},
    "fill-holes": {},
    "smooth-median": {"mm": 9},
    "smooth-opening": {"mm": 3},
    "smooth-closing": {"mm": 4},
    "smooth-gaussian": {"mm": 2},
    "smooth-all": {"mm": 2},
    "margin": {"mm": 3},
    "hollow": {"mm": 3},
    "fill-between": {},
    "extend": {"mm": 12, "drawn": "anew"},
    "copy-next": {},
    "copy-previous": {},
    "mirror": {},
    "split-plane": {},
    "union": {},
    "subtract": {"mm": 4},
    "intersect": {"mm": 4},
    "merge": {},
    "relabel": {"value": 9},
}


def prepare(app, tool_id):
    """Make a gap for the tools that fill gaps."""
    if tool_id in ("fill-between", "threshold"):
        gap = BoxMask.of(np.isin(np.indices(SHAPE)[0], (5, 6)) & (labels(app) == LIVER))
        app.case.session.apply(gap, 0, name="Gap", author=HAND)
