"""The tour goes on by what was done, and can be left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_volseg.app import Application, run_command
from napari_volseg.app.tour import STEPS, is_first_start
from napari_volseg.core import Geometry, Volume, Window


@pytest.fixture
def app() -> Iterator[Application]:
    app = Application()
    yield app
    app.close()


def volume() -> Volume:
    return Volume(np.zeros((6, 9, 9), np.int16), Geometry.from_spacing((6, 9, 9)), "CT", "HU", "HU", "t")


def test_each_step_is_left_by_doing_what_it_says(app, tmp_path) -> None:
    run_command(app, "help.tour")
    assert app.tour.number == 0
    app.tour.look()
    assert app.tour.number == 0
    app.adopt(volume())
    app.tour.look()
    assert app.tour.number == 1
    app.view.window = Window(10, 20)
    app.tour.look()
    assert app.tour.number == 2
    app.case.add_segment()
    app.tour.look()
    assert app.tour.number == 3
    app.tools.tool = "brush"
    app.painter.press([3, 4, 4], 0)
    app.painter.release()
    app.tour.look()
    assert app.tour.number == 4
    app.export("nifti", tmp_path / "labels")
    app.jobs.wait()
    app.tour.look()
    assert app.tour.step is None


def test_it_can_be_walked_through_and_left(app) -> None:
    app.tour.begin()
    for number in range(1, len(STEPS)):
        app.tour.go_on()
        assert app.tour.number == number
    app.tour.go_on()
    assert app.tour.step is None
    app.tour.begin()
    app.tour.end()
    assert app.tour.step is None
    app.tour.look()
    assert app.tour.step is None


def test_the_first_start_is_the_first_alone(tmp_path: Path) -> None:
    assert is_first_start(tmp_path / "config")
    assert not is_first_start(tmp_path / "config")
    (tmp_path / "file").touch()
    assert not is_first_start(tmp_path / "file" / "below")
