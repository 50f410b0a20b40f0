"""Planes in the patient: cutting a segment in two, and mirroring it to the other side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_volseg.core import NEVER, Box, BoxMask, CancelToken, Geometry, UsageError
from napari_volseg.editing.shapes import NOTHING, shape_of, tightened

#: Points that are nearer to a plane, in mm, lie on it: rounding must not choose a side.
_ON_PLANE_MM = 1e-6
#: Slices that are mirrored before it is asked whether to go on.
_AT_ONCE = 16


@dataclass(frozen=True, slots=True, eq=False)
class CutPlane:
    """A plane.

    Parameters
    ----------
    point
        Patient (x, y, z) of one of its points, mm, LPS.
    normal
        Direction at a right angle to it, patient (x, y, z), of any length.

    Raises
    ------
    UsageError
        Where the normal has no length or one of the numbers is not finite.
    """

    point: NDArray[np.float64]
    normal: NDArray[np.float64]

    def __post_init__(self) -> None:
        point, normal = np.array(self.point, float), np.array(self.normal, float)
        length = float(np.linalg.norm(normal))
        if not (np.isfinite(point).all() and np.isfinite(length) and length > 0):
            raise UsageError(f"point {point} with normal {normal} is no plane: give finite numbers and a direction")
        object.__setattr__(self, "point", point)
        object.__setattr__(self, "normal", normal / length)

    @classmethod
    def sagittal(cls, x: float) -> CutPlane:
        """Return the plane of all points with patient coordinate ``x``, mm, LPS; its normal points to the Left."""
        return cls(np.array([x, 0, 0]), np.array([1, 0, 0]))

    @classmethod
    def midline(cls, geometry: Geometry) -> CutPlane:
        """Return the sagittal plane through the middle of a volume."""
        return cls.sagittal(float(geometry.to_patient((np.asarray(geometry.shape) - 1) / 2)[0]))

    @classmethod
    def midline_of(cls, shape: BoxMask, geometry: Geometry) -> CutPlane:
        """Return the sagittal plane through the centroid of a shape, such as the brain or the body.

        Raises
        ------
        UsageError
            Where the shape is empty.
        """
        if not shape.mask.any():
            raise UsageError("a segment without voxels has no middle: choose another one")
        center = np.add(ndimage.center_of_mass(shape.mask), shape.box.start)
        return cls.sagittal(float(geometry.to_patient(center)[0]))

    def heights(self, geometry: Geometry, box: Box) -> NDArray[np.float64]:
        """Return how far the voxels of a box lie from the plane, mm, positive where the normal points."""
        across = geometry.matrix[:3, :3].T @ self.normal
        offset = float((geometry.origin - self.point) @ self.normal)
        z, y, x = (np.arange(a, b) * c for a, b, c in zip(box.start, box.stop, across, strict=True))
        return np.asarray(z[:, None, None] + y[:, None] + x + offset)

    @property
    def reflection(self) -> NDArray[np.float64]:
        """4×4, patient (x, y, z, 1), mm, LPS → its mirror image."""
        matrix = np.eye(4)
        matrix[:3, :3] -= 2 * np.outer(self.normal, self.normal)
        matrix[:3, 3] = 2 * (self.point @ self.normal) * self.normal
        return matrix


def beyond_plane(
    labels: NDArray[Any], value: int, geometry: Geometry, plane: CutPlane, *, box: Box | None = None
) -> BoxMask:
    """Return the part of a segment on the side to which the normal of a plane points.

    Give it another label value to split the segment, or erase it to cut it off. Voxels on the plane do not belong to
    the part.
    """
    shape = shape_of(labels, value, box)
    return tightened(shape.box, shape.mask & (plane.heights(geometry, shape.box) > _ON_PLANE_MM))


def mirrored(
    labels: NDArray[Any],
    value: int,
    geometry: Geometry,
    plane: CutPlane,
    *,
    box: Box | None = None,
    cancel: CancelToken = NEVER,
) -> BoxMask:
    """Return the mirror image of a segment, cut to the volume.

    Each voxel belongs to it whose mirror image is nearest to a voxel of the segment.

    Parameters
    ----------
    plane
        The mirror, such as ``CutPlane.midline(geometry)``.
    cancel
        Looked at between slices.
    """
    return mirror_image(shape_of(labels, value, box), geometry, plane, cancel)


def mirror_image(shape: BoxMask, geometry: Geometry, plane: CutPlane, cancel: CancelToken = NEVER) -> BoxMask:
    """Return the mirror image of a shape, cut to the volume."""
    if not shape.mask.size:
        return NOTHING
    across = geometry.inverse @ plane.reflection @ geometry.matrix  # index (z, y, x, 1) to its mirror image's
    corners = np.stack(np.meshgrid(*zip(shape.box.start, np.subtract(shape.box.stop, 1), strict=True)), -1)
    area = Box.around(_apply(across, corners.reshape(-1, 3)), (1, 1, 1)).clip(geometry.shape)
    if not area.size:
        return NOTHING
    # A hair to one side: where images fall between two voxels, rounding must not decide for each by itself.
    offset = _apply(across, area.start) - shape.box.start + 1e-7
    image = np.empty(area.shape, np.uint8)
    for k in range(0, len(image), _AT_ONCE):
        cancel.check()
        ndimage.affine_transform(
            shape.mask.view(np.uint8),
            across[:3, :3],
            offset + across[:3, 0] * k,
            output=image[k : k + _AT_ONCE],
            output_shape=image[k : k + _AT_ONCE].shape,
            order=0,
            mode="grid-constant",  # "constant" ends at the centres of the outermost voxels
        )
    return tightened(area, image.astype(bool))


def _apply(matrix: NDArray[np.float64], points: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(points, float) @ matrix[:3, :3].T + matrix[:3, 3]
