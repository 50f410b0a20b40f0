"""The few questions that need a dialog of the system: which file, which folder, which colour."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog, QFileDialog, QWidget

from napari_volseg.core import Color

OPEN_FILTER = "Images (*.nii *.nii.gz *.dcm);;All files (*)"
LABEL_FILTER = "Labels (*.nii *.nii.gz *.dcm);;All files (*)"


def ask_folder(parent: QWidget, title: str, start: Path | None = None) -> Path | None:
    """Return the folder that the user chooses, None where the question was cancelled."""
    answer = QFileDialog.getExistingDirectory(parent, title, str(start or Path.home()))
    return Path(answer) if answer else None


def ask_file(parent: QWidget, title: str, start: Path | None = None, name_filter: str = OPEN_FILTER) -> Path | None:
    """Return the file that the user chooses, None where the question was cancelled."""
    answer, _ = QFileDialog.getOpenFileName(parent, title, str(start or Path.home()), name_filter)
    return Path(answer) if answer else None


def ask_save(parent: QWidget, title: str, suggestion: Path) -> Path | None:
    """Return where the user wants something saved, None where the question was cancelled."""
    answer, _ = QFileDialog.getSaveFileName(parent, title, str(suggestion))
    return Path(answer) if answer else None


def ask_color(parent: QWidget, color: Color) -> Color | None:
    """Return the RGB colour (0-255) that the user chooses, None where the question was cancelled."""
    answer = QColorDialog.getColor(QColor(*color), parent, "Colour of the segment")
    return (answer.red(), answer.green(), answer.blue()) if answer.isValid() else None
