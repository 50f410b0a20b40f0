"""Weights arrive whole or not at all, whatever the server does."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile

import numpy as np
import pytest
from loopback import Loopback

from napari_volseg.core import CancelledError, CancelToken, RefusedError
from napari_volseg.inference import fetching
from napari_volseg.inference.fetching import Archive, fetch

FOLDER = "Dataset001_test"
CHUNK = 1000
PAYLOAD = np.random.default_rng(3).bytes(300_000)


def zipped(entries, mode=None) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as out:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)
            if mode is not None:
                info.external_attr = mode << 16
            out.writestr(info, content)
    return stream.getvalue()


GOOD = zipped({f"{FOLDER}/plans.json": b"{}", f"{FOLDER}/fold_0/weights": PAYLOAD})


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    monkeypatch.setattr(fetching, "STALL", 0.4)
    monkeypatch.setattr(fetching, "PAUSE", 0.01)
    monkeypatch.setattr(fetching, "_CHUNK", CHUNK)


@pytest.fixture
def serve():
    servers = []

    def serve(*moods, content=GOOD) -> Loopback:
        servers.append(Loopback(content, list(moods)))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


def archive(server, sha256="") -> Archive:
    return Archive(f"{server.url}/v1/{FOLDER}.zip", FOLDER, sha256)


def test_it_arrives_and_its_sum_is_noted(tmp_path, serve):
    told = []
    server = serve("send")
    folder = fetch(archive(server), tmp_path, told.append)
    assert (folder / "fold_0" / "weights").read_bytes() == PAYLOAD
    assert (told[-1].done, told[-1].total) == (len(GOOD), len(GOOD))
    assert (tmp_path / "sha256.txt").read_text() == f"{hashlib.sha256(GOOD).hexdigest()}  {FOLDER}.zip\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == [FOLDER, "sha256.txt"]
    fetch(archive(server), tmp_path)
    assert len(server.ranges) == 1


@pytest.mark.parametrize("first", ["drop", "stall"])
def test_it_goes_on_where_it_broke_off(tmp_path, serve, first):
    server = serve(first, first, "send")
    folder = fetch(archive(server), tmp_path)
    assert (folder / "fold_0" / "weights").read_bytes() == PAYLOAD
    half = written(len(GOOD) // 2)
    assert server.ranges == ["", f"bytes={half}-", f"bytes={half + written((len(GOOD) - half) // 2)}-"]


def written(sent: int) -> int:
    """Return how much of what was sent is written: whole pieces."""
    return sent - sent % CHUNK


def test_it_begins_again_where_the_server_knows_no_ranges(tmp_path, serve):
    server = serve("drop", "whole")
    assert (fetch(archive(server), tmp_path) / "fold_0" / "weights").read_bytes() == PAYLOAD


def test_what_arrived_is_kept_for_another_time(tmp_path, serve, monkeypatch):
    monkeypatch.setattr(fetching, "ATTEMPTS", 1)
    with pytest.raises(RefusedError, match="try again") as caught:
        fetch(archive(serve("drop")), tmp_path)
    assert caught.value.code == "fetch.connection"
    again = serve("send")
    fetch(archive(again), tmp_path)
    assert again.ranges == [f"bytes={written(len(GOOD) // 2)}-"]


def test_a_cancel_leaves_what_has_arrived(tmp_path, serve):
    token = CancelToken()
    with pytest.raises(CancelledError):
        fetch(archive(serve("send")), tmp_path, lambda _: token.cancel(), token)
    (part,) = tmp_path.iterdir()
    assert part.read_bytes() == GOOD[:CHUNK]


@pytest.mark.parametrize(("mood", "words"), [("404", "404"), ("503", "503")])
def test_an_error_of_the_server_is_told(tmp_path, serve, mood, words):
    with pytest.raises(RefusedError, match=words):
        fetch(archive(serve(mood)), tmp_path)


def test_a_server_that_is_not_there_is_told(tmp_path):
    with pytest.raises(RefusedError, match="the connection failed"):
        fetch(Archive("http://127.0.0.1:9/x.zip", FOLDER), tmp_path)


def test_wrong_bytes_are_refused_and_forgotten(tmp_path, serve):
    with pytest.raises(RefusedError, match="no complete zip") as caught:
        fetch(archive(serve("other")), tmp_path)
    assert caught.value.code == "fetch.content"
    with pytest.raises(RefusedError, match="checksum"):
        fetch(archive(serve("send"), "0" * 64), tmp_path)
    assert list(tmp_path.iterdir()) == []
    right = hashlib.sha256(GOOD).hexdigest()
    assert fetch(archive(serve("send"), right), tmp_path).is_dir()


@pytest.mark.parametrize(
    "content",
    [
        zipped({"../outside": b"x", f"{FOLDER}/plans.json": b"{}"}),
        zipped({"/outside": b"x"}),
        zipped({"C:\\outside": b"x"}),
        zipped({f"{FOLDER}/..\\..\\outside": b"x"}),
        zipped({f"{FOLDER}/link": b"/etc/passwd"}, stat.S_IFLNK | 0o777),
        zipped({"another/plans.json": b"{}"}),
        GOOD[:-200],
        GOOD.replace(PAYLOAD[:1000], PAYLOAD[1:1001]),
    ],
    ids=["parent", "absolute", "drive", "backslash", "link", "other folder", "cut", "damaged"],
)
def test_an_archive_that_is_not_what_it_should_be_writes_nothing(tmp_path, serve, content):
    weights = tmp_path / "weights"
    with pytest.raises(RefusedError) as caught:
        fetch(archive(serve("send", content=content)), weights)
    assert caught.value.code == "fetch.content"
    assert list(weights.iterdir()) == []
    assert list(tmp_path.iterdir()) == [weights]


def test_more_than_there_is_room_for_is_refused(tmp_path, serve, monkeypatch):
    usage = fetching.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(RefusedError, match="make room"):
        fetch(archive(serve("send")), tmp_path)
