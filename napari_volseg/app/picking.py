"""Clicks into the 3D view: what is seen where somebody points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_volseg.app.case import Case
from napari_volseg.app.jobs import Job
from napari_volseg.app.outlines import Ray
from napari_volseg.app.renderings import rendering_of
from napari_volseg.app.wishes import ViewWishes
from napari_volseg.core import Point, UsageError
from napari_volseg.spatial import plane_axis, voxels_along

if TYPE_CHECKING:
    from napari_volseg.app.application import Application


def click_along(app: Application, ray: Ray, positive: bool | None = None) -> Job:
    """Add a click where a line of sight meets what is seen in 3D, and let the slices meet there.

    Its sign is the tool's where not given.

    Raises
    ------
    UsageError
        Where nothing is seen.
    """
    case = app.need_case()
    place = seen_along(case, ray, app.view)
    if place is None:
        raise UsageError("nothing is seen there: click on the surface of a segment, or on a slice")
    z, y, x = (int(i) for i in np.round(case.volume.geometry.to_index(place)))
    app.view.index = (z, y, x)
    return app.click(place, positive)


def seen_along(case: Case, ray: Ray, view: ViewWishes) -> Point | None:
    """Return where a line of sight first meets what is seen: the slice of a cut, a visible segment, or the image.

    Parameters
    ----------
    case
        The open case.
    ray
        The line.
    view
        How the case is looked at. Where no segment is met and the image is seen too, the line ends at its surface, or
        where the brightest voxel shines through.

    Returns
    -------
    Point or None
        Patient (x, y, z), mm, LPS; None where nothing is seen.
    """
    geometry = case.volume.geometry
    voxels = voxels_along(geometry, ray.point, ray.direction)
    cut = _behind_the_cut(case, voxels, view)
    at = 0 if cut < len(voxels) and cut > 0 else _met(case, voxels[cut:], view)
    if at is None:
        return None
    x, y, z = (float(c) for c in geometry.to_patient(voxels[cut + at]))
    return x, y, z


def _behind_the_cut(case: Case, voxels: NDArray[np.int64], view: ViewWishes) -> int:
    """Return how many of the first voxels on a line are cut away; behind them the slice of the cut is seen."""
    if view.cut == "nothing" or not len(voxels):
        return 0
    axis = plane_axis(case.volume.geometry, view.cut)
    place = view.index[axis] if view.index is not None else case.volume.geometry.shape[axis] // 2
    way = 1 if voxels[-1, axis] >= voxels[0, axis] else -1
    return int(np.count_nonzero((voxels[:, axis] - place) * way < 0))


def _met(case: Case, voxels: NDArray[np.int64], view: ViewWishes) -> int | None:
    """Return which of the voxels on a line is met first, None where none is."""
    places = tuple(voxels.T)
    shown = [segment.value for segment in case.table if segment.visible]
    met = np.flatnonzero(np.isin(case.segmentation.labels[places], shown)) if view.labels_visible else np.array([])
    if len(met):
        return int(met[0])
    if not len(voxels) or not (view.image_in_3d or not shown):
        return None
    values, rendering = case.volume.voxels[places], rendering_of(view.rendering, case.volume)
    if rendering.kind == "surface":
        dense = np.flatnonzero(values >= rendering.window_for(view.window).center)
        return int(dense[0]) if len(dense) else None
    return int(np.argmax(values))
