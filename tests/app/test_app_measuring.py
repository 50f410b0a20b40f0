"""Measurements of the open case: drawn, worked out, undone, kept, gone to, exported."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_volseg.app import Application, SessionStore, run_command
from napari_volseg.app.measuring import slice_of
from napari_volseg.core import Angle, Box, BoxMask, Diameters, Distance, Geometry, Volume
from napari_volseg.editing import Author, OnSlice

SHAPE, SPACING = (20, 60, 80), (3.0, 0.9, 0.7)


def volume() -> Volume:
    """Return an oblique image with voxels of its own."""
    matrix = Geometry.from_spacing(SHAPE, SPACING, (5.0, -80.0, 210.0)).matrix.copy()
    matrix[:3, :3] = Rotation.from_euler("xyz", (12, -9, 5), degrees=True).as_matrix() @ matrix[:3, :3]
    voxels = np.random.default_rng(5).integers(0, 200, SHAPE).astype(np.int16)
    return Volume(voxels, Geometry(SHAPE, matrix), "CT", "HU", "HU", "oblique")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    app = Application(sessions=SessionStore(tmp_path / "sessions"))
    app.open_volume(volume())
    app.jobs.wait()
    yield app
    app.close()


def draw(app: Application, tool: str, places, axis: int = 0) -> None:
    """Click the points of a measurement, one after the other."""
    app.tools.tool = tool
    for place in places:
        app.measuring.press(place, axis)
        app.measuring.release()


def test_a_distance_that_is_dragged_is_that_of_the_patient(app) -> None:
    app.tools.tool = "distance"
    app.measuring.press((7, 10, 20), 0)
    app.measuring.move((7, 40, 20))
    assert app.measuring.in_hand.lengths[0] == pytest.approx(27.0)
    app.measuring.move((7, 50, 20))
    app.measuring.release()
    (found,) = app.measuring.measurements
    assert isinstance(found, Distance)
    assert found.lengths[0] == pytest.approx(40 * SPACING[1])
    assert app.measuring.row(0) == "Distance: 36.0 mm · axial 7"
    assert slice_of(found, app.case.volume.geometry) == OnSlice(0, 7)
    assert app.measuring.chosen == 0
    assert not app.measuring.drawing


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_angles_and_diameters_in_every_plane(app, axis) -> None:
    rows, columns = (a for a in range(3) if a != axis)

    def at(row: float, column: float) -> np.ndarray:
        place = np.full(3, 9.0)
        place[rows], place[columns] = row, column
        return place

    draw(app, "angle", [at(4, 8), at(12, 8), at(12, 16)], axis)
    draw(app, "diameters", [at(4, 8), at(16, 8), at(9, 5), at(11, 14)], axis)
    angle, two = app.measuring.measurements
    assert isinstance(angle, Angle)
    assert angle.degrees == pytest.approx(90)
    assert isinstance(two, Diameters)
    assert two.lengths == pytest.approx((12 * SPACING[rows], 9 * SPACING[columns]))
    assert slice_of(two, app.case.volume.geometry) == OnSlice(axis, 9)


def test_each_is_a_step_and_survives_the_program(app, tmp_path) -> None:
    draw(app, "distance", [(7, 10, 20), (7, 50, 20)])
    draw(app, "angle", [(7, 10, 20), (7, 50, 20), (7, 50, 40)])
    run_command(app, "edit.undo")
    assert len(app.measuring.measurements) == 1
    run_command(app, "edit.redo")
    run_command(app, "measure.delete-all")
    assert not app.measuring.measurements
    run_command(app, "edit.undo")
    before = app.measuring.measurements
    assert len(before) == 2
    app.close()
    other = Application(sessions=SessionStore(tmp_path / "sessions"))
    other.open_volume(volume())
    other.jobs.wait()
    assert other.measuring.measurements == before
    other.undo()
    assert len(other.measuring.measurements) == 1
    other.close()


def test_a_point_on_another_slice_is_told_and_not_set(app) -> None:
    notices = []
    app.noticed.connect(notices.append)
    app.tools.tool = "distance"
    app.measuring.press((7, 10, 20), 0)
    app.measuring.press((8, 10, 30), 0)
    assert "another slice" in notices[0].text
    assert not app.measuring.measurements
    run_command(app, "measure.abandon")
    assert not app.measuring.drawing


def test_the_segment_is_measured_where_it_is_widest(app) -> None:
    app.case.add_segment("Node")
    for start, stop in (((4, 10, 10), (5, 20, 20)), ((6, 10, 10), (7, 50, 14))):
        box = Box(start, stop)
        app.case.session.apply(BoxMask(box, np.ones(box.shape, bool)), 1, name="t", author=Author("hand", "t"))
    run_command(app, "measure.diameters")
    app.jobs.wait()
    run_command(app, "measure.longest")
    app.jobs.wait()
    two, longest = app.measuring.measurements
    assert two.name == longest.name == "Node"
    assert two.lengths[0] == pytest.approx(np.hypot(40 * SPACING[1], 4 * SPACING[2]), rel=0.01)
    assert slice_of(two, app.case.volume.geometry) == OnSlice(0, 6)
    assert longest.lengths[0] >= two.lengths[0] * 0.98
    app.measuring.go_to(0)
    assert app.view.index[0] == 6


def test_deleting_the_chosen_one_leaves_the_others(app) -> None:
    for row in (10, 20, 30):
        draw(app, "distance", [(7, row, 20), (7, row, 20 + row)])
    app.measuring.go_to(1)
    run_command(app, "measure.delete")
    assert [round(m.lengths[0], 3) for m in app.measuring.measurements] == [7.0, 21.0]
    assert app.measuring.chosen is None


def test_they_are_exported(app, tmp_path) -> None:
    app.case.add_segment("Liver")
    draw(app, "distance", [(7, 10, 20), (7, 50, 20)])
    draw(app, "angle", [(4, 9, 8), (12, 9, 8), (12, 9, 16)], 1)
    app.export("measurements-csv", tmp_path / "m")
    app.export("report-json", tmp_path / "r")
    app.jobs.wait()
    with (tmp_path / "m.csv").open(newline="") as stream:
        distance, angle = csv.DictReader(stream)
    assert (distance["kind"], float(distance["length"]), distance["unit"]) == ("distance", 36.0, "mm")
    assert json.loads(distance["slices"]) == [8, None, 21]
    assert (angle["length"], float(angle["degrees"])) == ("", 90.0)
    assert np.allclose(json.loads(angle["points"]), app.measuring.measurements[1].points, atol=1e-3)
    document = json.loads((tmp_path / "r.json").read_text())
    assert [m["kind"] for m in document["measurements"]] == ["distance", "angle"]
