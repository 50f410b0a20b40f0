"""Surfaces of the case's segments: made when wanted, anew where labels changed, in the colours of the table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from napari_volseg.app import Application, surface_maker
from napari_volseg.app.surface_maker import SurfaceMaker
from napari_volseg.core import NEVER, Box, BoxMask, Geometry, Volume, no_progress
from napari_volseg.editing import Author

HAND = Author("hand", "test")
SHAPE = (40, 50, 60)


def paint(app: Application, start, stop, value: int) -> None:
    box = Box.of(start, stop)
    app.case.session.apply(BoxMask(box, np.ones(box.shape, bool)), value, name="test", author=HAND)


@pytest.fixture
def app() -> Iterator[Application]:
    app = Application()
    geometry = Geometry.from_spacing(SHAPE, (2.0, 1.0, 0.5))
    app.adopt(Volume(np.zeros(SHAPE, np.int16), geometry, "CT", "HU", "HU", "test"))
    for _ in range(3):
        app.case.add_segment()
    paint(app, (5, 5, 5), (15, 20, 25), 1)
    paint(app, (20, 25, 30), (35, 40, 45), 2)
    yield app
    app.close()


def box_of(points: np.ndarray) -> list[float]:
    return [*points.min(0), *points.max(0)]


def of(app: Application, value: int) -> np.ndarray:
    """Return the vertices of a segment, known by its colour."""
    color = np.array(app.case.table[value].color) / 255
    scene = app.surfaces.scene
    lit = scene.colors[:, :3] / scene.colors[:, :3].max(1, keepdims=True)
    return scene.vertices[np.abs(lit - color / color.max()).max(1) < 1e-3]


def test_nothing_is_made_before_it_is_wanted(app) -> None:
    app.jobs.wait()
    assert app.surfaces.scene is None
    app.surfaces.wanted = True
    app.jobs.wait()
    assert app.surfaces.ready
    assert box_of(of(app, 1)) == pytest.approx([4.5, 4.5, 4.5, 14.5, 19.5, 24.5], abs=0.3)
    assert box_of(of(app, 2)) == pytest.approx([19.5, 24.5, 29.5, 34.5, 39.5, 44.5], abs=0.3)


def test_only_what_changed_is_made_anew(app, monkeypatch) -> None:
    app.surfaces.wanted = True
    app.jobs.wait()
    made = []
    real = SurfaceMaker._make
    monkeypatch.setattr(
        SurfaceMaker, "_make", lambda self, value, cancel: made.append(value) or real(self, value, cancel)
    )
    paint(app, (13, 18, 23), (18, 22, 28), 1)
    app.jobs.wait()
    assert made == [1]
    assert of(app, 1).max(0) == pytest.approx([17.5, 21.5, 27.5], abs=0.4)
    app.undo()
    app.jobs.wait()
    assert made == [1, 1]
    assert of(app, 1).max(0) == pytest.approx([14.5, 19.5, 24.5], abs=0.3)
    paint(app, (20, 25, 30), (35, 40, 45), 3)
    app.jobs.wait()
    assert sorted(made[2:]) == [2, 3]
    assert len(of(app, 2)) == 0
    assert box_of(of(app, 3)) == pytest.approx([19.5, 24.5, 29.5, 34.5, 39.5, 44.5], abs=0.3)


def test_colours_and_visibility_are_those_of_the_table(app) -> None:
    app.surfaces.wanted = True
    app.jobs.wait()
    both = len(app.surfaces.scene.vertices)
    app.case.edit_segment(1, color=(10, 20, 200))
    app.jobs.wait()
    assert len(of(app, 1)) > 0
    app.case.edit_segment(1, visible=False)
    app.jobs.wait()
    assert len(app.surfaces.scene.vertices) < both
    assert len(of(app, 1)) == 0
    app.case.edit_segment(1, visible=True)
    app.case.remove_segment(2)
    app.jobs.wait()
    assert len(app.surfaces.scene.vertices) == len(of(app, 1)) > 0


def test_what_changed_while_nobody_looked_is_made_later(app) -> None:
    app.surfaces.wanted = True
    app.jobs.wait()
    app.surfaces.wanted = False
    before = app.surfaces.scene
    paint(app, (30, 2, 2), (36, 9, 9), 1)
    app.jobs.wait()
    assert app.surfaces.scene is before
    assert not app.surfaces.ready
    app.surfaces.wanted = True
    app.jobs.wait()
    assert of(app, 1).max(0)[0] == pytest.approx(35.5, abs=0.3)


def test_after_a_cancel_the_next_change_goes_on(app) -> None:
    app.surfaces.wanted = True
    app.jobs.cancel_all()
    app.jobs.wait()
    paint(app, (30, 2, 2), (36, 9, 9), 3)
    app.jobs.wait()
    assert all(len(of(app, value)) for value in (1, 2, 3))


def test_many_large_segments_together_stay_within_the_limit(monkeypatch) -> None:
    monkeypatch.setattr(surface_maker, "MOST_IN_ALL", 6000)
    labels = np.zeros((60, 60, 60), np.uint16)
    from napari_volseg.core import SegmentTable

    table = SegmentTable()
    for value in range(1, 9):
        corner = np.array([value >> 2 & 1, value >> 1 & 1, value & 1]) * 30
        labels[tuple(slice(c + 1, c + 28) for c in corner)] = value
        table = table.with_segment(table.new_segment())
    maker = SurfaceMaker(labels, Geometry.from_spacing(labels.shape))
    while maker.work(table, 1, 0.0, no_progress, NEVER):
        pass
    scene = maker.scene(table)
    assert 1500 < len(scene.vertices) <= 7000
    assert scene.faces.max() == len(scene.vertices) - 1
