"""Choosing what answers clicks."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_volseg.app import Application, EngineShelf, terms_of
from napari_volseg.app.commands import COMMANDS
from napari_volseg.app.wishes import ToolWishes
from napari_volseg.core import Box, BoxMask, Geometry, ModelCard, PointPrompt, Volume
from napari_volseg.editing import Author
from napari_volseg.interactive import Capabilities
from napari_volseg.interactive.listing import PromptList, nothing
from napari_volseg.interactive.regions import RegionsModel

HAND = Author("hand", "user")
CARD = ModelCard("cubes", "Cubes", "2", "A cube about each click", (), code_license="MIT", weights_license="CC0-1.0")


class CubesSession:
    def __init__(self, prompts):
        self._list = prompts
        self.add, self.remove = prompts.add, prompts.remove

    @property
    def prompts(self):
        return self._list.prompts

    def result(self, progress=None, cancel=None, parts=None):
        if not self.prompts:
            return nothing()
        z, y, x = np.round(self._list.volume.geometry.to_index(self.prompts[-1].position)).astype(int)
        return BoxMask(Box((z - 1, y - 1, x - 1), (z + 2, y + 2, x + 2)), np.ones((3, 3, 3), bool))


class CubesModel:
    card = CARD
    capabilities = Capabilities(scribbles=False)

    def open(self, volume, *, initial=None, forbidden=None):
        return CubesSession(PromptList(volume, forbidden))


@pytest.fixture
def app():
    app = Application()
    geometry = Geometry.from_spacing((12, 14, 16), (1.0, 1.0, 1.0), (0, 0, 0))
    voxels = np.random.default_rng(0).integers(0, 50, (12, 14, 16)).astype(np.int16)
    app.adopt(Volume(voxels, geometry, "CT", "HU", "HU"))
    yield app
    app.close()


class SlowSession(CubesSession):
    """Tells of the middle voxel of its cube, and waits to be let go on."""

    def __init__(self, prompts, model):
        super().__init__(prompts)
        self._model = model

    def result(self, progress=None, cancel=None, parts=None):
        found = super().result()
        if self.prompts:
            middle = Box(tuple(a + 1 for a in found.box.start), tuple(b - 1 for b in found.box.stop))
            parts(BoxMask(middle, np.ones((1, 1, 1), bool)))
            self._model.reached.set()
            assert self._model.go_on.wait(20)
            cancel.check()
        return found


class SlowModel(CubesModel):
    def __init__(self):
        self.reached, self.go_on = threading.Event(), threading.Event()

    def open(self, volume, *, initial=None, forbidden=None):
        return SlowSession(PromptList(volume, forbidden), self)


def offer(app):
    app.engines._look("Reading", CubesModel)
    app.jobs.wait()


def test_a_folder_without_networks_is_refused(app, tmp_path):
    told = []
    app.noticed.connect(lambda notice: told.append(notice.text))
    app.engines.add_prompter(tmp_path)
    app.jobs.wait()
    assert "holds no encoder.onnx: choose the folder with encoder.onnx and decoder.onnx" in told[-1]
    assert app.engines.chosen.card.id == "regions"


def test_an_engine_of_others_answers_once_its_terms_are_accepted(app):
    asked = []
    app.engines.offered.connect(asked.append)
    offer(app)
    assert asked == [CARD]
    assert app.engines.chosen.card.id == "regions"
    assert "CC0-1.0" in terms_of(CARD)
    app.engines.accept()
    assert app.engines.chosen.card is CARD
    app.clicks.add(PointPrompt((8.0, 7.0, 6.0)))
    app.jobs.wait()
    labels = app.case.segmentation.labels
    assert (labels != 0).sum() == 27
    assert labels[5:8, 6:9, 7:10].all()
    assert app.case.session.history.current.author.name == "cubes"


def test_the_network_is_on_offer_and_answers_when_it_is_chosen(app):
    assert list(app.engines.engines) == ["regions", "network"]
    app.tools.engine = "network"
    app.clicks.add(PointPrompt((8.0, 7.0, 6.0)))
    app.jobs.wait()
    assert app.case.segmentation.labels[6, 7, 8] != 0
    author = app.case.session.history.current.author
    assert (author.kind, author.name) == ("model", "network")


@pytest.fixture
def wishes():
    return ToolWishes()


@pytest.fixture
def shelf(app, wishes, monkeypatch):
    """The engines where one of others is installed."""
    models = {"regions": RegionsModel, "cubes": CubesModel}
    monkeypatch.setattr("napari_volseg.app.engines.available_engines", lambda: (RegionsModel().card, CARD))
    monkeypatch.setattr("napari_volseg.app.engines.load_engine", lambda name, device: models[name]())
    return EngineShelf(app.jobs, wishes)


def test_an_installed_engine_of_others_is_listed_and_asked_about_when_it_is_chosen(shelf, wishes):
    asked = []
    shelf.offered.connect(asked.append)
    assert list(shelf.engines) == ["regions", "cubes"]
    wishes.engine = "cubes"
    assert asked == [CARD]
    assert shelf.chosen.card.id == "regions"
    shelf.accept()
    assert shelf.chosen.card is CARD
    wishes.engine = "regions"
    assert shelf.chosen.card.id == "regions"
    wishes.engine = "cubes"
    assert shelf.chosen.card is CARD
    assert asked == [CARD]


def test_terms_that_are_declined_leave_the_engine_before(shelf, wishes):
    shelf.offered.connect(lambda card: shelf.decline())
    wishes.engine = "cubes"
    assert wishes.engine == shelf.chosen.card.id == "regions"
    shelf.accept()
    assert shelf.chosen.card.id == "regions"
    wishes.engine = "no such engine"
    assert shelf.chosen.card.id == "regions"


def test_another_engine_begins_anew_from_what_is_there(app):
    offer(app)
    app.engines.accept()
    app.clicks.add(PointPrompt((8.0, 7.0, 6.0)))
    app.jobs.wait()
    app.tools.engine = "regions"
    app.clicks.add(PointPrompt((3.0, 3.0, 3.0)))
    app.jobs.wait()
    assert app.clicks.prompts == (PointPrompt((3.0, 3.0, 3.0)),)
    assert app.case.segmentation.labels[6, 7, 8] != 0


def test_what_an_engine_can_not_do_is_greyed(app):
    scribble = COMMANDS["tool.scribble"]
    assert scribble.why_not(app) is None
    offer(app)
    app.engines.accept()
    assert scribble.why_not(app) == "Cubes takes no scribbles"


def test_a_missing_package_is_told_by_what_installs_it(app, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_volseg.interactive.nninteractive.find_spec", lambda name: None)
    told = []
    app.noticed.connect(lambda notice: told.append(notice.text))
    app.engines.add_server("http://127.0.0.1:9")
    app.jobs.wait()
    assert "pip install" in told[-1]


@pytest.fixture
def slow(app):
    model = SlowModel()
    app.engines._look("Reading", lambda: model)
    app.jobs.wait()
    app.engines.accept()
    yield model
    model.go_on.set()


def wait_for_part(app, model):
    assert model.reached.wait(20)
    app.jobs.inbox.pump(0.05)


def test_what_an_engine_has_found_so_far_is_seen_in_the_colour_of_the_segment(app, slow):
    segment = app.case.add_segment("Liver")
    app.click(tuple(map(float, app.case.volume.geometry.to_patient((5, 6, 7)))))
    wait_for_part(app, slow)
    assert [band.box for band in app.live.sighting.bands] == [Box((5, 6, 7), (6, 7, 8))]
    assert app.live.sighting.bands[0].labels.tolist() == [[[segment.value]]]
    assert app.live.sighting.table[segment.value].color == segment.color
    assert not app.case.segmentation.labels.any(), "it is not part of the labels"
    slow.go_on.set()
    app.jobs.wait()
    assert app.live.sighting is None
    assert (app.case.segmentation.labels == segment.value).sum() == 27


def test_a_part_goes_with_its_click(app, slow):
    app.click(tuple(map(float, app.case.volume.geometry.to_patient((5, 6, 7)))))
    wait_for_part(app, slow)
    app.clicks._stop()
    slow.go_on.set()
    app.jobs.wait()
    assert app.live.sighting is None
    assert not app.case.segmentation.labels.any()


def test_it_is_told_where_a_click_takes_much_of_another_segment(app):
    offer(app)
    app.engines.accept()
    told = []
    app.noticed.connect(lambda notice: told.append(notice.text))
    spleen, liver = app.case.add_segment("Spleen"), app.case.add_segment("Liver")
    box = Box((4, 5, 6), (7, 8, 10))
    app.case.session.apply(BoxMask(box, np.ones(box.shape, bool)), spleen.value, name="Draw", author=HAND)
    app.case.active = liver.value
    app.click(tuple(map(float, app.case.volume.geometry.to_patient((5, 6, 7)))))
    app.jobs.wait()
    assert told == ["Liver took 0.027 mL from Spleen: undo it [Ctrl+Z], or lock what is to stay"]
    app.undo()
    app.click(tuple(map(float, app.case.volume.geometry.to_patient((9, 1, 1)))))
    app.jobs.wait()
    assert len(told) == 1, "nobody lost anything"


def test_it_is_told_where_a_click_changes_nothing(app):
    offer(app)
    app.engines.accept()
    told = []
    app.noticed.connect(lambda notice: told.append((notice.kind, notice.text)))
    liver = app.case.add_segment("Liver")
    place = tuple(map(float, app.case.volume.geometry.to_patient((5, 6, 7))))
    app.click(place)
    app.jobs.wait()
    assert not told
    app.click(place)
    app.jobs.wait()
    assert [kind for kind, _ in told] == ["info"]
    assert told[0][1].startswith(f"{liver.name} did not change")


def test_a_segment_that_was_clicked_is_no_longer_made_by_hand_alone(app):
    offer(app)
    app.engines.accept()
    liver = app.case.add_segment("Liver")
    assert app.case.table[liver.value].algorithm_type == "MANUAL"
    app.click(tuple(map(float, app.case.volume.geometry.to_patient((5, 6, 7)))))
    app.jobs.wait()
    made = app.case.table[liver.value]
    assert (made.algorithm_type, made.algorithm_name) == ("SEMIAUTOMATIC", "Cubes")
    app.undo()
    assert app.case.table[liver.value].algorithm_type == "MANUAL"
