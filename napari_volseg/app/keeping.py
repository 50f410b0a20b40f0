"""The journal of an open case: its session file, and a second one elsewhere while the first can't be written."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import platformdirs

from napari_volseg.app.session_file import SessionFile
from napari_volseg.app.session_watch import promptly
from napari_volseg.core import RefusedError, Segmentation
from napari_volseg.editing import EditSession, Step

#: A spare folder that can't be had within so many seconds is passed over: it may lie on the disk that hangs.
FOLDER_SECONDS = 0.3

#: Called on a writing thread with the journal that has something to tell.
TroubleCallback = Callable[["Keeper", RefusedError], None]
SavedCallback = Callable[["Keeper"], None]


def spare_folders() -> tuple[Path, ...]:
    """Return where work is kept while its own folder can't be written, the best first."""
    owner = os.getuid() if hasattr(os, "getuid") else 0
    return (
        platformdirs.user_cache_path("napari-volseg") / "sessions",
        Path(tempfile.gettempdir()) / f"napari-volseg-sessions-{owner}",
    )


def own_folder(folder: Path) -> Path:
    """Make a folder for its owner alone and return it.

    Raises
    ------
    OSError
        Where it can't be made, or where it is there and belongs to somebody else.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = folder.lstat()
    if hasattr(os, "getuid") and (folder.is_symlink() or status.st_uid != os.getuid()):
        raise PermissionError(13, "it belongs to somebody else", str(folder))
    return folder


class Keeper:
    """Hands every step to the session file, and while that fails to a spare one as well.

    ``record``, ``moved``, ``keep_view``, ``go_elsewhere`` and ``come_home`` belong to the thread that edits.

    Parameters
    ----------
    make
        Makes the session file out of its callbacks for errors and for the end of an error.
    source
        The reference to the image.
    spares
        Folders for a spare file, the best first.
    trouble, saved
        Called on a writing thread when a file can't be written, and when the session file is whole again; the
        owner answers with ``go_elsewhere`` and ``come_home`` on the thread that edits.
    """

    def __init__(
        self,
        make: Callable[[Callable[[RefusedError], None], Callable[[], None]], SessionFile],
        source: Mapping[str, str],
        spares: tuple[Path, ...],
        trouble: TroubleCallback,
        saved: SavedCallback,
    ) -> None:
        self._trouble, self._saved = trouble, saved
        self._source = source
        self._folders = list(spares)
        self._spare: SessionFile | None = None
        self._file = make(lambda error: trouble(self, error), lambda: saved(self))

    @property
    def path(self) -> Path:
        """The session file."""
        return self._file.path

    @property
    def healthy(self) -> bool:
        """Whether the session file could be written the last time."""
        return self._file.healthy

    def record(self, step: Step) -> None:
        """Keep a new step."""
        for file in self._files:
            file.record(step)

    def moved(self, position: int) -> None:
        """Keep the number of steps in effect."""
        for file in self._files:
            file.moved(position)

    def keep_view(self, view: Mapping[str, Any]) -> None:
        """Keep how the case is looked at."""
        for file in self._files:
            file.keep_view(view)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until every step so far was tried; return whether all of them are on disk, here or there."""
        return any(file.flush(timeout) for file in reversed(self._files))

    def close(self) -> None:
        """Write what is left and let the files go; a spare one that is not needed any more is removed."""
        self._file.close()
        if self._file.healthy:
            self.come_home()
        elif self._spare is not None:
            self._spare.close()

    def go_elsewhere(self, session: EditSession) -> Path | None:
        """Begin, or begin anew in the next folder, a spare file with everything; return it, None if none is left."""
        if self._spare is not None and self._spare.healthy:
            return self._spare.path
        session.go_to(session.history.position)  # makes a step of what is being painted
        while self._folders:
            folder = self._folders.pop(0)
            try:
                path = promptly(partial(_spare_name, folder, self._file.path.name), FOLDER_SECONDS)
            except OSError:
                continue
            old, self._spare = self._spare, self._begin(path, session)
            if old is not None:
                old.close()
            return path
        return None

    def come_home(self) -> None:
        """Let the spare file go: the session file holds everything again."""
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.close()
            with contextlib.suppress(OSError):  # it is found and compared when the image is opened again
                spare.path.unlink()
            self._folders.insert(0, spare.path.parent)

    @property
    def _files(self) -> tuple[SessionFile, ...]:
        return (self._file,) if self._spare is None else (self._file, self._spare)

    def _begin(self, path: Path, session: EditSession) -> SessionFile:
        now = session.segmentation
        return SessionFile.create(
            path,
            Segmentation(now.labels, now.geometry, now.table),
            self._source,
            lambda error: self._trouble(self, error),
            history=session.history,
            prompts=session.prompts,
            measurements=session.measurements,
        )


def _spare_name(folder: Path, name: str) -> Path:
    return free_name(own_folder(folder) / name)


def free_name(path: Path) -> Path:
    """Return the path, numbered where it exists."""
    number, name = 2, path
    while name.exists():
        name = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return name
