"""Weights are downloaded only where somebody says so, and their terms are told before."""

from __future__ import annotations

import io
import zipfile

import pytest
from loopback import Loopback

from napari_volseg.cli import DONE, REFUSED, UNDECIDED, USAGE, main
from napari_volseg.inference.tasks import find_task

BODY = find_task("body-fast").parts[0].folder
MODEL = "nnUNetTrainer__nnUNetPlans__3d_fullres"


@pytest.fixture
def server():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as out:
        for name in ("plans.json", "dataset.json"):
            out.writestr(f"{BODY}/{MODEL}/{name}", "{}")
    server = Loopback(stream.getvalue(), ["send"])
    yield server
    server.close()


def fetch(server, folder, *more):
    return main(["fetch", "body-fast", "--into", str(folder), "--releases", server.url, *more])


def test_terms_come_first(tmp_path, server, capsys):
    assert fetch(server, tmp_path) == UNDECIDED
    told = capsys.readouterr().err
    assert "Apache-2.0" in told
    assert "--accept-license" in told
    assert server.ranges == []
    assert list(tmp_path.iterdir()) == []


def test_weights_are_put_where_they_are_wanted(tmp_path, server, capsys):
    assert fetch(server, tmp_path, "--accept-license") == DONE
    assert (tmp_path / BODY / MODEL / "plans.json").is_file()
    assert str(tmp_path) in capsys.readouterr().out
    assert fetch(server, tmp_path) == DONE
    assert len(server.ranges) == 1


def test_weights_that_are_not_given_away_are_refused(tmp_path, capsys):
    assert main(["fetch", "face", "--into", str(tmp_path), "--accept-license"]) == REFUSED
    assert "licence number" in capsys.readouterr().err


def test_a_task_that_does_not_exist_is_a_matter_of_usage(tmp_path, capsys):
    assert main(["fetch", "everything", "--into", str(tmp_path)]) == USAGE
    assert "no task 'everything'" in capsys.readouterr().err
