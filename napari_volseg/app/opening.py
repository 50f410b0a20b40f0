"""Opening an image that only the user can tell enough about: questions, and what was decided so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from napari_volseg.app.headless import at_time
from napari_volseg.core import Answers, CancelToken, PreviewCallback, ProgressCallback, Volume
from napari_volseg.formats import FoundVolume, Scan, ScanMemory, load, prepare, scan

#: Decisions after which a folder may hold other volumes than before.
_OF_THE_SCAN = frozenset(f.name for f in fields(Answers))


@dataclass(frozen=True, slots=True)
class Question:
    """Something that only the user can decide.

    Parameters
    ----------
    text
        One sentence that says what is ambiguous.
    choices
        Choice identifier to the sentence that explains it.
    answer
        Goes on with the identifier of the choice.
    """

    text: str
    choices: Mapping[str, str]
    answer: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Decided:
    """What the user decided about the images of one place.

    Parameters
    ----------
    answers
        About DICOM series.
    orientation, form
        How a file lies that does not say it clearly.
    time
        Position along the time axis of a 4D image.
    """

    answers: Answers = field(default_factory=Answers)
    orientation: str | None = None
    form: str | None = None
    time: int | None = None

    def with_answer(self, keyword: str, choice: str) -> Decided:
        """Return the decisions with one more, under the keyword of the error that asked for it."""
        if keyword in _OF_THE_SCAN:
            return replace(self, answers=replace(self.answers, **{keyword: choice}))
        value: Any = int(choice) if keyword == "time" else choice
        return replace(self, **{keyword: value})

    @staticmethod
    def changes_scan(keyword: str) -> bool:
        """Whether the place must be scanned again once this is decided."""
        return keyword in _OF_THE_SCAN


def load_decided(
    found: FoundVolume,
    decided: Decided,
    progress: ProgressCallback,
    cancel: CancelToken,
    preview: PreviewCallback | None = None,
) -> Volume:
    """Read a found volume as the user decided.

    Raises
    ------
    DecisionNeededError
        Where something is still open; its ``keyword`` goes to ``Decided.with_answer``.
    """
    volume = load(found, progress, cancel, decided.orientation, decided.form, decided.answers, preview)
    return at_time(volume, decided.time)


def look_into(
    path: Path,
    progress: ProgressCallback,
    cancel: CancelToken,
    answers: Answers | None,
    room: Path | None,
    memory: ScanMemory | None,
) -> Scan:
    """Scan what somebody is about to open something of; everything else as in ``formats.scan``."""
    result = scan(path, progress, cancel, answers, room, memory)
    prepare(result)
    return result


def refusal_sentence(result: Scan, place: Path | None = None) -> str:
    """Return one sentence on why nothing of a place could be opened."""
    if not result.refused:
        what = (
            f"no image was found in {place.name}" if place is not None and place.name else "no image was found there"
        )
        return f"{what}: choose a folder or archive with a DICOM series, or a NIfTI, NRRD or MetaImage file"
    first = result.refused[0]
    more = f" ({len(result.refused) - 1} more were refused)" if len(result.refused) > 1 else ""
    reason = first.reason if first.path.name in first.reason else f"{first.path.name} was refused: {first.reason}"
    return f"{reason}{more}"
