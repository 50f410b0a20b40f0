"""Drawn and clicked tools in a real window, with real mouse and key events, one window for all."""

from __future__ import annotations

import numpy as np
import pytest
from driving import Hand, move_pressed
from napari.qt import QtViewer
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton

from napari_volseg.app import HAND_TOOLS
from napari_volseg.app.using import HAND
from napari_volseg.core import Box, Geometry, SegmentTable, Volume
from napari_volseg.editing import (
    InVolume,
    OnSlice,
    fill_outline,
    follow_edge,
    grow_region,
    keep_island,
    range_around,
    sphere,
    trace_level,
)
from napari_volseg.viewer import LAYOUTS, canvas_lines
from napari_volseg.viewer.planes import true_shape
from napari_volseg.widgets import create_window

pytestmark = pytest.mark.gui

SHAPE, SPACING = (30, 40, 36), (3.0, 1.6, 2.0)
MIDDLE = (14, 20, 17)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
#: An L about the middle, by (row, column) of each plane, mm: no mirror image of itself.
CORNERS = [(-18, -20), (-18, 18), (-4, 18), (-4, -6), (16, -6), (16, -20)]
SHIFT = Qt.KeyboardModifier.ShiftModifier
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def upright() -> Geometry:
    return Geometry.from_spacing(SHAPE, SPACING, (-30, 20, 5))


def tilted() -> Geometry:
    """Slices that lean by 20°, as those of a gantry do."""
    matrix = upright().matrix.copy()
    matrix[1, 0] = SPACING[0] * np.tan(np.radians(20))
    return Geometry(SHAPE, matrix)


