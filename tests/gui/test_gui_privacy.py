"""What Qt's file dialog remembers of the folders of patients: nothing."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QSettings, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget

from napari_volseg.widgets import dialogs

pytestmark = pytest.mark.gui


def test_a_folder_that_was_chosen_is_not_remembered(qtbot, tmp_path, monkeypatch):
    QSettings.setPath(QSettings.Format.NativeFormat, QSettings.Scope.UserScope, str(tmp_path / "settings"))
    settings = QSettings(QSettings.Scope.UserScope, "QtProject")
    settings.setValue("FileDialog/lastVisited", "file:///somewhere")
    settings.sync()
    patient = tmp_path / "Mustermann^Erika"
    patient.mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", _own_dialog)
    parent = QWidget()
    qtbot.addWidget(parent)
    QTimer.singleShot(300, _accept)
    assert dialogs.ask_folder(parent, "Open", patient) == patient
    written = [p for p in (tmp_path / "settings").rglob("*") if p.is_file()]
    assert written
    assert all("Mustermann" not in p.read_text() for p in written)
    assert QSettings(QSettings.Scope.UserScope, "QtProject").value("FileDialog/lastVisited") == "file:///somewhere"


def _own_dialog(parent, title, start, _options):
    """Ask with Qt's own dialog, whatever the desktop offers."""
    dialog = QFileDialog(parent, title, start)
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.exec()
    chosen = dialog.selectedFiles()[0]
    dialog.setParent(None)
    del dialog
    return chosen


def _accept():
    QApplication.activeModalWidget().accept()
