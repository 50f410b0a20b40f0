"""Zip archives in: unpacked into a private folder of the caller's, and never written or read outside of it.

Nothing that an archive says is believed: names are checked before they become paths, and sizes are counted while
the files are inflated. Names, links, sizes and encryption follow PKWARE's APPNOTE 6.3.
"""

from __future__ import annotations

import lzma
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_volseg.core import CancelToken, Progress, ProgressCallback, RefusedError
from napari_volseg.formats.catalog import RefusedFile, Scan
from napari_volseg.formats.files import MAX_FILES

#: Unpacked bytes that are accepted at most, of which this share of the free disk.
MAX_UNPACKED_BYTES = 1 << 36
MAX_DISK_SHARE = 0.8
#: Archives that grow by a larger factor are no images, unless what comes out is small.
MAX_RATIO = 250
SMALL_BYTES = 1 << 28
#: Bytes of a path and of one of its parts, as much as file systems take.
LONGEST_PATH, LONGEST_NAME = 2048, 255
_CHUNK = 1 << 20
_NESTED = (".zip", ".7z", ".rar", ".tar", ".tgz", ".tar.gz")
_ENCRYPTED_FLAG = 0x1
#: What Python's zipfile raises on damaged archives.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came out of an archive.

    Parameters
    ----------
    archive
        The archive.
    folder
        Where it was unpacked, below the caller's folder.
    files
        The unpacked files.
    refused
        Entries that were not unpacked; their path is the archive's, followed by their name.
    """

    archive: Path
    folder: Path
    files: tuple[Path, ...]
    refused: tuple[RefusedFile, ...]


def is_zip(path: Path) -> bool:
    """Whether a file is named and begins as a zip archive does."""
    if not path.name.lower().endswith(".zip"):
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(2) == b"PK"
    except OSError:
        return False


def closed(path: Path) -> RefusedFile:
    """Return why an archive that was met on the way is not looked into."""
    return RefusedFile(
        path, "archive.closed", f"{path.name} is an archive and was not looked into: open it by itself"
    )


def named_after(unpacked: Sequence[Unpacked], result: Scan) -> Scan:
    """Return what was found with the archives that it came from, and refused files by their place in them."""

    def source(path: Path) -> Unpacked | None:
        return next((one for one in unpacked if path.is_relative_to(one.folder)), None)

    found = [replace(f, archive=one.archive) if (one := source(f.paths[0])) else f for f in result.found]
    refused = [
        replace(r, path=one.archive / r.path.relative_to(one.folder)) if (one := source(r.path)) else r
        for r in result.refused
    ]
    return replace(result, found=tuple(found), refused=tuple(refused))


def unpack(path: Path, room: Path, progress: ProgressCallback, cancel: CancelToken | None = None) -> Unpacked:
    """Unpack an archive below ``room``; what was unpacked there before is not inflated again.

    Parameters
    ----------
    path
        The archive.
    room
        A folder that only the user can read; the caller removes it.
    progress, cancel
        Called and looked at as files are inflated.

    Raises
    ------
    RefusedError
        Where it is damaged, or larger than this disk or any study.
    """
    try:
        state = path.stat()
        folder = room / f"{state.st_ino:x}-{state.st_size:x}-{state.st_mtime_ns:x}"
        folder.mkdir(mode=0o700, exist_ok=True)
        with zipfile.ZipFile(path) as archive:
            return _unpack(path, archive, folder, progress, cancel)
    except _DAMAGED as error:
        raise RefusedError(
            f"{path.name} is damaged ({error}): copy or download it again", "archive.damaged"
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise RefusedError(
            f"{path.name} can't be unpacked ({reason}): free space on the disk", "archive.disk"
        ) from error


def _unpack(
    path: Path, archive: zipfile.ZipFile, folder: Path, progress: ProgressCallback, cancel: CancelToken | None
) -> Unpacked:
    entries = archive.infolist()
    _refuse_bomb(path, entries, shutil.disk_usage(folder).free)
    files: list[Path] = []
    refused: list[RefusedFile] = []
    seen: set[str] = set()
    for number, entry in enumerate(entries, 1):
        if cancel is not None:
            cancel.check()
        name = entry.filename.replace("\\", "/").removeprefix("./")
        problem = _problem(entry, name, seen)
        target = folder.joinpath(*name.split("/")) if problem is None else folder
        if problem is None and not name.endswith("/"):
            problem = _inflate(archive, entry, folder, target, cancel)
            files += [target] * (problem is None)
        if problem is not None:
            refused.append(RefusedFile(path / Path(name).name, problem[0], f"{name!r} in {path.name} {problem[1]}"))
        progress(Progress(number, len(entries), f"Unpacking {path.name}"))
    return Unpacked(path, folder, tuple(files), tuple(refused))


def _refuse_bomb(path: Path, entries: Sequence[zipfile.ZipInfo], free: int) -> None:
    """Refuse an archive that claims to hold more than is sensible, before anything is written."""
    size, total = path.stat().st_size, sum(entry.file_size for entry in entries)
    most = min(MAX_UNPACKED_BYTES, int(free * MAX_DISK_SHARE))
    reason = ""
    if len(entries) > MAX_FILES:
        reason = f"holds {len(entries)} files where at most {MAX_FILES} are accepted"
    elif total > most:
        reason = f"unpacks to {total} bytes where there is room for {most}"
    elif sum(entry.compress_size for entry in entries) > size:
        reason = "has entries that share the same bytes, as in a zip bomb"
    elif total > SMALL_BYTES and total > MAX_RATIO * size:
        reason = f"unpacks to {total / size:.0f} times its size where at most {MAX_RATIO} are accepted"
    if reason:
        raise RefusedError(f"{path.name} {reason}: unpack what you need of it and open that", "archive.too_large")


def _problem(entry: zipfile.ZipInfo, name: str, seen: set[str]) -> tuple[str, str] | None:
    """Return code and reason why an entry must not be unpacked, None where it may; ``seen`` grows by its name."""
    if _leads_outside(entry, name):
        return "archive.outside", "has a name that is none or leads outside of its folder: it was left out"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "archive.not_a_file", "is a link or device and no file: it was left out"
    if entry.flag_bits & _ENCRYPTED_FLAG:
        return "archive.encrypted", "is encrypted: unpack it with its password and open the folder"
    if name.lower().endswith(_NESTED):
        return "archive.nested", "is an archive in an archive: unpack it and open that"
    same = unicodedata.normalize("NFC", name).casefold()
    if same in seen:
        return "archive.duplicate", "has the name of another entry: it was left out"
    seen.add(same)
    return None


def _leads_outside(entry: zipfile.ZipInfo, name: str) -> bool:
    parts = name.removesuffix("/").split("/")
    strange = ":" in name or not (name + entry.orig_filename).isprintable() or len(name.encode()) > LONGEST_PATH
    return strange or not all(part.strip(". ") and len(part.encode()) <= LONGEST_NAME for part in parts)


def _inflate(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, target: Path, cancel: CancelToken | None
) -> tuple[str, str] | None:
    """Write one entry and return None, or return code and reason why it is none; nothing half-written stays."""
    if target.is_file():
        return None
    part = folder / "..part"  # no entry is called so
    try:
        for parent in reversed(target.relative_to(folder).parents[:-1]):
            (folder / parent).mkdir(exist_ok=True)  # never the folder itself, which the caller may have removed
        _copy(archive, entry, part, cancel)
        part.replace(target)
    except _DAMAGED as error:
        return "archive.damaged", f"is damaged ({error}): copy or download the archive again"
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return "archive.duplicate", "has the name of another entry: it was left out"
    finally:
        part.unlink(missing_ok=True)
    return None


def _copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, part: Path, cancel: CancelToken | None) -> None:
    count = 0
    with archive.open(entry) as source, part.open("xb") as out:
        while chunk := source.read(_CHUNK):
            if cancel is not None:
                cancel.check()
            count += len(chunk)
            if count > entry.file_size:
                break
            out.write(chunk)
    if count != entry.file_size:
        raise zipfile.BadZipFile(f"it holds other than the {entry.file_size} bytes that it claims")
