"""The second image over a case is kept with the session, by a digest that names nobody."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from napari_volseg.app import Application
from napari_volseg.app.layouts import lay_out
from napari_volseg.app.sessions import SessionStore
from napari_volseg.app.studies import mark_of
from napari_volseg.core import Window

SHAPE = (20, 18, 16)


def write(path, shift: float = 0.0) -> None:
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    affine[0, 3] = shift
    voxels = np.random.default_rng(1).integers(0, 900, SHAPE).astype(np.int16)
    image = nib.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "DOE^JANE"
    folder.mkdir()
    write(folder / "first.nii.gz")
    write(folder / "second.nii.gz", shift=4.0)
    return folder


@pytest.fixture
def opened(tmp_path, folder):
    """Open the first image of the folder in a program of its own, as often as it is called."""
    running = []

    def start() -> Application:
        for app in running:
            app.close()
        app = Application(sessions=SessionStore(tmp_path / "sessions", ()))
        running.append(app)
        app.list_path(folder)
        app.jobs.wait()
        app.open_found(found(app, "first"))
        app.jobs.wait()
        return app

    yield start
    for app in running:
        app.close()


def found(app: Application, name: str):
    return next(volume for volume in app.scan_result.found if name in volume.description)


def lay_second_over(app: Application) -> None:
    app.fusion.open_found(found(app, "second"))
    app.jobs.wait()
    app.fusion.wishes.opacity, app.fusion.wishes.colours = 0.3, "viridis"
    app.fusion.wishes.window = Window.between(100, 300)
    lay_out(app.view, "two")


def test_it_is_there_again_as_it_was_shown(opened):
    lay_second_over(opened())
    app = opened()
    assert app.fusion.image.volume.name == "second"
    wishes = app.fusion.wishes
    assert (wishes.opacity, wishes.colours, wishes.window.limits) == (0.3, "viridis", (100, 300))
    assert app.view.layout == "two"


def test_what_was_removed_or_is_not_found_stays_away(opened, folder):
    app = opened()
    lay_second_over(app)
    app.fusion.remove()
    assert opened().fusion.image is None
    lay_second_over(opened())
    write(folder / "second.nii.gz", shift=9.0)
    app = opened()
    assert app.fusion.image is None
    assert app.view.layout == "four"


def test_nonsense_is_left_aside(opened):
    app = opened()
    mark = mark_of(found(app, "second"))
    for state in (None, 7, {}, {"mark": ["x"]}, {"mark": "unknown"}):
        assert app.fusion.recall(state, app.scan_result.found) is None
    app.fusion.recall({"mark": mark, "window": "wide", "opacity": "much", "colours": 3}, app.scan_result.found)
    app.jobs.wait()
    assert app.fusion.image is not None
    assert (app.fusion.wishes.opacity, app.fusion.wishes.visible) == (0.5, True)


def test_the_session_tells_nothing_of_names(opened, tmp_path):
    app = opened()
    lay_second_over(app)
    app.close()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "sessions").iterdir())
    assert b"viridis" in kept
    assert not any(name in kept for name in (b"DOE", b"second.nii", b"first.nii"))
