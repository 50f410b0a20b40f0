"""Files and folders that are dropped from the desktop."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QEvent, QMimeData, QObject, Qt
from qtpy.QtWidgets import QApplication, QWidget

from napari_volseg.app import Application, looks_medical


def dropped_paths(data: QMimeData) -> list[Path]:
    """Return the local files and folders of a drop."""
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]


class DropFilter(QObject):
    """Takes medical images that are dropped on the image, in the background; leaves everything else to napari.

    With Alt held, napari asks as ever which plugin shall open a file.
    """

    def __init__(self, app: Application, target: QWidget) -> None:
        super().__init__(target)
        self._app = app
        target.installEventFilter(self)

    def remove(self) -> None:
        """Leave all drops to napari again."""
        self.deleteLater()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take a drop that is ours."""
        if event.type() != QEvent.Type.Drop or QApplication.keyboardModifiers() & Qt.KeyboardModifier.AltModifier:
            return False
        paths = dropped_paths(event.mimeData())
        if len(paths) != 1 or not looks_medical(paths[0]):
            return False
        self._app.attempt(self._app.open_path, paths[0])
        event.acceptProposedAction()
        return True
