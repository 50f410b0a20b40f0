"""Finding files: folders are walked in a fixed order, links to folders are not followed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_volseg.core import RefusedError, UsageError

#: More files than any one study has; a home folder or a whole archive is refused instead of walked for hours.
MAX_FILES = 200_000

PathLike = str | os.PathLike[str]


def list_files(paths: PathLike | Sequence[PathLike]) -> tuple[Path, ...]:
    """Return all files under the given files and folders, sorted within each folder.

    Raises
    ------
    UsageError
        For a path that does not exist.
    RefusedError
        For more than ``MAX_FILES`` files.
    """
    roots = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    files: dict[Path, None] = {}
    for root in map(Path, roots):
        if not root.exists():
            raise UsageError(f"{root} does not exist: check the path")
        for path in _under(root):
            files[path] = None
            if len(files) > MAX_FILES:
                raise RefusedError(
                    f"{root} holds more than {MAX_FILES} files: open the folder of one study", "path.too_many"
                )
    return tuple(files)


def _under(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for folder, subfolders, names in os.walk(root):
        subfolders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file():
                yield path
