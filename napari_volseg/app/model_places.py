"""Which model folders and programs the user has brought in, kept between two runs of the application."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

_log = logging.getLogger(__name__)


class ModelPlaces:
    """Folders of models that were added, and the programs among them that are trusted.

    A program is trusted by its content: another one in the same place is not.

    Parameters
    ----------
    path
        A JSON file, readable by its owner alone; None keeps everything in memory. One that is damaged counts as
        empty.

    Attributes
    ----------
    folders
        Model folders in the order in which they were added.
    trusted
        SHA-256 of the programs.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        kept = _read(path) if path is not None else {}
        self.folders: tuple[Path, ...] = tuple(Path(folder) for folder in kept.get("folders", ()))
        self.trusted: frozenset[str] = frozenset(kept.get("trusted", ()))

    def add_folder(self, folder: Path) -> None:
        """Remember a folder."""
        if folder not in self.folders:
            self.folders = (*self.folders, folder)
            self._write()

    def trust(self, checksum: str) -> None:
        """Remember that the user trusts the program with this SHA-256."""
        if checksum not in self.trusted:
            self.trusted |= {checksum}
            self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        content = {"folders": [str(folder) for folder in self.folders], "trusted": sorted(self.trusted)}
        draft = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.touch(mode=0o600)
            draft.write_text(json.dumps(content, indent=2), encoding="utf-8")
            os.replace(draft, self._path)
        except OSError as error:
            _log.warning("%s can't be written, so models are remembered until the end only: %s", self._path, error)


def _read(path: Path) -> dict[str, list[str]]:
    """Return what is kept, as far as it is lists of words."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _log.warning("%s can't be read and counts as empty: %s", path, error)
        return {}
    lists = {key: value for key, value in content.items() if isinstance(value, list)} if type(content) is dict else {}
    return {key: [word for word in value if isinstance(word, str)] for key, value in lists.items()}
