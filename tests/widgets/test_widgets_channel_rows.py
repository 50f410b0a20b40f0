"""The rows of a model's channels show what was matched and what is missing, and are changed by mouse and keys."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLabel

from napari_volseg.app import Application
from napari_volseg.app.channels import choices_of
from napari_volseg.core import Geometry, Volume
from napari_volseg.widgets.channel_rows import ChannelRows


@pytest.fixture
def app(monkeypatch):
    application = Application()
    geometry = Geometry.from_spacing((4, 5, 6))
    application.adopt(Volume(np.zeros(geometry.shape, np.float32), geometry, "MR", name="Sag T1"))
    card = SimpleNamespace(channels=("T1", "FLAIR"), title="Two sequences")
    monkeypatch.setattr(type(application.models), "chosen", SimpleNamespace(card=card))
    yield application
    application.close()


@pytest.fixture
def rows(app, qtbot, tmp_path):
    widget = ChannelRows(app, lambda what: tmp_path / "x_flair.nii.gz" if "FLAIR" in what else None)
    qtbot.addWidget(widget)
    widget.refresh()
    widget.show()
    return widget


def shown(rows):
    return [label.text() for label in rows.findChildren(QLabel) if label.isVisible()]


def test_what_is_matched_and_what_is_missing_is_seen(rows):
    assert rows._boxes["T1"].currentText() == "Sag T1 (open)"
    assert rows._boxes["FLAIR"].currentText() == "Choose an image…"
    assert shown(rows) == ["T1", "FLAIR", "No image in reach is called FLAIR: choose one"]


def test_a_file_is_chosen_by_keys_and_taken_back(rows, app, tmp_path):
    box = rows._boxes["FLAIR"]
    QTest.keyClick(box, Qt.Key.Key_End)
    assert app.tools.channels == {"FLAIR": str(tmp_path / "x_flair.nii.gz")}
    assert box.currentText() == "x_flair.nii.gz"
    assert choices_of(app)[1].source.path == tmp_path / "x_flair.nii.gz"
    assert shown(rows) == ["T1", "FLAIR"]
    QTest.keyClick(box, Qt.Key.Key_Home)
    assert app.tools.channels == {}
    assert box.currentText() == "Choose an image…"


def test_a_question_that_is_cancelled_changes_nothing(rows, app):
    box = rows._boxes["T1"]
    QTest.keyClick(box, Qt.Key.Key_End)
    assert app.tools.channels == {}
    assert box.currentText() == "Sag T1 (open)"


def test_models_of_one_channel_have_no_rows(rows, app, monkeypatch):
    card = SimpleNamespace(channels=("CT",), title="One")
    monkeypatch.setattr(type(app.models), "chosen", SimpleNamespace(card=card))
    rows.refresh()
    assert not rows.isVisible()
