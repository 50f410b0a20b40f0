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
from napari_volseg.viewer.planes import LAYOUTS
from napari_volseg.viewer.sketches import on_canvas

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
    """Return what is seen of all measurements in a view; of 3D views nothing.

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
    case, index, measuring = app.case, app.view.index, app.measuring
    plane = plane_shown(app.view, name)
    if case is None or index is None or plane is None or app.preview.arriving is not None:
        return []
    axis = LAYOUTS[plane].normal
    geometry = case.volume.geometry
    all_of_them = [(m, number == measuring.chosen) for number, m in enumerate(measuring.measurements)]
    if measuring.in_hand is not None:
        all_of_them.append((measuring.in_hand, True))

    def seen(places: NDArray[np.float64]) -> Pixels:
        return on_canvas(viewer, places * geometry.spacing, size)

    found = []
    for measurement, chosen in all_of_them:
        lines = _lines(measurement, geometry)
        on = [line for line in lines if (np.abs(line[:, axis] - index[axis]) <= NEAR).all()]
        crossed = [p for line in lines if (p := _crossing(line, axis, index[axis])) is not None]
        whole = len(on) == len(lines)
        if whole or crossed:
            points = seen(np.array(crossed)) if crossed and not whole else np.empty((0, 2))
            text = value_text(measurement, measuring.unit) if whole else ""
            found.append(Seen(tuple(seen(line) for line in on) if whole else (), points, text, chosen))
    return found


def _lines(measurement: Measurement, geometry: Geometry) -> list[NDArray[np.float64]]:
    return [geometry.to_index(line) for line in measurement.lines]


def _crossing(line: NDArray[np.float64], axis: int, index: int) -> NDArray[np.float64] | None:
    """Return where a line (2, 3), voxel index, goes through a slice; None where it does not, or lies on it."""
    start, end = line[:, axis]
    if start == end or not min(start, end) <= index <= max(start, end):
        return None
    return np.asarray(line[0] + (line[1] - line[0]) * (index - start) / (end - start))
