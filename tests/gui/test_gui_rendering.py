"""What a real napari window draws: the chiral phantom the right way up in three planes and in 3D."""

from __future__ import annotations

import napari
import numpy as np
import pytest
from numpy.typing import NDArray
from qtpy.QtCore import QEvent

from napari_volseg.app import Application, run_command
from napari_volseg.core import Box, BoxMask, Distance, Geometry, SegmentTable, Volume, Window
from napari_volseg.editing import Author
from napari_volseg.viewer import ViewerBinding, seen_measurements

pytestmark = pytest.mark.gui

SHAPE, SPACING = (24, 50, 40), (4.0, 1.5, 2.0)
#: Where a block lies, which segment it is and its colour.
BLOCKS = {
    "left": (1, (255, 0, 0)),
    "anterior": (2, (0, 255, 0)),
    "superior": (3, (0, 0, 255)),
    "posterior": (4, (255, 255, 0)),
}


def block(side: str) -> tuple[slice, slice, slice]:
    """Voxels of a block at one side of the volume, in the middle of the other two axes."""
    z, y, x = (slice(n // 2 - n // 8, n // 2 + n // 8) for n in SHAPE)
    match side:
        case "left":
            return z, y, slice(SHAPE[2] - 8, SHAPE[2] - 2)
        case "anterior":
            return z, slice(2, 10), x
        case "superior":
            return slice(SHAPE[0] - 6, SHAPE[0] - 2), y, x
    return z, slice(SHAPE[1] - 10, SHAPE[1] - 2), x


def open_phantom(app: Application) -> None:
    """Open a grey volume with a labelled block in each of four directions, the left one bright."""
    geometry = Geometry.from_spacing(SHAPE, SPACING)
    voxels = np.full(SHAPE, 0, np.int16)
    labels = np.zeros(SHAPE, np.uint16)
    table = SegmentTable()
    for side, (value, color) in BLOCKS.items():
        labels[block(side)] = value
        table = table.with_segment(table.new_segment(side, color=color))
    voxels[block("left")] = 1000
    app.adopt(Volume(voxels, geometry, "CT", "HU", "HU"))
    app.case.session.replace(Box.whole(SHAPE), labels, name="Phantom", author=Author("tool", "test"), table=table)


@pytest.fixture
def shown(qapp):
    viewer = napari.Viewer()
    viewer.window.resize(800, 600)
    app = Application()
    binding = ViewerBinding(app, viewer)
    open_phantom(app)
    app.view.window = Window(0, 2000)
    yield app, viewer
    binding.close()
    app.close()
    viewer.close()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def picture(viewer) -> NDArray[np.int32]:
    """Canvas pixels (row, column, RGB) as signed numbers."""
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(np.int32)


def tinted(pixels: NDArray[np.int32], color: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Pixels whose strong channels are those of a colour."""
    strong = [c > 0 for c in color]
    return pixels[..., strong].min(-1) > pixels[..., np.invert(strong)].max(-1) + 30


def offset(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Where a mask's centre lies from the canvas centre: signs of (right, down), 0 within a tenth."""
    assert mask.sum() > 50
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    right, down = columns.mean() / width - 0.5, rows.mean() / height - 0.5
    return int(np.sign(np.round(right * 10))), int(np.sign(np.round(down * 10)))


EXPECTED = {
    "axial": {"left": (1, 0), "anterior": (0, -1), "posterior": (0, 1)},
    "coronal": {"left": (1, 0), "superior": (0, -1)},
    "sagittal": {"anterior": (-1, 0), "superior": (0, -1), "posterior": (1, 0)},
}


def test_planes_are_drawn_the_right_way_up(shown) -> None:
    app, viewer = shown
    for plane, expected in EXPECTED.items():
        app.view.plane, app.view.labels_visible = plane, True
        pixels = picture(viewer)
        masks = {side: tinted(pixels, color) for side, (_, color) in BLOCKS.items()}
        assert {side: offset(mask) for side, mask in masks.items() if mask.any()} == expected
        app.view.labels_visible = False
        bright = picture(viewer).min(-1) > 200
        assert bright.any() == ("left" in expected)
        if bright.any():
            assert offset(bright) == expected["left"]


def test_pixels_are_square_in_millimetres(shown) -> None:
    app, viewer = shown
    extent = np.multiply(SHAPE, SPACING)
    for plane, (row, column) in {"axial": (1, 2), "coronal": (0, 2), "sagittal": (0, 1)}.items():
        app.view.plane = plane
        rows, columns = np.nonzero(picture(viewer).max(-1) > 60)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert width / height == pytest.approx(extent[column] / extent[row], rel=0.03)


@pytest.mark.parametrize("planes", [("axial",), ("coronal", "sagittal")])
def test_3d_is_not_mirrored_and_seen_from_the_front(planes, shown) -> None:
    app, viewer = shown
    for plane in planes:
        app.view.three_d, app.view.plane = False, plane
        picture(viewer)
        app.view.three_d = True
        pixels = picture(viewer)
    seen = {side: tinted(pixels, color) for side, (_, color) in BLOCKS.items()}
    assert offset(seen["left"]) == (1, 0)
    assert offset(seen["superior"]) == (0, -1)
    assert offset(seen["anterior"]) == (0, 0)
    assert seen["posterior"].sum() < 0.05 * seen["anterior"].sum()
    app.view.labels_visible = False
    assert offset(picture(viewer).min(-1) > 200) == (1, 0)


def test_a_measurement_is_seen_in_3d_where_its_ends_lie(shown) -> None:
    app, viewer = shown
    geometry = app.case.volume.geometry
    ends = [[(s.start + s.stop - 1) / 2 for s in block(side)] for side in ("left", "superior")]
    app.case.session.measure((Distance(tuple(tuple(map(float, p)) for p in geometry.to_patient(ends))),))
    app.view.three_d, app.view.labels_visible = True, False
    picture(viewer)
    for angles, zoom in (((0, 0, -90), 3.0), ((0, 0, 90), 3.0), ((20, -35, 70), 4.0), ((-60, 15, 140), 2.5)):
        viewer.camera.angles, viewer.camera.zoom = angles, zoom
        pixels = picture(viewer)
        (seen,) = seen_measurements(app, viewer, "3d", (pixels.shape[1], pixels.shape[0]))
        rows, columns = np.nonzero(pixels.min(-1) > 180)
        assert seen.lines[0][0] == pytest.approx([columns.mean(), rows.mean()], abs=2)
        length = np.linalg.norm(np.diff(seen.lines[0], axis=0)) / zoom
        assert length <= app.case.session.measurements[0].lengths[0] + 1e-6
    viewer.camera.perspective = 30
    assert seen_measurements(app, viewer, "3d", (100, 100)) == []


@pytest.mark.parametrize("made", ["surfaces", "stand-in"])
def test_a_cut_takes_away_what_lies_before_the_slice_and_shows_the_slice(made, shown) -> None:
    app, viewer = shown
    app.view.index = tuple(n // 2 for n in SHAPE)
    app.view.three_d, app.view.labels_opacity = True, 1.0
    if made == "surfaces":
        app.jobs.wait()
    for side, axis, gone, kept in (
        ("anterior", "coronal", "anterior", {"left": (1, 0), "superior": (0, -1)}),
        ("posterior", "coronal", "posterior", {"left": (-1, 0), "superior": (0, -1)}),
        ("superior", "axial", "superior", {"left": (-1, 0), "anterior": (0, -1), "posterior": (0, 1)}),
        ("left", "sagittal", "left", {"anterior": (-1, 0), "posterior": (1, 0), "superior": (0, -1)}),
    ):
        run_command(app, f"view.from-{side}")
        run_command(app, f"view.cut-{axis}")
        pixels = picture(viewer)
        seen = {name: tinted(pixels, color) for name, (_, color) in BLOCKS.items()}
        assert {name: offset(mask) for name, mask in seen.items() if name in kept} == kept, side
        assert seen[gone].sum() < 20, side
        run_command(app, "view.cut-nothing")
        assert tinted(picture(viewer), BLOCKS[gone][1]).sum() > 500, side


def test_surfaces_of_the_image_stand_where_its_values_are(shown) -> None:
    app, viewer = shown
    app.view.three_d, app.view.labels_visible = True, False
    for side, expected in {"anterior": (1, 0), "posterior": (-1, 0), "superior": (-1, 0), "inferior": (1, 0)}.items():
        run_command(app, f"view.from-{side}")
        run_command(app, "view.rendering-bone")
        assert offset(picture(viewer).min(-1) > 40) == expected


def test_a_stroke_with_the_real_mouse_lands_and_is_drawn(shown, qtbot) -> None:
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtWidgets import QApplication

    app, viewer = shown
    app.jobs.inbox.wake = lambda: None
    app.view.plane = "coronal"
    app.tools.tool, app.tools.radius_mm = "brush", 6.0
    app.case.active = 2
    before = tinted(picture(viewer), (0, 255, 0)).sum()
    canvas = next(w for w in QApplication.allWidgets() if type(w).__name__ == "CanvasBackendDesktop")
    middle = canvas.rect().center()
    qtbot.mousePress(canvas, Qt.LeftButton, pos=middle)
    qtbot.mouseMove(canvas, middle + QPoint(0, 60))
    qtbot.wait(30)
    qtbot.mouseRelease(canvas, Qt.LeftButton, pos=middle + QPoint(0, 60))
    app.jobs.inbox.pump()
    step = app.case.session.history.steps[-1]
    painted = np.argwhere(app.case.segmentation.labels == 2)
    painted = painted[painted[:, 1] > 12]
    assert step.name == "Brush: anterior"
    assert set(painted[:, 1]) == {SHAPE[1] // 2}
    drawn = tinted(picture(viewer), (0, 255, 0))
    assert drawn.sum() > before + 200
    assert offset(drawn) == (0, 1)
    qtbot.keyClick(canvas, Qt.Key_Z, Qt.ControlModifier)
    app.jobs.inbox.pump()
    assert tinted(picture(viewer), (0, 255, 0)).sum() == before


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_changed_box_looks_as_if_all_were_drawn_anew(plane, shown) -> None:
    app, viewer = shown
    app.view.plane, viewer.layers["Prompts"].visible = plane, False
    before = picture(viewer)
    box = Box.of([n // 2 - 3 for n in SHAPE], [n // 2 + d for n, d in zip(SHAPE, (2, 5, 9), strict=True)])
    session, author = app.case.session, Author("tool", "test")
    for value in (2, 4):
        session.apply(BoxMask(box, np.ones(box.shape, bool)), value, name="Box", author=author)
        app.jobs.inbox.pump()
        box = box.shift((0, -2, -1))
    after = picture(viewer)
    viewer.layers["Segments"].refresh()
    assert (after != before).any(-1).sum() > 500
    assert np.array_equal(after, picture(viewer))


def test_keys_of_naparis_layers_do_not_shadow_ours(shown, qtbot) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QApplication

    app, viewer = shown
    viewer.layers.selection.active = viewer.layers["Segments"]
    canvas = next(w for w in QApplication.allWidgets() if type(w).__name__ == "CanvasBackendDesktop")
    qtbot.keyClick(canvas, Qt.Key_2)
    assert app.view.window.name == "Bone"
    qtbot.keyClick(canvas, Qt.Key_E)
    assert app.tools.tool == "eraser"
    qtbot.keyClick(canvas, Qt.Key_S)
    assert app.view.plane == "sagittal"
