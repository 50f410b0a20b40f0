"""Work on an image is there again when the image is opened again."""

import numpy as np
import pytest

from napari_volseg.app import Application, SessionStore
from napari_volseg.core import Geometry, Volume


@pytest.fixture
def volume():
    rng = np.random.default_rng(5)
    voxels = rng.integers(-100, 100, (6, 20, 24)).astype(np.int16)
    return Volume(voxels, Geometry.from_spacing(voxels.shape, (4, 2, 2)), "CT", "HU", "HU", "secret name")


def opened(folder, volume):
    app = Application(sessions=SessionStore(folder))
    app.told = []
    app.noticed.connect(lambda notice: app.told.append(notice.text))
    app.jobs.wait(app.open_volume(volume))
    return app


def paint(app, index):
    app.tools.tool = "brush"
    app.painter.press(np.array(index, float), 0)
    app.painter.release()


def test_work_goes_on_where_it_ended(tmp_path, volume):
    app = opened(tmp_path / "s", volume)
    paint(app, (3, 10, 10))
    paint(app, (3, 5, 20))
    app.undo()
    before = app.case.segmentation.labels.copy()
    table = app.case.table
    app.close()
    again = opened(tmp_path / "s", volume)
    assert np.array_equal(again.case.segmentation.labels, before)
    assert again.case.table == table
    assert again.told == ["Your work on this image was restored (3 steps)"]
    again.redo()
    assert again.case.segmentation.labels[3, 5, 20] == 1
    again.close()


def test_another_image_begins_anew(tmp_path, volume):
    app = opened(tmp_path / "s", volume)
    paint(app, (3, 10, 10))
    other = Volume(volume.voxels + np.int16(1), volume.geometry, "CT")
    app.jobs.wait(app.open_volume(other))
    assert not app.case.segmentation.labels.any()
    app.close()


def test_an_image_that_is_open_already_stays_as_it_is(tmp_path, volume):
    app = opened(tmp_path / "s", volume)
    paint(app, (3, 10, 10))
    case, window = app.case, app.view.window
    anew = Volume(volume.voxels.copy(), volume.geometry, "CT", "HU", "HU", "secret name")
    app.jobs.wait(app.open_volume(anew))
    assert app.case is case
    assert app.view.window == window
    assert app.told == ["the image secret name is open already: your work on it goes on"]
    paint(app, (2, 4, 4))
    before = app.case.segmentation.labels.copy()
    app.close()
    again = opened(tmp_path / "s", volume)
    assert np.array_equal(again.case.segmentation.labels, before)
    assert len(again.kept_sessions()) == 1
    again.close()


def test_an_image_is_opened_after_all_where_another_one_took_its_place_meanwhile(tmp_path, volume):
    app = opened(tmp_path / "s", volume)
    paint(app, (3, 10, 10))
    before, case = app.case.segmentation.labels.copy(), app.case
    found = app.find_work(volume)
    app.jobs.wait(app.open_volume(Volume(volume.voxels + np.int16(1), volume.geometry, "CT")))
    app.take_opened(found)
    app.jobs.wait()
    assert app.case is not case
    assert np.array_equal(app.case.segmentation.labels, before)
    app.close()


def test_a_second_window_works_beside_the_first(tmp_path, volume):
    first, second = opened(tmp_path / "s", volume), None
    paint(first, (3, 10, 10))
    second = opened(tmp_path / "s", volume)
    assert "open in another program" in second.told[0]
    paint(second, (2, 4, 4))
    first.close()
    second.close()
    again = opened(tmp_path / "s", volume)
    assert again.case.segmentation.labels[3, 10, 10] == 1
    again.close()


def test_a_damaged_session_is_kept_and_told(tmp_path, volume):
    app = opened(tmp_path / "s", volume)
    paint(app, (3, 10, 10))
    app.close()
    (file,) = (tmp_path / "s").glob("*.volseg")
    file.write_bytes(b"rubbish" * 100)
    again = opened(tmp_path / "s", volume)
    assert "not a readable session file" in again.told[0]
    assert file.read_bytes().startswith(b"rubbish")
    paint(again, (3, 10, 10))
    again.close()


def test_a_folder_that_cannot_be_made_is_told_and_work_goes_on(tmp_path, volume):
    blocker = tmp_path / "file"
    blocker.write_text("")
    app = opened(blocker / "s", volume)
    assert "stays in memory" in app.told[0]
    paint(app, (3, 10, 10))
    assert app.case.segmentation.labels.any()
    app.close()


def test_session_files_tell_nothing_of_the_image(tmp_path, volume):
    app = opened(tmp_path / "s", volume)
    paint(app, (3, 10, 10))
    app.close()
    (file,) = (tmp_path / "s").glob("*.volseg")
    assert b"secret name" not in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    assert (tmp_path / "s").stat().st_mode & 0o077 == 0
