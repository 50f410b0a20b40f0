"""What scans found, kept in the user's cache folder."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import platformdirs

_log = logging.getLogger(__name__)

#: "vscn": tells our file from other databases.
APPLICATION_ID = 0x7673636E
#: Bytes of blobs that are kept; those that were used the longest ago go first.
ROOM = 64 << 20


class ScanStore:
    """Blobs in one SQLite file, readable by its owner alone.

    A file that is damaged, of another program or can't be written is left alone: nothing is remembered then.

    Parameters
    ----------
    path
        The file; the user's cache folder where absent.
    room
        Bytes of blobs that are kept.
    """

    def __init__(self, path: Path | None = None, room: int = ROOM) -> None:
        self.path = path or platformdirs.user_cache_path("napari-volseg") / "scans.sqlite"
        self._room = room

    def get(self, key: str) -> bytes | None:
        """Return the blob of this name, None where there is none."""
        try:
            with closing(self._connect()) as connection, connection:
                row = connection.execute("SELECT content FROM blobs WHERE key = ?", (key,)).fetchone()
                connection.execute("UPDATE blobs SET used = ? WHERE key = ?", (time.time_ns(), key))
        except (OSError, sqlite3.Error) as error:
            _log.info("%s can't be read and is ignored: %s", self.path, error)
            return None
        return row[0] if row and isinstance(row[0], bytes) else None

    def put(self, key: str, content: bytes) -> None:
        """Keep a blob, in the place of one of the same name."""
        if len(content) > self._room:
            return
        try:
            with closing(self._connect()) as connection, connection:
                connection.execute("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?)", (key, time.time_ns(), content))
                self._make_room(connection)
        except (OSError, sqlite3.Error) as error:
            _log.info("%s can't be written and is left alone: %s", self.path, error)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        connection.execute(
            "DELETE FROM blobs WHERE key IN (SELECT key FROM (SELECT key, SUM(LENGTH(content)) OVER "
            "(ORDER BY used DESC) AS total FROM blobs) WHERE total > ?)",
            (self._room,),
        )

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self.path, timeout=0.2)
        try:
            self._begin(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self, connection: sqlite3.Connection) -> None:
        kind = connection.execute("PRAGMA application_id").fetchone()[0]
        if kind == APPLICATION_ID:
            return
        if kind or connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]:
            raise sqlite3.DatabaseError("it belongs to another program")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("CREATE TABLE IF NOT EXISTS blobs (key TEXT PRIMARY KEY, used INTEGER, content BLOB)")
