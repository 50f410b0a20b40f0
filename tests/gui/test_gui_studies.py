"""The study browser and a second image in a real window, by keys and mouse alone."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from driving import Hand, send_mouse
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDoubleSpinBox, QPushButton, QSlider

from napari_volseg.app import SessionStore
from napari_volseg.core import Window
from napari_volseg.widgets import create_window

pytestmark = pytest.mark.gui
SHIFT, NONE = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier
#: Where it is hot, mm, RAS: off every middle.
HOT = np.array((75.0, 95.0, 78.0))


def save(path, shape, spacing, paint) -> None:
    affine = np.diag([*spacing, 1.0])
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    image = nib.Nifti1Image(paint(index * spacing), affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


@pytest.fixture
def folder(tmp_path):
    """A CT and, on a coarser grid, an image that is hot in one place."""
    study = tmp_path / "study"
    study.mkdir()
    save(study / "ct.nii.gz", (60, 64, 40), (2.0, 2.0, 3.0), lambda p: np.full(p.shape[:3], 40, np.int16))
    heat = lambda p: (9 * np.exp(-((p - HOT) ** 2).sum(-1) / 200)).astype(np.float32)  # noqa: E731
    save(study / "heat.nii.gz", (30, 32, 24), (4.0, 4.0, 5.0), heat)
    return study


@pytest.fixture
def hand(qtbot, tmp_path, folder):
    viewer, app, panel = create_window(sessions=SessionStore(tmp_path / "sessions"))
    driver = Hand(viewer, app, panel, qtbot)
    app.list_path(folder)
    driver.settle()
    panel.window().activateWindow()
    yield driver
    viewer.close()


def tree_key(hand, key, modifier=NONE) -> None:
    QTest.keyClick(hand.panel.studies.tree, key, modifier)
    QApplication.processEvents()


def open_ct(hand) -> None:
    hand.press("studies.show")
    browser = hand.panel.studies
    assert browser.isVisible()
    hand.settle()
    browser.choose(next(f for f in hand.app.scan_result.found if f.description.startswith("ct")))
    tree_key(hand, Qt.Key.Key_Return)
    hand.wait(lambda: hand.app.case is not None)
    hand.settle()
    assert not browser.isVisible()


def lay_heat_over(hand) -> None:
    hand.key(Qt.Key.Key_F, SHIFT)
    assert hand.panel.studies.chosen.description.startswith("heat")  # the CT is open already
    tree_key(hand, Qt.Key.Key_Return, SHIFT)
    hand.wait(lambda: hand.app.fusion.image is not None)
    hand.settle()


def color_at(hand, index):
    hand.go_to(index)
    QTest.qWait(200)
    point = hand.where(index)
    return hand.canvas.grab().toImage().pixelColor(point)


def test_a_series_is_opened_and_another_laid_over_it_by_keys(hand) -> None:
    open_ct(hand)
    lay_heat_over(hand)
    app = hand.app
    app.fusion.wishes.colours, app.fusion.wishes.window = "hot", Window.between(0.0, 18.0)
    app.view.crosshair = False
    geometry = app.case.volume.geometry
    hot = tuple(int(i) for i in np.round(geometry.to_index(HOT * (-1, -1, 1))))
    assert all(abs(i - n / 2) > 2 for i, n in zip(hot, geometry.shape, strict=True))
    warm = color_at(hand, hot)
    assert warm.red() > warm.blue() + 40
    mirrored = color_at(hand, (hot[0], hot[1], geometry.shape[2] - 1 - hot[2]))
    assert abs(mirrored.red() - mirrored.blue()) < 20
    hand.go_to(hot)
    QTest.mouseMove(hand.canvas, hand.where(hot))
    hand.wait(lambda: bool(app.view.cursor_text))
    assert len(app.view.cursor_text.split("   ")) == 3
    hand.key(Qt.Key.Key_V, SHIFT)
    cold = color_at(hand, hot)
    assert abs(cold.red() - cold.blue()) < 20


def test_side_by_side_the_right_button_sets_the_window_of_the_image_under_it(hand) -> None:
    open_ct(hand)
    lay_heat_over(hand)
    app = hand.app
    hand.key(Qt.Key.Key_3, Qt.KeyboardModifier.AltModifier)
    hand.wait(lambda: len(hand.panel.binding.shown) == 2)
    QTest.qWait(300)
    first, second = (hand.panel.views.canvas(name) for name in ("axial", "second"))
    assert abs(first.width() - second.width()) < 12
    assert second.mapTo(hand.panel.window(), second.rect().topLeft()).x() > first.width()
    title = hand.panel.views.furniture[hand.panel.binding.shown["second"]].title.label
    assert "heat" in title.text()
    before, heat = app.view.window, app.fusion.wishes.window
    for canvas, changed in (
        (second, lambda: app.fusion.wishes.window != heat),
        (first, lambda: app.view.window != before),
    ):
        middle = canvas.rect().center()
        send_mouse(canvas, QEvent.Type.MouseButtonPress, middle, Qt.MouseButton.RightButton)
        send_mouse(canvas, QEvent.Type.MouseMove, middle + QPoint(40, 0), Qt.MouseButton.RightButton)
        send_mouse(canvas, QEvent.Type.MouseButtonRelease, middle + QPoint(40, 0), Qt.MouseButton.RightButton)
        assert changed()
        assert (app.view.window == before) == (canvas is second)


def test_opacity_window_and_removal_by_the_panel(hand) -> None:
    open_ct(hand)
    assert not hand.panel.findChild(QPushButton, "fusion.remove").isVisible()
    lay_heat_over(hand)
    app, panel = hand.app, hand.panel
    slider = panel.findChild(QSlider, "fusion-opacity")
    hand.wait(lambda: slider.isVisible())
    slider.setFocus()
    QTest.keyClick(slider, Qt.Key.Key_Home)
    assert app.fusion.wishes.opacity == 0
    high = panel.findChild(QDoubleSpinBox, "fusion-high")
    high.setFocus()
    high.selectAll()
    QTest.keyClicks(high, "5")
    QTest.keyClick(high, Qt.Key.Key_Return)
    assert app.fusion.wishes.window.limits[1] == pytest.approx(5)
    QTest.qWait(200)
    for row in panel.view.fusion.rows:
        assert not row.isVisible() or row.height() >= row.minimumSizeHint().height()
    hand.press("fusion.remove")
    hand.wait(lambda: panel.findChild(QPushButton, "fusion.add").isVisible())
    assert app.fusion.image is None


def test_the_browser_says_why_something_is_not_possible_and_goes_with_escape(hand) -> None:
    hand.press("studies.show")
    browser = hand.panel.studies
    assert "open an image first" in browser.over.toolTip()
    assert not browser.over.isEnabled()
    tree_key(hand, Qt.Key.Key_Escape)
    assert not browser.isVisible()
    open_ct(hand)
    hand.key(Qt.Key.Key_O, SHIFT)
    browser.choose(next(f for f in hand.app.scan_result.found if f.description.startswith("ct")))
    assert "open already" in browser.open.toolTip()
    assert "open image itself" in browser.over.toolTip()
    hand.wait(lambda: not hand.app.jobs.active)
    icon = browser.tree.currentItem().icon(0).pixmap(72, 72).toImage()
    assert icon.pixelColor(36, 36).lightness() > 20
