"""Grey-level windows in the sense of DICOM's Window Centre and Window Width (PS3.3 C.11.2.1.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Window:
    """Values from ``center - width / 2`` (black) to ``center + width / 2`` (white), in the volume's unit.

    Parameters
    ----------
    center, width
        In the unit of the volume, such as HU; the width is positive.
    name
        Shown in the menu.
    """

    center: float
    width: float
    name: str = "custom"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.center) and np.isfinite(self.width) and self.width > 0):
            raise UsageError(
                f"window centre {self.center} and width {self.width} can't be shown: "
                "both must be numbers and the width positive"
            )

    @classmethod
    def between(cls, low: float, high: float, name: str = "custom") -> Window:
        """Return the window from ``low`` to ``high``."""
        return cls((low + high) / 2, high - low, name)

    @property
    def limits(self) -> tuple[float, float]:
        """Values shown as black and as white."""
        return self.center - self.width / 2, self.center + self.width / 2


#: Windows for CT in HU, as radiology departments commonly set them.
CT_WINDOWS: dict[str, Window] = {
    "lung": Window(-600, 1500, "Lung"),
    "bone": Window(400, 1800, "Bone"),
    "soft-tissue": Window(40, 400, "Soft tissue"),
    "mediastinum": Window(50, 350, "Mediastinum"),
    "liver": Window(70, 150, "Liver"),
    "brain": Window(40, 80, "Brain"),
}


def auto_window(voxels: NDArray[Any], padding: float | None = None) -> Window:
    """Return a window from the 1st to the 99.5th percentile of the voxels above background.

    Background is what lies at or below a tenth of the range between the 2nd and 98th percentile, as in MR
    images whose air fills most of the field of view. ``padding`` is a value to leave out. At most about
    one million voxels are looked at.
    """
    flat = voxels.reshape(-1)[:: max(1, voxels.size // 1_000_000)].astype(np.float64)
    flat = flat[np.isfinite(flat)]
    if padding is not None:
        flat = flat[flat != padding]
    if flat.size == 0:
        return Window(0.5, 1.0, "Auto")
    low, high = np.percentile(flat, (2, 98))
    body = flat[flat > low + 0.1 * (high - low)]
    bounds = np.percentile(body if body.size else flat, (1, 99.5))
    width = max(float(bounds[1] - bounds[0]), 1e-6 * max(1.0, abs(float(bounds[1]))), 1e-6)
    return Window(float(bounds.mean()), width, "Auto")
