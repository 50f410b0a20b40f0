"""What a segment tool is: its words, its parameters, and what it is given to work on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

from numpy.typing import NDArray

from napari_volseg.app.case import Case
from napari_volseg.app.wishes import Reach
from napari_volseg.core import Box, BoxMask, CancelToken, Geometry, SegmentTable
from napari_volseg.editing import InVolume, OnSlice, OverwriteRule, Relabelled, Scope, scope_box, shape_of, slab_about
from napari_volseg.spatial import crop_geometry

#: What a parameter is set to: a number, the identifier of an option, or a label value.
Setting = float | str

#: How its reach confines a tool: it sees only those slices, it sees all and changes only those, or by itself.
Confined = Literal["in sight", "in effect", "by itself"]

#: What a tool acts on: the shape of the active segment; the active segment, made first where there is none; all.
Target = Literal["shape", "segment", "all"]


@dataclass(frozen=True, slots=True)
class Number:
    """A parameter that is a number.

    Parameters
    ----------
    name
        Identifier within its tool.
    label
        What the panel calls it.
    unit
        ``"mm"``, ``"mm³"``, ``"image"`` for that of the image, or empty for none.
    default, low, high
        Its value to begin with, and its limits.
    step
        What one press of an arrow adds.
    decimals
        Places behind the point.
    """

    name: str
    label: str
    unit: str
    default: float
    low: float
    high: float
    step: float = 1.0
    decimals: int = 1


@dataclass(frozen=True, slots=True)
class Choice:
    """A parameter that is one of a few options, pairs of identifier and text; the first is the default."""

    name: str
    label: str
    options: tuple[tuple[str, str], ...]

    @property
    def default(self) -> str:
        """Identifier of the first option."""
        return self.options[0][0]


@dataclass(frozen=True, slots=True)
class OtherSegment:
    """A parameter that is a segment besides the active one; the first of the table where none was chosen.

    Parameters
    ----------
    name
        Identifier within its tool.
    label
        What the panel calls it.
    none
        Text of the option to take no segment, label value 0, which is then the default; empty where one is needed.
    """

    name: str
    label: str
    none: str = ""
    default: float = 0


Parameter = Number | Choice | OtherSegment


@dataclass(frozen=True, slots=True, eq=False)
class Redrawn:
    """New labels of a box that go with another segment table.

    Segments that the table no longer names stay in it where voxels of them are left, and new ones appear only where
    they get voxels.

    Parameters
    ----------
    new
        The labels.
    table
        The segments.
    remark
        What the user should know of it, a clause without a full stop; empty for nothing.
    facts
        What the step keeps of it besides the settings, in types that JSON knows.
    """

    new: Relabelled
    table: SegmentTable
    remark: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


Result = BoxMask | Relabelled | Redrawn


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What a tool works on; it only reads.

    Parameters
    ----------
    case
        The open case.
    table
        The segments.
    value
        Label value of the active segment, 0 where all are meant.
    settings
        What each parameter is set to, by name.
    reach
        How far it acts.
    slab_mm
        How far a slab reaches to each side, mm.
    plane
        The slice that is shown.
    confined
        How these slices confine it.
    rule
        Which voxels a segment may gain.
    release
        Which voxels a segment may lose.
    within
        A box (z, y, x) that also limits what may change; None for none.
    """

    case: Case
    table: SegmentTable
    value: int
    settings: Mapping[str, Setting]
    reach: Reach
    slab_mm: float
    plane: OnSlice
    confined: Confined
    rule: OverwriteRule
    release: OverwriteRule
    within: Box | None = None

    @property
    def scope(self) -> Scope:
        """The slices within reach."""
        match self.reach:
            case "slice":
                return self.plane
            case "slab":
                return slab_about(self.case.volume.geometry, self.plane, self.slab_mm)
            case "volume":
                return InVolume()
            case _:
                assert_never(self.reach)

    @property
    def area(self) -> Box:
        """The voxels (z, y, x) of the volume that may change."""
        shape = self.case.segmentation.labels.shape
        reached = Box.whole(shape) if self.confined == "by itself" else scope_box(self.scope, shape)
        return reached if self.within is None else reached.intersect(self.within)

    @property
    def seen(self) -> Box:
        """The voxels (z, y, x) of the volume that are looked at; all arrays below are cut to them."""
        return self.area if self.confined == "in sight" else Box.whole(self.case.segmentation.labels.shape)

    @property
    def labels(self) -> NDArray[Any]:
        """The labels (z, y, x)."""
        return self.case.segmentation.labels[self.seen.slices]

    @property
    def voxels(self) -> NDArray[Any]:
        """The image (z, y, x)."""
        return self.case.volume.voxels[self.seen.slices]

    @property
    def geometry(self) -> Geometry:
        """Their grid."""
        return crop_geometry(self.case.volume.geometry, self.seen)

    @property
    def other(self) -> int:
        """Label value of the other segment that was chosen."""
        return int(self.settings["other"])

    def number(self, name: str) -> float:
        """Return what a number is set to."""
        return float(self.settings[name])

    def shape(self) -> BoxMask:
        """Return the active segment as it is."""
        return shape_of(self.labels, self.value)


@dataclass(frozen=True, slots=True)
class SegmentTool:
    """One row of the table.

    Parameters
    ----------
    id
        Stable identifier; its command is ``tool.`` and this, and so is the name of its icon.
    title
        What lists call it.
    tip
        What it does, in one sentence.
    work
        Returns, on any thread, the new shape of the active segment, or new labels of a box; voxels are counted from
        the start of what the request lets it see.
    parameters
        What the user can set.
    target
        What it acts on, unless its parameter ``which`` says ``"all"``.
    reaches
        How far it can act; the first where what is wished is none of them.
    on_slice
        Whether it starts from the slice that is shown, however far it acts.
    confined
        How its reach confines it.
    by_voxel
        Whether each voxel is judged for itself, so that slices can be looked at one after the other.
    suggest
        Returns, on any thread, settings that suit the image, where a tool has such.
    key
        Default key, empty for none.
    """

    id: str
    title: str
    tip: str
    work: Callable[[Request, CancelToken], Result]
    parameters: tuple[Parameter, ...] = ()
    target: Target = "shape"
    reaches: tuple[Reach, ...] = ("volume", "slab", "slice")
    on_slice: bool = False
    confined: Confined = "in sight"
    by_voxel: bool = False
    suggest: Callable[[Request], dict[str, Setting]] | None = None
    key: str = ""

    def reach(self, wished: Reach) -> Reach:
        """Return how far it acts where some reach is wished."""
        return wished if wished in self.reaches else self.reaches[0]

    def needs_slice(self, wished: Reach, settings: Mapping[str, Setting]) -> bool:
        """Whether it matters, as it is set, which slice is shown."""
        return self.on_slice or self.reach(wished) != "volume" or settings.get("holes") == "slices"

    def acts_on(self, settings: Mapping[str, Setting]) -> Target:
        """Return what it acts on as its parameters are set."""
        return "all" if settings.get("which") == "all" else self.target

    @property
    def needs_other(self) -> bool:
        """Whether it can't do without a second segment."""
        return any(isinstance(parameter, OtherSegment) and not parameter.none for parameter in self.parameters)
