"""Measuring with the mouse on slices, and where measurements are seen on the canvas."""

from __future__ import annotations

import numpy as np
import pytest

from napari_volseg.app.doubts import doubts_of
from napari_volseg.core import Angle, Box, BoxMask, Diameters, Distance
from napari_volseg.editing import Author
from napari_volseg.viewer import seen_measurements
from napari_volseg.viewer.planes import LAYOUTS
from napari_volseg.viewer.sketches import on_canvas, seen_doubts

SIZE = (400, 300)


@pytest.mark.parametrize("plane", LAYOUTS)
def test_a_drag_measures_a_distance_in_every_plane(binding, app, viewer, hand, place, plane) -> None:
    app.view.plane = plane
    axis = LAYOUTS[plane].normal
    start, end = np.array([5.0, 6.0, 7.0]), np.array([9.0, 14.0, 21.0])
    end[axis] = start[axis]
    app.view.index = tuple(int(i) for i in start)
    app.tools.tool = "distance"
    hand.drag([place(*start), place(*((start + end) / 2)), place(*end)], [(0, 0), (10, 10), (20, 20)])
    (found,) = app.measuring.measurements
    assert isinstance(found, Distance)
    expected = np.linalg.norm((end - start) * app.case.volume.geometry.spacing)
    assert found.lengths[0] == pytest.approx(expected, rel=1e-5)
    assert app.measuring.row(0).endswith(f"{plane} {int(start[axis])}")
    assert not any(hand.seen)  # the view stays where it is


def test_clicks_measure_an_angle_and_the_line_follows_the_cursor(binding, app, viewer, hand, place) -> None:
    app.view.index = (5, 10, 15)
    app.tools.tool = "angle"
    hand.drag([place(5, 4, 6)] * 2)
    hand.hover(place(5, 12, 6))
    assert app.measuring.in_hand.lengths[0] == pytest.approx(12)
    hand.drag([place(5, 12, 6)] * 2)
    hand.drag([place(5, 12, 18)] * 2)
    (found,) = app.measuring.measurements
    assert isinstance(found, Angle)
    assert found.degrees == pytest.approx(90)


def test_two_drags_measure_diameters(binding, app, hand, place) -> None:
    app.view.index = (5, 10, 15)
    app.tools.tool = "diameters"
    hand.drag([place(5, 10, 5), place(5, 10, 25), place(5, 10, 25)], [(0, 0), (9, 9), (9, 9)])
    hand.drag([place(5, 6, 14), place(5, 16, 16), place(5, 16, 16)], [(0, 0), (9, 9), (9, 9)])
    (found,) = app.measuring.measurements
    assert isinstance(found, Diameters)
    assert found.lengths == pytest.approx((20, 15))


def test_another_tool_forgets_the_one_in_hand(binding, app, hand, place) -> None:
    app.tools.tool = "distance"
    hand.drag([place(6, 4, 6)] * 2)
    assert app.measuring.drawing
    app.tools.tool = "brush"
    assert not app.measuring.drawing
    assert not app.measuring.measurements


@pytest.mark.parametrize("plane", LAYOUTS)
def test_lines_are_seen_where_they_were_drawn_and_on_their_slice_alone(binding, app, viewer, plane) -> None:
    geometry, axis = app.case.volume.geometry, LAYOUTS[plane].normal
    app.view.plane = plane
    start, end = np.array([5.0, 6.0, 7.0]), np.array([9.0, 14.0, 21.0])
    end[axis] = start[axis]
    points = tuple(tuple(float(c) for c in p) for p in geometry.to_patient([start, end]))
    app.case.session.measure((Distance(points),))
    app.view.index = tuple(int(i) for i in start)
    (seen,) = seen_measurements(app, viewer, plane, SIZE)
    camera = viewer.scene.camera
    for pixel, place in zip(seen.lines[0], (start, end), strict=True):
        world = (place * geometry.spacing)[list(viewer.dims.displayed)]
        down, right = (1 if str(o) in ("down", "right") else -1 for o in camera.orientation2d)
        offset = (world - np.array(camera.center[-2:])) * (down, right) * camera.zoom
        assert pixel == pytest.approx(offset[::-1] + np.array(SIZE) / 2)
    assert seen.text == f"{np.linalg.norm((end - start) * geometry.spacing):.1f} mm"
    away = list(app.view.index)
    away[axis] += 1
    app.view.index = tuple(away)
    assert seen_measurements(app, viewer, plane, SIZE) == []
    assert seen_measurements(app, viewer, "3d", SIZE) == []


def test_other_planes_show_where_they_cut_it(binding, app, viewer) -> None:
    geometry = app.case.volume.geometry
    points = tuple(tuple(float(c) for c in p) for p in geometry.to_patient([(5, 4, 6), (5, 12, 22)]))
    app.case.session.measure((Distance(points),))
    app.view.plane = "coronal"
    app.view.index = (5, 8, 3)
    (seen,) = seen_measurements(app, viewer, "coronal", SIZE)
    assert not seen.lines
    assert not seen.text
    from napari_volseg.viewer.sketches import on_canvas

    expected = on_canvas(viewer, np.array([[5, 8, 14]]) * geometry.spacing, SIZE)
    assert seen.crossings == pytest.approx(expected)


@pytest.mark.parametrize("plane", LAYOUTS)
@pytest.mark.parametrize("unsure", LAYOUTS)
def test_an_unsure_slice_is_a_frame_on_itself_and_a_line_in_other_planes(binding, app, viewer, plane, unsure) -> None:
    axis, normal = LAYOUTS[unsure].normal, LAYOUTS[plane].normal
    box = Box((5, 6, 7), (7, 12, 21))
    frame = {"slice": 8, "start": box.start, "stop": box.stop}
    facts = {"axis": axis, "unsure": [frame], "segment": 1}
    app.case.session.apply(
        BoxMask(box, np.ones(box.shape, bool)), 1, name="Extend", author=Author("tool", "extend"), parameters=facts
    )
    app.view.plane = plane
    app.view.index = (4, 4, 4)

    def seen():
        return seen_doubts(app, doubts_of(app.case), viewer, plane, SIZE)

    if axis == normal:
        assert seen() == [], "it is another slice"
        index = list(app.view.index)
        index[axis] = 8
        app.view.index = tuple(index)
    (corners,) = seen()
    low, high = np.array(box.start) - 0.5, np.array(box.stop) - 0.5
    low[axis] = high[axis] = 8
    ends = on_canvas(viewer, np.array([low, high]) * app.case.volume.geometry.spacing, SIZE)
    assert corners.min(0) == pytest.approx(ends.min(0))
    assert corners.max(0) == pytest.approx(ends.max(0))
    assert (np.ptp(corners, axis=0) > 1).sum() == (2 if axis == normal else 1)
    assert seen_doubts(app, doubts_of(app.case), viewer, "3d", SIZE) == []
