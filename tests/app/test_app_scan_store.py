"""What scans found is kept for its owner alone, within its room, and never in anybody's way."""

from __future__ import annotations

import sqlite3
import stat

import pytest

from napari_volseg.app import ScanStore


def test_what_is_put_is_got_by_the_next_store(tmp_path):
    path = tmp_path / "deep" / "scans.sqlite"
    ScanStore(path).put("a", b"1")
    ScanStore(path).put("a", b"2")
    assert ScanStore(path).get("a") == b"2"
    assert ScanStore(path).get("b") is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_was_used_long_ago_makes_room(tmp_path):
    store = ScanStore(tmp_path / "scans.sqlite", room=25)
    for key in "ab":
        store.put(key, bytes(10))
    assert store.get("a")
    store.put("c", bytes(10))
    assert [store.get(key) is not None for key in "abc"] == [True, False, True]
    store.put("d", bytes(26))
    assert store.get("d") is None


@pytest.mark.parametrize("kind", ["garbage", "foreign", "folder"])
def test_what_is_not_ours_is_left_alone(tmp_path, kind):
    path = tmp_path / "scans.sqlite"
    if kind == "garbage":
        path.write_bytes(b"no database " * 1000)
    elif kind == "foreign":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE blobs (key, used, content)")
        connection.close()
    else:
        path.mkdir()
    before = path.read_bytes() if path.is_file() else None
    store = ScanStore(path)
    store.put("a", b"1")
    assert store.get("a") is None
    assert (path.read_bytes() if path.is_file() else None) == before
