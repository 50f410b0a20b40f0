"""Weights from the internet, only where somebody asked for them: resumed, checked, and unpacked nowhere else."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pooch
import requests

from napari_volseg.core import CancelToken, Progress, ProgressCallback, RefusedError, no_progress
from napari_volseg.inference.folders import sha256_of

#: A server that sends nothing for so long has stalled, seconds.
STALL = 30.0
#: How often a download is taken up again before somebody is asked to try later.
ATTEMPTS = 5
#: Pause before it is taken up again, seconds; twice as long each time.
PAUSE = 1.0
#: Written at once, bytes; where a connection breaks, so much may have arrived for nothing.
_CHUNK = 1 << 16
#: Names of checksums beside the weights.
_CHECKSUMS = "sha256.txt"


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip file of weights.

    Parameters
    ----------
    url
        Where it lies.
    folder
        The folder that it unpacks to.
    sha256
        What its bytes hash to, empty where its makers do not say.
    """

    url: str
    folder: str
    sha256: str = ""


def fetch(
    archive: Archive,
    weights: Path,
    progress: ProgressCallback = no_progress,
    cancel: CancelToken | None = None,
) -> Path:
    """Download an archive of weights and unpack it.

    What arrived stays in a ``.part`` file where the download breaks off or is cancelled; the next call goes on from
    there. The folder appears only once everything in it is checked.

    Parameters
    ----------
    archive
        What to download.
    weights
        Folder in which the archive's folder will lie.
    progress
        Told of bytes.
    cancel
        Looked at between pieces.

    Returns
    -------
    Path
        The unpacked folder; nothing is downloaded where it is there already.

    Raises
    ------
    RefusedError
        Where the server can't be reached or stalls, or what it sends is not the archive.
    CancelledError
        Where the token was raised.
    """
    target = weights / archive.folder
    if target.is_dir():
        return target
    weights.mkdir(parents=True, exist_ok=True)
    name = f"{archive.folder}.zip"
    pooch.get_logger().setLevel("WARNING")  # it would print the sum of what has arrived
    download = _Download(weights / f"{name}.part", progress, cancel or CancelToken())
    try:
        got = pooch.retrieve(
            archive.url, f"sha256:{archive.sha256}" if archive.sha256 else None, name, weights, downloader=download
        )
    except ValueError as error:  # pooch: the hash differs
        raise _wrong_bytes(archive, "its checksum differs") from error
    path = Path(got)
    try:
        _unpack(archive, path, weights)
        _note_checksum(weights, archive, sha256_of(path))
    finally:
        path.unlink(missing_ok=True)
    return target


class _Download:
    """Pooch's way to a file, over a part that outlives it."""

    def __init__(self, part: Path, progress: ProgressCallback, cancel: CancelToken) -> None:
        self._part, self._progress, self._cancel = part, progress, cancel

    def __call__(self, url: str, output_file: str, _: object) -> None:
        """Download a URL into a file."""
        pause = PAUSE
        for attempt in range(ATTEMPTS):
            try:
                if self._go_on(url):
                    os.replace(self._part, output_file)
                    return
                problem: object = "it ended early"
            except requests.RequestException as error:
                problem = _in_words(error)
            if attempt + 1 < ATTEMPTS:
                self._wait(pause)
                pause *= 2
        raise RefusedError(
            f"{url} could not be downloaded ({problem}): check the connection and try again, which goes on from "
            f"{self._have / 1e6:.0f} MB",
            "fetch.connection",
        )

    @property
    def _have(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0

    def _go_on(self, url: str) -> bool:
        """Download what is missing; return whether that is all."""
        have = self._have
        headers = (
            {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {"Accept-Encoding": "identity"}
        )
        with requests.get(url, headers=headers, stream=True, timeout=STALL) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                self._part.unlink()  # it is as long as the file, or longer: of another one
                return False
            answer.raise_for_status()
            resumed = answer.status_code == requests.codes.partial_content and _begins_at(answer, have)
            have = have if resumed else 0
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length is not None else 0
            with self._part.open("ab" if resumed else "wb") as out:
                for chunk in answer.iter_content(_CHUNK):
                    self._cancel.check()
                    out.write(chunk)
                    have += len(chunk)
                    self._progress(Progress(have, total, f"{have / 1e6:.0f} of {total / 1e6:.0f} MB"))
        return total == 0 or have == total

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._cancel.check()
            time.sleep(0.05)


def _begins_at(answer: requests.Response, have: int) -> bool:
    return answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _in_words(error: requests.RequestException) -> str:
    match error:
        case requests.Timeout():
            return f"the server sent nothing for {STALL:g} s"
        case requests.HTTPError() if error.response is not None:
            return f"the server answered {error.response.status_code} {error.response.reason}"
    return "the connection failed"


def _unpack(archive: Archive, path: Path, weights: Path) -> None:
    """Unpack a zip beside its place and move its folder there at once."""
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=weights) as room:
        try:
            with zipfile.ZipFile(path) as zipped:
                _refuse_unsafe(archive, zipped, weights)
                zipped.extractall(room)  # checks the sums of its files
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
            raise _wrong_bytes(archive, "it is no complete zip file") from error
        inside = Path(room) / archive.folder
        if not inside.is_dir():
            raise _wrong_bytes(archive, f"there is no folder {archive.folder} in it")
        inside.rename(weights / archive.folder)


def _refuse_unsafe(archive: Archive, zipped: zipfile.ZipFile, weights: Path) -> None:
    """Refuse names that lead elsewhere, links, and more bytes than there is room for."""
    for entry in zipped.infolist():
        name = PurePosixPath(entry.filename.replace("\\", "/"))
        leads_away = name.is_absolute() or ".." in name.parts or (name.parts and ":" in name.parts[0])
        if leads_away or stat.S_ISLNK(entry.external_attr >> 16):
            raise _wrong_bytes(archive, f"it holds {entry.filename!r}, which leads elsewhere")
    needed, free = sum(entry.file_size for entry in zipped.infolist()), shutil.disk_usage(weights).free
    if needed > free:
        raise RefusedError(
            f"{archive.folder} takes {needed / 1e9:.1f} GB and {weights} has room for {free / 1e9:.1f} GB: "
            "make room, or choose another folder with TOTALSEG_WEIGHTS_PATH",
            "fetch.room",
        )


def _wrong_bytes(archive: Archive, why: str) -> RefusedError:
    return RefusedError(
        f"{archive.url} did not send the weights ({why}): try again later, or from another network", "fetch.content"
    )


def _note_checksum(weights: Path, archive: Archive, found: str) -> None:
    """Keep what the bytes hashed to, for those who want to compare."""
    with (weights / _CHECKSUMS).open("a", encoding="utf-8") as notes:
        notes.write(f"{found}  {archive.folder}.zip\n")
