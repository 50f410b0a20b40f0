"""Where voxels lie in the patient.

The one geometry of the program is an affine from voxel index (z, y, x) to patient coordinates (x, y, z) in
millimetres in DICOM's LPS frame: +x to the patient's Left, +y to Posterior, +z to Superior
(DICOM PS3.3 C.7.6.2.1.1). Everything else is derived from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_volseg.core.errors import GeometryError

#: Two grids whose corners differ by less (mm) are the same grid.
SAME_GRID_MM = 1e-3
#: Cosines between index axes above this are a shear, not rounding.
SHEAR_COSINE = 1e-4

_LETTERS = (("L", "R"), ("P", "A"), ("S", "I"))
_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "S": "I", "I": "S"}


def opposite(letter: str) -> str:
    """Return the letter at the other end of an anatomical axis ("L" for "R")."""
    return _OPPOSITE[letter]


@dataclass(frozen=True)
class Geometry:
    """A voxel grid in patient space.

    Parameters
    ----------
    shape
        Number of voxels in (z, y, x).
    matrix
        4×4, maps homogeneous voxel index (z, y, x, 1) to patient (x, y, z, 1), mm, LPS. Shear is kept.
    frame_of_reference_uid
        DICOM Frame of Reference UID, empty where unknown.

    Raises
    ------
    GeometryError
        For a non-finite or singular matrix, and for a shape that is not three positive numbers.
    """

    shape: tuple[int, int, int]
    matrix: NDArray[np.float64]
    frame_of_reference_uid: str = ""

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        _refuse_bad_matrix(matrix)
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise GeometryError(
                f"a grid of shape {tuple(self.shape)} is not a volume: three positive sizes (z, y, x) are needed"
            )
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Geometry)
            and self.shape == other.shape
            and np.array_equal(self.matrix, other.matrix)
            and self.frame_of_reference_uid == other.frame_of_reference_uid
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.matrix.tobytes(), self.frame_of_reference_uid))

    @classmethod
    def from_spacing(
        cls,
        shape: Sequence[int],
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        origin: Sequence[float] = (0.0, 0.0, 0.0),
        frame_of_reference_uid: str = "",
    ) -> Geometry:
        """Return an axis-aligned grid whose index (z, y, x) runs towards (Superior, Posterior, Left).

        ``spacing`` is in (z, y, x), mm; ``origin`` is the patient (x, y, z) of voxel (0, 0, 0), mm, LPS.
        """
        matrix = np.eye(4)
        matrix[:3, :3] = np.fliplr(np.diag(np.asarray(spacing, float)[::-1]))
        matrix[:3, 3] = origin
        return cls((int(shape[0]), int(shape[1]), int(shape[2])), matrix, frame_of_reference_uid)

    @classmethod
    def from_ras_ijk(cls, affine: ArrayLike, shape_ijk: Sequence[int]) -> Geometry:
        """Return the grid of a NIfTI affine (index (i, j, k) → RAS mm) as the (k, j, i) array it describes."""
        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(affine, float)
        matrix = lps[:, [2, 1, 0, 3]]
        return cls((int(shape_ijk[2]), int(shape_ijk[1]), int(shape_ijk[0])), matrix)

    def to_ras_ijk(self) -> NDArray[np.float64]:
        """Return the 4×4 NIfTI affine (index (i, j, k) → RAS mm) of the transposed array."""
        ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.matrix
        return np.asarray(ras[:, [2, 1, 0, 3]], dtype=np.float64)

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along (z, y, x), mm."""
        lengths = np.linalg.norm(self.matrix[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])

    @cached_property
    def direction(self) -> NDArray[np.float64]:
        """3×3, column i is the unit vector (x, y, z), LPS, along which index axis i (z, y, x) runs."""
        return np.asarray(self.matrix[:3, :3] / np.asarray(self.spacing))

    @property
    def origin(self) -> NDArray[np.float64]:
        """Patient (x, y, z) of the centre of voxel (0, 0, 0), mm, LPS."""
        return self.matrix[:3, 3]

    @cached_property
    def closest_axes(self) -> tuple[tuple[int, int], ...]:
        """Per index axis (z, y, x): the patient axis (0 x, 1 y, 2 z) it follows best and the sign (+1, -1).

        The assignment is the permutation with the largest sum of absolute cosines, so that it stays one to one
        for any obliquity.
        """
        cosines = self.direction
        best = max(permutations(range(3)), key=lambda p: sum(abs(cosines[p[i], i]) for i in range(3)))
        return tuple((p, 1 if cosines[p, i] >= 0 else -1) for i, p in enumerate(best))

    @property
    def axis_codes(self) -> str:
        """Letters towards which index (z, y, x) runs, such as ``"SPL"``."""
        return "".join(_LETTERS[p][0 if sign > 0 else 1] for p, sign in self.closest_axes)

    @property
    def obliquity(self) -> float:
        """Largest angle between an index axis and its closest patient axis, degrees."""
        cosines = [abs(self.direction[p, i]) for i, (p, _) in enumerate(self.closest_axes)]
        return float(np.degrees(np.arccos(np.clip(min(cosines), -1.0, 1.0))))

    @property
    def shear(self) -> float:
        """Largest absolute cosine between two index axes; 0 for an orthogonal grid."""
        gram = self.direction.T @ self.direction
        return float(np.abs(gram - np.diag(np.diag(gram))).max())

    @property
    def is_sheared(self) -> bool:
        """Whether index axes are not orthogonal, as in a gantry-tilted CT."""
        return self.shear > SHEAR_COSINE

    @property
    def handedness(self) -> int:
        """Sign of the determinant of the affine on index (z, y, x): +1 or -1."""
        return 1 if np.linalg.det(self.matrix[:3, :3]) > 0 else -1

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel, mm³, exact for sheared grids."""
        return float(abs(np.linalg.det(self.matrix[:3, :3])))

    @cached_property
    def inverse(self) -> NDArray[np.float64]:
        """4×4, patient (x, y, z, 1), mm, LPS → voxel index (z, y, x, 1)."""
        return np.asarray(np.linalg.inv(self.matrix))

    def to_patient(self, index: ArrayLike) -> NDArray[np.float64]:
        """Map voxel indices (..., 3) in (z, y, x) to patient (x, y, z), mm, LPS."""
        return np.asarray(index, float) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def to_index(self, patient: ArrayLike) -> NDArray[np.float64]:
        """Map patient points (..., 3) in (x, y, z), mm, LPS to fractional voxel indices (z, y, x)."""
        return np.asarray(patient, float) @ self.inverse[:3, :3].T + self.inverse[:3, 3]

    def corners(self) -> NDArray[np.float64]:
        """Return the centres of the eight corner voxels, (8, 3), patient (x, y, z), mm, LPS."""
        last = np.asarray(self.shape) - 1
        unit = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(-1, 3)
        return self.to_patient(unit * last)

    def same_grid(self, other: Geometry, tolerance: float = SAME_GRID_MM) -> bool:
        """Whether shape and all corners agree within ``tolerance`` mm."""
        if self.shape != other.shape:
            return False
        return float(np.abs(self.corners() - other.corners()).max()) < tolerance

    def contains(self, index: ArrayLike) -> bool:
        """Whether a voxel index (z, y, x), rounded, lies inside the grid."""
        rounded = np.round(np.asarray(index, float))
        return bool(np.all(rounded >= 0) and np.all(rounded < np.asarray(self.shape)))


def _refuse_bad_matrix(matrix: NDArray[np.float64]) -> None:
    if matrix.shape != (4, 4):
        raise GeometryError(f"an affine of shape {matrix.shape} can't place voxels: 4×4 is needed")
    if not np.isfinite(matrix).all():
        raise GeometryError(
            "the affine holds values that are not finite numbers: re-export the image with a valid orientation",
            "geometry.non_finite",
        )
    columns = np.linalg.norm(matrix[:3, :3], axis=0)
    if columns.min() == 0 or abs(np.linalg.det(matrix[:3, :3] / columns)) < 1e-6:
        raise GeometryError(
            "the affine is singular (two axes coincide or one has no length): "
            "re-export the image with a valid orientation",
            "geometry.singular",
        )
