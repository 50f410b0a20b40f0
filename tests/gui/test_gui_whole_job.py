"""The whole job on the sample CT with real mouse and key events, and every exported voxel where it belongs."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pydicom
import pytest
from driving import Hand
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox

from napari_volseg.formats import load_labels
from napari_volseg.widgets import create_window, dialogs

pytestmark = pytest.mark.gui

CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def hand(qtbot, tmp_path, monkeypatch):
    """A hand at an open, empty window."""
    viewer, app, panel = create_window()
    panel.window().resize(1366, 768)
    qtbot.waitExposed(panel.window())
    yield Hand(viewer, app, panel, qtbot)
    viewer.close()


def test_the_whole_job(hand, sample_data, tmp_path, monkeypatch):
    app = hand.app
    open_sample(hand, sample_data, monkeypatch)
    truth = load_labels(sample_data / "torso-labels.nii.gz", app.case.volume)
    named = {segment.name: segment.value for segment in truth.table}

    hand.key(Qt.Key.Key_1)
    assert app.view.window.name == "Lung"
    assert tuple(hand.viewer.layers[0].contrast_limits) == app.view.window.limits
    hand.key(Qt.Key.Key_3)

    run_model(hand, "phantom-organs")
    labels = app.case.segmentation.labels
    predicted = {segment.name: segment.value for segment in app.case.table}
    assert dice(labels == predicted["Liver"], truth.labels == named["Liver"]) > 0.85
    automatic = labels.copy()

    lesion = click_twice(hand, truth.labels == named["Liver lesion"])
    assert dice(labels == lesion, truth.labels == named["Liver lesion"]) > 0.5
    clicked = labels.copy()

    corrected = brush_correction(hand, lesion)
    hand.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(labels, clicked)
    for _ in range(2):
        hand.key(Qt.Key.Key_Z, CONTROL)
    assert app.clicks.prompts == ()
    assert np.array_equal(labels, automatic)
    for _ in range(3):
        hand.key(Qt.Key.Key_Z, CONTROL | SHIFT)
    assert np.array_equal(labels, corrected)

    nifti, seg = export_both(hand, tmp_path, monkeypatch)
    assert_nifti_agrees(nifti, app.case)
    assert_seg_agrees(seg, app.case)


def open_sample(hand, sample_data, monkeypatch):
    """Open the sample series through the panel's button."""
    monkeypatch.setattr(dialogs, "ask_folder", lambda *_: sample_data / "torso-ct-dicom")
    hand.press("open.folder")
    hand.wait(lambda: hand.app.case is not None)
    hand.settle()


def run_model(hand, model):
    """Choose a model in the list and run it."""
    models = hand.panel.findChild(QComboBox, "models")
    hand.wait(lambda: models.findData(model) >= 0)
    models.setCurrentIndex(models.findData(model))
    hand.press("segment.run")
    assert hand.app.jobs.active
    hand.wait(lambda: len(hand.app.case.table) > 0)
    hand.settle()


def click_twice(hand, target):
    """Begin a segment and click into a structure on two slices; return its value."""
    inside = np.argwhere(target)
    middle = inside[np.abs(inside - inside.mean(0)).sum(1).argmin()]
    hand.press("segment.next")
    hand.key(Qt.Key.Key_K)
    hand.click(middle)
    hand.settle()
    assert len(hand.app.clicks.prompts) == 1
    hand.click(middle + np.array((1, 0, 0)))
    hand.settle()
    assert len(hand.app.clicks.prompts) == 2
    return hand.app.case.active


def brush_correction(hand, value):
    """Paint a stroke beside the segment and return the labels then."""
    labels = hand.app.case.segmentation.labels
    z, y, x = np.round(np.argwhere(labels == value).mean(0)).astype(int)
    hand.key(Qt.Key.Key_B)
    before = (labels == value).sum()
    hand.drag((z, y, x), (z, y + 12, x + 6))
    assert (labels == value).sum() > before
    assert labels[z, y + 12, x + 6] == value
    return labels.copy()


def export_both(hand, folder, monkeypatch):
    """Export NIfTI and DICOM-SEG through the panel's buttons."""
    files = []
    for kind, name in (("nifti", "labels.nii.gz"), ("dicom-seg", "labels.dcm")):
        files.append(folder / name)
        monkeypatch.setattr(dialogs, "ask_save", lambda *_, target=files[-1]: target)
        hand.press(f"export.{kind}")
        hand.wait(files[-1].exists)
        hand.settle()
    return files


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def assert_nifti_agrees(path, case):
    """Every voxel of the file, taken through both affines, holds what the app shows there."""
    image = nib.load(path)
    assert image.header["sform_code"] == 1
    data = np.asanyarray(image.dataobj)
    ijk = np.indices(data.shape).reshape(3, -1).T
    lps = (ijk @ image.affine[:3, :3].T + image.affine[:3, 3]) * (-1, -1, 1)
    index = case.volume.geometry.to_index(lps)
    assert np.abs(index - np.round(index)).max() < 1e-3
    index = np.round(index).astype(int)
    assert np.array_equal(data.reshape(-1), case.segmentation.labels[tuple(index.T)])


def assert_seg_agrees(path, case):
    """Every frame, placed by its own position and orientation, holds what the app shows there, and all is there."""
    seg = pydicom.dcmread(path)
    names = {item.SegmentNumber: item.SegmentLabel for item in seg.SegmentSequence}
    values = {segment.name: segment.value for segment in case.table}
    rebuilt = {number: np.zeros(case.segmentation.labels.shape, bool) for number in names}
    for item, frame in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
        number = item.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        rows, columns = np.nonzero(frame)
        index = np.round(case.volume.geometry.to_index(pixel_positions(seg, item, rows, columns))).astype(int)
        rebuilt[number][tuple(index.T)] = True
    for number, name in names.items():
        assert np.array_equal(rebuilt[number], case.segmentation.labels == values[name]), name


def pixel_positions(seg, item, rows, columns):
    """Patient (x, y, z), mm, LPS of pixels of a frame (PS3.3 C.7.6.2.1.1)."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    position = np.array(item.PlanePositionSequence[0].ImagePositionPatient, float)
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    row_step, column_step = (float(s) for s in shared.PixelMeasuresSequence[0].PixelSpacing)
    return position + np.outer(columns * column_step, cosines[:3]) + np.outer(rows * row_step, cosines[3:])
