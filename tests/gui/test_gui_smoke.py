"""The main steps in a real window, quick enough to run under every Qt binding."""

from __future__ import annotations

import os

import nibabel as nib
import numpy as np
import pytest
import qtpy
from driving import Hand
from qtpy.QtCore import Qt

from napari_volseg.widgets import create_window, dialogs

pytestmark = pytest.mark.gui


def test_open_window_click_brush_undo_export(qtbot, image_file, tmp_path, monkeypatch):
    assert qtpy.API_NAME.lower() == os.environ.get("QT_API", "pyqt5").lower()
    viewer, app, panel = create_window(image_file)
    panel.window().resize(1366, 768)
    hand = Hand(viewer, app, panel, qtbot)
    hand.wait(lambda: app.case is not None)
    hand.settle()
    labels = app.case.segmentation.labels
    z, y, x = (n // 2 for n in labels.shape)

    hand.key(Qt.Key.Key_2)
    assert app.view.window.name == "Bone"
    hand.key(Qt.Key.Key_B)
    hand.drag((z, y, x), (z, y + 3, x - 5))
    assert labels[z, y, x] == labels[z, y + 3, x - 5] == 1
    painted = labels.copy()
    hand.key(Qt.Key.Key_K)
    hand.click((z, y, x))
    hand.settle()
    assert len(app.clicks.prompts) == 1
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(labels, painted)
    hand.key(Qt.Key.Key_C)
    assert app.view.plane == "coronal"

    target = tmp_path / "labels.nii.gz"
    monkeypatch.setattr(dialogs, "ask_save", lambda *_: target)
    hand.press("export.nifti")
    hand.wait(target.exists)
    hand.settle()
    assert (np.asanyarray(nib.load(target).dataobj) > 0).sum() == (labels > 0).sum()
    viewer.close()
