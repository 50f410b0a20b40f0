"""What a segment tool is: its words, its parameters, and what it is given to work on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from napari_volseg.app.case import Case
from napari_volseg.core import BoxMask, CancelToken, Geometry
from napari_volseg.editing import OnSlice, OverwriteRule, Relabelled, shape_of

#: What a parameter is set to: a number, the identifier of an option, or a label value.
Setting = float | str

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
        ``"mm"``, ``"mm³"``, or ``"image"`` for that of the image.
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
    """A parameter that is a segment besides the active one; the first of the table where none was chosen."""

    name: str
    label: str
    default: float = 0


Parameter = Number | Choice | OtherSegment


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What a tool works on; it only reads.

    Parameters
    ----------
    case
        The open case.
    value
        Label value of the active segment, 0 where all are meant.
    settings
        What each parameter is set to, by name.
    plane
        The slice that is shown.
    rule
        Which voxels a segment may gain.
    release
        Which voxels a segment may lose.
    """

    case: Case
    value: int
    settings: Mapping[str, Setting]
    plane: OnSlice
    rule: OverwriteRule
    release: OverwriteRule

    @property
    def labels(self) -> NDArray[Any]:
        """The labels (z, y, x)."""
        return self.case.segmentation.labels

    @property
    def geometry(self) -> Geometry:
        """Their grid."""
        return self.case.volume.geometry

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
        Stable identifier; its command is ``tool.`` and this.
    title
        What lists call it.
    tip
        What it does, in one sentence.
    work
        Returns, on any thread, the new shape of the active segment, or new labels of a box.
    parameters
        What the user can set.
    target
        What it acts on, unless its parameter ``which`` says ``"all"``.
    on_slice
        Whether it starts from the slice that is shown, whatever its parameters say.
    suggest
        Returns, on any thread, settings that suit the image, where a tool has such.
    key
        Default key, empty for none.
    """

    id: str
    title: str
    tip: str
    work: Callable[[Request, CancelToken], BoxMask | Relabelled]
    parameters: tuple[Parameter, ...] = ()
    target: Target = "shape"
    on_slice: bool = False
    suggest: Callable[[Request], dict[str, Setting]] | None = None
    key: str = ""

    def needs_slice(self, settings: Mapping[str, Setting]) -> bool:
        """Whether it matters, as its parameters are set, which slice is shown."""
        return self.on_slice or settings.get("scope") in ("slice", "slices")

    def acts_on(self, settings: Mapping[str, Setting]) -> Target:
        """Return what it acts on as its parameters are set."""
        return "all" if settings.get("which") == "all" else self.target

    @property
    def needs_other(self) -> bool:
        """Whether it takes a second segment."""
        return any(isinstance(parameter, OtherSegment) for parameter in self.parameters)
