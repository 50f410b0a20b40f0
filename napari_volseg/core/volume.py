"""A volume: voxels, where they lie, what they mean, and what is needed to write back to their source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from napari_volseg.core.errors import GeometryError
from napari_volseg.core.findings import Finding
from napari_volseg.core.geometry import Geometry


@dataclass(frozen=True, slots=True)
class Reorientation:
    """A lossless change of axes: permutation, then flips.

    Parameters
    ----------
    axes
        ``axes[i]`` is the source axis that becomes axis i.
    flipped
        ``flipped[i]`` says whether axis i of the result runs against that source axis.
    """

    axes: tuple[int, int, int] = (0, 1, 2)
    flipped: tuple[bool, bool, bool] = (False, False, False)


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is needed to write labels back to the grid that a volume came from.

    Parameters
    ----------
    format
        ``"DICOM"``, ``"NIfTI"`` or ``"memory"``.
    source_geometry
        The grid as stored, before reorientation.
    reorientation
        From the stored grid to the volume's own.
    paths
        Source files; for DICOM one per slice along source axis 0.
    uids
        DICOM keywords (``"SeriesInstanceUID"``) to values.
    details
        Descriptive, never identifying facts for the user: series description, date, scaling.
    findings
        What was found, repaired, assumed, decided and left out.
    archive
        The archive that ``paths`` were unpacked from for a while, None where they lie by themselves.
    """

    format: str
    source_geometry: Geometry
    reorientation: Reorientation = Reorientation()
    paths: tuple[Path, ...] = ()
    uids: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    findings: tuple[Finding, ...] = ()
    archive: Path | None = None


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """The leading axis of a (t, z, y, x) volume.

    Parameters
    ----------
    name
        What changes along it, such as ``"time"`` or ``"b-value"``.
    unit
        Unit of ``values``, such as ``"s"``.
    values
        One number per volume.
    """

    name: str
    unit: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """An image in patient space.

    Parameters
    ----------
    voxels
        (z, y, x) or (t, z, y, x), made read-only.
    geometry
        Grid of the (z, y, x) axes.
    modality
        DICOM modality: ``"CT"``, ``"MR"``, ``"PT"``, or ``"OT"`` where unknown.
    quantity
        What a voxel measures: ``"HU"``, ``"SUV"`` or ``"arbitrary"``.
    unit
        Text to show behind a value: ``"HU"``, ``"g/mL"`` or ``""``.
    name
        Short text for people, never a patient's name.
    provenance
        Where it came from.
    time
        The leading axis of a 4D volume.

    Raises
    ------
    GeometryError
        Where voxels and grid do not agree in shape.
    """

    voxels: NDArray[Any]
    geometry: Geometry
    modality: str = "OT"
    quantity: str = "arbitrary"
    unit: str = ""
    name: str = "volume"
    provenance: Provenance | None = None
    time: TimeAxis | None = None

    def __post_init__(self) -> None:
        if self.voxels.shape[-3:] != self.geometry.shape or self.voxels.ndim not in (3, 4):
            raise GeometryError(
                f"voxels of shape {self.voxels.shape} do not fill a grid of shape {self.geometry.shape}"
            )
        view = self.voxels.view()
        view.setflags(write=False)
        object.__setattr__(self, "voxels", view)

    def at_time(self, index: int) -> Volume:
        """Return the 3D volume at position ``index`` of the leading axis, itself where it is 3D."""
        if self.voxels.ndim == 3:
            return self
        return Volume(
            self.voxels[index],
            self.geometry,
            self.modality,
            self.quantity,
            self.unit,
            self.name,
            self.provenance,
        )

    @property
    def is_calibrated(self) -> bool:
        """Whether the size and place of voxels are known; where not, nothing may be shown in mm or mL."""
        return not self.origin_provenance.details.get("uncalibrated", False)

    @property
    def origin_provenance(self) -> Provenance:
        """The provenance, or that of an array in memory whose source grid is its own."""
        return self.provenance or Provenance("memory", self.geometry)
