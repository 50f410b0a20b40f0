"""Between the patient and the canvas: where lines drawn over a slice are seen, and along which line one looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.components import ViewerModel
from numpy.typing import ArrayLike, NDArray

from napari_volseg.app import Application
from napari_volseg.app.doubts import Doubt
from napari_volseg.app.layouts import in_hand, plane_shown
from napari_volseg.app.outlines import Ray, Sketch
from napari_volseg.app.wishes import Plane, ViewName
from napari_volseg.core import Geometry
from napari_volseg.viewer.planes import LAYOUTS, true_shape

Pixels = NDArray[np.float64]


def canvas_lines(
    app: Application, viewer: ViewerModel, sketch: Sketch, size: tuple[int, int], name: ViewName | None = None
) -> tuple[list[Pixels], Pixels]:
    """Return where a sketch is seen: its lines and its vertices, (n, 2) each, canvas pixels (x, y) from top left.

    Parameters
    ----------
    app
        Its open case is what the sketch was drawn over.
    viewer
        Where the slice is shown.
    sketch
        What was drawn; nothing is seen of it on another slice.
    size
        Width and height of the canvas, pixels.
    name
        What is shown there; the view in hand where absent.
    """
    nothing, name = np.empty((0, 2)), name or in_hand(app.view)
    if sketch.on is None:
        return list(sketch.lines) if name == "3d" else [], nothing
    if app.case is None or not _is_shown(app, sketch, name):
        return [], nothing
    geometry = app.case.volume.geometry

    def seen(points: NDArray[np.float64]) -> Pixels:
        return on_canvas(viewer, geometry.to_index(points) * geometry.spacing, size)

    vertices = nothing if sketch.vertices is None else seen(sketch.vertices)
    return [seen(line) for line in sketch.lines if len(line)], vertices


def seen_doubts(
    app: Application, doubts: Sequence[Doubt], viewer: ViewerModel, name: ViewName, size: tuple[int, int]
) -> list[Pixels]:
    """Return where unsure slices are seen: a frame on the slice itself, a line across it in the other planes.

    Parameters
    ----------
    app
        Whose open case is shown.
    doubts
        Where it is unsure.
    viewer
        Where the case is shown.
    name
        What is shown there; nothing is seen in 3D.
    size
        Width and height of the canvas, pixels.

    Returns
    -------
    list
        Corners (4, 2) of each frame, in turn, pixels (x, y); those of a line lie on it.
    """
    case, index, plane = app.case, app.view.index, plane_shown(app.view, name)
    if case is None or index is None or plane is None or app.preview.arriving is not None:
        return []
    normal, spacing = LAYOUTS[plane].normal, case.volume.geometry.spacing
    seen = [doubt for doubt in doubts if normal != doubt.on.axis or index[normal] == doubt.on.index]
    return [on_canvas(viewer, doubt.corners * spacing, size) for doubt in seen]


def crosshair(
    app: Application, viewer: ViewerModel, name: ViewName, size: tuple[int, int]
) -> tuple[tuple[Plane, float], tuple[Plane, float]] | None:
    """Return where the two other planes cut a plane, each with its name; None where nothing is to be seen of it.

    Parameters
    ----------
    app
        Whose open case is shown.
    viewer
        Where.
    name
        What is shown there.
    size
        Width and height of the canvas, pixels.

    Returns
    -------
    tuple
        The plane that is seen as a horizontal line and its pixel from the top, and the one that is seen as a vertical
        line and its pixel from the left.
    """
    case, index, plane = app.case, app.view.index, plane_shown(app.view, name)
    if plane is None or case is None or index is None or app.preview.arriving is not None or not app.view.crosshair:
        return None
    x, y = on_canvas(viewer, np.multiply(index, case.volume.geometry.spacing)[None], size)[0]
    _, down, across = LAYOUTS[plane].order
    by_normal: dict[int, Plane] = {layout.normal: plane for plane, layout in LAYOUTS.items()}
    return (by_normal[down], float(y)), (by_normal[across], float(x))


def on_canvas(viewer: ViewerModel, positions: NDArray[np.float64], size: tuple[int, int]) -> Pixels:
    """Return the pixels (n, 2), (x, y), at which a canvas of ``size`` shows napari positions (n, 3) of the slice."""
    camera = viewer.scene.camera
    down, right = (1 if str(o) in ("down", "right") else -1 for o in camera.orientation2d)
    offset = (positions[:, list(viewer.dims.displayed)] - np.array(camera.center[-2:])) * (down, right) * camera.zoom
    return offset[:, ::-1] + np.array(size) / 2


def on_canvas_3d(viewer: ViewerModel, positions: NDArray[np.float64], size: tuple[int, int]) -> Pixels | None:
    """Return the pixels (n, 2), (x, y), at which a 3D canvas of ``size`` shows napari positions (n, 3).

    None where the camera looks in perspective, which napari's own controls can set.
    """
    camera = viewer.scene.camera
    if camera.perspective:
        return None
    towards, up = np.array(camera.view_direction), np.array(camera.up_direction)
    right = np.cross(towards[::-1], up[::-1])[::-1]  # napari's axes (z, y, x) run superior, posterior, left
    offset = (positions - np.array(camera.center)) @ np.stack([right, -up], axis=1)
    return np.asarray(offset * camera.zoom + np.array(size) / 2)


def line_of_sight(geometry: Geometry, position: ArrayLike, direction: ArrayLike, pixel: ArrayLike) -> Ray:
    """Return the line along which one looks through the 3D view.

    Parameters
    ----------
    geometry
        Grid of the volume that is shown.
    position, direction
        A napari position (z, y, x) on the line and where it leads to.
    pixel
        Where the line is seen on the canvas, (x, y).
    """
    back = np.linalg.inv(true_shape(geometry))
    place, step = np.asarray(position, float)[-3:], np.asarray(direction, float)[-3:]
    index = (back[:3, :3] @ place + back[:3, 3]) / geometry.spacing
    along = geometry.matrix[:3, :3] @ ((back[:3, :3] @ step) / geometry.spacing)
    x, y, z = (float(c) for c in geometry.to_patient(index))
    u, v, w = (float(c) for c in along)
    across, down = (float(c) for c in np.asarray(pixel, float)[:2])
    return Ray((x, y, z), (u, v, w), (across, down))


def _is_shown(app: Application, sketch: Sketch, name: ViewName) -> bool:
    """Whether the slice of a sketch is the one that a view shows."""
    on, index, plane = sketch.on, app.view.index, plane_shown(app.view, name)
    if on is None or plane is None or index is None:
        return False
    return LAYOUTS[plane].normal == on.axis and index[on.axis] == on.index
