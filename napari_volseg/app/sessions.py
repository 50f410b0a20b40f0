"""Where the work on each image is kept, so that opening the image again goes on where it ended."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from napari_volseg.app.case import LABEL_TYPE
from napari_volseg.app.keeping import Keeper, SavedCallback, TroubleCallback, free_name, own_folder, spare_folders
from napari_volseg.app.recovery import Recovered, recover, recover_copy
from napari_volseg.app.session_database import sync_folder
from napari_volseg.app.session_file import SessionFile, source_reference
from napari_volseg.core import Measurement, Prompt, RefusedError, Segmentation, Volume
from napari_volseg.editing import History

ENDING = ".volseg"


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
    view
        How the case was looked at, empty at the beginning.
    told
        One sentence for the user about what was found, empty where there is nothing to say.
    measurements
        Measurements in effect.
    """

    segmentation: Segmentation
    journal: Keeper | None = None
    history: History | None = None
    prompts: tuple[Prompt, ...] = ()
    view: Mapping[str, Any] = field(default_factory=dict)
    told: str = ""
    measurements: tuple[Measurement, ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears, on a writing thread, that a session can't be saved, and that it is saved again."""

    trouble: TroubleCallback
    saved: SavedCallback


class SessionStore:
    """Session files in one folder, named after a checksum of the image and nothing else.

    Parameters
    ----------
    folder
        Made where absent, readable by its owner alone.
    spares
        Folders for work that can't be saved there, the best first; where neither is given, the user's cache and
        the system's temporary folder.
    """

    def __init__(self, folder: Path | None = None, spares: tuple[Path, ...] | None = None) -> None:
        self.folder = folder or platformdirs.user_data_path("napari-volseg") / "sessions"
        self.spares = (() if folder else spare_folders()) if spares is None else spares

    def open(self, volume: Volume, listener: Listener, path: Path | None = None) -> Work:
        """Go on with the work on an image, or begin; may take as long as reading the image once.

        A session that is open in another window is gone on with as a branch; one that is damaged is left as it is,
        and the next one, or a new one, takes its place.

        Parameters
        ----------
        volume
            The image.
        listener
            Hears of trouble.
        path
            One of ``sessions``; the first one that can be opened where absent.
        """
        source = source_reference(volume)
        opening = _Opening(volume, source, self.spares, listener)
        try:
            home = own_folder(self.folder) / f"{source['blake2b']}{ENDING}"
        except OSError as error:
            return self._open_elsewhere(opening, error)
        self._bring_home(home)
        return opening.first_of([path] if path else self._files(home), home)

    def sessions(self, path: Path) -> list[Path]:
        """Return all sessions of the image that a session file belongs to, from that one on."""
        kept = self._files(path.with_name(path.stem.split("-")[0] + ENDING))
        start = kept.index(path) if path in kept else 0
        return [*kept[start:], *kept[:start]]

    def _open_elsewhere(self, opening: _Opening, error: OSError) -> Work:
        """Go on, or begin, in a spare folder: that of the sessions can't be had."""
        told = f"work can't be kept in {self.folder} ({error.strerror})"
        for folder in self.spares:
            with contextlib.suppress(OSError):
                home = own_folder(folder) / f"{opening.source['blake2b']}{ENDING}"
                return opening.first_of(self._files(home), home, f"{told}: it is kept in {folder} meanwhile")
        return Work(_empty(opening.volume), told=f"{told}: it stays in memory until you export it")

    def _files(self, home: Path) -> list[Path]:
        """Return the session files of an image in the order in which they were begun."""
        branches = home.parent.glob(f"{home.stem}-*{ENDING}")
        numbered = sorted((int(n), p) for p in branches if (n := p.stem.rpartition("-")[2]).isdigit())
        return [*([home] if home.exists() else []), *(p for _, p in numbered)]

    def _bring_home(self, home: Path) -> None:
        """Take what had to be kept in a spare folder back, so that it is gone on with."""
        for folder in self.spares:
            for stray in self._files(folder / home.name):
                try:
                    _take_in(stray, home)
                except (RefusedError, OSError):
                    continue  # it is open, damaged, or can't be moved: it stays where it is, and is whole there


@dataclass(frozen=True, slots=True, eq=False)
class _Opening:
    """What opening a session file takes."""

    volume: Volume
    source: Mapping[str, str]
    spares: tuple[Path, ...]
    listener: Listener

    def first_of(self, paths: list[Path], home: Path, told: str = "") -> Work:
        """Go on with the first session that can be opened; begin a new one where there is none."""
        for path in paths:
            try:
                return self._go_on(path, told, len(paths) - 1)
            except RefusedError as error:
                if error.code == "session.in_use":
                    return self._branch(path, home)
                told = _joined(told, f"{error}; another session is used in its place")
        return self._begin(free_name(home), told)

    def _go_on(self, path: Path, told: str, others: int) -> Work:
        found = recover(path)
        segmentation = found.segmentation(self.volume.geometry)
        journal = self._keep(lambda failed, saved: SessionFile.resume(path, failed, saved))
        journal.flush()  # from now on another window finds it in use
        told = _joined(told, _restored(found))
        if others:
            told = _joined(told, f'{others} more session{"s" * (others != 1)} can be opened with "Other session"')
        return Work(segmentation, journal, found.history(), found.prompts, found.view, told, found.measurements)

    def _branch(self, path: Path, home: Path) -> Work:
        """Begin a session of its own from what another window has done so far."""
        told = "the work on this image is open in another program"
        try:
            found = recover_copy(path)
        except RefusedError as error:
            return self._begin(free_name(home), _joined(told, f"{error}; this window begins anew"))
        segmentation, history = found.segmentation(self.volume.geometry), found.history()

        def make(failed: Callable[[RefusedError], None], saved: Callable[[], None]) -> SessionFile:
            return SessionFile.create(
                free_name(home),
                segmentation,
                self.source,
                failed,
                saved,
                history=history,
                prompts=found.prompts,
                measurements=found.measurements,
            )

        told = f"{told}; this window goes on with a copy, and what you do here is kept beside it"
        journal = self._keep(make)
        journal.flush()
        return Work(segmentation, journal, history, found.prompts, found.view, told, found.measurements)

    def _begin(self, path: Path, told: str) -> Work:
        empty = _empty(self.volume)
        journal = self._keep(lambda failed, saved: SessionFile.create(path, empty, self.source, failed, saved))
        journal.flush()  # from now on another window finds it
        return Work(empty, journal, told=told)

    def _keep(self, make: Callable[[Callable[[RefusedError], None], Callable[[], None]], SessionFile]) -> Keeper:
        return Keeper(make, self.source, self.spares, self.listener.trouble, self.listener.saved)


def _take_in(stray: Path, home: Path) -> None:
    """Make a stray session the session of its image; one that was there becomes a branch, unless it holds as much."""
    found = recover(stray)
    if home.exists() and _is_held_by(home, found):
        stray.unlink()
        return
    copy = home.with_name(f"{home.name}.part")
    copy.unlink(missing_ok=True)
    copy.touch(mode=0o600)
    shutil.copyfile(stray, copy)
    with copy.open("rb+") as file:
        os.fsync(file.fileno())
    recover(copy)
    if home.exists():
        _rename(home, free_name(home))
    copy.rename(home)
    sync_folder(home.parent)
    stray.unlink()


def _is_held_by(home: Path, found: Recovered) -> bool:
    """Tell whether the session that is there holds all of another one; a damaged one holds nothing.

    Raises
    ------
    RefusedError
        Where it is open in another window.
    """
    try:
        return _holds(recover(home), found)
    except RefusedError as error:
        if error.code == "session.in_use":
            raise
        return False


def _rename(path: Path, name: Path) -> None:
    """Give a session file another name, together with the journal that a killed program left beside it."""
    for ending in ("-wal", "-journal", ""):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(name.with_name(name.name + ending))


def _holds(one: Recovered, other: Recovered) -> bool:
    """Tell whether a session holds every step of another one, and is where that one is or further."""
    if (one.dropped, len(one.steps) >= len(other.steps)) != (other.dropped, True):
        return False
    same = all(a.time == b.time and a.after == b.after for a, b in zip(one.steps, other.steps, strict=False))
    return same and (len(one.steps) > len(other.steps) or one.position == other.position)


def _restored(found: Recovered) -> str:
    count = len(found.steps)
    if not count:
        return ""
    restored = f"our work on this image was restored ({count} step{'s' * (count != 1)})"
    return f"The program ended unexpectedly: y{restored}" if found.crashed else f"Y{restored}"


def _joined(*sentences: str) -> str:
    return "; ".join(sentence for sentence in sentences if sentence)


def _empty(volume: Volume) -> Segmentation:
    return Segmentation(np.zeros(volume.geometry.shape, LABEL_TYPE), volume.geometry)
