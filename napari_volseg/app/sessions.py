"""Where the work on each image is kept, so that opening the image again goes on where it ended."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

from napari_volseg.app.case import LABEL_TYPE
from napari_volseg.app.recovery import recover
from napari_volseg.app.session_file import ErrorCallback, SessionFile, source_reference
from napari_volseg.core import Prompt, RefusedError, Segmentation, Volume
from napari_volseg.editing import History


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """The work on an image, as it is to be gone on with.

    Parameters
    ----------
    segmentation
        Labels and table.
    journal
        Keeps every further step; None where nothing can be written.
    history
        Steps so far; None at the beginning.
    prompts
        Prompts in effect.
    told
        One sentence for the user about what was found, empty where there is nothing to say.
    """

    segmentation: Segmentation
    journal: SessionFile | None = None
    history: History | None = None
    prompts: tuple[Prompt, ...] = ()
    told: str = ""


class SessionStore:
    """Session files in one folder, named after a checksum of the image and nothing else.

    Parameters
    ----------
    folder
        Made where absent, readable by its owner alone.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or platformdirs.user_data_path("napari-volseg") / "sessions"

    def open(self, volume: Volume, on_error: ErrorCallback) -> Work:
        """Go on with the work on an image, or begin; may take as long as reading the image once.

        A session that is open in another window or damaged is left as it is and a new one is begun beside it.
        """
        source = source_reference(volume)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = self.folder / f"{source['blake2b']}.volseg"
            if path.exists():
                return self._go_on(path, volume, source, on_error)
            return _begin(path, volume, source, on_error)
        except OSError as error:
            told = f"work can't be kept in {self.folder} ({error.strerror}): it stays in memory until you export it"
            return Work(_empty(volume), told=told)

    def _go_on(self, path: Path, volume: Volume, source: dict[str, str], on_error: ErrorCallback) -> Work:
        try:
            found = recover(path)
            segmentation = found.segmentation(volume.geometry)
        except RefusedError as error:
            return _begin(_beside(path), volume, source, on_error, told=f"{error}; a new session was begun beside it")
        count = len(found.steps)
        told = f"Your work on this image was restored ({count} step{'s' * (count != 1)})" if count else ""
        return Work(segmentation, SessionFile.resume(path, on_error), found.history(), found.prompts, told)


def _begin(path: Path, volume: Volume, source: dict[str, str], on_error: ErrorCallback, told: str = "") -> Work:
    empty = _empty(volume)
    return Work(empty, SessionFile.create(path, empty, source, on_error), told=told)


def _empty(volume: Volume) -> Segmentation:
    return Segmentation(np.zeros(volume.geometry.shape, LABEL_TYPE), volume.geometry)


def _beside(path: Path) -> Path:
    names = (path.with_name(f"{path.stem}-{n}{path.suffix}") for n in itertools.count(2))
    return next(name for name in names if not name.exists())
