"""What a real window draws of a CT with gantry tilt: the true shape in 3D, the slices as acquired in 2D."""

from __future__ import annotations

import napari
import numpy as np
import pytest
from numpy.typing import NDArray
from qtpy.QtCore import QEvent

from napari_volseg.app import Application
from napari_volseg.core import Box, Distance, Geometry, SegmentTable, Volume, Window
from napari_volseg.editing import Author
from napari_volseg.viewer import ViewerBinding, seen_measurements

pytestmark = pytest.mark.gui

SHAPE, SPACING, LEAN = (40, 60, 44), (3.0, 2.0, 2.0), 20.0
RED, GREEN = (255, 0, 0), (0, 255, 0)


def tilted() -> Geometry:
    """Slices whose posterior side is raised; they follow each other along the table."""
    lean = np.radians(LEAN)
    matrix = Geometry.from_spacing(SHAPE, SPACING).matrix.copy()
    matrix[1:3, 1] = SPACING[1] * np.cos(lean), SPACING[1] * np.sin(lean)
    return Geometry(SHAPE, matrix)


def open_phantom(app: Application) -> None:
    """Open a volume with a red plate, two slices thick, and a green rod in front of it along the slices' normal."""
    geometry = tilted()
    labels = np.zeros(SHAPE, np.uint16)
    labels[8:10, 5:55, 10:34] = 1
    labels[20:36, 20:24, 10:34] = 2
    table = SegmentTable()
    for name, color in (("plate", RED), ("rod", GREEN)):
        table = table.with_segment(table.new_segment(name, color=color))
    voxels = np.where(labels == 1, 1000, 0).astype(np.int16)
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
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(np.int32)


def tinted(pixels: NDArray[np.int32], color: tuple[int, int, int]) -> NDArray[np.bool_]:
    strong = [c > 0 for c in color]
    return pixels[..., strong].min(-1) > pixels[..., np.invert(strong)].max(-1) + 30


def slope(mask: NDArray[np.bool_]) -> float:
    """Pixels down per pixel to the right, along the middle of a flat shape."""
    columns = np.flatnonzero(mask.any(0))
    columns = columns[len(columns) // 8 : -len(columns) // 8]
    return float(np.polyfit(columns, [np.flatnonzero(mask[:, c]).mean() for c in columns], 1)[0])


def look_from_the_patients_right(viewer) -> None:
    viewer.scene.camera.set_view_direction((0.0, 0.0, 1.0), (1.0, 0.0, 0.0))


def test_3d_shows_the_true_shape_from_the_side(shown) -> None:
    app, viewer = shown
    app.view.three_d = True
    look_from_the_patients_right(viewer)
    pixels = picture(viewer)
    plate, rod = tinted(pixels, RED), tinted(pixels, GREEN)
    assert plate.sum() > 200
    # anterior is on the right, and the slices sink towards it
    assert slope(plate) == pytest.approx(np.tan(np.radians(LEAN)), abs=0.04)
    # what lies along the table stands upright
    assert abs(slope(rod.T)) < 0.05
    assert np.nonzero(rod)[1].mean() > np.nonzero(plate)[1].mean() + 10
    assert np.nonzero(rod)[0].mean() < np.nonzero(plate)[0].mean()
    app.view.labels_visible = False
    assert slope(picture(viewer).min(-1) > 150) == pytest.approx(np.tan(np.radians(LEAN)), abs=0.06)


def test_2d_shows_the_slices_as_acquired_before_and_after(shown) -> None:
    app, viewer = shown
    app.view.plane = "sagittal"

    def plate() -> NDArray[np.bool_]:
        return tinted(picture(viewer), RED)

    def size(mask: NDArray[np.bool_]) -> list[int]:
        return [int(np.ptp(axis)) for axis in np.nonzero(mask)]

    before = size(plate())
    for leave in (lambda: setattr(app.view, "three_d", False), lambda: setattr(viewer.dims, "ndisplay", 2)):
        app.view.three_d = True
        look_from_the_patients_right(viewer)
        assert slope(plate()) > 0.3
        leave()
        assert abs(slope(plate())) < 0.01
        np.testing.assert_allclose(size(plate()), before, atol=2)


def test_a_measurement_is_seen_in_3d_in_the_true_shape(shown) -> None:
    app, viewer = shown
    ends = app.case.volume.geometry.to_patient([[8.5, 29.5, 21.5], [27.5, 21.5, 21.5]])
    app.case.session.measure((Distance(tuple(tuple(map(float, p)) for p in ends)),))
    app.view.three_d = True
    for angles in ((0, 0, 90), (10, -80, 80)):
        viewer.camera.angles = angles
        pixels = picture(viewer)
        (seen,) = seen_measurements(app, viewer, "3d", (pixels.shape[1], pixels.shape[0]))
        for end, color in zip(seen.lines[0], (RED, GREEN), strict=True):
            rows, columns = np.nonzero(tinted(pixels, color))
            hidden = color == RED and angles[1] == 0
            if not hidden:
                assert end == pytest.approx(
                    [(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2], abs=3
                )
