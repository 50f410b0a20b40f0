"""The few questions that need a dialog of the system: which file, which folder, which colour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from qtpy.QtCore import QSettings, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QInputDialog,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMessageBox,
    QVBoxLayout,
    QWidget,
)

from napari_volseg.core import Color
from napari_volseg.widgets.wording import as_sentence

#: Width of a question with choices, pixels.
CHOICE_WIDTH = 460

OPEN_FILTER = "Images (*.nii *.nii.gz *.hdr *.nrrd *.nhdr *.mha *.mhd *.dcm *.zip);;All files (*)"
LABEL_FILTER = "Labels (*.nii *.nii.gz *.hdr *.nrrd *.nhdr *.mha *.mhd *.dcm);;All files (*)"
#: Where Qt's own dialog keeps the folders that were visited.
_REMEMBERED = ("FileDialog/history", "FileDialog/lastVisited", "FileDialog/shortcuts")


def ask_folder(parent: QWidget, title: str, start: Path | None = None) -> Path | None:
    """Return the folder that the user chooses, None where the question was cancelled; files are shown, too."""
    with unremembered():
        where, files_too = str(start or Path.home()), QFileDialog.Option(0)
        answer = QFileDialog.getExistingDirectory(parent, title, where, files_too)
    return Path(answer) if answer else None


def ask_file(parent: QWidget, title: str, start: Path | None = None, name_filter: str = OPEN_FILTER) -> Path | None:
    """Return the file that the user chooses, None where the question was cancelled."""
    with unremembered():
        answer, _ = QFileDialog.getOpenFileName(parent, title, str(start or Path.home()), name_filter)
    return Path(answer) if answer else None


def ask_save(parent: QWidget, title: str, suggestion: Path) -> Path | None:
    """Return where the user wants something saved, None where the question was cancelled."""
    with unremembered():
        answer, _ = QFileDialog.getSaveFileName(parent, title, str(suggestion))
    return Path(answer) if answer else None


@contextmanager
def unremembered() -> Iterator[None]:
    """Leave no trace of the folders that Qt's own dialog visits: their names may be those of patients.

    Qt writes them into a settings file that it shares with every other program of the user.
    """
    settings = QSettings(QSettings.Scope.UserScope, "QtProject")
    before = {key: settings.value(key) for key in _REMEMBERED}
    try:
        yield
    finally:
        settings.sync()
        for key, value in before.items():
            settings.remove(key) if value is None else settings.setValue(key, value)
        settings.sync()


def ask_choice(parent: QWidget, text: str, choices: Mapping[str, str]) -> str | None:
    """Return the identifier of the choice that the user takes, None where the question was cancelled."""
    dialog = ChoiceDialog(parent, text, choices)
    return dialog.chosen if dialog.exec() else None


def ask_text(parent: QWidget, text: str, suggestion: str = "") -> str | None:
    """Return what the user types, None where the question was cancelled."""
    answer, given = QInputDialog.getText(parent, "Please answer", as_sentence(text), text=suggestion)
    return answer.strip() or None if given else None


def ask_yes(parent: QWidget, text: str) -> bool:
    """Return whether the user says yes."""
    kinds = QMessageBox.StandardButton
    return bool(QMessageBox.question(parent, "Please decide", as_sentence(text), kinds.Yes | kinds.No) == kinds.Yes)


class ChoiceDialog(QDialog):
    """A question with a list of answers.

    Parameters
    ----------
    parent
        Over which it appears.
    text
        The question.
    choices
        Choice identifier to the sentence that explains it.
    """

    def __init__(self, parent: QWidget, text: str, choices: Mapping[str, str]) -> None:
        super().__init__(parent)
        self.setWindowTitle("Please decide")
        self.setMinimumWidth(CHOICE_WIDTH)
        question = QLabel(as_sentence(text))
        question.setWordWrap(True)
        self.list = QListWidget()
        self.list.setWordWrap(True)
        for identifier, meaning in choices.items():
            item = QListWidgetItem(as_sentence(meaning), self.list)
            item.setData(Qt.ItemDataRole.UserRole, identifier)
        self.list.setCurrentRow(0)
        self.list.itemDoubleClicked.connect(self.accept)
        kinds = QDialogButtonBox.StandardButton
        buttons = QDialogButtonBox(kinds.Ok | kinds.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        for widget in (question, self.list, buttons):
            layout.addWidget(widget)

    @property
    def chosen(self) -> str:
        """Identifier of the marked choice."""
        return self.list.currentItem().data(Qt.ItemDataRole.UserRole)


def ask_color(parent: QWidget, color: Color) -> Color | None:
    """Return the RGB colour (0-255) that the user chooses, None where the question was cancelled."""
    answer = QColorDialog.getColor(QColor(*color), parent, "Colour of the segment")
    return (answer.red(), answer.green(), answer.blue()) if answer.isValid() else None
