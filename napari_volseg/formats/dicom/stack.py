"""Which image fills which slice, at which time: the plan by which a volume is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import Finding, Inquiry, RefusedError, TimeAxis
from napari_volseg.formats.dicom.grid import together
from napari_volseg.formats.dicom.instances import Instance
from napari_volseg.formats.dicom.marks import KEYWORDS, MEANINGS

#: Images at one place, one per time; None where one is missing.
Column = tuple[Instance | None, ...]

#: Marks that mean something by themselves: enough to tell images apart that all lie at one place.
_MEANINGFUL = KEYWORDS.index("AcquisitionNumber")
_B_VALUE = KEYWORDS.index("DiffusionBValue")


@dataclass(frozen=True, slots=True)
class Stack:
    """The images of a volume.

    Parameters
    ----------
    columns
        One per slice that has images, along axis 0 of the grid.
    slots
        (n,) index of each on the grid; fractions where slices are interpolated.
    time
        The leading axis of a 4D volume.
    uncalibrated
        Whether its grid is made up, for want of geometry in the files.
    candidates
        The images that it was chosen from, as long as decisions are open.
    """

    columns: tuple[Column, ...]
    slots: tuple[float, ...]
    time: TimeAxis | None = None
    uncalibrated: bool = False
    candidates: tuple[Instance, ...] = ()

    @property
    def first_images(self) -> tuple[Instance, ...]:
        """The first image of each slice."""
        return tuple(first_of(column) for column in self.columns)

    @property
    def images(self) -> tuple[Instance, ...]:
        """All images."""
        return images_of(self.columns)

    @property
    def is_even(self) -> bool:
        """Whether images lie on the grid as they are, so that nothing is interpolated."""
        return all(slot == round(slot) for slot in self.slots)

    def files(self) -> tuple[Path, ...]:
        """Return the files in the order of slices, then of time."""
        return tuple(dict.fromkeys(image.path for image in (*self.first_images, *self.images)))


def first_of(column: Column) -> Instance:
    """Return the first image of a column."""
    return next(image for image in column if image is not None)


def images_of(columns: Sequence[Column]) -> tuple[Instance, ...]:
    """Return all images of columns."""
    return tuple(image for column in columns for image in column if image is not None)


def columns_of(
    slices: Sequence[Instance], places: NDArray[np.float64], inquiry: Inquiry
) -> tuple[list[Column], TimeAxis | None, tuple[Finding, ...]]:
    """Return images by place and time.

    Parameters
    ----------
    slices
        In the order of ``places``.
    places
        (n,) along the normal, mm.
    inquiry
        Where images lie at the same place and nothing orders them.

    Raises
    ------
    RefusedError
        Where several images lie at each place and nothing tells in which order.
    """
    groups = [[slices[i] for i in indices] for indices in together(places)]
    sizes = [len(group) for group in groups]
    if max(sizes) == 1:
        return [(group[0],) for group in groups], None, ()
    if np.median(sizes) == 1:
        return _without_duplicates(groups, inquiry)
    for number in range(len(MEANINGS) if len(groups) > 1 else _MEANINGFUL):
        columns = _ordered_by(number, groups)
        if columns is not None:
            findings = () if number < _MEANINGFUL else (_order_finding(number),)
            return columns, _axis(number, columns), findings
    where = f"each of {len(groups)} slice positions" if len(groups) > 1 else "the same position"
    raise RefusedError(
        f"up to {max(sizes)} images lie at {where} and nothing tells their order: export one volume of it",
        "dicom.several_per_position",
    )


def _without_duplicates(
    groups: Sequence[list[Instance]], inquiry: Inquiry
) -> tuple[list[Column], None, tuple[Finding, ...]]:
    pair = next(group for group in groups if len(group) > 1)
    answer = inquiry.ask(
        "on_duplicate_slice",
        "dicom.duplicate_position",
        f"{pair[0].path.name} and {pair[1].path.name} lie at the same position but differ",
    )
    left_out = sum(map(len, groups)) - len(groups)
    count = f"{left_out} images lie" if left_out > 1 else "1 image lies"
    finding = Finding(
        "dicom.duplicate_position", f"{count} where another one does; the {answer} at each position was used"
    )
    return [(group[-1 if answer == "last" else 0],) for group in groups], None, (finding,)


def _ordered_by(number: int, groups: Sequence[Sequence[Instance]]) -> list[Column] | None:
    """Return columns ordered by one kind of mark; None where it leaves the order open."""
    marks = [[image.marks[number] for image in group] for group in groups]
    if any(None in group or len(set(group)) < len(group) for group in marks):
        return None
    times = sorted({mark for group in marks for mark in group if mark})
    longest = max(map(len, groups))
    if len(times) == longest:
        return [_placed(group, number, times) for group in groups]
    if min(map(len, groups)) < longest:
        return None
    ranks: list[list[int]] = [sorted(range(len(group)), key=lambda i: group[i] or ()) for group in marks]
    return [tuple(group[i] for i in order) for group, order in zip(groups, ranks, strict=True)]


def _placed(group: Sequence[Instance], number: int, times: Sequence[tuple[float, ...]]) -> Column:
    by_time = {image.marks[number]: image for image in group}
    return tuple(by_time.get(time) for time in times)


def _order_finding(number: int) -> Finding:
    name = MEANINGS[number].name
    return Finding("dicom.time_assumed", f"images at the same position were put in order of their {name} number")


def _axis(number: int, columns: Sequence[Column]) -> TimeAxis:
    """Return what changes along the leading axis: the b-value where it does, else what images were ordered by."""
    for candidate in (_B_VALUE, number) if number < _MEANINGFUL else (_B_VALUE,):
        values = _values(candidate, columns)
        if values is not None and len(set(values)) > 1:
            return TimeAxis(MEANINGS[candidate].name, MEANINGS[candidate].unit, values)
    return TimeAxis(MEANINGS[number].name, "", tuple(float(n) for n in range(len(columns[0]))))


def _values(number: int, columns: Sequence[Column]) -> tuple[float, ...] | None:
    """Return the mean mark per time, None where marks are absent or no single numbers."""
    means = []
    for t in range(len(columns[0])):
        images = [column[t] for column in columns]
        marks = [image.marks[number] for image in images if image is not None]
        numbers = [mark[0] for mark in marks if mark is not None and len(mark) == 1]
        if not numbers or len(numbers) < len(marks):
            return None
        means.append(float(np.mean(numbers)))
    return tuple(means)


def fillings(stack: Stack) -> Iterator[tuple[tuple[int, int], Instance]]:
    """Yield (time, column) and the image that belongs there."""
    for z, column in enumerate(stack.columns):
        for t, image in enumerate(column):
            if image is not None:
                yield (t, z), image
