"""Whether a folder lies on a disk of this machine or on a share, where fewer things can be relied upon."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import NamedTuple

import psutil

#: File systems whose files other machines, or another kernel, may have open at the same time.
_SHARED = {
    *("9p", "acfs", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "gfs", "gfs2", "glusterfs"),
    *("gpfs", "lustre", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb2"),
    *("smb3", "smbfs", "vboxsf", "virtiofs", "webdav"),
}


class Mount(NamedTuple):
    """A file system in the tree of folders."""

    folder: str
    kind: str
    options: str = ""


def mounts() -> tuple[Mount, ...]:
    """Return what is mounted on this machine."""
    return tuple(Mount(p.mountpoint, p.fstype, p.opts) for p in psutil.disk_partitions(all=True))


def is_shared(path: Path, mounted: Iterable[Mount] | None = None) -> bool:
    """Tell whether a path lies on a network share or another file system that is not this machine's own.

    A file system in user space counts as shared: nothing is known of what stands behind it.

    Parameters
    ----------
    path
        File or folder; it need not exist.
    mounted
        What is mounted; the machine is asked where absent.
    """
    resolved = path.absolute().resolve()
    if str(resolved).startswith(("\\\\", "//")):
        return True
    holders = [m for m in (mounts() if mounted is None else mounted) if resolved.is_relative_to(m.folder)]
    # The later of two mounts on one folder hides the earlier.
    mount = max(reversed(holders), key=lambda m: len(PurePath(m.folder).parts), default=Mount("", ""))
    kind = mount.kind.lower()
    return kind in _SHARED or kind.startswith("fuse") or "remote" in mount.options.split(",")
