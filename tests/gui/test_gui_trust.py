"""A program among models: what it means is told in a dialog, and only a clear answer lets it run."""

from __future__ import annotations

import json

import pytest
from driving import Hand
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QCheckBox, QDialogButtonBox, QPushButton

from napari_volseg.app import SessionStore
from napari_volseg.app.samples import sample_path
from napari_volseg.widgets import create_window, dialogs

pytestmark = pytest.mark.gui

CARD = {
    "network": {"kind": "torchscript", "file": "model.ts"},
    "channels": [{"name": "T1", "scheme": "ZScoreNormalization"}],
    "labels": ["background", "bright"],
    "spacing": [4, 4, 4],
    "patch_size": [64, 64, 64],
    "orientation": "SPL",
    "title": "Bright tissue",
    "postprocessing": [{"step": "keep_largest"}],
}


@pytest.fixture
def folder(tmp_path):
    torch = pytest.importorskip("torch")
    folder = tmp_path / "bright-tissue"
    folder.mkdir()
    (folder / "card.json").write_text(json.dumps(CARD))
    conv = torch.nn.Conv3d(1, 2, 1)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1, 1))
        conv.bias.copy_(torch.tensor([0.0, -1.0]))
    torch.jit.script(conv.eval()).save(folder / "model.ts")
    return folder


@pytest.fixture
def hand(qtbot, tmp_path):
    viewer, app, panel = create_window(sample_path("head-mr-t1"), sessions=SessionStore(tmp_path / "sessions"))
    qtbot.addWidget(panel.window(), before_close_func=lambda _: app.close())
    qtbot.waitExposed(panel.window())
    hand = Hand(viewer, app, panel, qtbot)
    hand.wait(lambda: app.case is not None and len(app.models.models) > 1)
    hand.settle()
    yield hand
    app.close()


def answer(row, seen):
    """Answer the next dialog with one of its rows."""

    def act():
        dialog = QApplication.activeModalWidget()
        if dialog is None:
            QTimer.singleShot(100, act)
            return
        seen.append(dialog.grab())
        item = dialog.list.item(row)
        place = dialog.list.visualItemRect(item).center()
        QTest.mouseClick(dialog.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
        ok = dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Ok)
        QTest.mouseClick(ok, Qt.MouseButton.LeftButton)

    QTimer.singleShot(100, act)


def test_it_is_asked_told_refused_and_trusted(hand, folder, monkeypatch):
    app, panel, seen = hand.app, hand.panel, []
    monkeypatch.setattr(dialogs, "ask_folder", lambda *_: folder)
    answer(0, seen)
    hand.press("model.folder")
    hand.wait(lambda: len(seen) == 1 and QApplication.activeModalWidget() is None)
    hand.settle()
    run, trust = (panel.findChild(QPushButton, name) for name in ("segment.run", "model.trust"))
    assert app.models.chosen.card.title == "Bright tissue"
    assert not run.isEnabled()
    assert "Trust" in run.toolTip()
    assert trust.isVisible()
    answer(1, seen)
    hand.press("model.trust")
    hand.wait(lambda: len(seen) == 2 and QApplication.activeModalWidget() is None)
    hand.settle()
    assert not trust.isVisible()
    wish = panel.findChild(QCheckBox, "postprocess")
    assert wish.isVisible()
    assert "keep the largest island of Bright" in wish.toolTip()
    hand.press("segment.run")
    hand.settle()
    assert [step.name for step in app.case.session.history.steps] == [
        "Model: Bright tissue",
        "Bright tissue: keep the largest island of Bright",
    ]
    QTest.mouseClick(wish, Qt.MouseButton.LeftButton, pos=wish.rect().center().__class__(8, wish.height() // 2))
    assert not app.tools.postprocess
