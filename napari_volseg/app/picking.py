"""Clicks into the 3D view: what is seen where somebody points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_volseg.app.case import Case
from napari_volseg.app.jobs import Job
from napari_volseg.app.outlines import Ray
from napari_volseg.core import Point, UsageError
from napari_volseg.spatial import voxels_along

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
    surfaces = any(segment.visible for segment in case.table)
    place = seen_along(case, ray, image=app.view.image_in_3d or not surfaces)
    if place is None:
        raise UsageError("nothing is seen there: click on the surface of a segment, or on a slice")
    z, y, x = (int(i) for i in np.round(case.volume.geometry.to_index(place)))
    app.view.index = (z, y, x)
    return app.click(place, positive)


def seen_along(case: Case, ray: Ray, *, image: bool) -> Point | None:
    """Return where a line of sight first meets a visible segment.

    Parameters
    ----------
    case
        The open case.
    ray
        The line.
    image
        Whether the image is seen too: where no segment is met, its brightest voxel on the line shines through.

    Returns
    -------
    Point or None
        Patient (x, y, z), mm, LPS; None where nothing is seen.
    """
    volume = case.volume
    voxels = voxels_along(volume.geometry, ray.point, ray.direction)
    places = tuple(voxels.T)
    shown = [segment.value for segment in case.table if segment.visible]
    met = np.flatnonzero(np.isin(case.segmentation.labels[places], shown))
    if not len(met) and not (image and len(voxels)):
        return None
    at = met[0] if len(met) else np.argmax(volume.voxels[places])
    x, y, z = (float(c) for c in volume.geometry.to_patient(voxels[at]))
    return x, y, z
