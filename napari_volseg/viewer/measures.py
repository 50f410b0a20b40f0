"""Where measurements are seen on the canvas of a view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from napari.components import ViewerModel
from numpy.typing import NDArray

from napari_volseg.app import Application
from napari_volseg.app.layouts import plane_shown
from napari_volseg.app.measuring import value_text
from napari_volseg.app.wishes import ViewName
from napari_volseg.core import Geometry, Measurement
from napari_volseg.viewer.planes import LAYOUTS, true_shape
from napari_volseg.viewer.sketches import on_canvas, on_canvas_3d

#: A measurement is seen on slices so near, voxels.
NEAR = 0.5

Pixels = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A measurement on a canvas, in pixels (x, y) from the top left.

    Parameters
    ----------
    lines
        (2, 2) each.
    crossings
        (n, 2), where a slice cuts lines that do not lie on it.
    text
        Its value, empty where only crossings are seen.
    chosen
        Whether it is the chosen one, or the one in hand.
    """

    lines: tuple[Pixels, ...]
    crossings: Pixels
    text: str
    chosen: bool


def seen_measurements(app: Application, viewer: ViewerModel, name: ViewName, size: tuple[int, int]) -> list[Seen]:
    """Return what is seen of all measurements in a view: in 3D all of them, as if nothing lay before them.

    Parameters
    ----------
    app
        Whose open case was measured.
    viewer
        Where its slice is shown.
    name
        Which slices.
    size
        Width and height of the canvas, pixels.
    """
    case, index, plane = app.case, app.view.index, plane_shown(app.view, name)
    if case is None or index is None or app.preview.arriving is not None:
        return []
    geometry = case.volume.geometry
    if plane is None:
        return _seen_in_3d(app, viewer, geometry, size) if viewer.dims.ndisplay == 3 else []
    axis = LAYOUTS[plane].normal

    def seen(places: NDArray[np.float64]) -> Pixels:
        return on_canvas(viewer, places * geometry.spacing, size)

    found = []
    for measurement, chosen in _all_of_them(app):
        lines = _lines(measurement, geometry)
        on = [line for line in lines if (np.abs(line[:, axis] - index[axis]) <= NEAR).all()]
        crossed = [p for line in lines if (p := _crossing(line, axis, index[axis])) is not None]
        whole = len(on) == len(lines)
        if whole or crossed:
            points = seen(np.array(crossed)) if crossed and not whole else np.empty((0, 2))
            text = value_text(measurement, app.measuring.unit) if whole else ""
            found.append(Seen(tuple(seen(line) for line in on) if whole else (), points, text, chosen))
    return found


def _all_of_them(app: Application) -> list[tuple[Measurement, bool]]:
    """Return the measurements and the one in hand, each with whether it is the chosen one."""
    measuring = app.measuring
    found = [(m, number == measuring.chosen) for number, m in enumerate(measuring.measurements)]
    return found if measuring.in_hand is None else [*found, (measuring.in_hand, True)]


def _seen_in_3d(app: Application, viewer: ViewerModel, geometry: Geometry, size: tuple[int, int]) -> list[Seen]:
    turned = true_shape(geometry)
    found = []
    for measurement, chosen in _all_of_them(app):
        places = np.array(_lines(measurement, geometry)).reshape(-1, 3) * geometry.spacing
        pixels = on_canvas_3d(viewer, places @ turned[:3, :3].T + turned[:3, 3], size)
        if pixels is not None:
            text = value_text(measurement, app.measuring.unit)
            found.append(Seen(tuple(pixels.reshape(-1, 2, 2)), np.empty((0, 2)), text, chosen))
    return found


def _lines(measurement: Measurement, geometry: Geometry) -> list[NDArray[np.float64]]:
    return [geometry.to_index(line) for line in measurement.lines]


def _crossing(line: NDArray[np.float64], axis: int, index: int) -> NDArray[np.float64] | None:
    """Return where a line (2, 3), voxel index, goes through a slice; None where it does not, or lies on it."""
    start, end = line[:, axis]
    if start == end or not min(start, end) <= index <= max(start, end):
        return None
    return np.asarray(line[0] + (line[1] - line[0]) * (index - start) / (end - start))
