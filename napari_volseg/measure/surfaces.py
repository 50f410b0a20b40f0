"""How far apart the surfaces of two masks lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_volseg.core import Box, Geometry, GeometryError

#: Tolerance of the normalized surface Dice that public benchmarks of organ segmentation use, mm.
NSD_TOLERANCE_MM = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceDistances:
    """Distances between the surface voxels of two masks, mm.

    Parameters
    ----------
    forward
        From each surface voxel of the first mask to the nearest one of the second; infinite where that is empty.
    backward
        The same from the second mask to the first.
    """

    forward: NDArray[np.float64]
    backward: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Average symmetric surface distance, mm; 0 where both masks are empty."""
        both = np.concatenate([self.forward, self.backward])
        return float(both.mean()) if both.size else 0.0

    @property
    def hausdorff95(self) -> float:
        """The larger of both directions' 95th percentiles, mm; 0 where both masks are empty."""
        return max(_percentile95(self.forward), _percentile95(self.backward))

    def surface_dice(self, tolerance_mm: float = NSD_TOLERANCE_MM) -> float:
        """Return the share of both surfaces that lies within a tolerance of the other, 0 to 1.

        Every surface voxel counts once. Source: Nikolov et al., J Med Internet Res 23(7), 2021, who weigh by area.
        """
        total = self.forward.size + self.backward.size
        near = np.count_nonzero(self.forward <= tolerance_mm) + np.count_nonzero(self.backward <= tolerance_mm)
        return near / total if total else 1.0


def surface_distances(a: NDArray[np.bool_], b: NDArray[np.bool_], geometry: Geometry) -> SurfaceDistances:
    """Measure between the surfaces of two masks (z, y, x) on one grid, in patient mm, sheared grids included.

    The surface of a mask is made of its voxels that have a face towards the outside; the border of the volume
    counts as outside.
    """
    if not a.shape == b.shape == geometry.shape:
        raise GeometryError(
            f"masks of shapes {a.shape} and {b.shape} do not lie on a grid of shape {geometry.shape}: "
            "put them on one grid first"
        )
    first, second = (geometry.to_patient(_surface_indices(mask)) for mask in (a, b))
    return SurfaceDistances(_nearest(first, second), _nearest(second, first))


def normalized_surface_dice(
    a: NDArray[np.bool_], b: NDArray[np.bool_], geometry: Geometry, tolerance_mm: float = NSD_TOLERANCE_MM
) -> float:
    """Return the surface Dice of two masks (z, y, x) on one grid, 0 to 1; 1 where both are empty."""
    return surface_distances(a, b, geometry).surface_dice(tolerance_mm)


def _surface_indices(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return indices (n, 3) in (z, y, x) of a mask's surface voxels."""
    box = Box.of_mask(mask)
    if box is None:
        return np.empty((0, 3), np.int64)
    inside = mask[box.slices]
    surface = inside & ~ndimage.binary_erosion(inside)
    return np.argwhere(surface) + np.asarray(box.start)


def _nearest(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each point's distance to the nearest of the others; points (n, 3)."""
    if len(others) == 0:
        return np.full(len(points), np.inf)
    return np.asarray(cKDTree(others).query(points)[0], np.float64).reshape(-1)


def _percentile95(distances: NDArray[np.float64]) -> float:
    if distances.size == 0:
        return 0.0
    # Linear interpolation between infinities is not a number.
    return float(np.percentile(distances, 95)) if np.isfinite(distances).all() else float("inf")
