"""A model of TotalSegmentator is downloaded on command, and is on the shelf and chosen when it is there."""

from __future__ import annotations

import io
import zipfile

import pytest
from loopback import Loopback

from napari_volseg.app import Application
from napari_volseg.inference import fetching
from napari_volseg.inference.tasks import PREFIX, Part, find_task


@pytest.fixture
def weights(tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(folder))
    return folder


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Serves the phantom model as if it were TotalSegmentator's of the body."""
    from napari_volseg.inference.registry import SHIPPED

    source, part = SHIPPED["phantom-organs"], find_task("body-fast").parts[0]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as out:
        for path in source.rglob("*"):
            if path.is_file():
                place = path.relative_to(source).as_posix()
                out.write(path, f"{part.folder}/nnUNetTrainer__nnUNetPlans__3d_fullres/{place}")
    server = Loopback(stream.getvalue(), ["send"])
    monkeypatch.setattr(Part, "url", lambda self: f"{server.url}/{self.folder}.zip")
    yield server
    server.close()


@pytest.fixture
def app():
    application = Application()
    yield application
    application.close()


def test_what_can_be_had_is_told_with_its_terms(app, weights):
    offers = app.models.obtainable()
    assert offers["total"] == ("Total: 117 structures in CT; 5 networks from github.com, under Apache-2.0")
    assert "1 " not in offers["cerebral_bleed"].split(";")[0]
    assert "face" not in offers


def test_it_is_chosen_once_it_is_there(app, weights, server):
    job = app.models.obtain("body-fast")
    app.jobs.wait(job)
    assert job.state == "done"
    assert app.tools.model == f"{PREFIX}body-fast"
    assert app.models.chosen.card.title == "TotalSegmentator: Body, fast"
    assert "body-fast" not in app.models.obtainable()


def test_a_server_that_fails_is_a_notice_and_changes_nothing(app, weights, server, monkeypatch):
    monkeypatch.setattr(fetching, "PAUSE", 0.01)
    server.moods[:] = ["503"]
    told, chosen = [], app.tools.model
    app.noticed.connect(told.append)
    app.jobs.wait(app.models.obtain("body-fast"))
    assert "503" in told[0].text
    assert app.tools.model == chosen


def test_looking_at_images_does_not_wait_for_a_download(app, weights, server):
    assert app.models.obtain("body-fast").lane not in ("files", "network")