def make_labels() -> np.ndarray:
    """A red block with a green bar to its left side and a blue knob on its front: chiral, each part an island."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[8:22, 12:28, 8:22] = 1
    labels[8:12, 16:24, 26:33] = 2
    labels[17:25, 3:8, 10:16] = 3
    labels[26:28, 33:36, 4:8] = 1
    return labels


def open_phantom(hand: Hand, geometry: Geometry) -> None:
    """Open a volume whose image is bright where its labels are."""
    labels = make_labels()
    voxels = np.where(labels > 0, 100, 0) + np.random.default_rng(3).normal(0, 2, SHAPE)
    table = SegmentTable()
    for name, color in (("Red", RED), ("Green", GREEN), ("Blue", BLUE)):
        table = table.with_segment(table.new_segment(name, color=color))
    hand.app.adopt(Volume(voxels.astype(np.int16), geometry, "CT", "HU", "HU", "phantom"))
    hand.app.case.session.replace(Box.whole(SHAPE), labels, name="Draw", table=table, author=HAND)
    hand.app.case.active = 1
    QApplication.processEvents()


@pytest.fixture(scope="module")
def window(qapp):
    viewer, app, panel = create_window()
    panel.window().resize(1366, 768)
    yield viewer, app, panel
    viewer.close()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def hand(window, qtbot):
    """A hand at the window, with the phantom opened anew."""
    hand = Hand(*window, qtbot)
    hand.app.view.three_d = False
    hand.app.tools.hand_reach, hand.app.tools.cut_all, hand.app.tools.cut_part = "slice", False, "inside"
    hand.viewer.scene.camera.perspective = 0
    open_phantom(hand, upright())
    return hand


def labels(hand) -> np.ndarray:
    return hand.app.case.segmentation.labels


def corners(hand, plane) -> list[np.ndarray]:
    """The L on the middle slice of a plane, voxels (z, y, x)."""
    found = []
    for corner in CORNERS:
        index = np.array(MIDDLE, float)
        for axis, mm in zip(LAYOUTS[plane].order[1:], corner, strict=True):
            index[axis] += mm / hand.app.case.volume.geometry.spacing[axis]
        found.append(index)
    return found


def position_of(hand, point: QPoint) -> np.ndarray:
    """The voxel index (z, y, x) at which napari sees a pixel of the canvas."""
    camera, dims = hand.viewer.scene.camera, hand.viewer.dims
    signs = [1 if str(o) in ("down", "right") else -1 for o in camera.orientation2d]
    size = np.array([hand.canvas.height(), hand.canvas.width()]) / 2
    world = np.array(dims.point, float)
    offset = (np.array([point.y(), point.x()]) - size) / camera.zoom * signs
    world[list(dims.displayed)] = offset + np.array(camera.center[-2:])
    return world / hand.app.case.volume.geometry.spacing


#: Moves that follow each other faster than this don't all reach napari, milliseconds.
BETWEEN_MOVES = 15


def move(hand, point: QPoint) -> None:
    """Move over the canvas with no button pressed."""
    hand.qtbot.wait(BETWEEN_MOVES)
    QTest.mouseMove(hand.canvas, point)
    QApplication.processEvents()


def at(point: QPoint) -> np.ndarray:
    return np.array((point.x(), point.y()), float)


def click(hand, point: QPoint, modifier=NONE) -> None:
    move(hand, point)
    QTest.mouseClick(hand.canvas, LEFT, modifier, point)
    QApplication.processEvents()


def drag(hand, points: list[QPoint], modifier=NONE) -> None:
    move(hand, points[0])
    QTest.mousePress(hand.canvas, LEFT, modifier, points[0])
    for point in points[1:]:
        hand.qtbot.wait(BETWEEN_MOVES)
        move_pressed(hand.canvas, point)
    QTest.mouseRelease(hand.canvas, LEFT, modifier, points[-1])
    hand.settle()


def look_at(hand, plane) -> None:
    hand.app.view.plane = plane
    hand.go_to(MIDDLE)


def outlined(hand, plane, points, scope=None) -> np.ndarray:
    geometry, axis = hand.app.case.volume.geometry, LAYOUTS[plane].normal
    vertices = geometry.to_patient([position_of(hand, p) for p in points])
    return fill_outline(geometry, vertices, OnSlice(axis, MIDDLE[axis]), scope).expand(SHAPE)


@pytest.mark.parametrize("make", [upright, tilted])
@pytest.mark.parametrize("plane", LAYOUTS)
def test_a_polygon_by_key_and_clicks_and_undone(hand, plane, make) -> None:
    open_phantom(hand, make())
    before = labels(hand).copy()
    look_at(hand, plane)
    hand.key(Qt.Key.Key_P)
    points = [hand.where(c) for c in corners(hand, plane)]
    for point in points:
        click(hand, point)
    assert len(hand.app.drawing.outline.points) == len(points)
    hand.key(Qt.Key.Key_Return)
    hand.settle()
    inside = outlined(hand, plane, points)
    assert (inside & (before == 0)).any()
    assert np.array_equal(labels(hand), np.where(inside, 1, before))
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(labels(hand), before)


def test_a_polygon_is_previewed_goes_back_and_is_abandoned(hand) -> None:
    before = labels(hand).copy()
    look_at(hand, "axial")
    hand.press("tool.polygon")
    points = [hand.where(c) for c in corners(hand, "axial")]
    for point in points[:4]:
        click(hand, point)
    hand.wait(lambda: "Backspace" in hand.panel.hint.text())
    move(hand, points[4])
    drawing, size = hand.app.drawing, (hand.canvas.width(), hand.canvas.height())

    def end() -> np.ndarray:
        return canvas_lines(hand.app, hand.viewer, drawing.sketch, size)[0][0][-1]

    hand.wait(lambda: np.abs(end() - at(points[4])).max() < 1)
    (line,), dots = canvas_lines(hand.app, hand.viewer, drawing.sketch, size)
    assert line == pytest.approx(np.array([at(p) for p in points[:5]]), abs=0.01)
    assert len(dots) == 4
    picture = hand.panel.window().grab().toImage()
    middle = hand.canvas.mapTo(hand.panel.window(), (points[2] + points[3]) / 2)
    near = [picture.pixelColor(middle.x() + k, middle.y() + j) for k in range(-2, 3) for j in range(-2, 3)]
    assert any(c.red() > 150 and c.green() < 90 and c.blue() < 90 for c in near)
    hand.key(Qt.Key.Key_Backspace)
    assert len(hand.app.drawing.outline.points) == 3
    hand.key(Qt.Key.Key_Escape)
    assert hand.app.drawing.outline is None
    assert np.array_equal(labels(hand), before)


def test_a_double_click_closes_and_shift_takes_away(hand) -> None:
    before = labels(hand).copy()
    look_at(hand, "coronal")
    hand.key(Qt.Key.Key_P)
    points = [hand.where(c) for c in corners(hand, "coronal")]
    click(hand, points[0], SHIFT)
    for point in points[1:]:
        click(hand, point)
    QTest.mouseDClick(hand.canvas, LEFT, NONE, points[-1])
    hand.settle()
    QTest.mouseRelease(hand.canvas, LEFT, NONE, points[-1])
    assert hand.app.drawing.outline is None
    gone = outlined(hand, "coronal", points) & (before == 1)
    assert gone.any()
    assert np.array_equal(labels(hand), np.where(gone, 0, before))


def test_a_lasso_is_filled(hand) -> None:
    before = labels(hand).copy()
    look_at(hand, "sagittal")
    hand.key(Qt.Key.Key_L)
    points = [hand.where(c) for c in corners(hand, "sagittal")]
    drag(hand, points)
    assert np.array_equal(labels(hand), np.where(outlined(hand, "sagittal", points), 1, before))


def test_livewire_follows_the_edge_live(hand) -> None:
    labels(hand)[...] = 0
    look_at(hand, "axial")
    hand.key(Qt.Key.Key_L, SHIFT)
    places = [(14, 11.6, 7.6), (14, 11.6, 22.2), (14, 28.2, 22.2), (14, 28.2, 7.6)]
    points = [hand.where(p) for p in places]
    geometry, voxels, on = hand.app.case.volume.geometry, hand.app.case.volume.voxels, OnSlice(0, 14)
    pieces, drawing = [], hand.app.drawing
    for point, following in zip(points, [*points[1:], points[0]], strict=True):
        click(hand, point)
        move(hand, following)
        pieces.append(follow_edge(voxels, geometry, position_of(hand, point), position_of(hand, following), on))
        hand.wait(lambda: len(drawing.sketch.lines[0]) > len(drawing.outline.points) + 1)
    hand.key(Qt.Key.Key_Return)
    hand.settle()
    vertices = geometry.to_patient(np.concatenate([piece[:-1] for piece in pieces]))
    assert np.array_equal(labels(hand) == 1, fill_outline(geometry, vertices, on).expand(SHAPE))
    assert labels(hand)[14, 13:27, 9:21].all()


def test_scissors_on_a_slice(hand) -> None:
    before = labels(hand).copy()
    look_at(hand, "axial")
    hand.key(Qt.Key.Key_S, SHIFT)
    points = [hand.where(c) for c in corners(hand, "axial")]
    drag(hand, points)
    gone = outlined(hand, "axial", points, InVolume()) & (before == 1)
    assert gone.any()
    assert np.array_equal(labels(hand), np.where(gone, 0, before))


def show_only(hand, value) -> None:
    """Make a segment active and hide the others, lest they cover it."""
    for segment in hand.app.case.table:
        hand.app.case.edit_segment(segment.value, visible=segment.value == value)
    hand.app.case.active = value
    QApplication.processEvents()


def picture(hand) -> np.ndarray:
    hand.settle()  # surfaces are made in the background
    return hand.viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)


def seen(pixels: np.ndarray, color) -> np.ndarray:
    strong = [c > 0 for c in color]
    return pixels[..., strong].min(-1) > pixels[..., np.invert(strong)].max(-1) + 40


def frame_around(hand, mask) -> list[QPoint]:
    """A rectangle on the canvas around what is seen, four pixels away from it."""
    rows, columns = np.nonzero(mask)
    scale = hand.canvas.width() / mask.shape[1]
    left, right, top, bottom = columns.min() - 4, columns.max() + 4, rows.min() - 4, rows.max() + 4
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return [QPoint(round(x * scale), round(y * scale)) for x, y in corners]


def projected(hand) -> np.ndarray:
    """Where napari's own scene puts the centre of every voxel on the canvas, (z, y, x, 2), pixels (x, y)."""
    canvas = hand.panel.window().findChild(QtViewer).canvas
    geometry = hand.app.case.volume.geometry
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1).reshape(-1, 3)
    shape = true_shape(geometry)
    world = (index * geometry.spacing) @ shape[:3, :3].T + shape[:3, 3]
    mapped = (canvas.view.transform * canvas.view.scene.transform).map(world[:, ::-1])
    return (mapped[:, :2] / mapped[:, 3:]).reshape(*SHAPE, 2)


