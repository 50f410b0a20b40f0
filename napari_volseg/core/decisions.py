"""Decisions that only the user can take, and the answers that were given in advance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from napari_volseg.core.errors import DecisionNeededError, RefusedError, UsageError
from napari_volseg.core.findings import Finding

_REFUSE = {"refuse": "don't open it"}

#: For each decision, its choices; what the first does is shown in lists until the user has chosen.
CHOICES: dict[str, dict[str, str]] = {
    "on_missing_slice": {
        "empty": "put a marked empty slice in each gap",
        "blocks": "open the parts without gaps as volumes of their own",
        **_REFUSE,
    },
    "on_uneven_spacing": {
        "resample": "interpolate slices with even spacing; labels can't be exported to the original slices",
        "blocks": "open the parts with even spacing as volumes of their own",
        **_REFUSE,
    },
    "on_duplicate_slice": {
        "first": "use the first image at each position",
        "last": "use the last image at each position",
        **_REFUSE,
    },
    "on_missing_position": {"leave_out": "leave out images without position", **_REFUSE},
    "on_no_geometry": {
        "stack": "stack the images without physical size: nothing can be measured in mm",
        **_REFUSE,
    },
    "on_mixed_series": {
        "split": "open the images of each patient and study as volumes of their own",
        "together": "take all images for one series",
        **_REFUSE,
    },
}


@dataclass(frozen=True, slots=True)
class Answers:
    """What the user decided in advance; None where they want to be asked.

    Parameters
    ----------
    on_missing_slice
        ``"empty"``, ``"blocks"`` or ``"refuse"``.
    on_uneven_spacing
        ``"resample"``, ``"blocks"`` or ``"refuse"``.
    on_duplicate_slice
        ``"first"``, ``"last"`` or ``"refuse"``.
    on_missing_position
        ``"leave_out"`` or ``"refuse"``.
    on_no_geometry
        ``"stack"`` or ``"refuse"``.
    on_mixed_series
        ``"split"``, ``"together"`` or ``"refuse"``.

    Raises
    ------
    UsageError
        For an answer that is none of the choices.
    """

    on_missing_slice: str | None = None
    on_uneven_spacing: str | None = None
    on_duplicate_slice: str | None = None
    on_missing_position: str | None = None
    on_no_geometry: str | None = None
    on_mixed_series: str | None = None

    def __post_init__(self) -> None:
        for decision in fields(self):
            answer, choices = getattr(self, decision.name), CHOICES[decision.name]
            if answer is not None and answer not in choices:
                raise UsageError(f"{decision.name} can't be {answer!r}: choose one of {', '.join(choices)}")


@dataclass(frozen=True, slots=True)
class Decision:
    """Something about a volume that only the user can decide.

    Parameters
    ----------
    keyword
        Name under which the answer is given, such as one of ``CHOICES``.
    code
        Stable identifier of what was found, such as ``"dicom.missing_slices"``.
    question
        One sentence that says what was found.
    choices
        Answer to the sentence that explains it.
    """

    keyword: str
    code: str
    question: str
    choices: Mapping[str, str] = field(hash=False)

    def error(self) -> DecisionNeededError:
        """Return the error that asks the user."""
        return DecisionNeededError(f"{self.question}: choose {' or '.join(self.choices)}", self.choices, self.keyword)


@dataclass(slots=True)
class Inquiry:
    """Asks what was not answered in advance, and goes on meanwhile as the first choice says.

    Parameters
    ----------
    answers
        Given in advance.
    unanswered
        Grows with each question that has no answer.
    decided
        Grows with each question that was answered.
    """

    answers: Answers
    unanswered: list[Decision] = field(default_factory=list)
    decided: list[Finding] = field(default_factory=list)

    def ask(self, keyword: str, code: str, question: str) -> str:
        """Return the answer, or the first choice where there is none yet.

        Raises
        ------
        RefusedError
            With ``code``, where the answer is to refuse.
        """
        answer: str | None = getattr(self.answers, keyword)
        if answer == "refuse":
            raise RefusedError(f"{question}: refused, as {keyword} says", code)
        if answer is None:
            self.unanswered.append(Decision(keyword, code, question, CHOICES[keyword]))
            return next(iter(CHOICES[keyword]))
        text = f"{question}; decided: {CHOICES[keyword][answer]}, as {keyword} = {answer} says"
        self.decided.append(Finding(f"decided.{keyword}", text, "note"))
        return answer

    def branch(self) -> Inquiry:
        """Return an inquiry of its own for one part, which knows what was asked so far."""
        return Inquiry(self.answers, list(self.unanswered), list(self.decided))
