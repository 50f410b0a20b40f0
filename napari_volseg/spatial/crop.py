"""Cutting a part out of a grid, or picking some of its voxels."""

from __future__ import annotations

from napari_volseg.core import Box, Geometry

#: Voxels per axis that a software renderer still turns in 3D.
LONGEST_AXIS = 128


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


def steps_within(shape: tuple[int, int, int], longest: int = LONGEST_AXIS) -> tuple[int, int, int]:
    """Return the step (z, y, x) at which voxels are picked so that no axis has more than ``longest`` of them."""
    z, y, x = (-(-n // longest) for n in shape)
    return z, y, x


def thin_geometry(geometry: Geometry, steps: tuple[int, int, int]) -> Geometry:
    """Return the grid of every ``steps``-th voxel (z, y, x), beginning with the first."""
    matrix = geometry.matrix.copy()
    matrix[:3, :3] *= steps
    z, y, x = (-(-n // step) for n, step in zip(geometry.shape, steps, strict=True))
    return Geometry((z, y, x), matrix, geometry.frame_of_reference_uid)