@pytest.mark.parametrize(
    ("make", "perspective", "value", "color", "direction", "up"),
    [
        (upright, 0, 2, GREEN, (0.3, 0.9, 0.2), (1, 0, 0)),
        (tilted, 0, 3, BLUE, (-0.5, 0.5, 0.8), (0.2, 1, 0)),
        (upright, 60, 3, BLUE, (0.3, 0.9, -0.4), (1, 0, 0)),
    ],
)
def test_scissors_in_3d_cut_what_is_seen_within_the_lasso(
    hand, make, perspective, value, color, direction, up
) -> None:
    """A lasso around all that is drawn of a part holds all its voxels; half of it cuts those that are seen there."""
    open_phantom(hand, make())
    show_only(hand, value)
    hand.app.view.three_d = True
    camera = hand.viewer.scene.camera
    camera.perspective = perspective
    camera.set_view_direction(direction, up)
    before = labels(hand).copy()
    frame = frame_around(hand, seen(picture(hand), color))
    hand.key(Qt.Key.Key_S, SHIFT)
    hand.app.tools.cut_part = "outside"
    drag(hand, frame)
    assert np.array_equal(labels(hand), before)
    hand.app.tools.cut_part = "inside"
    where = projected(hand)
    middle = float(np.median(where[before == value][:, 0]))
    drag(hand, [frame[0], QPoint(round(middle), frame[1].y()), QPoint(round(middle), frame[2].y()), frame[3]])
    clearly = np.abs(where[..., 0] - round(middle)) > 0.5
    wanted = np.where((before == value) & (where[..., 0] < round(middle)), 0, before)
    assert 0 < np.count_nonzero(wanted == value) < np.count_nonzero(before == value)
    assert np.array_equal(labels(hand)[clearly], wanted[clearly])
    pixels = picture(hand)
    left_over = np.nonzero(seen(pixels, color))[1] * hand.canvas.width() / pixels.shape[1]
    assert left_over.min() > frame[0].x() + 8
    assert left_over.max() == pytest.approx(frame[1].x() - 4, abs=2)


