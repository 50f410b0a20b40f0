"""A model is chosen, read about, run, watched, cancelled, run again, and accepted, with mouse and keys."""

from __future__ import annotations

import numpy as np
import pytest
from driving import Hand
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox

from napari_volseg.app import SessionStore
from napari_volseg.app.samples import sample_path
from napari_volseg.viewer.live import LIVE
from napari_volseg.widgets import create_window

pytestmark = pytest.mark.gui


@pytest.fixture
def hand(qtbot, tmp_path):
    viewer, app, panel = create_window(sample_path("torso-ct"), sessions=SessionStore(tmp_path / "sessions"))
    qtbot.addWidget(panel.window(), before_close_func=lambda _: app.close())
    qtbot.waitExposed(panel.window())
    hand = Hand(viewer, app, panel, qtbot)
    hand.wait(lambda: app.case is not None and len(app.models.models) > 1)
    hand.settle()
    yield hand
    app.close()


def test_bands_appear_and_go_with_the_run(hand):
    app, panel = hand.app, hand.panel
    models = panel.findChild(QComboBox, "models")
    models.setFocus()
    for _ in range(models.count()):
        if app.tools.model != "phantom-organs":
            QTest.keyClick(models, Qt.Key.Key_Down)
    assert app.tools.model == "phantom-organs"
    hand.wait(lambda: "Liver" in panel.segment.card.text())
    hand.press("segment.run")
    hand.wait(lambda: LIVE in hand.viewer.layers)
    assert not app.case.segmentation.labels.any()
    (first, *_) = app.live.sighting.bands
    hand.go_to([(a + b - 1) // 2 for a, b in zip(first.box.start, first.box.stop, strict=True)])
    z = app.view.index[0]
    seen = np.asarray(hand.viewer.layers[LIVE].data[z])
    assert np.array_equal(seen[first.box.slices[1:]], first.labels[z - first.box.start[0]])
    hand.press("segment.cancel")
    hand.settle()
    assert LIVE not in hand.viewer.layers
    assert not app.case.segmentation.labels.any()
    assert len(app.case.table) == 0
    hand.key(Qt.Key.Key_R)
    hand.wait(lambda: LIVE in hand.viewer.layers)
    hand.settle()
    QApplication.processEvents()
    assert LIVE not in hand.viewer.layers
    assert len(app.case.table) == len(app.models.chosen.card.segments)
    assert np.unique(app.case.segmentation.labels).size > 5
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not app.case.segmentation.labels.any()
