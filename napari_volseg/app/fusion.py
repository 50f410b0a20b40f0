"""A second image over the open case, such as PET over CT: where it lies, what it is worth, how it is shown.

It is resampled for display alone. Labels, clicks, models and exports know nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from psygnal import EventedModel, Signal

from napari_volseg.app.case import Case, opening_window, values_between
from napari_volseg.app.jobs import Job
from napari_volseg.app.layouts import forget_second, lay_out
from napari_volseg.app.on_grid import on_grid, require_overlap
from napari_volseg.app.opening import Decided, Question, load_decided
from napari_volseg.app.studies import mark_of
from napari_volseg.core import (
    Box,
    CancelToken,
    DecisionNeededError,
    Geometry,
    ProgressCallback,
    UsageError,
    VolsegError,
    Volume,
    Window,
    auto_window,
)
from napari_volseg.formats import FoundVolume
from napari_volseg.spatial import crop_geometry, steps_within, thin_geometry

if TYPE_CHECKING:
    from napari_volseg.app.application import Application

#: Colour maps by name. All of them grow lighter with the value, so that they read without telling hues apart.
ColourName = Literal["hot", "inferno", "viridis", "cyan", "grey"]
COLOURS: tuple[ColourName, ...] = get_args(ColourName)

#: SUV from which on PET is shown brightest at first.
BRIGHT_SUV = 7.0
#: One press changes the opacity by so much.
OPACITY_STEP = 0.1

#: How the frame of reference of a second image stands to that of the first.
Relation = Literal["same", "unknown", "other"]


class FusionWishes(EventedModel):
    """How the second image is shown.

    Attributes
    ----------
    visible
        Whether it is drawn.
    opacity
        0 to 1.
    colours
        Name of its colour map.
    window
        What is below is seen through, what is above has the last colour; in the unit of the second image.
    """

    visible: bool = True
    opacity: float = 0.5
    colours: ColourName = "hot"
    window: Window = Window(0.5, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """An image as it is seen on the grid of another one.

    Parameters
    ----------
    volume
        The second image, on its own grid.
    reference
        Grid of the first one.
    steps
        Step (z, y, x) at which voxels of the reference are picked for the 3D view.
    small
        Values at those voxels, float32; ``NOTHING`` outside of the second image.
    values
        Lowest and highest value.
    auto
        Automatic window.
    """

    volume: Volume
    reference: Geometry
    steps: tuple[int, int, int]
    small: NDArray[np.float32]
    values: tuple[float, float]
    auto: Window

    @property
    def relation(self) -> Relation:
        """Whether both images say that they share a frame of reference."""
        own, other = self.volume.geometry.frame_of_reference_uid, self.reference.frame_of_reference_uid
        if not own or not other:
            return "unknown"
        return "same" if own == other else "other"

    @property
    def first_window(self) -> Window:
        """SUV from 0 on, as PET is commonly read over CT; for other images what they open with."""
        if self.volume.quantity == "SUV":
            return Window.between(0.0, BRIGHT_SUV, "SUV")
        if self.volume.modality == "PT":
            return Window.between(0.0, max(self.auto.limits[1], 1e-6), "From 0")
        return opening_window(self.volume, self.auto)

    @property
    def first_colours(self) -> ColourName:
        """Hot for what is taken up, as nuclear medicine is commonly read over CT; anatomy is blended in grey."""
        return "hot" if self.volume.modality in ("PT", "NM") else "grey"

    def part(self, places: Sequence[NDArray[np.intp]]) -> NDArray[np.float32]:
        """Return its values at voxels of the reference, given by their indices along each axis (z, y, x)."""
        start = [int(place.min()) for place in places]
        box = Box.of(start, [int(place.max()) + 1 for place in places])
        values = on_grid(self.volume, crop_geometry(self.reference, box))
        return values[np.ix_(*(place - first for place, first in zip(places, start, strict=True)))]

    def value_at(self, index: ArrayLike) -> float | None:
        """Return the value of the voxel that lies at a fractional index (z, y, x) of the reference, None outside."""
        geometry = self.volume.geometry
        own = geometry.to_index(self.reference.to_patient(index))
        if not geometry.contains(own):
            return None
        z, y, x = (int(i) for i in np.round(own))
        return float(self.volume.voxels[z, y, x])


def fuse(volume: Volume, case: Case) -> Fused:
    """Work out how a second image is seen over a case; takes a moment.

    Raises
    ------
    UsageError
        Where one of them has no place in the patient, or both have no part of it in common.
    """
    first, second = case.volume, volume.at_time(0)
    for image in (first, second):
        if not image.is_calibrated:
            raise UsageError(
                f"{image.name} does not say where it lies in the patient: only images that do can be shown together"
            )
    require_overlap(first, second)
    steps = steps_within(first.geometry.shape)
    small = on_grid(second, thin_geometry(first.geometry, steps))
    return Fused(second, first.geometry, steps, small, values_between(second.voxels), auto_window(second.voxels))


#: Wishes that are kept with the session.
KEPT = ("visible", "opacity", "colours")


class Fusion:
    """The second image over the open case.

    Parameters
    ----------
    app
        Whose case it lies over.

    Attributes
    ----------
    image
        The second image, None where there is none.
    wishes
        How it is shown.
    changed
        Emitted when there is another second image, or none any more.
    """

    changed = Signal()

    def __init__(self, app: Application) -> None:
        self._app = app
        self.wishes = FusionWishes()
        self.image: Fused | None = None
        self._mark = ""

    @property
    def state(self) -> dict[str, Any] | None:
        """What is needed to show it again another time, in types that JSON knows; None where nothing can be."""
        if self.image is None or not self._mark:
            return None
        return {
            "mark": self._mark,
            "beside": self._app.view.layout == "two",
            "window": self.wishes.window.limits,
            **{name: getattr(self.wishes, name) for name in KEPT},
        }

    def recall(self, state: Mapping[str, Any] | None, found: Iterable[FoundVolume]) -> Job | None:
        """Show the image again that ``state`` was of, as it was shown, where it is among what was found."""
        mark = state.get("mark") if isinstance(state, Mapping) else None
        known = next((volume for volume in found if mark_of(volume) == mark), None) if mark else None
        return self.open_found(known, recalled=state) if known is not None else None

    def open_found(
        self, found: FoundVolume, decided: Decided | None = None, recalled: Mapping[str, Any] | None = None
    ) -> Job:
        """Load a volume that was found and show it over the open case; what only the user can tell is asked.

        Parameters
        ----------
        found
            The volume.
        decided
            What the user has decided about it.
        recalled
            How it was shown another time, when all was asked that had to be.
        """
        case, known = self._app.need_case(), decided or Decided()

        def work(progress: ProgressCallback, cancel: CancelToken) -> Fused | DecisionNeededError:
            try:
                return fuse(load_decided(found, known, progress, cancel), case)
            except DecisionNeededError as error:
                return error

        def take(outcome: Fused | DecisionNeededError) -> None:
            if isinstance(outcome, DecisionNeededError):
                self._ask(found, known, outcome)
            elif recalled is None:
                self._take(case, outcome, mark_of(found))
            elif case is self._app.case:
                self._show(case, outcome, mark_of(found))
                self._dress(recalled)

        return self._app.jobs.submit(f"Opening {found.description} over {case.volume.name}", work, take)

    def open_volume(self, volume: Volume) -> Job:
        """Show a volume that is in memory over the open case."""
        case = self._app.need_case()

        def work(progress: ProgressCallback, cancel: CancelToken) -> Fused:
            return fuse(volume, case)

        return self._app.jobs.submit(f"Laying {volume.name} over", work, lambda fused: self._take(case, fused))

    def remove(self) -> None:
        """Show the case alone again."""
        if self.image is not None:
            self.image, self._mark = None, ""
            forget_second(self._app.view)
            self.changed.emit()

    def _ask(self, found: FoundVolume, decided: Decided, open_question: DecisionNeededError) -> None:
        if not len(self._app.asked):
            raise open_question
        choices = {name: text for name, text in open_question.choices.items() if name != "refuse"}

        def answer(choice: str) -> Job:
            return self.open_found(found, decided.with_answer(open_question.keyword, choice))

        self._app.asked.emit(Question(str(open_question), choices, answer))

    def _take(self, case: Case, fused: Fused, mark: str = "") -> None:
        """Show an image, after asking where its frame of reference is another one."""
        if case is not self._app.case:
            return
        if fused.relation == "other":
            self._doubt(case, fused, mark)
        else:
            self._show(case, fused, mark)

    def _doubt(self, case: Case, fused: Fused, mark: str) -> None:
        names = fused.volume.name, case.volume.name
        text = (
            f"{names[0]} and {names[1]} do not share a frame of reference: "
            "their coordinates need not mean the same places in the patient"
        )
        choices = {
            "leave": "do not show it",
            "show": "show it where its own coordinates say: whether it lies right is for you to check",
        }
        if not len(self._app.asked):
            raise DecisionNeededError(text, choices)
        self._app.asked.emit(Question(text, choices, lambda choice: self._decide(case, fused, mark, choice)))

    def _decide(self, case: Case, fused: Fused, mark: str, choice: str) -> None:
        if choice == "show" and case is self._app.case:
            self._show(case, fused, mark)

    def _show(self, case: Case, fused: Fused, mark: str) -> None:
        self.image, self._mark = fused, mark
        self.wishes.window = fused.first_window
        self.wishes.colours = fused.first_colours
        self.wishes.visible = True
        self.changed.emit()
        self._tell(case, fused)

    def _dress(self, state: Mapping[str, Any]) -> None:
        """Show it as another time; what is missing or makes no sense is left as it is."""
        with suppress(KeyError, TypeError, ValueError, VolsegError):
            low, high = (float(limit) for limit in state["window"])
            self.wishes.window = Window.between(low, high)
        for name in KEPT:
            with suppress(KeyError, ValueError):  # assigning alone does not look at the value
                setattr(self.wishes, name, getattr(FusionWishes(**{name: state[name]}), name))
        if state.get("beside"):
            lay_out(self._app.view, "two")

    def _tell(self, case: Case, fused: Fused) -> None:
        name, over = fused.volume.name, case.volume.name
        self._app.warn(fused.volume.origin_provenance.findings)
        match fused.relation:
            case "same":
                self._app.notice(f"{name} is shown over {over}; segments and exports stay on the grid of {over}")
            case "unknown":
                self._app.notice(
                    f"{name} is shown over {over}; their files do not tell whether both share a frame of reference: "
                    "check at landmarks that it lies right",
                    "warning",
                )
            case "other":
                self._app.notice(
                    f"{name} is shown over {over} although their frames of reference differ: "
                    "check at landmarks that it lies right",
                    "warning",
                )


def next_colours(fusion: Fusion) -> None:
    """Show the second image in the next colour map."""
    wishes = fusion.wishes
    wishes.colours = COLOURS[(COLOURS.index(wishes.colours) + 1) % len(COLOURS)]


def change_opacity(fusion: Fusion, change: float) -> None:
    """Let the second image cover the first one more, or less."""
    fusion.wishes.opacity = float(np.clip(round(fusion.wishes.opacity + change, 2), 0.0, 1.0))
