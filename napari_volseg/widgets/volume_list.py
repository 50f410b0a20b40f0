"""Item model of what a scan found and refused."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, Qt

from napari_volseg.formats import FoundVolume, RefusedFile, Scan

Entry = FoundVolume | RefusedFile


class VolumeListModel(QAbstractListModel):
    """Found volumes first, then refused files, greyed, with their reasons."""

    def __init__(self) -> None:
        super().__init__()
        self._entries: tuple[Entry, ...] = ()

    def show_scan(self, scan: Scan | None) -> None:
        """Show the outcome of a scan."""
        entries: tuple[Entry, ...] = (*scan.found, *scan.refused) if scan else ()
        if entries != self._entries:
            self.beginResetModel()
            self._entries = entries
            self.endResetModel()

    def found(self, index: QModelIndex) -> FoundVolume | None:
        """Return the volume of a row, None for a refused file."""
        entry = self._entries[index.row()]
        return entry if isinstance(entry, FoundVolume) else None

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of rows."""
        return 0 if parent is not None and parent.isValid() else len(self._entries)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return text and tooltip of a row."""
        entry = self._entries[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return describe(entry)
        if role == Qt.ItemDataRole.ToolTipRole:
            return _tooltip(entry)
        return None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Return that only found volumes can be chosen."""
        if self.found(index) is None:
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable


def describe(entry: Entry) -> str:
    """Return the lines that describe a found volume or a refused file."""
    if isinstance(entry, RefusedFile):
        return f"Refused: {entry.path.name}\n{entry.reason}"
    name = entry.description or "Without description"
    slices = f"{entry.slices} slice{'s' * (entry.slices != 1)}"
    step = "no physical size" if entry.uncalibrated else " × ".join(f"{s:.3g}" for s in entry.spacing) + " mm"
    modality = entry.modality if entry.modality != "OT" else ""
    date = f" ({entry.date})" if entry.date else ""
    return f"{name}{date}\n{' · '.join(filter(None, (modality, slices, step)))}"


def _tooltip(entry: Entry) -> str:
    if isinstance(entry, RefusedFile):
        return f"{entry.path}\n{entry.reason}"
    size = " × ".join(str(n) for n in entry.shape)
    source = entry.archive or entry.paths[0]
    lines = [f"Click to open {entry.description}", f"{entry.format}, {size} voxels (z, y, x)", str(source)]
    told = [f.message for f in entry.findings]
    # What is unclear is told and asked in the same words: once is enough.
    asked = [f"You will be asked: {d.question}" for d in entry.decisions]
    open_questions = {d.question for d in entry.decisions}
    return "\n".join([*lines, *(text for text in told if text not in open_questions), *asked])
