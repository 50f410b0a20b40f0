"""An orthogonal grid for a sheared volume, and the way there and back.

In a CT with gantry tilt the slices are shifted against each other, so that the axes of the grid are not at right
angles. Networks were trained on grids whose axes are. The upright grid keeps as many of the source's axes as it can
and the distances between its planes (or half of them), so that each of its rows of voxels is one of the source,
shifted along itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Box, CancelToken, Geometry
from napari_volseg.spatial.crop import crop_geometry
from napari_volseg.spatial.resample import resample

#: A shear that moves no voxel farther than this, in voxels, is less than interpolation would blur.
_HARMLESS = 0.5
#: Rounding in voxel indices.
_NOISE = 1e-6
#: Planes along a moved axis that are farther apart than this, mm, are doubled: labels then return to within a quarter
#: of that distance.
_FINE_MM = 1.25
#: Part of a voxel by which a sheared axis is set off, so that no voxel of one grid lies just between two of the
#: other: to which of them it is nearest would depend on rounding, and labels would not come back as they went.
_OFF_TIES = 2**0.5 / 128
#: Voxels that are resampled between two looks at the cancel token.
_SLAB_VOXELS = 4_000_000


@dataclass(frozen=True, slots=True)
class Straightening:
    """From a sheared grid to an orthogonal one that covers it, and back.

    Parameters
    ----------
    source
        The grid as acquired.
    target
        The orthogonal grid.
    """

    source: Geometry
    target: Geometry

    @property
    def angle(self) -> float:
        """By how much an angle between two of the source's axes differs from a right one, degrees."""
        return float(np.degrees(np.arcsin(self.source.shear)))

    @property
    def transform(self) -> NDArray[np.float64]:
        """4×4, source index (z, y, x, 1) → target index (z, y, x, 1)."""
        return np.asarray(self.target.inverse @ self.source.matrix)

    def image(self, voxels: NDArray[Any], cancel: CancelToken | None = None) -> NDArray[Any]:
        """Return an image (z, y, x) of the source on the target, by linear interpolation, in its own type.

        Its edge voxels go on outside the source's field of view: the air or padding beside the patient, and tissue
        beyond the first and the last slice, where a slanting cut would be something that no network has seen.
        """
        return _carried(voxels, self.source, self.target, 1, None, cancel or CancelToken())

    def labels(self, labels: NDArray[Any], cancel: CancelToken | None = None) -> NDArray[Any]:
        """Return labels (z, y, x) of the source on the target, each voxel that of the nearest; 0 outside."""
        return _carried(labels, self.source, self.target, 0, 0, cancel or CancelToken())

    def labels_back(self, labels: NDArray[Any], cancel: CancelToken | None = None) -> NDArray[Any]:
        """Return labels (z, y, x) of the target on the source; those outside its field of view are lost.

        Labels that came from the source return bit for bit, wherever only one pair of its axes is oblique.
        """
        return _carried(labels, self.target, self.source, 0, 0, cancel or CancelToken())


def straightening(geometry: Geometry) -> Straightening | None:
    """Return the way to the upright grid of a sheared one, None where that moves no voxel by half of one.

    Of the orthogonal grids that keep one axis and one plane of the source, it is the one that follows the patient's
    axes best: a patient who lies straight in a tilted gantry is then straight in the grid.
    """
    if not geometry.is_sheared:
        return None
    frame = upright_frame(geometry)
    along = frame.T @ geometry.matrix[:3, :3]
    steps = np.diag(along)
    shifts = np.abs(along / steps[:, None] - np.eye(3)) @ ((np.asarray(geometry.shape) - 1) / 2)
    if shifts.max() <= _HARMLESS:
        return None
    moved = shifts > _NOISE
    factors = np.where(moved & (steps > _FINE_MM), 2, 1)
    return Straightening(geometry, _covering(geometry, frame * (steps / factors), moved))


def upright_frame(geometry: Geometry) -> NDArray[np.float64]:
    """Return the axes of a grid made orthogonal, 3×3, column i the unit vector (x, y, z), LPS, of index axis i.

    One axis keeps its direction, a second one stays in the plane of both; which ones is chosen for the frame whose
    axes lie nearest to the patient's.
    """
    orders = [np.array(order) for order in permutations((2, 1, 0))]
    frames = [_orthogonal(geometry.direction, order) for order in orders]
    uprightness = [sum(sign * frame[p, i] for i, (p, sign) in enumerate(geometry.closest_axes)) for frame in frames]
    return frames[int(np.argmax(np.round(uprightness, 9)))]


def _orthogonal(direction: NDArray[np.float64], order: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the columns of ``direction`` made orthogonal one after the other, in the given order (Gram-Schmidt)."""
    q, r = np.linalg.qr(direction[:, order])
    frame = np.empty((3, 3))
    frame[:, order] = q * np.sign(np.diag(r))
    return frame


def _covering(geometry: Geometry, columns: NDArray[np.float64], moved: NDArray[np.bool_]) -> Geometry:
    """Return the grid with these columns that holds every voxel of a grid, whose axes are ``moved`` or kept."""
    matrix = geometry.matrix.copy()
    matrix[:3, :3] = columns
    index = Geometry(geometry.shape, matrix).to_index(geometry.corners())
    start = np.where(moved, np.floor(index.min(0)) - _OFF_TIES, 0.0)
    z, y, x = np.ceil(index.max(0) - start - _NOISE).astype(int) + 1
    matrix[:3, 3] += columns @ start
    return Geometry((int(z), int(y), int(x)), matrix, geometry.frame_of_reference_uid)


def _carried(
    array: NDArray[Any], source: Geometry, target: Geometry, order: int, fill: float | None, cancel: CancelToken
) -> NDArray[Any]:
    """Return ``array`` resampled to ``target`` slab by slab, so that it can be cancelled and needs little memory."""
    out = np.empty(target.shape, array.dtype)
    depth, height, width = target.shape
    thick = max(1, _SLAB_VOXELS // (height * width))
    for start in range(0, depth, thick):
        cancel.check()
        box = Box((start, 0, 0), (min(start + thick, depth), height, width))
        slab = resample(array, source, crop_geometry(target, box), order, fill)
        out[box.slices] = np.rint(slab) if order and array.dtype.kind in "iu" else slab
    return out