@pytest.mark.parametrize(("make", "perspective"), [(upright, 0), (tilted, 0), (upright, 60)])
def test_a_click_into_the_3d_view_lands_on_the_surface_that_is_seen(hand, make, perspective) -> None:
    open_phantom(hand, make())
    show_only(hand, 2)
    hand.app.view.three_d = True
    camera = hand.viewer.scene.camera
    camera.perspective = perspective
    direction = (0.3, 0.9, 0.2)
    camera.set_view_direction(direction, (1, 0, 0))
    picture(hand)
    before, where = labels(hand).copy(), projected(hand)
    middle = QPoint(*(round(c) for c in np.median(where[before == 2], axis=0)))
    hand.app.tools.tool = "click"
    QTest.mouseClick(hand.canvas, Qt.MouseButton.LeftButton, SHIFT, middle)
    hand.app.jobs.wait()
    prompt = hand.app.clicks.prompts[-1]
    geometry = hand.app.case.volume.geometry
    voxel = tuple(np.round(geometry.to_index(prompt.position)).astype(int))
    assert before[voxel] == 2
    assert not prompt.positive
    assert hand.app.view.index == voxel
    off = np.linalg.norm(where - (middle.x(), middle.y()), axis=-1)
    size = np.median(np.linalg.norm(np.diff(where, axis=2), axis=-1))
    assert off[voxel] < 1.5 * size
    behind = np.argwhere((before == 2) & (off < 0.7 * size)) - voxel
    shape = true_shape(geometry)[:3, :3]
    assert ((behind * geometry.spacing) @ shape.T @ np.array(direction) > -4).all()
    hand.app.undo()
    assert np.array_equal(labels(hand), before)


