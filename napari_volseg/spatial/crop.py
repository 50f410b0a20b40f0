"""Cutting a part out of a grid."""

from __future__ import annotations

from napari_volseg.core import Box, Geometry


def crop_geometry(geometry: Geometry, box: Box) -> Geometry:
    """Return the grid of the voxels in ``box`` (z, y, x); a box that reaches outside extends the grid.

    Raises
    ------
    GeometryError
        For an empty box.
    """
    matrix = geometry.matrix.copy()
    matrix[:3, 3] = geometry.to_patient(box.start)
    return Geometry(box.shape, matrix, geometry.frame_of_reference_uid)