def test_a_drag_turns_the_3d_view_while_clicks_are_in_hand(hand) -> None:
    hand.app.view.three_d = True
    hand.app.tools.tool = "click"
    angles, center = hand.viewer.scene.camera.angles, hand.canvas.rect().center()
    drag(hand, [center, center + QPoint(20, 0), center + QPoint(60, 10)])
    assert hand.viewer.scene.camera.angles != angles
    assert hand.app.clicks.prompts == ()


def test_space_turns_the_view_while_scissors_are_in_hand(hand) -> None:
    hand.app.view.three_d = True
    hand.app.tools.tool = "scissors"
    before, angles = labels(hand).copy(), hand.viewer.scene.camera.angles
    center = hand.canvas.rect().center()
    drag(hand, [center, center + QPoint(40, 0)])
    assert hand.viewer.scene.camera.angles == angles
    hand.canvas.setFocus()
    QTest.keyPress(hand.canvas, Qt.Key.Key_Space)
    drag(hand, [center, center + QPoint(20, 0), center + QPoint(60, 10)])
    QTest.keyRelease(hand.canvas, Qt.Key.Key_Space)
    assert hand.viewer.scene.camera.angles != angles
    assert np.array_equal(labels(hand), before)


def test_level_tracing_shows_and_takes_the_contour(hand) -> None:
    labels(hand)[...] = 0
    look_at(hand, "axial")
    hand.key(Qt.Key.Key_O)
    seed = (14, 20, 8)
    move(hand, hand.where(MIDDLE))
    move(hand, hand.where(seed))
    expected = trace_level(hand.app.case.volume.voxels, seed, 0).expand(SHAPE)

    def seen() -> bool:
        shown = hand.app.drawing.sketch
        if shown is None:
            return False
        inside = fill_outline(hand.app.case.volume.geometry, shown.lines[0], shown.on).expand(SHAPE)
        return np.array_equal(inside, expected)

    hand.wait(seen)
    hand.click(seed)
    hand.settle()
    assert np.array_equal(labels(hand) == 1, expected)


@pytest.mark.parametrize("plane", LAYOUTS)
def test_a_region_grows_from_a_click(hand, plane) -> None:
    labels(hand)[...] = 0
    look_at(hand, plane)
    hand.key(Qt.Key.Key_M)
    hand.key(Qt.Key.Key_T)
    hand.key(Qt.Key.Key_T)
    hand.app.tools.grow_mm = 14.0
    hand.click(MIDDLE)
    hand.settle()
    geometry, voxels = hand.app.case.volume.geometry, hand.app.case.volume.voxels
    tissue = range_around(voxels, MIDDLE, sphere(geometry, MIDDLE, 3.0))
    region = grow_region(voxels, MIDDLE, tissue, within=sphere(geometry, MIDDLE, 14.0))
    assert np.array_equal(labels(hand) == 1, region.expand(SHAPE))


@pytest.mark.parametrize(("key", "kept"), [(Qt.Key.Key_K, True), (Qt.Key.Key_E, False)])
def test_islands_are_clicked(hand, key, kept) -> None:
    before = labels(hand).copy()
    look_at(hand, "coronal")
    hand.press("reach.3d")
    hand.key(key, SHIFT)
    hand.click(MIDDLE)
    hand.settle()
    island = keep_island(before, 1, MIDDLE).expand(SHAPE)
    gone = (before == 1) & ~island if kept else island
    assert np.array_equal(labels(hand), np.where(gone, 0, before))


def test_every_tool_has_an_icon_a_name_and_a_key_in_its_tooltip(hand) -> None:
    for tool in ("brush", "eraser", "fill", "navigate", "polygon", "lasso", "livewire", "scissors", "level", "grow"):
        button = hand.panel.findChild(QPushButton, f"tool.{tool}")
        assert not button.icon().isNull()
        assert button.toolTip().startswith(HAND_TOOLS[tool].name)
        assert f"[{HAND_TOOLS[tool].key}]" in button.toolTip()
